//! Reads at standbys: from the leader by default, or from their own caches while they follow the leader.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::openbao::mount_kv;
use steamer_testing::tools::succeed;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES, whole};

/// Contract of OpenBao without standby reads: a change is in force at every node with the response to it. One second
/// is for the requests of the test.
const WITHDRAWAL: Duration = Duration::from_secs(1);
const ROUNDS: usize = 50;

impl Bao {
    /// A session of an identity at one node.
    async fn at(&self, pod: &str, identity: Identity) -> Result<Session> {
        Ok(self.client(&[pod], Duration::ZERO).await?.session(identity))
    }

    /// Creates a token with these policies.
    async fn token(&self, admin: &Session, policies: &[&str]) -> Result<Identity> {
        let body = json!({"policies": policies, "no_parent": true});
        let answer = admin.request_any(Method::POST, "auth/token/create", Some(body)).await?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        Ok(Identity::Token(token.context("the response has no token")?.to_owned().into()))
    }

    /// Leaders so far.
    async fn changes(&self) -> Result<i64> {
        Ok(self.object().await?.status.and_then(|status| status.leadership_changes).unwrap_or(0))
    }
}

async fn set_rules(admin: &Session, rules: &str) -> Result<()> {
    let body = json!({"policy": rules});
    admin.request_any(Method::POST, "sys/policies/acl/reader", Some(body)).await?;
    Ok(())
}

/// Waits until every node grants or denies the secret. Returns the time until the last other answer.
async fn all(sessions: &[Session], granted: bool) -> Result<Duration> {
    let (started, mut last) = (Instant::now(), Duration::ZERO);
    for session in sessions {
        loop {
            match (session.request_any(Method::GET, "kv/data/a", None).await, granted) {
                (Ok(_), true) | (Err(Error::Denied { .. }), false) => break,
                (Ok(_), false) | (Err(Error::Denied { .. }), true) => last = started.elapsed(),
                (Err(error), _) => println!("a node does not answer: {error}"),
            }
            ensure!(started.elapsed() < Duration::from_secs(20), "{session:?} does not change its answer");
        }
    }
    Ok(last)
}

#[tokio::test]
async fn a_withdrawn_secret_is_withdrawn_at_every_node() -> Result<()> {
    let bao = Bao::serving("standby-reads", |_| {}).await?;
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "a", &json!({"b": "c"})).await?;
    let reader = bao.token(&admin, &["reader"]).await?;
    let mut sessions = Vec::new();
    for pod in NODES {
        sessions.push(bao.at(pod, reader.clone()).await?);
    }
    let (started, mut granted, mut withdrawn) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        set_rules(&admin, r#"path "kv/data/a" { capabilities = ["read"] }"#).await?;
        granted = granted.max(all(&sessions, true).await?);
        set_rules(&admin, r#"path "kv/data/b" { capabilities = ["read"] }"#).await?;
        let took = all(&sessions, false).await?;
        ensure!(took <= WITHDRAWAL, "round {round}: a node answered {took:?} after the withdrawal");
        withdrawn = withdrawn.max(took);
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{ROUNDS} rounds at three nodes in {took:.1} s: at most {granted:?} to grant, {withdrawn:?} to withdraw"
    );
    Ok(())
}

#[tokio::test]
async fn a_standby_that_does_not_follow_is_replaced() -> Result<()> {
    let reads = |spec: &mut Value| spec["managed"]["standbyReads"] = json!(true);
    let bao = Bao::serving("stale-standby", reads).await?;
    let leader = bao.leader().await?;
    let standby = leader.follower();
    let before = bao.uids().await?;
    let process = bao.fleet.cluster.process_of(&bao.namespace, standby)?.to_string();
    let cut = Instant::now();
    // In the network namespace of the pod: the rule ends with it.
    let rule = ["iptables", "-I", "OUTPUT", "-p", "tcp", "--dport", "8201", "-j", "DROP"];
    succeed(Command::new("nsenter").args(["-t", &process, "-n"]).args(rule))?;
    eventually("the standby is replaced", || async {
        let now = bao.uids().await.map_err(|error| error.to_string())?;
        let other = now.get(standby).is_none_or(|uid| Some(uid) != before.get(standby));
        if other { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await
    .with_context(|| bao.story())?;
    println!("a standby without the leader's changes is gone after {:.1} s", cut.elapsed().as_secs_f64());
    bao.until("all three nodes are Ready", whole).await?;
    bao.all_follow().await?;
    let now = bao.uids().await?;
    let kept: Vec<&str> = NODES.into_iter().filter(|pod| now.get(*pod) == before.get(*pod)).collect();
    ensure!(kept.len() == 2, "only the cut-off standby is replaced, not all but {kept:?}");
    // Without standby reads, all nodes are replaced, and the leader changes once.
    let changes = bao.changes().await?;
    bao.apply(|_| {}).await?;
    eventually("all nodes are replaced", || async {
        let later = bao.uids().await.map_err(|error| error.to_string())?;
        let replaced = NODES.into_iter().all(|pod| later.contains_key(pod) && later.get(pod) != now.get(pod));
        if replaced { Ok(()) } else { Err(format!("{later:?}")) }
    })
    .await
    .with_context(|| bao.story())?;
    bao.until("all three nodes are Ready", whole).await?;
    assert_eq!(bao.changes().await? - changes, 1, "leader changes");
    Ok(())
}
