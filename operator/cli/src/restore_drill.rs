//! Command `restore-drill`: a test of the restored copy of a database.

use anyhow::{Context, Result};
use clap::Args as Arguments;
use serde_json::json;
use steamer_api::{DrillResult, Duration as Period, OpenBaoCluster, RestoreDrillState};

use crate::age::period;
use crate::annotations::{annotate, condition, managed, name, token};
use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::progress::{Step, Waiting};
use crate::style::line;

/// A new value starts a drill.
const ANNOTATION: &str = "steamer.dev/restore-drill";
/// Time in seconds beside the timeout of a drill: for its start, and for the end of its Job.
const MARGIN: u64 = 180;

/// Arguments of `restore-drill`.
#[derive(Arguments)]
pub(crate) struct RestoreDrill {
    /// Name of the OpenBaoCluster.
    name: String,
    #[command(flatten)]
    connection: Connection,
    /// Returns after the request, without waiting for the result.
    #[arg(long)]
    no_wait: bool,
    /// Time to wait for the result, such as 90s or 1h. Then the exit code is 3. Default: twice
    /// `restoreDrill.timeout`, because another drill can run already, and 3 minutes.
    #[arg(long)]
    timeout: Option<Period>,
}

pub(crate) async fn run(arguments: RestoreDrill) -> Result<Outcome> {
    let (cluster, found) = managed(&arguments.connection, &arguments.name).await?;
    let drill = found.spec.managed.as_ref().and_then(|managed| managed.restore_drill.as_ref());
    let drill = drill.with_context(|| {
        format!(
            "OpenBaoCluster {}/{} has no restore drill: set spec.managed.restoreDrill",
            cluster.namespace,
            name(&found)
        )
    })?;
    let longest = Period::from_secs(2 * drill.timeout.get().as_secs() + MARGIN);
    let waiting = Waiting::new(arguments.no_wait, arguments.timeout.unwrap_or(longest));
    let request = token();
    annotate(&cluster, &found, ANNOTATION, json!(request)).await?;
    let place = (cluster.namespace.as_str(), name(&found));
    waiting.until(&cluster, place, |now| ended(&request, now)).await
}

/// Whether the requested drill has ended.
fn ended(request: &str, cluster: &OpenBaoCluster) -> Step {
    let last = cluster.status.as_ref().and_then(|status| status.restore_drill.as_ref());
    match last.filter(|last| last.request.as_deref() == Some(request)) {
        Some(last) => match last.result {
            DrillResult::Succeeded => Step::Done(result("succeeded", last)),
            DrillResult::Failed => Step::Failed(result("failed", last)),
        },
        // Otherwise, the condition reports the last drill.
        None => match condition(cluster, "RestoreDrill").filter(|condition| condition.reason == "Waiting") {
            Some(condition) => Step::Wait(line(&condition.message)),
            None => Step::Wait("waits for the operator to begin".to_owned()),
        },
    }
}

fn result(word: &str, last: &RestoreDrillState) -> String {
    let age = last.data_age_seconds.map(|age| format!(", with data of {} before", period(age)));
    let (duration, message) = (period(last.duration_seconds), line(&last.message));
    format!("the drill {word} after {duration}{}: {message}", age.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn drill(request: &str, result: &str) -> Value {
        json!({
            "lastTime": "2026-01-01T00:00:00Z", "request": request, "result": result, "message": "text\nof the Job",
            "durationSeconds": 12, "dataAgeSeconds": 7200,
        })
    }

    #[rstest]
    #[case::not_begun(json!(null), "Applied", Step::Wait("waits for the operator to begin".to_owned()))]
    #[case::last_one(drill("1", "Failed"), "Failed", Step::Wait("waits for the operator to begin".to_owned()))]
    #[case::waits_or_runs(drill("1", "Succeeded"), "Waiting", Step::Wait("of the condition".to_owned()))]
    #[case::succeeded(
        drill("2", "Succeeded"), "Applied",
        Step::Done("the drill succeeded after 12s, with data of 2h before: text of the Job".to_owned())
    )]
    #[case::failed(
        drill("2", "Failed"), "Failed",
        Step::Failed("the drill failed after 12s, with data of 2h before: text of the Job".to_owned())
    )]
    fn only_the_requested_drill_counts(#[case] last: Value, #[case] reason: &str, #[case] expected: Step) {
        let condition = json!({
            "type": "RestoreDrill", "status": "True", "reason": reason, "message": "of the condition",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let cluster = serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main"}, "spec": {},
            "status": {"conditions": [condition], "restoreDrill": last},
        }));
        assert_eq!(ended("2", &cluster.unwrap()), expected);
    }

    #[test]
    fn an_unknown_age_is_omitted() {
        let mut last = drill("2", "Failed");
        last["dataAgeSeconds"] = Value::Null;
        let last = serde_json::from_value(last).unwrap();
        assert_eq!(result("failed", &last), "the drill failed after 12s: text of the Job");
    }
}
