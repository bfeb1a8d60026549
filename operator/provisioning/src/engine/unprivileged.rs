//! The error of a request that OpenBao denies, with the lines that permit what the object needs.

use jiff::Timestamp;
use reqwest::Method;
use steamer_api::{DeletionPolicy, Mode, OwnedResource};
use steamer_core::error::Error;
use steamer_core::policy_lines::{Held, Needed, lacking, needed, policy_lines};
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry};

use super::pass::Pass;
use super::prepared::prepare;
use super::provision::Provision;
use super::survey::Survey;
use crate::write::{Request, Write};

/// Most characters of the lines in a message.
const LONGEST: usize = 3500;
/// Methods of requests that change nothing.
const READS: [&str; 2] = ["GET", "LIST"];

/// A denied request. Reason and retry are those of its cause.
#[derive(Debug, thiserror::Error)]
#[error("OpenBao denies {method} {path}: an administrator must add to the policy of the operator: {lines}")]
struct Unprivileged {
    method: String,
    path: String,
    lines: String,
    cause: Error,
}

impl Failure for Unprivileged {
    fn reason(&self) -> Reason {
        self.cause.reason()
    }

    fn retry(&self) -> Retry {
        self.cause.retry()
    }

    fn stalled(&self) -> bool {
        self.cause.stalled()
    }
}

/// Adds the lines of the policy to the error of a denied request: all that the object needs and that the policy lacks.
pub(super) async fn explained<K: Provision>(error: Error, object: &K, pass: &Pass<'_>) -> Error {
    let Some(denied) = denied(&error) else { return error };
    let (needed, held) = surveyed(object, &denied, pass).await;
    let lines = joined(&lines(&denied, &needed, &held));
    let Request { method, path } = denied;
    Error::other(Unprivileged { method, path, lines, cause: error })
}

/// The denied request.
fn denied(error: &Error) -> Option<Request> {
    let cause = match error {
        Error::OpenBao(cause) => cause,
        Error::Shared(shared) => &*shared.0,
        Error::DeletionWaits(error, _) => return denied(error),
        _ => return None,
    };
    match cause {
        OpenBao::Denied { method, path } => Some(Request { method: method.clone(), path: path.clone() }),
        _ => None,
    }
}

/// What the object needs, and what the operator has. Nothing is written.
async fn surveyed<K: Provision>(object: &K, denied: &Request, pass: &Pass<'_>) -> (Needed, Held) {
    let survey = Survey::default();
    let pass = &Pass { survey: Some(&survey), ..*pass };
    let own = match object.meta().deletion_timestamp {
        Some(_) => removals(object, pass).await,
        None => planned(object, pass).await,
    };
    let root = survey.root();
    let mut requests: Vec<Request> = own.into_iter().map(|it| it.inside(&root)).collect();
    requests.extend(survey.denied());
    requests.push(denied.clone());
    let needed = needed(requests.iter().map(|it| (it.method.as_str(), it.path.as_str())));
    let held = survey.held(&needed, pass.context).await;
    (needed, held)
}

/// The requests of an object as far as they can be computed, from the root namespace of the cluster.
async fn planned<K: Provision>(object: &K, pass: &Pass<'_>) -> Vec<Request> {
    let lookup = pass.lookup();
    let references = object.references(&lookup);
    let mut requests = references.map(|it| object.outline(&it, &lookup)).unwrap_or_default();
    if let Ok(prepared) = prepare(object, pass, Timestamp::now()).await {
        requests.extend(K::requests(&prepared.desired));
        requests.extend(prepared.plan.writes.iter().filter_map(Write::request));
    }
    if object.lifecycle().mode == Mode::Observe {
        requests.retain(|it| READS.contains(&it.method.as_str()));
    }
    requests
}

