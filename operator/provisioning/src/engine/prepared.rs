//! Everything that a reconcile needs before its first write.

use jiff::Timestamp;
use steamer_core::error::Error;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::write_limit::digest;

use super::claims::claim_subject;
use super::pass::Pass;
use super::provision::{Provision, Setting};
use super::rights::Rights;
use crate::write::Plan;

/// A plan, and where it is executed.
pub(super) struct Prepared<K: Provision> {
    pub(super) session: Session,
    pub(super) desired: K::Desired,
    pub(super) observed: K::Observed,
    pub(super) plan: Plan,
    /// Digest of the observed state.
    pub(super) before: u64,
}

pub(super) async fn prepare<K: Provision>(
    object: &K,
    pass: &Pass<'_>,
    now: Timestamp,
) -> Result<Prepared<K>, Error> {
    let references = object.references(&pass.lookup())?;
    claim_subject(object, &pass.lookup())?;
    let (session, found) = object.fetch(references, pass).await?;
    let desired = validated(object, found, pass, now)?;
    let observed = K::observe(&session, &desired).await?;
    let state = State::<K> { root: session.namespace(), desired: &desired, observed: &observed };
    let plan = planned(object, &state, pass)?;
    let before = digest(&format!("{:?}", K::state(&observed)));
    Ok(Prepared { session, desired, observed, plan, before })
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

/// Desired and observed state.
struct State<'a, K: Provision> {
    root: &'a NamespacePath,
    desired: &'a K::Desired,
    observed: &'a K::Observed,
}

fn planned<K: Provision>(object: &K, state: &State<'_, K>, pass: &Pass<'_>) -> Result<Plan, Error> {
    let State { root, desired, observed } = state;
    let mark = &pass.context.mark_of(object);
    let exists = &|mark: &_| pass.context.exists(mark);
    K::plan(desired, observed, &Rights { mark, root, adopt: object.lifecycle().adopt, exists })
}
