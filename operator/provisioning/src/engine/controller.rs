//! The controller of a kind on the engine.

use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use steamer_api::StoppedWrite;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::ownership::claims::Claimant;
use steamer_core::stops::Stops;
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Action, Dependencies, Edges, Locked, ObjectName, Reconcile};

use super::course::{Access, Course, Due, is_revoked};
use super::pass::Pass;
use super::prepared::{Prepared, prepare};
use super::provision::{Memory, Provision};
use super::repairs::Repairs;
use super::status::Applied;
use super::{deletion, orphans, status, unprivileged};
use crate::write::Progress;

/// What was written of a plan.
#[derive(Default)]
struct Written {
    /// Error of a write that another client undoes each time.
    contested: Option<Error>,
    progress: Progress,
    /// The writes that are stopped.
    stopped: Vec<StoppedWrite>,
}

/// Controller of kind `K`.
pub(crate) struct Controller<K: Provision, M: Memory<K>> {
    context: Arc<Context>,
    memory: M,
    limit: WriteLimit,
    kind: PhantomData<K>,
}

impl<K: Provision, M: Memory<K>> Reconcile for Controller<K, M> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::NAME;

    fn edges(object: &K) -> Edges {
        let subject = object.subject().map(|subject| subject.key::<K>());
        let by_spec = object.relations().into_iter().chain(subject).collect();
        Edges { by_spec, ..Edges::of_self(object) }
    }

    async fn reconcile(&self, object: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        let pass = Pass { context: &self.context, dependencies, survey: None };
        match self.run(&object, &pass).await {
            // A contested write does not delay the detection of other drift.
            Err(error) => {
                let error = error.retried_within(self.context.drift_interval);
                Err(unprivileged::explained(error, &*object, &pass).await)
            }
            done => done,
        }
    }

    fn forget(&self, name: &ObjectName) {
        self.memory.forget(name);
        self.limit.forget(name);
        self.context.claims.forget(&Claimant { kind: K::ID, name: name.clone() });
    }
}

impl<K: Provision, M: Memory<K>> Controller<K, M> {
    pub(crate) fn new(context: Arc<Context>, memory: M) -> Self {
        Self { context, memory, limit: WriteLimit::default(), kind: PhantomData }
    }

    async fn run(&self, object: &K, pass: &Pass<'_>) -> Result<Action, Error> {
        if object.meta().deletion_timestamp.is_some() {
            return deletion::delete(object, pass).await;
        }
        let result = self.visit(object, pass).await;
        match Access::after(Course::of(object.lifecycle()), result.as_ref().err()) {
            Access::Revoke => self.revoke(object, pass).await?,
            Access::Withdraw => self.withdraw(object, pass).await?,
            Access::Settled => {}
        }
        result
    }

    async fn visit(&self, object: &K, pass: &Pass<'_>) -> Result<Action, Error> {
        let now = Timestamp::now();
        pass.context.stores.honor(K::ID, &ObjectName::of(object).namespace)?;
        let course = Course::of(object.lifecycle());
        if course != Course::Enforce {
            self.withdraw(object, pass).await?;
        }
        if course == Course::Suspend {
            status::suspended(object, pass).await?;
            return Ok(Action::AwaitChange);
        }
        let prepared = prepare(object, pass, now).await?;
        let (has_orphans, contested) = if course == Course::Observe {
            status::observed(object, &prepared, pass).await?;
            (false, None)
        } else {
            self.enforce(object, &prepared, pass).await?
        };
        let drift_interval = pass.context.drift_interval;
        let due = Due { drift_interval, expires_at: prepared.plan.expires_at, has_orphans };
        due.or_contested(contested, now)
    }

