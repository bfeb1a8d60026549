//! Two operators: one leads, the other takes over when the first exits or is killed, and nothing is written twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::Ground;
use steamer_testing::audit;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::operator::Operator;
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::kinds::Kinds;
use crate::static_secrets::{auth, engine};

/// Duration of the lease in seconds.
const HOLDS: i64 = 10;

/// An operator with a token of its own, which identifies it in the audit log.
struct Known {
    operator: Operator,
    credential: String,
}

impl Known {
    async fn new(ground: &Ground, name: &str) -> Result<Self> {
        let token = account_token(&ground.client().await?, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).context("not a JWT")?)?;
        let claims: Value = serde_json::from_slice(&claims)?;
        let mut operator = ground.operator.clone();
        operator.kubeconfig = ground.plane.kubeconfig_for(name, &token)?;
        operator.name = name.to_owned();
        operator.arguments[0] = format!("--lease-duration={HOLDS}s");
        let id = claims["jti"].as_str().context("the token has no ID")?;
        Ok(Self { operator, credential: format!("JTI={id}") })
    }
}

/// A write in the audit log: time, token, request, and whether the response was a success.
///
/// A write that was in flight when its operator was killed has an error response, whether or not etcd committed it.
struct Written {
    at: String,
    credential: String,
    what: String,
    answered: bool,
}

fn writes(ground: &Ground, namespace: &str) -> Result<Vec<Written>> {
    let lines = audit::entries(&ground.plane.audit, namespace)?.into_iter();
    let text =
        |line: &Value, path: &str| line.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let written = lines.filter_map(|line| {
        let (verb, resource) = (text(&line, "/verb"), text(&line, "/objectRef/resource"));
        let subresource = text(&line, "/objectRef/subresource");
        let credential =
            line.pointer("/user/extra/authentication.kubernetes.io~1credential-id/0")?.as_str()?;
        let name = text(&line, "/objectRef/name");
        let ours = ["secrets", "baostaticsecrets"].contains(&resource.as_str())
            // They are counted in OpenBao.
            && !["dynamic", "certificate"].contains(&name.as_str())
            && text(&line, "/objectRef/namespace") == namespace
            && ["create", "update", "patch", "delete"].contains(&verb.as_str())
            && text(&line, "/user/username").ends_with(":steamer");
        let uri = text(&line, "/requestURI");
        let what =
            format!("{verb} {resource}/{name} {subresource} {}", uri.split('?').next().unwrap_or_default());
        ours.then(|| Written {
            at: text(&line, "/requestReceivedTimestamp"),
            credential: credential.to_owned(),
            what,
            answered: line
                .pointer("/responseStatus/code")
                .and_then(Value::as_u64)
                .is_some_and(|code| code < 300),
        })
    });
    Ok(written.collect())
}

async fn ask_for(case: &Case, numbers: std::ops::Range<usize>) -> Result<()> {
    for number in numbers {
        let spec = json!({
            "mount": "leadership", "path": "app", "type": "kv-v2", "refreshAfter": "1h",
            "destination": {"name": format!("s{number}"), "create": true},
        });
        case.object("BaoStaticSecret", &format!("s{number}"), spec).await?;
    }
    Ok(())
}

async fn all_ready(case: &Case, count: usize) -> Result<()> {
    for number in 0..count {
        case.ready::<BaoStaticSecret>(&format!("s{number}"), "True/Applied").await?;
    }
    Ok(())
}

async fn lease(case: &Case) -> Result<k8s_openapi::api::coordination::v1::LeaseSpec> {
    let leases: Api<Lease> = Api::namespaced(case.client.clone(), OPERATOR_NAMESPACE);
    leases.get("steamer").await?.spec.context("the lease has no spec")
}

/// Waits until the operator holds the lease, and returns the lease.
async fn led_by(case: &Case, name: &str) -> Result<k8s_openapi::api::coordination::v1::LeaseSpec> {
    eventually(&format!("{name} leads"), || async {
        let lease = lease(case).await.map_err(|error| error.to_string())?;
        let holder = lease.holder_identity.clone().unwrap_or_default();
        if holder.starts_with(name) { Ok(lease) } else { Err(holder) }
    })
    .await
}

#[tokio::test]
async fn a_second_operator_takes_over_and_nothing_is_written_twice() -> Result<()> {
    let ground: Arc<Ground> = Ground::shared().apart("leadership").await?;
    let case = Case::on(ground.clone(), "leadership").await?;
    engine(&case, "leadership").await?;
    case.admin()?.write_kv2("leadership", "app", &json!({"a": "1"})).await?;
    case.object("BaoAuth", "default", auth("leadership")).await?;
    let (first, second) = (Known::new(&ground, "first").await?, Known::new(&ground, "second").await?);
    let mut one = ground.run(&first.operator).await?;
    led_by(&case, "first").await?;
    let two = ground.run(&second.operator).await?;
    let kinds = Kinds::new(&case, &ground.openbao, "main").await?;
    let delivered = kinds.delivered().await?;

    // Terminated while busy: it completes the reconciles in progress and releases the lease.
    ask_for(&case, 0..10).await?;
    case.ready::<BaoStaticSecret>("s0", "True/Applied").await?;
    assert!(one.process.terminate()?, "the first operator did not exit cleanly");
    ask_for(&case, 10..20).await?;
    led_by(&case, "second").await?;
    all_ready(&case, 20).await?;
    kinds.relabel("second").await?;

    // Killed while busy: the lease expires.
    let one = ground.run(&first.operator).await?;
    ask_for(&case, 20..40).await?;
    let renewed = lease(&case).await?.renew_time.context("the lease has no renew time")?.0;
    drop(two);
    // Leaves work for the next operator in any case.
    ask_for(&case, 40..41).await?;
    let taken = led_by(&case, "first").await?.acquire_time.context("the lease has no acquire time")?.0;
    let gap = taken.duration_since(renewed);
    println!("killed: lease acquired {gap:#} after the last renewal, lease duration {HOLDS}s");
    all_ready(&case, 41).await?;
    kinds.relabel("first").await?;
    kinds.ready().await?;
    drop(one);
    assert!(kinds.delivered().await? == delivered, "a delivered Secret changed");
    assert_eq!(kinds.issued(&ground.openbao.audit)?, (1, 1), "issued once");

    let writes = writes(&ground, &case.namespace)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for write in &writes {
        // Only the killed operator may have writes without a successful response.
        assert!(write.answered || write.credential == second.credential, "{} failed", write.what);
        *counts.entry(&write.what).or_default() += usize::from(write.answered);
    }
    let creates = counts.keys().filter(|what| what.starts_with("create secrets/")).count();
    let statuses =
        counts.keys().filter(|what| what.contains("baostaticsecrets/") && what.contains(" status ")).count();
    assert_eq!((creates, statuses), (41, 41), "{counts:?}");
    assert!(counts.values().all(|count| *count <= 1), "written twice: {counts:?}");
    // Leaders in order: first, second, first; never both at once.
    let mut order: Vec<(&str, &str)> =
        writes.iter().map(|write| (write.at.as_str(), write.credential.as_str())).collect();
    order.sort_unstable();
    let mut turns: Vec<&str> = order.into_iter().map(|(_, credential)| credential).collect();
    turns.dedup();
    assert_eq!(turns, [&first.credential, &second.credential, &first.credential]);
    Ok(())
}
