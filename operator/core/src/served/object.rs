//! An object of VSO as an object of Steamer.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use steamer_api::{Kind, KindId};

use super::conversion::{Converted, converted};
use super::facts::Facts;
use super::names::{Counterpart, GROUP, VERSION};
use super::permission::Permission;

/// An object of VSO as an object of Steamer.
#[derive(Clone, Debug, Serialize)]
pub struct Served<K> {
    #[serde(flatten)]
    object: K,
    served: Facts,
    #[serde(skip)]
    permission: Permission,
}

impl<K> Served<K> {
    /// The object of Steamer.
    pub fn object(&self) -> &K {
        &self.object
    }

    /// Returns true if an object of namespace `from` may refer to the object, which is in namespace `own`.
    pub(crate) fn allows(&self, own: &str, from: &str) -> bool {
        self.permission.allows(own, from)
    }
}

impl<'de, K: Counterpart + DeserializeOwned> Deserialize<'de> for Served<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Map::<String, Value>::deserialize(deserializer)?;
        let permission = Permission::of::<K>(&source);
        let Converted { object, facts } = converted(source).map_err(D::Error::custom)?;
        Ok(Self { object, served: facts, permission })
    }
}

impl<K: Counterpart> Resource for Served<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        K::SERVED.into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

impl<K: HasStatus> HasStatus for Served<K> {
    type Status = K::Status;

    fn status(&self) -> Option<&K::Status> {
        self.object.status()
    }

    fn status_mut(&mut self) -> &mut Option<K::Status> {
        self.object.status_mut()
    }
}

impl<K: Counterpart> Kind for Served<K> {
    const ID: KindId = K::ID;
    const KIND: &'static str = K::SERVED;
}
