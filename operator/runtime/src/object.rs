//! Trait bounds of objects.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A Kubernetes object, namespaced or cluster-scoped. Implemented for every type that has the bounds.
pub trait AnyObject:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

impl<K> AnyObject for K where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

/// A namespaced Kubernetes object. Implemented for every type that has the bounds.
pub trait Object: AnyObject + Resource<Scope = NamespaceResourceScope> {}

impl<K> Object for K where K: AnyObject + Resource<Scope = NamespaceResourceScope> {}
