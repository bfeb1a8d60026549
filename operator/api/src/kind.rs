//! List of kinds. Everything that exists once per kind is derived from it: definitions, stores, existence, readiness,
//! RBAC rules, samples index, docs index.

use std::fmt::{self, Debug};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::AllowedNamespaces;

/// Calls a macro with the names of all kinds, in the order in which the documentation lists them. To add a kind, add a
/// line here.
#[macro_export]
macro_rules! for_each_kind {
    ($call:ident) => {
        $call! {
            OpenBaoCluster,
            JWTIssuer,
            SecretsTenant,
            SecretsProject,
            PipelinePolicy,
            BaoConnection,
            BaoAuth,
            BaoStaticSecret,
            SecretTransformation,
        }
    };
}

/// A kind of the API.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// The kind as a value.
    const ID: KindId;
    /// Name of the kind, such as `SecretsProject`.
    const KIND: &'static str = Self::ID.as_str();
}

/// A kind that objects of other namespaces can refer to.
pub trait Referable: Kind {
    /// Returns the namespaces that may refer to the object.
    fn allowed_namespaces(&self) -> &AllowedNamespaces;
}

macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// One of the kinds of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum KindId {
            $(
                #[doc = concat!("The kind [`", stringify!($kind), "`](crate::", stringify!($kind), ").")]
                $kind
            ),+
        }

        impl KindId {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Returns the name of the kind, such as `SecretsProject`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),+ }
            }
        }

        $(
            impl Kind for crate::$kind {
                const ID: KindId = KindId::$kind;
            }
        )+

        /// Returns the CustomResourceDefinition of every kind, as derived from its type.
        pub(crate) fn derived() -> Vec<CustomResourceDefinition> {
            vec![$(<crate::$kind as kube::CustomResourceExt>::crd()),+]
        }
    };
}
for_each_kind!(kinds);

impl KindId {
    /// Returns the kind of that name, or `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for KindId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! referable {
    ($($kind:ident),+ $(,)?) => {$(
        impl Referable for crate::$kind {
            fn allowed_namespaces(&self) -> &AllowedNamespaces {
                &self.spec.allowed_namespaces
            }
        }
    )+};
}
referable!(
    OpenBaoCluster,
    JWTIssuer,
    SecretsTenant,
    SecretsProject,
    BaoConnection,
    BaoAuth,
    SecretTransformation
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_parsed_from_its_name() {
        for kind in KindId::ALL {
            assert_eq!(KindId::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(KindId::parse("Secret"), None);
    }
}
