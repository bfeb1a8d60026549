//! The controller of all kinds that become Secrets.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{Mode, PlannedChange, RECONCILE_ANNOTATION};
use steamer_core::Error;
use steamer_core::access::auth::{Access, access, auth_of};
use steamer_openbao::NamespacePath;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, ObjectName, Reconcile};
use steamer_runtime::{Key, Locked};

use super::decide::{Act, Known, Why, created, decide};
use super::document::newest;
use super::failed_renewals::FailedRenewals;
use super::frame::Frame;
use super::nudges::{Nudge, Nudges};
use super::pace::{Pace, Visit};
use super::pass::{Pass, caught_up};
use super::pending::Pending;
use super::readings::Reader;
use super::shared::Engine;
use super::staleness;
use super::stamp::Stamp;
use super::state::frame;
use super::synced::{ReadAccess, Source, Synced};
use super::templated::Templated;
use super::validate::validate;
use super::written::{Relayed, Written};

/// How often a decision is repeated because another client changed the Secret.
const ATTEMPTS: usize = 4;
/// Pause between a write and the revocation of the former value.
const AFTER_WRITE: Duration = Duration::from_secs(1);

/// Reconciles the objects of one kind.
pub(crate) struct Controller<K> {
    engine: Arc<Engine>,
    known: Locked<HashMap<ObjectName, Known>>,
    nudges: Nudges,
    /// Reads because of reported writes.
    writes: Nudges,
    pub(super) pace: Pace,
    pub(super) pending: Pending,
    pub(super) renewals: FailedRenewals,
    kind: PhantomData<fn() -> K>,
}

impl<K: Synced> Reconcile for Controller<K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::NAME;

    async fn reconcile(&self, object: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        let context = &self.engine.context;
        if object.meta().deletion_timestamp.is_some() {
            self.end(&object, dependencies).await?;
            self.engine.release(&*object).await?;
            return Ok(Action::AwaitChange);
        }
        if object.common().suspend {
            self.pace.forget(&ObjectName::of(&*object));
            staleness::ended::<K>(context, &ObjectName::of(&*object));
            context.report(&*object, context.status(&*object), &Verdict::Suspended).await?;
            return Ok(Action::AwaitChange);
        }
        let name = ObjectName::of(&*object);
        self.pace.start(&name, Instant::now());
        let synced = self.synced(&object, dependencies).await;
        let mut renewal = None;
        if let (Err(error), Mode::Enforce) = (&synced, object.mode()) {
            staleness::stale(&self.engine.context, &*object);
            renewal = self.sustain(&object, dependencies, error).await;
        }
        let restarts = match object.mode() {
            Mode::Observe => Ok(None),
            Mode::Enforce => self.engine.restart(&*object).await,
        };
        self.pace.joined(&name, Visit { synced, restarts, renewal, at: Instant::now() })
    }

    fn forget(&self, name: &ObjectName) {
        self.forget_issued(name);
        self.nudges.forget(name);
        self.writes.forget(name);
        staleness::ended::<K>(&self.engine.context, name);
        self.pace.forget(name);
        self.renewals.forget(name);
        self.engine.forget_restarts::<K>(name);
        self.engine.destinations.limit.forget(name);
    }
}

impl<K: Synced> Controller<K> {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let (nudges, pace) = (Nudges::default(), Pace::default());
        let (pending, renewals) = (Pending::default(), FailedRenewals::default());
        let (known, writes) = (Locked::default(), Nudges::default());
        Self { engine, known, nudges, writes, pace, pending, renewals, kind: PhantomData }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The stamp of an object, if this process knows it.
    pub(super) fn stamp(&self, name: &ObjectName) -> Option<Stamp> {
        self.known().get(name).map(|known| known.stamp.clone())
    }

