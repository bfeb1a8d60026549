//! The trait of a kind on the engine.

use std::fmt::Debug;
use std::future::Future;

use jiff::Timestamp;
use steamer_api::{DeletionPolicy, HasLifecycle, Orphan};
use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Index, Key, ObjectName};

use super::pass::{Lookup, Pass};
use super::removal::{Footprint, Removal};
use super::rights::Rights;
use super::subject::Subject;
use crate::write::{Plan, Progress, Request};

/// A kind that creates resources in OpenBao. A reconcile calls `references`, `fetch`, `validate`, `observe` and `plan`,
/// then `announcement` before the first write, and `applied` after the last one. A deletion calls
/// `deletable`, `footprint`, `remove_children` and `remove`; the removal of an orphan calls `remove`. After a revoked
/// right, the engine calls `footprint`, `revoke` and `revoked`. A reconcile that does not write the desired state calls
/// `footprint`, `withdraw` and `withdrawn`. `trusted` checks each footprint, `interrupted` follows a failed
/// write, and `paused` a paused one.
pub(crate) trait Provision: HasLifecycle {
    /// Name of the controller.
    const NAME: &'static str;
    /// True if all resources are in namespaces of tenants, where Steamer writes under every `operatorScope`.
    const IN_TENANTS: bool = false;
    /// Objects that the object refers to.
    type References: Send + Sync;
    /// Access that was removed although the desired state was not written.
    type Withdrawn: Send + Sync;
    /// Everything from outside the spec that validation needs.
    type Found: Send;
    /// Valid desired state.
    type Desired: Send + Sync;
    /// Current state in OpenBao.
    type Observed: Send + Sync;

