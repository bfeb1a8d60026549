//! Applies a plan, in its order. After an error the rollout of the existing StatefulSet goes on.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use steamer_core::error::Error;

use crate::cluster::{Cluster, Mode};
use crate::database::logins;
use crate::database::logins::Logins;
use crate::effects::Effects;
use crate::exposure::Exposure;
use crate::first_start;
use crate::jobs;
use crate::managed::hold::queued;
use crate::managed::input::Input;
use crate::managed::plan::{Plan, PodChanges, Pods, SetChanges, Surroundings};
use crate::nodes::replace::Rollout;
use crate::nodes::rollout::Step;
use crate::nodes::{configuration, replace, stateful_set};
use crate::objects::{account, disruption_budget, network_policy, relay, services, validation_job};
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
    let changed = match apply_surroundings(effects, cluster, surroundings.as_ref()).await {
        Ok(contested) => {
            let outcome = apply_pods(effects, cluster, &pods).await;
            Outcome { error: outcome.error.or(contested), ..outcome }
        }
        Err(error) => Outcome::failed(error),
    };
    let exposure = Exposure { context: effects.context, child_api: effects.child_api, object, cluster };
    let exposed = if cluster.mode == Mode::Suspended { Ok(()) } else { exposure.exposed().await };
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

    /// Adds an error that did not prevent these changes. An error of a change precedes it.
    fn or(self, error: Error) -> Self {
        Self { error: self.error.or(Some(error)), ..self }
    }
}

/// Writes the objects that pods need and that do not depend on the database. Returns the error of a contested object: it
/// exists, and does not prevent other changes.
async fn apply_surroundings(
    effects: &Effects<'_>,
    cluster: &Cluster,
    surroundings: Option<&Surroundings>,
) -> Result<Option<Error>, Error> {
    let Some(Surroundings { ports, keeps_egress }) = surroundings else { return Ok(None) };
    let (child_api, mut contested) = (effects.child_api, None);
    Error::set_aside(child_api.keep(&account::account(cluster)).await, &mut contested)?;
    let checks = validation_job::account(cluster);
    if let Some(account) = &checks {
        Error::set_aside(child_api.keep(account).await, &mut contested)?;
    }
    for service in services::services(cluster) {
        Error::set_aside(child_api.keep(&service).await, &mut contested)?;
    }
    if cluster.relay.is_some() {
        let secret = relay::token_secret(effects.context, cluster);
        Error::set_aside(child_api.keep(&secret).await, &mut contested)?;
    }
    if let Some(service) = services::unwanted(cluster) {
        child_api.remove::<Service>(&service).await?;
    }
    match disruption_budget::disruption_budget(cluster) {
        Some(budget) => drop(Error::set_aside(child_api.keep(&budget).await, &mut contested)?),
        None => child_api.remove::<PodDisruptionBudget>(cluster.name()).await?,
    }
    match network_policy::network_policy(cluster, ports) {
        Some(mut policy) => {
            let live = child_api.get::<NetworkPolicy>(cluster.name()).filter(|_| *keeps_egress);
            network_policy::keep_egress(&mut policy, live.as_deref());
            Error::set_aside(child_api.keep(&policy).await, &mut contested)?;
        }
        None => child_api.remove::<NetworkPolicy>(cluster.name()).await?,
    }
    // The last step: its error does not prevent the others.
    if checks.is_none() {
        remove_checks(effects, cluster).await?;
    }
    Ok(contested)
}

/// Removes the Jobs of `upgrade.validation`. Their ServiceAccount is last: as long as it exists, Jobs can exist.
async fn remove_checks(effects: &Effects<'_>, cluster: &Cluster) -> Result<(), Error> {
    let account = validation_job::account_name(cluster);
    if effects.child_api.get::<ServiceAccount>(&account).is_none() {
        return Ok(());
    }
    jobs::remove_all(effects, validation_job::APP).await?;
    effects.child_api.remove::<ServiceAccount>(&account).await
}

async fn apply_pods(effects: &Effects<'_>, cluster: &Cluster, pods: &Pods) -> Outcome {
    match pods {
        Pods::Unchanged => Outcome { rollout: None, is_set_kept: false, error: None },
        Pods::Repaired(logins, rollout) => maintain(effects, cluster, (logins.as_ref(), rollout)).await,
        Pods::Changed(changes) => change_pods(effects, cluster, changes).await,
    }
}

/// The rollout, or a wait if it replaces a pod while too many other clusters do.
fn admitted(effects: &Effects<'_>, cluster: &Cluster, rollout: &Rollout) -> Rollout {
    let replaces = matches!(rollout.step, Step::Replace { .. });
    let longest = effects.guard_target.lasting.takeovers.waits().turn();
    if !replaces || effects.turns.take(&cluster.name, longest, Instant::now()) {
        return rollout.clone();
    }
    Rollout { step: Step::Wait(queued()), ..rollout.clone() }
}

