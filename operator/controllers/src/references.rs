//! Looking up what an object refers to, with the right to do so checked every time.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::{Resource, ResourceExt};
use steamer_api::{
    AllowedNamespaces, BaoAuth, BaoConnection, JWTIssuer, OpenBaoCluster, Reference, SecretsProject,
    SecretsTenant,
};
use steamer_runtime::{Dependencies, Key, Name, Store};

use crate::context::Stores;
use crate::error::Error;

/// A kind that others may refer to.
pub(crate) trait Referable: Resource<DynamicType = ()> {
    const KIND: &'static str;
    fn allowed_namespaces(&self) -> &AllowedNamespaces;
    fn store(stores: &Stores) -> &Store<Self>
    where
        Self: Sized;
}

macro_rules! referable {
    ($($kind:ident in $store:ident),+ $(,)?) => {$(
        impl Referable for $kind {
            const KIND: &'static str = stringify!($kind);
            fn allowed_namespaces(&self) -> &AllowedNamespaces {
                &self.spec.allowed_namespaces
            }
            fn store(stores: &Stores) -> &Store<Self> {
                &stores.$store
            }
        }
    )+};
}
referable! {
    OpenBaoCluster in clusters,
    JWTIssuer in issuers,
    SecretsTenant in tenants,
    SecretsProject in projects,
    BaoConnection in connections,
    BaoAuth in auths,
}

/// The name a reference stands for in an object of `namespace`.
pub(crate) fn target(reference: &Reference, namespace: &str) -> Name {
    Name::new(reference.namespace.as_deref().unwrap_or(namespace), &reference.name)
}

impl Stores {
    /// The object that `reference` in an object of namespace `from` stands for, if it may.
    pub(crate) fn resolve<K: Referable>(
        &self,
        dependencies: &Dependencies,
        reference: &Reference,
        from: &str,
    ) -> Result<Arc<K>, Error> {
        self.named(dependencies, &target(reference, from), from)
    }

    /// The object of that name, if namespace `from` may refer to it.
    pub(crate) fn named<K: Referable>(
        &self,
        dependencies: &Dependencies,
        name: &Name,
        from: &str,
    ) -> Result<Arc<K>, Error> {
        let found = self.existing::<K>(dependencies, name)?;
        let own = found.namespace().unwrap_or_default();
        if own != from {
            dependencies.on(Key::new("Namespace", Name::new("", from)));
        }
        if !found.allowed_namespaces().allow(&own, from, &self.labels(from)) {
            return Err(Error::Denied { kind: K::KIND, name: name.clone(), from: from.to_owned() });
        }
        Ok(found)
    }

    /// The object of that name; the caller has the right to it in another way.
    pub(crate) fn existing<K: Referable>(
        &self,
        dependencies: &Dependencies,
        name: &Name,
    ) -> Result<Arc<K>, Error> {
        dependencies.on(Key::new(K::KIND, name.clone()));
        K::store(self).get(name).ok_or_else(|| Error::NotFound { kind: K::KIND, name: name.clone() })
    }

    fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let found = self.namespaces.get(&Name::new("", namespace));
        found.map(|namespace| namespace.labels().clone()).unwrap_or_default()
    }
}

/// Orders claims: the oldest first; of two of the same second, which is as finely as Kubernetes tells, the one that has
/// it already.
pub(crate) fn seniority<K: Resource>(object: &K, established: bool) -> (i64, bool, Name) {
    let created = object.meta().creation_timestamp.as_ref().map_or(i64::MAX, |at| at.0.as_second());
    (created, !established, Name::of(object))
}