    /// Executes a plan. Returns true if orphans remain that a later reconcile can remove, and the error of a write that
    /// another client undoes each time.
    async fn enforce(
        &self,
        object: &K,
        prepared: &Prepared<K>,
        pass: &Pass<'_>,
    ) -> Result<(bool, Option<Error>), Error> {
        let Prepared { session, desired, .. } = prepared;
        let name = ObjectName::of(object);
        // A deletion finds the resources from the first write on.
        pass.context.add_finalizer(object).await?;
        status::announce(object, prepared, pass).await?;
        self.memory.before_writes(&name, desired);
        let Written { mut contested, progress, stopped } = self.carry_out(object, prepared, pass).await?;
        let removed_orphans = &orphans::remove(object, session, pass).await;
        if let Some(removal) = deletion::removal(object, pass) {
            object.collect(&removal).await?;
        }
        let applied = Applied {
            prepared,
            removed_orphans,
            contested: contested.as_ref(),
            progress: &progress,
            stopped,
        };
        let reported = status::applied(object, applied, pass).await;
        let has_orphans = Error::set_aside(reported, &mut contested)?;
        self.memory.after_writes(&name, desired, &pass.context.runtime.index);
        Ok((has_orphans, contested))
    }

    /// Executes the writes of a plan, without those that are stopped.
    async fn carry_out(
        &self,
        object: &K,
        Prepared { session, desired, observed, plan, before }: &Prepared<K>,
        pass: &Pass<'_>,
    ) -> Result<Written, Error> {
        let name = &ObjectName::of(object);
        if plan.writes.is_empty() {
            // OpenBao has the desired state. The status of a settled object is not read again.
            self.limit.settle(name, |_| false);
            return Ok(Written::default());
        }
        let stops = Stops::of(pass.context, object);
        let repairs = Repairs {
            limit: &self.limit,
            object: name,
            before: *before,
            interval: self.context.drift_interval,
            stops: &stops,
            progress: Locked::default(),
            stopped: Locked::default(),
        };
        let executed = repairs.execute(session, &plan.writes).await;
        let (progress, stopped) = (repairs.progress.lock().clone(), repairs.stopped.lock().clone());
        let has_written = !(progress.created.is_empty() && progress.updated.is_empty());
        if executed.is_err() && (has_written || stopped != stops.known()) {
            // The object owns what it has created, even if a later write failed, and does not send a secret again. The error of that
            // write is reported. A restart must not make a stopped write again, and a stop ends when OpenBao has the desired state.
            let change = |status: &mut K::Status| {
                if has_written {
                    K::interrupted(status, desired, observed, &progress);
                }
                status::stopped::<K>(status, stopped.clone());
            };
            if let Err(error) = status::change(object, change, pass).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the status does not list new resources"
                );
            }
        }
        executed.map(|contested| Written { contested, progress, stopped })
    }

    /// Removes all access, regardless of `suspend` and `mode`.
    async fn revoke(&self, object: &K, pass: &Pass<'_>) -> Result<(), Error> {
        self.memory.revoked(&ObjectName::of(object), &pass.context.runtime.index);
        // Outside of `operatorScope`, nothing is changed, and the record stays for the time when the scope is wider again.
        let Some(removal) = deletion::removal(object, pass).filter(|it| !deletion::is_out_of_scope::<K>(it))
        else {
            return Ok(());
        };
        K::revoke(&removal).await?;
        // What the object creates after the right is given back is no repair.
        self.limit.forget(&ObjectName::of(object));
        status::change(object, |status| status::revoked(object, status, Timestamp::now()), pass).await
    }

    /// Removes access that other objects no longer grant, and adds none. Fails with the error of a revoked right.
    async fn withdraw(&self, object: &K, pass: &Pass<'_>) -> Result<(), Error> {
        if pass.context.stores.honor(K::ID, &ObjectName::of(object).namespace).is_err() {
            return Ok(());
        }
        let references = match object.references(&pass.lookup()) {
            Err(error) if is_revoked(&error) => return Err(error),
            Err(_) => return Ok(()),
            Ok(references) => references,
        };
        let Some(removal) = deletion::removal(object, pass) else {
            return Ok(());
        };
        let Some(withdrawn) = object.withdraw(&references, &removal).await? else {
            return Ok(());
        };
        self.memory.withdrawn(&ObjectName::of(object), &withdrawn, &pass.context.runtime.index);
        status::change(object, |status| object.withdrawn(status, &withdrawn, Timestamp::now()), pass).await
    }
}
