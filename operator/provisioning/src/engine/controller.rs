//! The controller of a kind on the engine.

use std::sync::Arc;

use jiff::Timestamp;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::Session;
use steamer_runtime::{Action, Dependencies, Edges, ObjectName, Reconcile};

use super::claims::claim_subject;
use super::course::{Access, Course, Due, is_revoked};
use super::pass::Pass;
use super::provision::{Memory, Provision, Setting};
use super::rights::Rights;
use super::status::Applied;
use super::{deletion, orphans, status};
use crate::write::{self, Plan};

/// Controller of kind `K`.
pub(crate) struct Controller<K: Provision> {
    context: Arc<Context>,
    memory: K::Memory,
}

/// A plan, and where it is executed.
struct Prepared<K: Provision> {
    session: Session,
    desired: K::Desired,
    plan: Plan,
}

impl<K: Provision> Reconcile for Controller<K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::NAME;

    fn edges(object: &K) -> Edges {
        let mut edges = Edges { by_spec: object.relations(), ..Edges::of_self(object) };
        edges.by_any_change.extend(object.subject().map(|subject| subject.key::<K>()));
        edges
    }

    async fn reconcile(&self, object: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        let pass = Pass { context: &self.context, dependencies };
        if object.meta().deletion_timestamp.is_some() {
            return deletion::delete(&*object, &pass).await;
        }
        let result = self.visit(&object, &pass).await;
        match Access::after(Course::of(object.lifecycle()), result.as_ref().err()) {
            Access::Revoke => self.revoke(&object, &pass).await?,
            Access::Withdraw => self.withdraw(&object, &pass).await?,
            Access::Settled => {}
        }
        result
    }

    fn forget(&self, name: &ObjectName) {
        self.memory.forget(name);
    }
}

impl<K: Provision> Controller<K> {
    pub(crate) fn new(context: Arc<Context>, memory: K::Memory) -> Self {
        Self { context, memory }
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
        let has_orphans = if course == Course::Observe {
            status::observed(object, &prepared.desired, &prepared.plan, pass).await?;
            false
        } else {
            self.enforce(object, &prepared, pass).await?
        };
        let drift_interval = pass.context.drift_interval;
        let due = Due { drift_interval, expires_at: prepared.plan.expires_at, has_orphans };
        Ok(Action::After(due.after(now)))
    }

    /// Executes a plan. Returns true if orphans remain that a later reconcile can remove.
    async fn enforce(&self, object: &K, prepared: &Prepared<K>, pass: &Pass<'_>) -> Result<bool, Error> {
        let Prepared { session, desired, plan } = prepared;
        let name = ObjectName::of(object);
        // A deletion finds the resources from the first write on.
        pass.context.add_finalizer(object).await?;
        status::announce(object, desired, pass).await?;
        self.memory.before_writes(&name, desired);
        write::execute(session, &plan.writes).await?;
        let removed_orphans = &orphans::remove(object, session, pass).await;
        if let Some(removal) = deletion::removal(object, pass) {
            K::collect(&removal).await?;
        }
        let has_orphans = status::applied(object, Applied { desired, removed_orphans }, pass).await?;
        self.memory.after_writes(&name, desired, &pass.context.runtime.index);
        Ok(has_orphans)
    }

    /// Removes all access, regardless of `suspend` and `mode`.
    async fn revoke(&self, object: &K, pass: &Pass<'_>) -> Result<(), Error> {
        self.memory.revoked(&ObjectName::of(object), &pass.context.runtime.index);
        let Some(removal) = deletion::removal(object, pass) else {
            return Ok(());
        };
        K::revoke(&removal).await?;
        status::change(object, |status| object.revoked(status, Timestamp::now()), pass).await
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
        let withdrawn = object.withdraw(&references, &removal).await?;
        self.memory.withdrawn(&ObjectName::of(object), &withdrawn, &pass.context.runtime.index);
        status::change(object, |status| object.withdrawn(status, &withdrawn, Timestamp::now()), pass).await
    }
}

async fn prepare<K: Provision>(object: &K, pass: &Pass<'_>, now: Timestamp) -> Result<Prepared<K>, Error> {
    let references = object.references(&pass.lookup())?;
    claim_subject(object, &pass.lookup())?;
    let (session, found) = object.fetch(references, pass).await?;
    let desired = validated(object, found, pass, now)?;
    let observed = K::observe(&session, &desired).await?;
    let plan = planned(object, &desired, &observed, pass)?;
    Ok(Prepared { session, desired, plan })
}

fn validated<K: Provision>(
    object: &K,
    found: K::Found,
    pass: &Pass<'_>,
    now: Timestamp,
) -> Result<K::Desired, Error> {
    let mark = &pass.context.mark_of(object);
    let safe_audiences = &|audiences: &[String]| pass.context.safe_audiences(audiences).map(drop);
    object.validate(found, &Setting { mark, now, safe_audiences })
}

fn planned<K: Provision>(
    object: &K,
    desired: &K::Desired,
    observed: &K::Observed,
    pass: &Pass<'_>,
) -> Result<Plan, Error> {
    let mark = &pass.context.mark_of(object);
    let exists = &|mark: &_| pass.context.exists(mark);
    K::plan(desired, observed, &Rights { mark, adopt: object.lifecycle().adopt, exists })
}
