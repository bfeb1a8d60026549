//! Applies a plan, in its order. After an error the rollout of the existing StatefulSet goes on.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use steamer_core::error::Error;

use crate::cluster::{Cluster, Mode};
use crate::database::logins;
use crate::effects::Effects;
use crate::exposure::Exposure;
use crate::first_start;
use crate::managed::input::Input;
use crate::managed::plan::{Plan, PodChanges, Pods, SetChanges, Surroundings};
use crate::nodes::replace::Rollout;
use crate::nodes::{configuration, replace};
use crate::objects::{account, disruption_budget, network_policy, services};
use crate::seal::keys as seal_keys;
use crate::seal::keys::StaticKeys;
use crate::seal::migration;

/// Result of an applied plan.
pub(crate) struct Applied {
    pub(crate) keys: StaticKeys,
    pub(crate) rollout: Rollout,
    /// First error of the plan or of a change.
    pub(crate) trouble: Option<Arc<Error>>,
    /// Result for the objects of optional kinds.
    pub(crate) exposed: Result<(), Error>,
}

pub(crate) async fn apply(effects: &Effects<'_>, input: Input<'_>, plan: Plan) -> Applied {
    let Input { cluster, object, .. } = input;
    let Plan { keys, surroundings, pods, rollout, trouble } = plan;
    if cluster.mode == Mode::Suspended {
        return Applied { keys, rollout, trouble, exposed: Ok(()) };
    }
    let changed = match apply_surroundings(effects, cluster, surroundings.as_ref()).await {
        Ok(contested) => {
            let outcome = apply_pods(effects, cluster, &pods).await;
            Outcome { error: outcome.error.or(contested), ..outcome }
        }
        Err(error) => Outcome::failed(error),
    };
    let exposed =
        Exposure { context: effects.context, child_api: effects.child_api, object, cluster }.exposed().await;
    // The next phase of a rotation counts only when the StatefulSet has its template.
    let recorded = || seal_keys::recorded(cluster, input.found.last.seal.as_ref());
    Applied {
        keys: if changed.is_set_kept { keys } else { recorded() },
        rollout: changed.rollout.unwrap_or(rollout),
        trouble: changed.error.map(Arc::new).or(trouble),
        exposed,
    }
}

/// Result of changes to the pods.
struct Outcome {
    /// The rollout, if it was reached.
    rollout: Option<Rollout>,
    /// The StatefulSet is as planned.
    is_set_kept: bool,
    error: Option<Error>,
}

impl Outcome {
    fn failed(error: Error) -> Self {
        Self { rollout: None, is_set_kept: false, error: Some(error) }
    }
}

/// Writes the objects that pods need and that do not depend on the database. Returns the error of a contested object: it
/// exists, and does not prevent other changes.
async fn apply_surroundings(
    effects: &Effects<'_>,
    cluster: &Cluster,
    surroundings: Option<&Surroundings>,
) -> Result<Option<Error>, Error> {
    let Some(Surroundings { seal_ports }) = surroundings else { return Ok(None) };
    let (child_api, mut contested) = (effects.child_api, None);
    set_aside(child_api.keep(&account::account(cluster)).await, &mut contested)?;
    for service in services::services(cluster) {
        set_aside(child_api.keep(&service).await, &mut contested)?;
    }
    match disruption_budget::disruption_budget(cluster) {
        Some(budget) => set_aside(child_api.keep(&budget).await, &mut contested)?,
        None => child_api.remove::<PodDisruptionBudget>(cluster.name()).await?,
    }
    match network_policy::network_policy(cluster, seal_ports) {
        Some(policy) => set_aside(child_api.keep(&policy).await, &mut contested)?,
        None => child_api.remove::<NetworkPolicy>(cluster.name()).await?,
    }
    Ok(contested)
}

/// Keeps the first error of an object that another client changes each time.
fn set_aside(kept: Result<bool, Error>, contested: &mut Option<Error>) -> Result<(), Error> {
    match kept {
        Err(error @ Error::Repeated(..)) => {
            contested.get_or_insert(error);
            Ok(())
        }
        kept => kept.map(drop),
    }
}

async fn apply_pods(effects: &Effects<'_>, cluster: &Cluster, pods: &Pods) -> Outcome {
    match pods {
        Pods::Unchanged => Outcome { rollout: None, is_set_kept: false, error: None },
        Pods::Repaired(rollout) => roll(effects, cluster, rollout).await,
        Pods::Changed(changes) => change_pods(effects, cluster, changes).await,
    }
}

async fn roll(effects: &Effects<'_>, cluster: &Cluster, rollout: &Rollout) -> Outcome {
    let result = replace::carry_out(effects, cluster, &rollout.step).await;
    Outcome { rollout: Some(rollout.clone()), is_set_kept: false, error: result.err() }
}

async fn change_pods(effects: &Effects<'_>, cluster: &Cluster, changes: &PodChanges) -> Outcome {
    let PodChanges { logins, initialization, set, repair } = changes;
    if let Err(error) = logins::apply(effects, cluster, logins).await {
        return Outcome::failed(error);
    }
    let Some(initialization) = initialization else {
        return Outcome { rollout: None, is_set_kept: false, error: None };
    };
    if let Err(error) = first_start::apply(effects, cluster, initialization).await {
        return Outcome::failed(error);
    }
    let prepared = match set {
        Some(set) => prepare_set(effects, cluster, set).await.map(|()| Some(set)),
        None => Ok(None),
    };
    match (prepared, repair) {
        (Ok(Some(set)), _) => change_set(effects, cluster, set).await,
        // A StatefulSet that cannot be changed does not prevent the repair of its pods.
        (unchanged, Some(repair)) => {
            let repaired = roll(effects, cluster, repair).await;
            Outcome { error: repaired.error.or(unchanged.err()), ..repaired }
        }
        (unchanged, None) => Outcome { rollout: None, is_set_kept: false, error: unchanged.err() },
    }
}

/// Writes what the StatefulSet refers to.
async fn prepare_set(effects: &Effects<'_>, cluster: &Cluster, set: &SetChanges) -> Result<(), Error> {
    if let Some(configuration) = &set.configuration {
        configuration::write(effects, cluster, configuration).await?;
    }
    if set.clears_locks {
        effects.guard_target.links.owner.clear_locks().await?;
    }
    Ok(())
}

async fn change_set(effects: &Effects<'_>, cluster: &Cluster, set: &SetChanges) -> Outcome {
    if let Err(error) = effects.child_api.keep(&set.stateful_set).await {
        return Outcome::failed(error);
    }
    let rolled = Outcome { is_set_kept: true, ..roll(effects, cluster, &set.rollout).await };
    if rolled.error.is_some() {
        return rolled;
    }
    Outcome { error: finish_set(effects, cluster, set).await.err(), ..rolled }
}

async fn finish_set(effects: &Effects<'_>, cluster: &Cluster, set: &SetChanges) -> Result<(), Error> {
    if !set.unseal.is_empty() {
        migration::unseal(effects, cluster, &set.unseal).await?;
    }
    configuration::remove_unused(effects, &set.unused).await
}
