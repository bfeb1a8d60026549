//! Starts restore drills, and records their results.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::Value;
use steamer_api::{DrillResult, RestoreDrill, RestoreDrillState};
use steamer_core::error::Error;
use steamer_runtime::conditions::{Conditions, State, whole_second};
use steamer_runtime::{Reason, describe};

use crate::children::{delete, only};
use crate::cluster::{Cluster, Helper, Mode, RESTORE_DRILL};
use crate::database::Database;
use crate::database::login::{Login, LoginSource};
use crate::effects::Effects;
use crate::jobs;
use crate::managed::break_glass::template;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::managed::validate::helper;
use crate::restore_drill::objects::{Check, job, settings};
use crate::restore_drill::{Begun, Facts, Step, name};

/// Time in seconds for which a lock is valid after its renewal.
const VALID: i64 = 15;
/// Time in which a leader renews its lock at least once.
const RENEWED: Duration = Duration::from_secs(6);

/// Result of the step of a drill.
pub(crate) struct Drill {
    pub(crate) step: Step,
    /// Result of a drill that ended.
    pub(crate) ended: Option<RestoreDrillState>,
}

fn facts<'a>(input: Input<'a>, observed: &'a Observed, now: Timestamp) -> Facts<'a> {
    let created = input.object.metadata.creation_timestamp.as_ref();
    Facts {
        drill: input.cluster.spec.restore_drill.as_ref(),
        asked: input.object.annotations().get(RESTORE_DRILL).map(String::as_str),
        last: input.found.last.restore_drill.as_ref(),
        live: &observed.drill,
        created: created.map_or(now, |created| created.0),
        obstacle: obstacle(input, observed),
        must_stop: input.cluster.mode.stops_nodes(),
        now,
    }
}

/// Reason why no drill can start.
fn obstacle(input: Input<'_>, observed: &Observed) -> Option<String> {
    let cluster = input.cluster;
    let text = match &observed.recovery_secret {
        _ if cluster.mode == Mode::Suspended => "a restore drill waits: suspend is true",
        _ if cluster.mode.stops_nodes() => "a restore drill waits: no process of the cluster may run",
        _ if !cluster.spec.recovery_keys.pgp_keys.is_empty() => {
            "a restore drill needs recovery keys that are not encrypted: remove restoreDrill, or recoveryKeys.pgpKeys"
        }
        None => "a restore drill waits for the Secret with the recovery keys",
        Some(_) if template(observed).is_none() => "a restore drill waits until the nodes have been created",
        Some(_) => return None,
    };
    Some(text.to_owned())
}

/// Carries out the next step of a drill.
pub(crate) async fn carry_out(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
    now: Timestamp,
) -> Result<Drill, Error> {
    let facts = facts(input, observed, now);
    let step = facts.step();
    let mut ended = None;
    match &step {
        Step::None | Step::Refused(_) | Step::Wait(_) => {}
        Step::Start(request) => {
            let since = whole_second(now);
            let begun = Begun { request: request.clone(), since, renewal: None };
            if let Err(error) = start(effects, input, observed, begun.clone()).await {
                ended = Some(facts.state(&begun, DrillResult::Failed, &describe(&error)));
            }
        }
        Step::Resume(_) => create(effects, input, observed).await?,
        Step::Record(state) => ended = Some(state.clone()),
        Step::Remove => remove(effects).await?,
    }
    Ok(Drill { step, ended })
}

async fn start(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
    begun: Begun,
) -> Result<(), Error> {
    let cluster = input.cluster;
    let (Some(drill), Some((_, configuration))) = (&cluster.spec.restore_drill, template(observed)) else {
        return Ok(());
    };
    let login = copy(effects, cluster, drill).await?;
    let begun = Begun { renewal: examine(effects, cluster, &login).await?, ..begun };
    effects.child_api.keep(&settings(cluster, &configuration, &login, &begun)).await?;
    create(effects, input, observed).await
}

/// Login of the copy.
async fn copy(effects: &Effects<'_>, cluster: &Cluster, drill: &RestoreDrill) -> Result<Login, Error> {
    let name = &drill.database_secret_ref.name;
    let secret = effects.secret(name).await?;
    let entries = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect();
    let login = Login::read(&LoginSource {
        name,
        entries: &entries,
        defaults: None,
        namespace: &cluster.name.namespace,
        tls: cluster.owner.tls,
        ca: &cluster.owner.ca,
    })?;
    if (login.address(), &login.database) == (cluster.owner.address(), &cluster.owner.database) {
        return Err(Error::Invalid(format!(
            "Secret {name} contains the database of the cluster: restore a backup into another one, and refer to it"
        )));
    }
    Ok(login)
}

/// Examines the copy. Returns the time of the last renewal of the lock in it.
async fn examine(effects: &Effects<'_>, cluster: &Cluster, login: &Login) -> Result<Option<i64>, Error> {
    let copy = Database::new(login.clone(), Arc::default(), effects.context.runtime.metrics.clone());
    let examined = examine_copy(effects, cluster, (&copy, login)).await;
    copy.disconnect().await;
    examined
}