    /// Returns the keys of relations to parents. A change of the spec requeues the parents.
    fn relations(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Returns the entity that only one object of a cluster may provision.
    fn subject(&self) -> Option<Subject> {
        None
    }

    /// Returns the cluster of an object with a subject. None while an object that determines it does not exist.
    fn cluster(&self, _lookup: &Lookup<'_>) -> Option<ObjectName> {
        None
    }

    /// Returns where the cluster contains the subject, for kinds whose subjects have names that are unique in a location only.
    /// Two specs can name the same location in different ways. None while an object that determines it does not exist.
    fn location(&self, _lookup: &Lookup<'_>) -> Option<String> {
        Some(String::new())
    }

    /// Resolves references and checks every right. Runs even under `suspend`, so that a revoked right takes effect.
    ///
    /// # Errors
    /// [`Error::Denied`] and [`Error::NotAllowed`] revoke the access that was provisioned.
    fn references(&self, lookup: &Lookup<'_>) -> Result<Self::References, Error>;

    /// Reads everything else from Kubernetes, and opens the session of the writes.
    fn fetch(
        &self,
        references: Self::References,
        pass: &Pass<'_>,
    ) -> impl Future<Output = Result<(Session, Self::Found), Error>> + Send;

    /// Computes the desired state.
    fn validate(&self, found: Self::Found, setting: &Setting<'_>) -> Result<Self::Desired, Error>;

    /// Reads the current state from OpenBao.
    fn observe(
        session: &Session,
        desired: &Self::Desired,
    ) -> impl Future<Output = Result<Self::Observed, Error>> + Send;

    /// Returns the observed state without counters and times: two equal states differ from the desired one in the same way.
    fn state(observed: &Self::Observed) -> impl Debug;

    /// Computes the writes that lead from the observed to the desired state, in the order in which they are safe.
    fn plan(desired: &Self::Desired, observed: &Self::Observed, rights: &Rights<'_>) -> Result<Plan, Error>;

    /// Returns requests that the spec leads to, from the root namespace of the cluster, for a message about missing rights.
    fn outline(&self, _references: &Self::References, _lookup: &Lookup<'_>) -> Vec<Request> {
        Vec::new()
    }

    /// Returns the requests of the resources of a desired state, as [`Self::outline`] does.
    fn requests(_desired: &Self::Desired) -> Vec<Request> {
        Vec::new()
    }

    /// Returns the status that must be written before the first write to OpenBao, so that a deletion finds the
    /// resources, and a revoked right the access. None if the spec or the last status already determines them.
    fn announcement(
        _desired: &Self::Desired,
        _observed: &Self::Observed,
        _last: &Self::Status,
    ) -> Option<Self::Status> {
        None
    }

    /// Writes the facts of the observed state to the status, with `mode: Observe`.
    fn compared(_status: &mut Self::Status, _desired: &Self::Desired) {}

    /// Writes to the status what exists after writes that ended with an error. `observed` is the state before them, and `progress`
    /// is what OpenBao has confirmed.
    fn interrupted(
        _status: &mut Self::Status,
        _desired: &Self::Desired,
        _observed: &Self::Observed,
        _progress: &Progress,
    ) {
    }

    /// Corrects the status after `applied` if some writes are paused. The second status is that before `applied`, and `observed`
    /// the state before the writes.
    fn paused(
        _statuses: (&mut Self::Status, &Self::Status),
        _desired: &Self::Desired,
        _observed: &Self::Observed,
        _progress: &Progress,
    ) {
    }

    /// Returns the namespace that contains the resources, as clients of the server address it.
    fn published(desired: &Self::Desired) -> NamespacePath;

    /// Writes the facts of an applied plan to the status.
    fn applied(&self, status: &mut Self::Status, desired: &Self::Desired, now: Timestamp) -> Verdict;

    /// Returns the orphans of deleted children. None for a kind without children.
    fn orphans(_status: &mut Self::Status) -> Option<&mut Vec<Orphan>> {
        None
    }

    /// Writes to the status that the deletion has started.
    fn deleting(_status: &mut Self::Status) {}

    /// Checks that a deletion can start.
    ///
    /// # Errors
    /// [`Error::Waiting`] while other objects need the resources.
    fn deletable(&self, _lookup: &Lookup<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the location of the resources, or None if nothing was provisioned.
    fn footprint(&self, last: &Self::Status) -> Option<Footprint>;

    /// Returns the footprint without resources that another client added to the status.
    fn authentic(&self, footprint: Footprint, _pass: &Pass<'_>) -> Footprint {
        footprint
    }

    /// Returns the footprint without resources that another client added to the status, or that another object claims.
    fn trusted(&self, footprint: Footprint, pass: &Pass<'_>) -> Footprint {
        self.authentic(footprint, pass)
    }

    /// Returns the footprint in which the entries are no longer pending whose resources the object has created: its operator
    /// stopped, or the answer was lost, before the status listed them.
    ///
    /// # Errors
    /// An error of Kubernetes or OpenBao, or of a spec that no longer leads to the resources.
    fn confirmed(
        &self,
        footprint: Footprint,
        _pass: &Pass<'_>,
    ) -> impl Future<Output = Result<Footprint, Error>> + Send {
        async { Ok(footprint) }
    }

    /// Removes the resources of children, before those of the object.
    fn remove_children(
        _session: &Session,
        _removal: &Removal<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Removes all resources in a namespace that carry the mark of the owner, access first. With `Retain`, removes the
    /// access only. Can be repeated. Must work without the object, because it also removes orphans.
    fn remove(
        session: &Session,
        namespace: &NamespacePath,
        owned: Owned<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Removes access that a revoked right had granted. Engines and values stay.
    fn revoke(removal: &Removal<'_>) -> impl Future<Output = Result<(), Error>> + Send {
        async move {
            let owned = Owned { policy: DeletionPolicy::Retain, ..removal.owned() };
            Self::remove(&removal.session().await?, removal.namespace(), owned).await
        }
    }

    /// Writes the effect of `revoke` to the status.
    fn revoked(&self, _status: &mut Self::Status, _now: Timestamp) {}

    /// Removes access that other objects no longer grant, and adds none. Runs under `suspend` and `mode: Observe`, and
    /// when the desired state cannot be computed or written. None if the status does not depend on it.
    fn withdraw(
        &self,
        _references: &Self::References,
        _removal: &Removal<'_>,
    ) -> impl Future<Output = Result<Option<Self::Withdrawn>, Error>> + Send {
        async { Ok(None) }
    }

    /// Removes access that deleted children left without a record, such as after their finalizer was removed.
    fn collect(&self, _removal: &Removal<'_>) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Writes the effect of `withdraw` to the status.
    fn withdrawn(&self, _status: &mut Self::Status, _withdrawn: &Self::Withdrawn, _now: Timestamp) {}
}

/// What a desired state depends on besides the spec and the found objects.
pub(crate) struct Setting<'a> {
    /// Mark of the object.
    pub(crate) mark: &'a Mark,
    /// Time of the reconcile.
    pub(crate) now: Timestamp,
    /// Rejects audiences that the API server accepts.
    pub(crate) safe_audiences: &'a (dyn Fn(&[String]) -> Result<(), Error> + 'a),
}

/// In-memory state of a kind that other controllers read, updated around the writes.
pub(crate) trait Memory<K: Provision>: Send + Sync + 'static {
    /// Called before the first write.
    fn before_writes(&self, _object: &ObjectName, _desired: &K::Desired) {}
    /// Called after the last write and its status. The status can be missing if another client overwrites it each time.
    fn after_writes(&self, _object: &ObjectName, _desired: &K::Desired, _index: &Index) {}
    /// Called before access is revoked.
    fn revoked(&self, _object: &ObjectName, _index: &Index) {}
    /// Called after a part of the access is removed.
    fn withdrawn(&self, _object: &ObjectName, _withdrawn: &K::Withdrawn, _index: &Index) {}
    /// Called when the object no longer exists.
    fn forget(&self, _object: &ObjectName) {}
}

impl<K: Provision> Memory<K> for () {}