/// The requests of a deletion.
async fn removals<K: Provision>(object: &K, pass: &Pass<'_>) -> Vec<Request> {
    let Some(footprint) = object.footprint(&pass.context.status(object)) else {
        return Vec::new();
    };
    let footprint = object.trusted(footprint, pass);
    // The survey needs the session only.
    drop(pass.session_in(&footprint.cluster).await);
    let policy = object.lifecycle().deletion_policy;
    let is_removed =
        |it: &&OwnedResource| !it.pending && (!it.holds_values || policy == DeletionPolicy::Delete);
    let paths = footprint.resources.iter().filter(is_removed).filter_map(OwnedResource::deletion_path);
    let requests = paths.flat_map(|path| [Method::GET, Method::DELETE].map(|it| Request::new(&it, path)));
    requests.map(|it| it.inside(&footprint.namespace)).collect()
}

/// The lines that the policy lacks. That of the denied request is one of them, whatever OpenBao states about its path: rules can
/// limit parameters.
fn lines(denied: &Request, needed: &Needed, held: &Held) -> Vec<String> {
    let mut lines = lacking(needed, held);
    let own = policy_lines("", &denied.method, &denied.path);
    let start = own.split_once(" {").map_or(own.as_str(), |(start, _)| start);
    if !lines.iter().any(|line| line.strip_prefix(start).is_some_and(|rest| rest.starts_with(" {"))) {
        lines.insert(0, own);
    }
    lines
}

/// The lines as the text of a policy. Those that do not fit follow in the next message.
fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 && text.len() + line.len() > LONGEST {
            let rest = lines.len() - index;
            return format!("{text}\n# {rest} more lines follow");
        }
        text = if index == 0 { line.clone() } else { format!("{text}\n{line}") };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn request(method: &str, path: &str) -> Request {
        Request { method: method.to_owned(), path: path.to_owned() }
    }

    fn unprivileged(error: Error) -> Error {
        let Request { method, path } = denied(&error).unwrap();
        let lines = policy_lines("", &method, &path);
        Error::other(Unprivileged { method, path, lines, cause: error })
    }

    #[test]
    fn a_denied_request_names_the_line_that_permits_it() {
        let denied = OpenBao::Denied { method: "POST".to_owned(), path: "team/kv/config".to_owned() };
        let error = unprivileged(denied.into());
        assert_eq!(
            error.to_string(),
            "OpenBao denies POST team/kv/config: an administrator must add to the policy of the operator: \
             path \"team/kv/config\" { capabilities = [\"create\", \"update\"] }"
        );
        assert_eq!(error.reason(), Reason::PermissionDenied);
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(20)));
        assert!(error.stalled());
    }

    #[test]
    fn only_denied_requests_are_explained() {
        assert_eq!(denied(&OpenBao::Sealed.into()), None);
        assert_eq!(denied(&Error::Conflict(String::new())), None);
        let error = OpenBao::Denied { method: "DELETE".to_owned(), path: "kv".to_owned() };
        let waiting = Error::DeletionWaits(Box::new(error.into()), Duration::from_secs(5));
        assert_eq!(denied(&waiting), Some(request("DELETE", "kv")));
    }

    #[rstest]
    #[case::other_paths(
        json!({"sys/mounts/kv": ["read"]}),
        &[
            r#"path "kv/config" { capabilities = ["create", "read", "update"] }"#,
            r#"path "sys/mounts/kv" { capabilities = ["create", "read", "update"] }"#,
        ]
    )]
    #[case::limited_parameters(
        json!({"sys/mounts/kv": ["create", "read", "update"], "kv/config": ["create", "read", "update"]}),
        &[r#"path "sys/mounts/kv" { capabilities = ["read"] }"#]
    )]
    fn all_lines_that_the_policy_lacks_are_named(#[case] held: Value, #[case] expected: &[&str]) {
        let held: Held = serde_json::from_value(held).unwrap();
        let paths = ["sys/mounts/kv", "kv/config"];
        let needed = needed(paths.iter().flat_map(|path| [("GET", *path), ("POST", *path)]));
        assert_eq!(lines(&request("GET", "sys/mounts/kv"), &needed, &held), expected);
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let line = format!("path \"{}\" {{ capabilities = [\"read\"] }}", "a".repeat(1000));
        assert_eq!(joined(&[line.clone(), line.clone()]), format!("{line}\n{line}"));
        let text = joined(&vec![line.clone(); 5]);
        assert!(text.ends_with("\n# 2 more lines follow") && text.len() < 4096, "{text}");
    }
}
