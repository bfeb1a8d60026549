//! Workflows of OpenBao (`sys/workflows`): policies for each second with one request each, and with workflows of several policies,
//! and what a workflow leaves that fails halfway.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use steamer_testing::Ground;

use super::replay::Admin;
use super::table::Column;

/// Number of rounds. Each measures every way once, so that other work on the machine affects all of them. Every second round has
/// the reverse order, because the number of stored policies grows. The figure is the median.
const ROUNDS: usize = 3;
/// Policies of each workflow, or none: one request for each policy. Number of clients. Name of the figure.
const WAYS: [(Option<usize>, usize, &str); 8] = [
    (None, 1, "one request for each policy, 1 client"),
    (Some(1), 1, "a workflow of 1 policy, 1 client"),
    (Some(10), 1, "a workflow of 10 policies, 1 client"),
    (Some(50), 1, "a workflow of 50 policies, 1 client"),
    (None, 8, "one request for each policy, 8 clients"),
    (Some(1), 8, "a workflow of 1 policy, 8 clients"),
    (Some(10), 8, "a workflow of 10 policies, 8 clients"),
    (Some(50), 8, "a workflow of 50 policies, 8 clients"),
];
/// Number of policies that all workflows divide.
const MULTIPLE: usize = 50;
/// A policy, and a text that OpenBao cannot parse.
const POLICY: &str = "path \"kv/data/web/*\" { capabilities = [\"read\"] }";
const INVALID: &str = "path {";
/// Cause of the rejection of [`INVALID`].
const CAUSE: &str = "failed to parse policy";

/// A request: its path and its body.
type Sent = (String, Value);

/// Writes `policies` policies in each way and round.
pub(super) async fn measure(servers: &Arc<Ground>, policies: usize) -> Result<Column> {
    ensure!(policies.is_multiple_of(MULTIPLE), "{policies} policies are no multiple of {MULTIPLE}");
    let mut column = Column::new(format!("{policies} policies, workflows"));
    let openbao = servers.own_openbao(&format!("workflows-{policies}")).await?;
    let admin = Admin::new(&openbao)?;
    let mut rates = vec![Vec::new(); WAYS.len()];
    for size in WAYS.iter().filter_map(|(size, ..)| *size) {
        stored(&admin, size).await?;
    }
    for round in 0..ROUNDS {
        let mut ways: Vec<_> = WAYS.into_iter().enumerate().collect();
        if !round.is_multiple_of(2) {
            ways.reverse();
        }
        for (way, (size, clients, _)) in ways {
            let names = (0..policies).map(|number| format!("policy-{round}-{way}-{number}")).collect();
            rates[way].push(rate(&admin, names, (size, clients)).await?);
        }
    }
    for ((.., figure), mut rates) in WAYS.into_iter().zip(rates) {
        rates.sort_by(f64::total_cmp);
        column.add(figure, rates[rates.len() / 2], " policies/s");
    }
    let written = existing(&admin, "policy-").await?.len();
    ensure!(written == ROUNDS * WAYS.len() * policies, "{written} policies exist");
    halfway(&admin, &mut column).await?;
    traced(&admin, &mut column).await?;
    Ok(column)
}

/// Writes policies with those names in workflows of a size, with several clients. Returns policies for each second.
async fn rate(admin: &Admin, names: Vec<String>, (size, clients): (Option<usize>, usize)) -> Result<f64> {
    let (policies, requests) = (names.len(), requests(names, size));
    let started = Instant::now();
    let sent = stream::iter(requests).map(|(path, body)| async move {
        let (status, answer) = admin.ask(Method::POST, &path, Some(&body)).await?;
        ensure!(status.is_success(), "{path}: {status} {answer}");
        anyhow::Ok(())
    });
    sent.buffer_unordered(clients).try_collect::<()>().await?;
    Ok(policies as f64 / started.elapsed().as_secs_f64())
}

/// The requests that write policies with those names.
fn requests(names: Vec<String>, size: Option<usize>) -> Vec<Sent> {
    match size {
        Some(size) => names.chunks(size).map(|names| execution("execute", names, &[])).collect(),
        None => {
            let policy = |name: String| (format!("sys/policies/acl/{name}"), json!({"policy": POLICY}));
            names.into_iter().map(policy).collect()
        }
    }
}

/// The execution of the workflow for as many policies as there are names. The policies at the positions `invalid` are invalid.
fn execution(verb: &str, names: &[String], invalid: &[usize]) -> Sent {
    let mut inputs = Map::new();
    for (position, name) in names.iter().enumerate() {
        let policy = if invalid.contains(&position) { INVALID } else { POLICY };
        inputs.insert(format!("name{position}"), json!(name));
        inputs.insert(format!("policy{position}"), json!(policy));
    }
    (format!("sys/workflows/{verb}/{}", workflow(names.len())), Value::Object(inputs))
}

