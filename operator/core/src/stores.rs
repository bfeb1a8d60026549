//! Caches of watched objects, by type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use steamer_api::KindId;
use steamer_runtime::Locked;
use steamer_runtime::{ObjectName, Presence, Store};

use crate::census;
use crate::cluster_namespaces::ClusterNamespaces;
use crate::error::Error;
use crate::served::Served;

/// One store for each type that is asked for.
#[derive(Clone, Default)]
pub struct Stores {
    stores: Arc<Locked<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
    cluster_namespaces: Arc<ClusterNamespaces>,
}

impl Stores {
    /// Empty stores. References to objects outside of these namespaces are refused.
    #[must_use]
    pub fn new(cluster_namespaces: ClusterNamespaces) -> Self {
        Self { cluster_namespaces: Arc::new(cluster_namespaces), ..Self::default() }
    }

    /// Refuses an object that is not honored in its namespace.
    ///
    /// # Errors
    /// As [`ClusterNamespaces::honor`].
    pub fn honor(&self, kind: KindId, namespace: &str) -> Result<(), Error> {
        self.cluster_namespaces.honor(kind, namespace)
    }

    /// The store of a type. The first call creates it.
    #[must_use]
    pub fn of<K: Send + Sync + 'static>(&self) -> Store<K> {
        let mut stores = self.lock();
        let store = stores.entry(TypeId::of::<K>()).or_insert_with(|| Box::new(Store::<K>::default()));
        store.downcast_ref::<Store<K>>().cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TypeId, Box<dyn Any + Send + Sync>>> {
        self.stores.lock()
    }
}

macro_rules! existence {
    ($($kind:ident $properties:tt),+ $(,)?) => {
        impl Stores {
            /// Returns true if an object of that kind and name exists, or can exist in a namespace that the cache does
            /// not contain.
            #[must_use]
            pub fn exists(&self, kind: KindId, name: &ObjectName) -> bool {
                self.presence(kind, name) != Presence::Absent
            }

            /// Returns whether an object of that kind and name exists, as [`Store::presence`].
            #[must_use]
            pub fn presence(&self, kind: KindId, name: &ObjectName) -> Presence {
                match kind {
                    $(KindId::$kind => self.of::<steamer_api::$kind>().presence(name)),+
                }
            }

            /// Counts the objects of every kind.
            pub(crate) fn count(&self, counts: &mut census::Counts) {
                $(census::add(counts, &self.of::<steamer_api::$kind>());)+
            }

            /// Returns whether an object exists that is served as an object of that kind, as [`Store::presence`].
            #[must_use]
            pub fn presence_of_served(&self, kind: KindId, name: &ObjectName) -> Presence {
                match kind {
                    $(KindId::$kind => self.of::<Served<steamer_api::$kind>>().presence(name)),+
                }
            }
        }
    };
}
steamer_api::for_each_kind!(existence);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_store() {
        let stores = Stores::default();
        let first = stores.of::<String>();
        assert!(first.is_empty() && !first.is_synced());
        assert!(!stores.exists(KindId::BaoAuth, &ObjectName::new("ns", "name")));
    }
}
