//! Command `break-glass`.

use anyhow::Result;
use clap::Args as Arguments;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;

use crate::annotations::{annotate, condition, managed, name};
use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::output::print;
use crate::progress::{Step, Waiting};
use crate::style::line;

/// A new value opens `generate-root` for 15 minutes.
const ANNOTATION: &str = "steamer.dev/break-glass";
/// Condition that reports it.
const CONDITION: &str = "BreakGlass";

/// Arguments of `break-glass`.
#[derive(Arguments)]
pub(crate) struct BreakGlass {
    /// Name of the OpenBaoCluster.
    name: String,
    /// Closes it before the time is over.
    #[arg(long)]
    close: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn run(arguments: BreakGlass) -> Result<Outcome> {
    let (cluster, found) = managed(&arguments.connection, &arguments.name).await?;
    let request = jiff::Timestamp::now().as_second().to_string();
    let value = if arguments.close { Value::Null } else { json!(request) };
    annotate(&cluster, &found, ANNOTATION, value).await?;
    let place = (cluster.namespace.as_str(), name(&found));
    let step = |now: &OpenBaoCluster| if arguments.close { closed(now) } else { opened(&request, now) };
    let outcome = arguments.waiting.until(&cluster, place, step).await?;
    if !arguments.close {
        print(&instructions(&cluster.namespace, name(&found)))?;
    }
    Ok(outcome)
}

fn opened(request: &str, cluster: &OpenBaoCluster) -> Step {
    let last = cluster.status.as_ref().and_then(|status| status.break_glass.as_ref());
    let is_this = last.is_some_and(|last| last.request == request);
    match condition(cluster, CONDITION) {
        Some(condition) if condition.status == "True" && is_this => Step::Done(line(&condition.message)),
        Some(condition) => Step::Wait(line(&condition.message)),
        None => Step::Wait("waits for the operator to begin".to_owned()),
    }
}

fn closed(cluster: &OpenBaoCluster) -> Step {
    match condition(cluster, CONDITION) {
        Some(condition) if condition.status == "True" => Step::Wait(line(&condition.message)),
        _ => Step::Done("closed".to_owned()),
    }
}

fn instructions(namespace: &str, name: &str) -> String {
    format!(
        "Next steps:
  kubectl --namespace {namespace} port-forward pod/{name}-break-glass-0 8200
  curl --request PUT http://127.0.0.1:8200/v1/sys/generate-root/attempt
  # For each share of the recovery key, with share.json: {{\"nonce\": \"<nonce>\", \"key\": \"<share>\"}}
  curl --request PUT --data @share.json http://127.0.0.1:8200/v1/sys/generate-root/update
  # The root token is the encoded token, combined with the one-time password of the first answer:
  python3 -c 'import base64, sys; print(\"\".join(chr(a ^ ord(b)) for a, b in zip(base64.b64decode(sys.argv[1] + \"==\"), sys.argv[2])))' <encoded_token> <otp>
  # Restore a login, revoke the token with `bao token revoke -self`, and close:
  kubectl steamer break-glass {name} --namespace {namespace} --close
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(request: &str, status: &str) -> OpenBaoCluster {
        let condition = json!({"type": "BreakGlass", "status": status, "reason": "R", "message": "text", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let state = json!({"request": request, "pod": "main-break-glass-0", "until": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main"}, "spec": {},
            "status": {"conditions": [condition], "breakGlass": state},
        }))
        .unwrap()
    }

    #[test]
    fn only_the_own_request_counts_as_opened() {
        assert_eq!(opened("2", &cluster("2", "True")), Step::Done("text".to_owned()));
        assert_eq!(opened("2", &cluster("1", "True")), Step::Wait("text".to_owned()));
        assert_eq!(opened("2", &cluster("2", "False")), Step::Wait("text".to_owned()));
        assert_eq!(closed(&cluster("2", "True")), Step::Wait("text".to_owned()));
        assert_eq!(closed(&cluster("2", "False")), Step::Done("closed".to_owned()));
    }

    #[test]
    fn the_next_steps_name_the_pod() {
        insta::assert_snapshot!(instructions("openbao", "main"));
    }
}
