//! What a kind tells the engine.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use steamer_api::{
    Destination, Kind, Mode, OnSourceDeleted, PlannedChange, Reference, RestartMode, RolloutRestart,
    RolloutRestartTarget, SyncStatus,
};
use steamer_core::Error;
use steamer_core::access::auth::Purpose;
use steamer_core::access::sessions::LoginKey;
use steamer_openbao::NamespacePath;
use steamer_runtime::{Key, ObjectName};

use super::document::Document;
use super::due::Due;
use super::foreseen::Foreseen;
use super::held::Held;
use super::readings::{Asked, Reader};
use super::requests::Dedicated;
use super::schedule::Schedule;
use super::shared::Engine;
use super::stamp::{Stamp, request_digest};
use super::written::{Relayed, Watched};

/// A kind that becomes a Secret: the common part of the CRDs, and the source of the value.
pub(crate) trait Synced: Kind<Scope = NamespaceResourceScope> {
    /// Name of the controller.
    const NAME: &'static str;
    /// Source of the value.
    type Source: Source;

    /// The fields that all kinds have.
    fn common(&self) -> Common<'_>;

    /// Whether the keys in a Secret of another client are removed with the object, even if the Secret is retained.
    fn clears(&self) -> bool {
        false
    }

    /// Checks the description of the source.
    ///
    /// # Errors
    /// [`Error::Invalid`] states what to change.
    fn validate(&self) -> Result<(), Error>;

    /// The source that the spec describes.
    fn source(&self, access: ReadAccess) -> Self::Source;

    /// The part of the status that the engine reads.
    fn recorded(status: &Self::Status) -> Recorded;

    /// Writes what the engine recorded to the status.
    fn record(status: &mut Self::Status, recorded: Recorded);

    /// Whether the object only reports what it would write.
    fn mode(&self) -> Mode {
        Mode::Enforce
    }

    /// Writes the changes that an object with `mode: Observe` would make to the status.
    fn set_plan(_status: &mut Self::Status, _plan: Vec<PlannedChange>) {}

    /// Removes the plan from the status of an object that writes.
    fn enforced(status: &mut Self::Status) {
        Self::set_plan(status, Vec::new());
    }
}

/// The fields that all kinds have.
pub(crate) struct Common<'a> {
    pub(crate) auth_ref: Option<&'a Reference>,
    /// OpenBao namespace. Default: that of the BaoAuth.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) destination: &'a Destination,
    pub(crate) on_source_deleted: OnSourceDeleted,
    pub(crate) restart_targets: &'a [RolloutRestartTarget],
    pub(crate) restart: Option<&'a RolloutRestart>,
    pub(crate) suspend: bool,
    /// Whether issued values are revoked when they are replaced, and when the object is deleted.
    pub(crate) revoke: bool,
}

impl Common<'_> {
    /// Whether the first write can replace data with which workloads run that it must restart.
    pub(crate) fn takes_over(&self) -> bool {
        self.destination.create && self.destination.overwrite && self.restarts()
    }

    /// Whether a change of the Secret restarts workloads.
    pub(crate) fn restarts(&self) -> bool {
        match self.restart.map(|restart| restart.mode).unwrap_or_default() {
            RestartMode::Targets => !self.restart_targets.is_empty(),
            RestartMode::Consumers => true,
            RestartMode::None => false,
        }
    }
}

/// The part of a status that the engine reads and writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    /// The fields that all kinds have.
    pub(crate) sync: SyncStatus,
    /// Version of the value.
    pub(crate) version: Option<i64>,
    /// ID of the mount of the value.
    pub(crate) mount: Option<String>,
    /// The stamp of the last sync.
    pub(crate) stamp: Option<String>,
    /// Requests for an issued value that are not complete.
    pub(crate) requests: Option<String>,
}

impl Recorded {
    /// The value that the Secret contains.
    pub(crate) fn held(&self) -> Option<Held> {
        Stamp::parse(self.stamp.as_deref()?).map(|stamp| stamp.held)
    }
}