    pub(super) fn known(&self) -> MutexGuard<'_, HashMap<ObjectName, Known>> {
        self.known.lock()
    }

    /// The requested reconcile of an object, if it was not handled yet.
    fn nudge(&self, object: &K) -> Nudge {
        let Some(request) = object.annotations().get(RECONCILE_ANNOTATION) else { return Nudge::None };
        let last = K::recorded(&self.engine.context.latest(object)).sync.last_handled_reconcile_at;
        if last.as_ref() == Some(request) {
            return Nudge::None;
        }
        self.nudges.admit(&ObjectName::of(object), Instant::now())
    }

    /// The last reported write of the values of an object. Reads for writes are limited, because writes are not.
    fn written(&self, object: &K, at: Option<Timestamp>) -> Written {
        let name = ObjectName::of(object);
        let obtained = self.known().get(&name).map(|known| known.obtained);
        let is_outdated = at.is_some_and(|at| obtained.is_none_or(|obtained| obtained <= at));
        let nudge = if is_outdated { self.writes.admit(&name, Instant::now()) } else { Nudge::None };
        Written { at, nudge }
    }

    async fn synced(&self, object: &K, dependencies: &Dependencies) -> Result<Action, Error> {
        let pass = self.pass(object, dependencies).await?;
        match object.mode() {
            Mode::Observe => {
                staleness::ended::<K>(&self.engine.context, &ObjectName::of(object));
                pass.observe().await
            }
            Mode::Enforce => self.run(&pass).await,
        }
    }

    /// The changes that an object would make. It need not exist.
    pub(crate) async fn preview(
        &self,
        object: &K,
        dependencies: &Dependencies,
    ) -> Result<Vec<PlannedChange>, Error> {
        Ok(self.pass(object, dependencies).await?.planned().await?.changes)
    }

    async fn pass<'a>(&'a self, object: &'a K, dependencies: &'a Dependencies) -> Result<Pass<'a, K>, Error> {
        validate(object.common().destination)?;
        object.validate()?;
        let rendering = self.engine.rendering(dependencies, object)?;
        let access = self.access(dependencies, object).await?;
        let templated = if rendering.has_metadata() { Templated::Unknown } else { Templated::None };
        let login = access.login.clone();
        let server = access.server();
        let source = object.source(access);
        let written = source.watched().and_then(|it| it.latest(&self.engine.context, dependencies));
        Ok(Pass {
            engine: &self.engine,
            dependencies,
            frame: Frame { templated, ..frame(&self.engine.context, object) },
            rendering,
            login,
            server,
            source,
            written: self.written(object, written),
            nudge: self.nudge(object),
            object,
        })
    }

    pub(super) async fn access(&self, dependencies: &Dependencies, object: &K) -> Result<ReadAccess, Error> {
        let (context, common) = (&*self.engine.context, object.common());
        let consumer = object.namespace().unwrap_or_default();
        let auth = auth_of(context, dependencies, common.auth_ref, &consumer)?;
        let Access { session, token, login, cluster, relayed } =
            access(context, dependencies, &auth, &consumer).await?;
        K::Source::PURPOSE.check(&auth, &login)?;
        let namespace = common.namespace.map_or_else(|| login.namespace.clone(), NamespacePath::new);
        let [session, token] = [session, token].map(|session| session.within(namespace.as_str()));
        let relayed = relayed.map(|cluster| Relayed::of(context, dependencies, cluster));
        let owner = Key::of(object);
        Ok(ReadAccess { reader: Reader { session, token }, namespace, login, cluster, relayed, owner })
    }

    async fn run(&self, pass: &Pass<'_, K>) -> Result<Action, Error> {
        let known = self.known().get(&ObjectName::of(pass.object)).cloned();
        let mut known = known.or_else(|| pass.restored());
        for _ in 0..ATTEMPTS {
            let seen = self.engine.seen(pass.dependencies, pass.object, &pass.frame).await?;
            known = caught_up(&self.engine.context.mac, known, seen.as_ref());
            let policy = pass.source.schedule().policy;
            known = known.or_else(|| created(policy, seen.as_ref()?, Timestamp::now()));
            let stamp = known.as_ref().map(|known| &known.stamp);
            self.restore_requests(pass.object, stamp);
            // The reconcile that wrote the stamp can have ended before it did so.
            stamp.into_iter().for_each(|stamp| self.stated(pass, stamp));
            match (decide(&pass.inputs(known.as_ref(), seen.as_ref())), &known) {
                (Act::Frame(why), Some(known)) => {
                    if pass.repair(why, known).await? {
                        return self.kept(pass, known.clone(), Some(why)).await;
                    }
                }
                (Act::Nothing, Some(known)) => return self.kept(pass, known.clone(), None).await,
                (Act::Renew, Some(known)) => return self.renew(pass, known.clone()).await,
                (Act::Verify, Some(known)) => return self.verify(pass, known.clone()).await,
                (Act::Render(why) | Act::Obtain(why), _) => return self.sync(pass, known, why).await,
                // The checks name a reason to obtain the value of an object that is not known.
                (Act::Nothing | Act::Frame(_) | Act::Renew | Act::Verify, None) => {
                    return self.sync(pass, known, Why::NeverSynced).await;
                }
            }
        }
        Err(Error::Contended(format!("Secret {} is being changed by another client", pass.frame.name)))
    }

    /// Reports an object of which no value was read, unless its last reconcile failed and the requested one, which reads
    /// again, waits.
    async fn kept(&self, pass: &Pass<'_, K>, known: Known, written: Option<Why>) -> Result<Action, Error> {
        match pass.unresolved() {
            Some(pause) => Ok(Action::After(pause)),
            None => self.settled(pass, known, written).await,
        }
    }

    /// Obtains the value and brings the Secret to the desired state.
    pub(super) async fn sync(
        &self,
        pass: &Pass<'_, K>,
        mut known: Option<Known>,
        why: Why,
    ) -> Result<Action, Error> {
        let name = ObjectName::of(pass.object);
        if let Some(known) = &mut known {
            self.admit(pass, known).await?;
        }
        if !pass.object.common().destination.create {
            self.engine.destinations.may_merge(pass.dependencies, &pass.frame).await?;
        }
        // Before the read: an invalid template needs no value.
        let renderer = pass.rendering.renderer()?;
        self.pace.admit(&name)?;
        if pass.object.common().revoke {
            self.engine.context.add_finalizer(pass.object).await?;
        }
        let Some(obtained) = self.obtain(pass, known.as_ref(), why).await? else {
            self.known().remove(&name);
            return Err(pass.source_missing().await?);
        };
        let (at, mount, created) = (obtained.at, obtained.mount.clone(), newest(&obtained.documents));
        let former = pass.former(known.as_ref(), &obtained.held, self.pending.unused(&name));
        self.pending.keep(&name, pass.source.request(), &obtained);
        let (stamp, written) = pass.put(renderer, &obtained, former).await?;
        self.stated(pass, &stamp);
        // An issued value states its own times. It is in use from its write on.
        let obtained = if stamp.held.is_issued() { Timestamp::now() } else { at };
        let known =
            Known { version: stamp.held.version(), stamp, mount, login: Some(pass.login.clone()), obtained };
        if written {
            staleness::delivered(&self.engine.context, why, created);
            tracing::info!(secret = %pass.frame.name, version = known.version, reason = why.as_str(), "Secret written");
        }
        self.replaced(pass, &known);
        self.settled(pass, known, written.then_some(why)).await
    }

    /// Reports a synced object and keeps what is known until the value is due. An error that no longer applies is removed
    /// from the status.
    pub(super) async fn settled(
        &self,
        pass: &Pass<'_, K>,
        mut known: Known,
        written: Option<Why>,
    ) -> Result<Action, Error> {
        pass.prune().await?;
        let former = match written {
            None => pass.give_back_former(&mut known).await,
            // The status, and then the workloads, come first.
            Some(_) => (!known.stamp.former.is_empty()).then_some(AFTER_WRITE),
        };
        let open = pass.settle().await;
        pass.report(&known, written).await?;
        let due = pass.due(&known);
        staleness::fresh(&self.engine.context, pass.object, (&known, due));
        let pauses = [former, open, pass.nudge.pause(), pass.written.nudge.pause()];
        let due = due.until(Timestamp::now());
        self.known().insert(ObjectName::of(pass.object), known);
        Ok(Action::After(pauses.into_iter().flatten().fold(due, Duration::min)))
    }
}