fn workflow(size: usize) -> String {
    format!("policies-{size}")
}

/// Stores the workflow that writes a number of policies. Their names and texts are its inputs.
async fn stored(admin: &Admin, size: usize) -> Result<()> {
    let fields = (0..size).map(|number| {
        format!(
            "field \"string\" \"name{number}\" {{ required = true }}\n\
             field \"string\" \"policy{number}\" {{ required = true }}\n"
        )
    });
    let requests = (0..size).map(|number| {
        format!(
            "request \"p{number}\" {{\n\
             operation = \"update\"\n\
             path = {{\n\
             eval_type = \"string\"\n\
             eval_source = \"template\"\n\
             template = \"sys/policies/acl/{{{{ .input.name{number} }}}}\"\n\
             }}\n\
             data = {{\n\
             policy = {{\n\
             eval_type = \"string\"\n\
             eval_source = \"input\"\n\
             field_name = \"policy{number}\"\n\
             }}\n\
             }}\n\
             }}\n"
        )
    });
    let (fields, requests) = (fields.collect::<Vec<_>>().concat(), requests.collect::<Vec<_>>().concat());
    let text = format!("input {{\n{fields}}}\nflow \"batch\" {{\n{requests}}}\n");
    let path = format!("sys/workflows/manage/{}", workflow(size));
    let (status, answer) = admin.ask(Method::POST, &path, Some(&json!({"workflow": text}))).await?;
    ensure!(status.is_success(), "{path}: {status} {answer}");
    Ok(())
}

/// Names of the policies that start with a text.
async fn existing(admin: &Admin, start: &str) -> Result<Vec<String>> {
    let (status, answer) = admin.ask(Method::GET, "sys/policies/acl?list=true", None).await?;
    let names = answer["data"]["keys"].as_array().with_context(|| format!("no policies: {status}"))?;
    let names = names.iter().filter_map(Value::as_str).filter(|name| name.starts_with(start));
    Ok(names.map(str::to_owned).collect())
}

/// Three names of policies.
fn three(start: &str) -> Vec<String> {
    (0..3).map(|number| format!("{start}-{number}")).collect()
}

/// A workflow whose second request of three fails: the first stays executed, and the answer names the failed request, neither what
/// was executed nor the cause.
async fn halfway(admin: &Admin, column: &mut Column) -> Result<()> {
    stored(admin, 3).await?;
    let names = three("halfway");
    let (path, body) = execution("execute", &names, &[1]);
    let (status, answer) = admin.ask(Method::POST, &path, Some(&body)).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "{status} {answer}");
    let written = existing(admin, "halfway-").await?;
    let text = answer.to_string();
    let listed = names.iter().filter(|name| text.contains(name.as_str())).count();
    column.add("failed halfway: executed requests of 3", written.len() as f64, "");
    column.add("failed halfway: policies that the answer lists", listed as f64, "");
    ensure!(written == ["halfway-0"], "{written:?} exist");
    ensure!(listed == 0 && answer["data"].is_null(), "the answer lists what was executed: {answer}");
    ensure!(text.contains("request.[p1 (1)]"), "the answer does not name the failed request: {answer}");
    ensure!(
        text.contains("invalid request") && !text.contains(CAUSE),
        "the answer contains the cause: {answer}"
    );
    // The same policy without a workflow.
    let single = json!({"policy": INVALID});
    let (status, answer) = admin.ask(Method::POST, "sys/policies/acl/halfway-single", Some(&single)).await?;
    ensure!(status == StatusCode::BAD_REQUEST && answer.to_string().contains(CAUSE), "{status} {answer}");
    Ok(())
}

/// The same workflow with a trace: the answer is a success and lists the requests, but with the token and without the cause.
async fn traced(admin: &Admin, column: &mut Column) -> Result<()> {
    let (path, body) = execution("trace", &three("traced"), &[1]);
    let (status, answer) = admin.ask(Method::POST, &path, Some(&body)).await?;
    // Without the answer, which can contain the token.
    ensure!(status == StatusCode::OK, "{status}");
    let number = |what: &str| {
        let listed = answer.pointer(&format!("/data/history/{what}/batch")).and_then(Value::as_object);
        listed.map_or(0, Map::len)
    };
    let (sent, answered) = (number("requests"), number("responses"));
    column.add("trace of it: listed requests of 3", sent as f64, "");
    column.add("trace of it: listed responses of 3", answered as f64, "");
    ensure!((sent, answered) == (2, 1), "{sent} requests and {answered} responses are listed");
    ensure!(existing(admin, "traced-").await? == ["traced-0"], "other policies exist after a trace");
    ensure!(!answer.to_string().contains(CAUSE), "the trace contains the cause");
    let token = answer.pointer("/data/history/requests/batch/p0/client_token").and_then(Value::as_str);
    ensure!(token.is_some_and(|token| admin.has_token(token)), "the trace does not contain the token");
    Ok(())
}
