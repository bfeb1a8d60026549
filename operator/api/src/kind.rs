//! List of kinds with their properties. Everything that exists once per kind is derived from it: definitions, stores,
//! existence, readiness, RBAC rules, traits, samples index, docs index.

use std::fmt::{self, Debug};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    AllowedNamespaces, CommonStatus, HasConditions, HasLifecycleStatus, HasOwned, HasPlacement, Lifecycle,
    LifecycleStatus, OwnedResources, Placement,
};

/// Calls a macro with the names of all kinds and their properties ([`Property`]), in the order in which the documentation
/// lists them. To add a kind, add a line here.
#[macro_export]
macro_rules! for_each_kind {
    ($call:ident) => {
        $call! {
            OpenBaoCluster [Platform, Restricted, Referable],
            JWTIssuer [Platform, Restricted, Referable],
            SecretsTenant [Platform, Restricted, Referable, Lifecycle],
            SecretsProject [Referable, Lifecycle],
            PipelinePolicy [],
            UserPolicy [],
            ManagedSecret [Lifecycle],
            BaoConnection [Referable],
            BaoAuth [Referable],
            BaoAuthGlobal [Referable],
            BaoStaticSecret [],
            ClusterBaoStaticSecret [Platform],
            BaoDynamicSecret [],
            BaoPKISecret [],
            SecretTransformation [Referable],
            BaoPushSecret [Lifecycle],
            BaoPolicy [Placed, Owning, Lifecycle],
            SecretEngine [Placed, Owning, Lifecycle],
            AuthMethod [Placed, Owning, Lifecycle],
            BaoNamespace [Placed, Owning, Lifecycle],
            TransitKey [Placed, Owning, Lifecycle],
            BaoRateLimitQuota [Placed, Owning, Lifecycle],
            PKIIssuer [Referable, Placed, Owning, Lifecycle],
            PKIRole [Placed, Owning, Lifecycle],
            BaoAuthRole [Placed, Owning, Lifecycle],
            IdentityGroup [Placed, Owning, Lifecycle],
            DatabaseConnection [Referable, Placed, Owning, Lifecycle],
            DatabaseRole [Owning, Lifecycle],
            SecretsApp [Platform, Owning, Lifecycle],
        }
    };
}

/// A property of a kind. The list of kinds states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// Only the platform team may write objects of the kind, because they control the access of every tenant. Without it,
    /// everyone with the role `edit` of a namespace may write them.
    Platform,
    /// Objects of the kind decide where the operator logs in, or which keys OpenBao trusts. `--cluster-namespaces` names
    /// the namespaces in which they are honored.
    Restricted,
    /// Objects of other namespaces can refer to objects of the kind: implements [`Referable`].
    Referable,
    /// Objects of the kind create resources in OpenBao: implements [`HasLifecycle`].
    Lifecycle,
    /// The spec contains a [`Placement`](crate::Placement): implements [`HasPlacement`].
    Placed,
    /// The status records the resources of an object in `owned`: implements [`HasOwned`] for the status.
    Owning,
}

/// A kind of the API.
pub trait Kind:
    Resource<DynamicType = ()>
    + HasStatus<Status: HasConditions + Clone + Default + DeserializeOwned + Serialize + Send + Sync>
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

/// A namespaced kind that creates resources in OpenBao.
pub trait HasLifecycle:
    Kind + Resource<DynamicType = (), Scope = NamespaceResourceScope> + HasStatus<Status: HasLifecycleStatus>
{
    /// Returns the lifecycle of the resources.
    fn lifecycle(&self) -> &Lifecycle;
}

/// A kind that objects of other namespaces can refer to.
pub trait Referable: Kind {
    /// Returns the namespaces that may refer to the object.
    fn allowed_namespaces(&self) -> &AllowedNamespaces;
}

/// Implements the trait of a property.
macro_rules! implement {
    ($kind:ident Referable) => {
        impl Referable for crate::$kind {
            fn allowed_namespaces(&self) -> &AllowedNamespaces {
                &self.spec.allowed_namespaces
            }
        }
    };
    ($kind:ident Lifecycle) => {
        impl HasLifecycle for crate::$kind {
            fn lifecycle(&self) -> &Lifecycle {
                &self.spec.lifecycle
            }
        }

        impl HasLifecycleStatus for <crate::$kind as HasStatus>::Status {
            fn lifecycle_mut(&mut self) -> &mut LifecycleStatus {
                &mut self.lifecycle
            }
        }
    };
    ($kind:ident Placed) => {
        impl HasPlacement for crate::$kind {
            fn placement(&self) -> &Placement {
                &self.spec.placement
            }
        }
    };
    ($kind:ident Owning) => {
        impl HasOwned for <crate::$kind as HasStatus>::Status {
            fn owned(&self) -> Option<&OwnedResources> {
                self.owned.as_ref()
            }

            fn owned_mut(&mut self) -> &mut Option<OwnedResources> {
                &mut self.owned
            }
        }
    };
    ($kind:ident $without_trait:ident) => {};
}

macro_rules! kinds {
    ($($kind:ident [$($property:ident),*]),+ $(,)?) => {
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

            /// Returns the properties of the kind.
            #[must_use]
            pub const fn properties(self) -> &'static [Property] {
                match self { $(Self::$kind => &[$(Property::$property),*]),+ }
            }

            /// Returns the name of the kind in URLs and RBAC rules, such as `secretsprojects`.
            #[must_use]
            pub fn plural(self) -> String {
                match self { $(Self::$kind => crate::$kind::plural(&()).into_owned()),+ }
            }
        }

        $(
            impl Kind for crate::$kind {
                const ID: KindId = KindId::$kind;
            }

            impl HasConditions for <crate::$kind as HasStatus>::Status {
                fn common(&self) -> &CommonStatus {
                    &self.common
                }

                fn common_mut(&mut self) -> &mut CommonStatus {
                    &mut self.common
                }
            }
            $(implement!($kind $property);)*
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

    /// Returns true if the kind has the property.
    #[must_use]
    pub fn is(self, property: Property) -> bool {
        self.properties().contains(&property)
    }
}

impl fmt::Display for KindId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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

    #[test]
    fn no_two_kinds_share_a_name_or_a_short_name() {
        let mut seen = std::collections::BTreeSet::new();
        for names in crate::definitions().into_iter().map(|definition| definition.spec.names) {
            for name in names.short_names.unwrap_or_default().into_iter().chain([names.plural]) {
                assert!(seen.insert(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn a_property_that_requires_a_field_of_the_spec_is_stated_for_every_kind_with_that_field() {
        for (kind, definition) in KindId::ALL.iter().zip(crate::definitions()) {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
            for (property, field) in
                [(Property::Referable, "allowedNamespaces"), (Property::Lifecycle, "deletionDeadline")]
            {
                assert_eq!(kind.is(property), spec[field].is_object(), "{kind}: {field}");
            }
            assert_eq!(definition.spec.names.plural, kind.plural());
        }
    }
}
