//! One reconcile of one object: what it may use, and where its lookups are recorded.

use std::sync::Arc;

use steamer_api::{Kind, OpenBaoCluster, Referable, Reference};
use steamer_core::error::Error;
use steamer_core::{Context, Stores};
use steamer_openbao::Session;
use steamer_runtime::{Dependencies, Key, ObjectName};

/// Access to Kubernetes and OpenBao.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) context: &'a Context,
    pub(crate) dependencies: &'a Dependencies,
}

impl<'a> Pass<'a> {
    /// Access to cached objects only.
    pub(crate) fn lookup(&self) -> Lookup<'a> {
        Lookup { stores: &self.context.stores, dependencies: self.dependencies }
    }

    /// The operator's session in a cluster.
    pub(crate) async fn session(&self, cluster: &OpenBaoCluster) -> Result<Session, Error> {
        self.context.operator_session(self.dependencies, cluster).await
    }

    /// The operator's session in the cluster of that name. The caller must have checked the right to refer to it.
    pub(crate) async fn session_in(&self, cluster: &ObjectName) -> Result<Session, Error> {
        let cluster: Arc<OpenBaoCluster> = self.context.stores.existing(self.dependencies, cluster)?;
        self.session(&cluster).await
    }
}

/// Access to cached objects. It sends no requests.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'a> {
    stores: &'a Stores,
    dependencies: &'a Dependencies,
}

impl Lookup<'_> {
    /// The object that `reference` in an object of namespace `from` refers to, if it allows the reference.
    pub(crate) fn resolve<K: Referable>(&self, reference: &Reference, from: &str) -> Result<Arc<K>, Error> {
        self.stores.resolve(self.dependencies, reference, from)
    }

    /// Returns true if objects of namespace `from` may refer to the object. A change of that right requeues the
    /// current object.
    pub(crate) fn allows<K: Referable>(&self, name: &ObjectName, from: &str) -> bool {
        self.stores.named::<K>(self.dependencies, name, from).is_ok()
    }

    /// The objects for which `chosen` returns true. Changes of `key` requeue the current object.
    pub(crate) fn list<K: Kind>(&self, key: Key, chosen: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.dependencies.on(key);
        self.stores.of::<K>().filter(chosen)
    }
}