/// Completes interrupted fences, and repairs a node.
async fn maintain(
    effects: &Effects<'_>,
    cluster: &Cluster,
    (logins, rollout): (Option<&Logins>, &Rollout),
) -> Outcome {
    let finished = match logins {
        Some(logins) => logins::finish(effects, cluster, logins).await,
        None => Ok(()),
    };
    match finished {
        Ok(()) => roll(effects, cluster, rollout).await,
        Err(error) => Outcome::failed(error),
    }
}

async fn roll(effects: &Effects<'_>, cluster: &Cluster, rollout: &Rollout) -> Outcome {
    let rollout = admitted(effects, cluster, rollout);
    let result = replace::carry_out(effects, cluster, &rollout.step).await;
    Outcome { rollout: Some(rollout), is_set_kept: false, error: result.err() }
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
    let Some(set) = set else { return roll_live(effects, cluster, repair.as_ref()).await };
    match write_set(effects, cluster, set).await {
        Ok(None) => finish_set(effects, cluster, set).await,
        // The live StatefulSet may refer to any ConfigMap: none is removed.
        Ok(Some(contested)) => {
            let rolled = roll_live(effects, cluster, repair.as_ref()).await;
            unseal(effects, cluster, &set.unseal, rolled).await.or(contested)
        }
        // A StatefulSet that cannot be changed does not prevent the repair of its pods.
        Err(error) => roll_live(effects, cluster, repair.as_ref()).await.or(error),
    }
}

/// Writes the StatefulSet, and before it the objects that it refers to. Returns the error of a contested StatefulSet,
/// which does not prevent other changes.
async fn write_set(
    effects: &Effects<'_>,
    cluster: &Cluster,
    set: &SetChanges,
) -> Result<Option<Error>, Error> {
    if let Some(configuration) = &set.configuration {
        configuration::write(effects, cluster, configuration).await?;
    }
    if set.clears_locks {
        effects.guard_target.links.owner.clear_locks().await?;
    }
    let mut contested = None;
    Error::set_aside(stateful_set::keep(effects, cluster, &set.stateful_set).await, &mut contested)?;
    Ok(contested)
}

/// Rolls out the live StatefulSet, if it exists.
async fn roll_live(effects: &Effects<'_>, cluster: &Cluster, repair: Option<&Rollout>) -> Outcome {
    match repair {
        Some(repair) => roll(effects, cluster, repair).await,
        None => Outcome { rollout: None, is_set_kept: false, error: None },
    }
}

/// Rolls out the written StatefulSet.
async fn finish_set(effects: &Effects<'_>, cluster: &Cluster, set: &SetChanges) -> Outcome {
    let rolled = Outcome { is_set_kept: set.is_desired, ..roll(effects, cluster, &set.rollout).await };
    let unsealed = unseal(effects, cluster, &set.unseal, rolled).await;
    if unsealed.error.is_some() {
        return unsealed;
    }
    if let Some(job) = &set.check
        && let Err(error) = jobs::create(effects, job).await
    {
        return unsealed.or(error);
    }
    let removed = async {
        configuration::remove_unused(effects, &set.unused).await?;
        if cluster.relay.is_none() && set.is_desired && set.rollout.step == Step::Settled {
            effects.child_api.remove::<Secret>(&relay::secret_name(cluster)).await?;
        }
        Ok(())
    };
    Outcome { error: removed.await.err(), ..unsealed }
}

/// Unseals the nodes of a seal migration after a rollout without an error.
async fn unseal(effects: &Effects<'_>, cluster: &Cluster, pods: &[String], rolled: Outcome) -> Outcome {
    if rolled.error.is_some() || pods.is_empty() {
        return rolled;
    }
    Outcome { error: migration::unseal(effects, cluster, pods).await.err(), ..rolled }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steamer_runtime::ObjectName;

    use super::*;
    use crate::guard::registry::Guards;
    use crate::tests::cluster;
    use crate::tests::kubernetes::{Access, Fake, context};

    #[tokio::test]
    async fn checks_of_rollouts_are_removed_with_their_account_last() {
        let jobs = json!({
            "kind": "JobList", "apiVersion": "batch/v1", "metadata": {},
            "items": [{"metadata": {"name": "main-validation-1"}}, {"metadata": {"name": "main-validation-2"}}],
        });
        let fake = Fake::answering(move |received| match received.method.as_str() {
            "GET" => (200, jobs.clone()),
            _ => (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
        });
        let (context, cluster) = (context(&fake).await, cluster());
        let access = Access::new(&context, &cluster, &Guards::default().target(&context, None, &cluster));
        let child_api = access.child_api();
        let effects = access.effects(&child_api);
        remove_checks(&effects, &cluster).await.unwrap();
        assert!(fake.writes().is_empty(), "a cluster without checks costs no request");
        let mut account = account::account(&cluster);
        account.metadata.name = Some("main-validation".to_owned());
        let name = ObjectName::new("openbao", "main-validation");
        context.cluster_objects.of().insert(name, Arc::new(account));
        remove_checks(&effects, &cluster).await.unwrap();
        let expected = [
            "DELETE jobs/main-validation-1",
            "DELETE jobs/main-validation-2",
            "DELETE serviceaccounts/main-validation",
        ];
        assert_eq!(fake.writes(), expected);
    }
}