async fn examine_copy(
    effects: &Effects<'_>,
    cluster: &Cluster,
    (copy, login): (&Database, &Login),
) -> Result<Option<i64>, Error> {
    if copy.identity().await? == effects.guard_target.links.owner.identity().await? {
        return Err(Error::Invalid(format!(
            "database `{}` at {} is the database of the cluster: restore a backup into another one, and refer to it",
            login.database,
            login.address()
        )));
    }
    let contents = copy.contents().await?;
    if !contents.initialized || !contents.recovery_keys {
        return Err(Error::Invalid(format!(
            "database `{}` at {} contains no OpenBao with recovery keys: restore a backup of `{}` into it",
            login.database,
            login.address(),
            cluster.owner.database
        )));
    }
    let renewal = copy.last_renewal().await?;
    let is_recent = renewal.is_some_and(|renewal| Timestamp::now().as_second() - renewal < VALID);
    if is_recent {
        tokio::time::sleep(RENEWED).await;
        if copy.last_renewal().await? != renewal {
            return Err(Error::Invalid(format!(
                "an OpenBao leads on database `{}` at {}: stop it, or restore a backup into another database",
                login.database,
                login.address()
            )));
        }
    }
    Ok(renewal)
}

/// Creates the Job.
async fn create(effects: &Effects<'_>, input: Input<'_>, observed: &Observed) -> Result<(), Error> {
    let cluster = input.cluster;
    let (Some(drill), Some(recovery)) = (&cluster.spec.restore_drill, &observed.recovery_secret) else {
        return Ok(());
    };
    let nodes: Option<(&Arc<StatefulSet>, Value)> = template(observed);
    let Some(nodes) = nodes.and_then(|(nodes, _)| nodes.spec.as_ref()) else { return Ok(()) };
    let helper: &Helper = &helper(&cluster.spec, input.found, "restoreDrill")?;
    jobs::create(effects, &job(cluster, &nodes.template, &Check { helper, recovery, drill })).await
}

async fn remove(effects: &Effects<'_>) -> Result<(), Error> {
    let (api, name) = (effects.child_api.api::<Job>(), name(&effects.child_api.cluster));
    if let Some(job) = api.get_opt(&name).await? {
        delete(&api, &name, &only(&job)).await?;
    }
    // Last: what an interruption leaves is found again.
    effects.child_api.remove::<Secret>(&name).await
}

/// Reports the last drill.
pub(crate) fn set(
    conditions: &mut Conditions<'_>,
    cluster: &Cluster,
    (step, last): (&Step, Option<&RestoreDrillState>),
) {
    const KIND: &str = "RestoreDrill";
    if cluster.spec.restore_drill.is_none() {
        return conditions.clear(KIND);
    }
    let (state, reason, message) = match last {
        None => (State::Unknown, Reason::Waiting, "no restore drill has run yet".to_owned()),
        Some(last) => match last.result {
            DrillResult::Succeeded => (State::True, Reason::Applied, text(last)),
            DrillResult::Failed => (State::False, Reason::Failed, text(last)),
        },
    };
    match step {
        Step::Refused(why) => conditions.set(KIND, State::False, Reason::Waiting, why),
        // The state stays that of the last drill.
        Step::Resume(begun) | Step::Wait(begun) => {
            let message = format!("a restore drill began at {} and has not ended", begun.since);
            conditions.set(KIND, state, Reason::Waiting, &message);
        }
        Step::None | Step::Start(_) | Step::Record(_) | Step::Remove => {
            conditions.set(KIND, state, reason, &message);
        }
    }
}

fn text(last: &RestoreDrillState) -> String {
    let age = last.data_age_seconds.map(|age| format!(", data of {age} s before")).unwrap_or_default();
    format!("drill of {} ({} s{age}): {}", last.last_time.0, last.duration_seconds, last.message)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::guard::target::GuardReport;
    use crate::tests::{cluster_with, found, object, observed};

    #[rstest]
    #[case::no_recovery_keys(json!({}), Mode::Active, "waits for the Secret with the recovery keys")]
    #[case::encrypted(json!({"recoveryKeys": {"pgpKeys": ["k"]}}), Mode::Active, "that are not encrypted")]
    #[case::suspended(json!({}), Mode::Suspended, "suspend is true")]
    fn what_prevents_a_drill_is_reported(
        #[case] mut fields: Value,
        #[case] mode: Mode,
        #[case] expected: &str,
    ) {
        fields["restoreDrill"] = json!({"databaseSecretRef": {"name": "copy"}});
        let mut cluster = cluster_with(fields);
        cluster.mode = mode;
        let (mut object, found, observed) = (object(), found(), observed("lss"));
        object.annotations_mut().insert(RESTORE_DRILL.to_owned(), "n1".to_owned());
        let input = Input {
            object: &object,
            cluster: &cluster,
            found: &found,
            guard_report: &GuardReport::default(),
            refused: None,
            connections: 0,
        };
        let step = facts(input, &observed, Timestamp::now()).step();
        assert!(matches!(&step, Step::Refused(why) if why.contains(expected)), "{step:?}");
    }

    #[rstest]
    #[case::idle(Step::None, "True Applied drill of 2026-01-01T00:00:00Z (12 s): opened")]
    #[case::in_progress(
        Step::Wait(Begun { request: None, since: Timestamp::UNIX_EPOCH, renewal: None }),
        "True Waiting a restore drill began at 1970-01-01T00:00:00Z and has not ended"
    )]
    #[case::refused(Step::Refused("no keys".to_owned()), "False Waiting no keys")]
    fn a_drill_in_progress_keeps_the_state_of_the_last_one(#[case] step: Step, #[case] expected: &str) {
        let cluster = cluster_with(json!({"restoreDrill": {"databaseSecretRef": {"name": "copy"}}}));
        let last: RestoreDrillState = serde_json::from_value(json!({
            "lastTime": "2026-01-01T00:00:00Z", "result": "Succeeded", "message": "opened", "durationSeconds": 12,
        }))
        .unwrap();
        let mut list = Vec::new();
        set(&mut Conditions::new(&mut list, 1, Timestamp::UNIX_EPOCH), &cluster, (&step, Some(&last)));
        let found = &list[0];
        assert_eq!(format!("{} {} {}", found.status, found.reason, found.message), expected);
    }
}