/// Sessions in the OpenBao namespace of the value, and their login.
#[derive(Clone)]
pub(crate) struct ReadAccess {
    pub(crate) reader: Reader,
    pub(crate) namespace: NamespacePath,
    /// Objects with equal logins share reads.
    pub(crate) login: Arc<LoginKey>,
    /// The cluster. None for a server that is known by its address only.
    pub(crate) cluster: Option<ObjectName>,
    /// Relays of the cluster, if it has some.
    pub(crate) relayed: Option<Relayed>,
    /// The object that reads.
    pub(crate) owner: Key,
}

impl ReadAccess {
    /// Digest of the address of the server.
    pub(crate) fn server(&self) -> String {
        request_digest(&[self.reader.token.client().address()])
    }

    /// Digest of the server, the OpenBao namespace and mounts.
    pub(crate) fn digest_of<'a>(&self, mounts: impl IntoIterator<Item = &'a str>) -> String {
        let server = format!("{:?}", self.login.server);
        let mut texts = vec![server.as_str(), self.namespace.as_str()];
        mounts.into_iter().for_each(|mount| texts.push(mount));
        request_digest(&texts)
    }
}

/// Source of a value.
pub(crate) trait Source: Send + Sync {
    /// Purpose of the login.
    const PURPOSE: Purpose = Purpose::Read;
    /// Whether each request creates another value. Then a label of the object, which templates can read, renders nothing.
    const ISSUES: bool = false;

    /// Digest of the request: different if a new value must be obtained.
    fn request(&self) -> &str;

    /// Digest of the server, the OpenBao namespace and the mount.
    fn mount(&self) -> &str;

    /// Name of the source in messages.
    fn describe(&self) -> String;

    /// When the value is due again.
    fn schedule(&self) -> Schedule;

    /// Locations of which a reported write wakes the object.
    fn watched(&self) -> Option<Watched> {
        None
    }

    /// What is known about a value that is not requested. Only called for a source that issues values.
    fn foreseen(&self) -> Foreseen {
        Foreseen::default()
    }

    /// Logs in for a token of its own, which the value will depend on. `None` if it depends on none. `last`: the last value of the
    /// same request.
    fn dedicated(
        &self,
        _engine: &Engine,
        _last: Option<&Held>,
    ) -> impl Future<Output = Result<Option<Dedicated>, Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// Obtains the value. `None` if the source has no value.
    fn obtain(
        &self,
        engine: &Engine,
        asked: Asked<'_>,
    ) -> impl Future<Output = Result<Option<Obtained>, Error>> + Send;

    /// When a value is due, from what is recorded about it. `obtained`: when OpenBao returned it. After a restart, it is the
    /// time until which an operator was active.
    fn due(&self, _held: &Held, obtained: Timestamp) -> Due {
        let schedule = self.schedule();
        Due::on(&schedule, schedule.next(obtained))
    }

    /// Renews a value. Only called for values that are due for it.
    fn renew(&self, _engine: &Engine, _held: &Held) -> impl Future<Output = Result<Renewal, Error>> + Send {
        std::future::ready(Ok(Renewal::Gone))
    }

    /// Whether OpenBao knows an issued value. Only called when the address of the server changed.
    fn exists(&self, _engine: &Engine, _held: &Held) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(true))
    }

    /// Revokes a value. A value that does not exist anymore is no error.
    fn give_back(&self, _engine: &Engine, _held: &Held) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Result of a renewal.
#[derive(Debug, PartialEq)]
pub(crate) enum Renewal {
    /// The value is valid for longer.
    Renewed(Box<Held>),
    /// OpenBao does not know the value anymore.
    Gone,
}

/// A value.
#[derive(Clone)]
pub(crate) struct Obtained {
    pub(crate) documents: Vec<Document>,
    pub(crate) held: Held,
    /// ID of the mount, if it was checked.
    pub(crate) mount: Option<String>,
    /// When OpenBao returned it.
    pub(crate) at: Timestamp,
}
