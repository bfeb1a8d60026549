//! Recovery from killed and deleted pods, database outages, operator crashes and manual changes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use steamer_testing::nodes::signal_process;

use crate::bao::{Bao, NODES, condition, whole};
use crate::dependency_outages::lasting;
use crate::faults::{ENDED, Fault, HUNG, Pods, within};
use crate::registers::{EXPIRED, Registers};
use crate::rollouts::older;

#[tokio::test]
async fn killed_and_deleted_nodes_recover() -> Result<()> {
    let bao = Bao::serving("processes", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    a_standby_is_killed(&bao, &registers).await?;
    the_leader_is_evicted(&bao, &registers).await?;
    all_nodes_are_killed(&bao, &registers).await?;
    let outcome = registers.check(&bao).await?;
    println!("nodes killed and deleted: {outcome}");
    Ok(())
}

async fn a_standby_is_killed(bao: &Bao, registers: &Registers) -> Result<()> {
    let fault = Fault::begin(bao, registers).await?;
    let standby = fault.leader.follower();
    let run = bao.run_of(standby).await?;
    bao.fleet.cluster.signal(&bao.namespace, standby, "KILL")?;
    bao.comes_back(standby, &run).await?;
    assert_eq!(bao.leader().await?, fault.leader, "a lost standby must not change the leader");
    fault.spared_the_leader().await
}

/// The pod of the leader is deleted, as by an eviction.
async fn the_leader_is_evicted(bao: &Bao, registers: &Registers) -> Result<()> {
    let fault = Fault::begin(bao, registers).await?;
    let run = bao.run_of(&fault.leader).await?;
    bao.delete_pod(&fault.leader).await?;
    let gap = fault.taken_over().await?;
    bao.comes_back(&fault.leader, &run).await?;
    bao.all_follow().await?;
    fault.recovered(gap, ENDED).await
}

async fn all_nodes_are_killed(bao: &Bao, registers: &Registers) -> Result<()> {
    let fault = Fault::begin(bao, registers).await?;
    let mut runs = Vec::new();
    for pod in NODES {
        runs.push((pod, bao.run_of(pod).await?));
    }
    for (pod, _) in &runs {
        bao.fleet.cluster.signal(&bao.namespace, pod, "KILL")?;
    }
    for (pod, run) in &runs {
        bao.comes_back(pod, run).await?;
    }
    let gap = fault.taken_over().await?;
    println!("all nodes killed: longest gap {:.1} s", gap.as_secs_f64());
    // A node has to start before it can take over.
    fault.recovered(gap, HUNG).await
}

#[tokio::test]
async fn a_database_outage_restarts_no_pod() -> Result<()> {
    // A dedicated server, so that other tests are not affected.
    let bao = Bao::with_own_postgres("database").await?;
    let bao = bao.up(|_| {}).await?;
    let postgres = bao.postgres.clone();
    let registers = Registers::start(&bao).await?;
    let before = Pods::of(&bao).await?;
    // Terminated connections.
    let terminated = Instant::now();
    postgres.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'main%'",
    )?;
    within(registers.gap_since(terminated).await?, ENDED)?;
    // Killed and restarted.
    postgres.kill();
    let away = bao.until("the outage is reported", |object| {
        condition(object, "StorageReachable").is_some_and(|(status, ..)| status == "False")
    });
    let away = away.await?;
    ensure!(condition(&away, "Reconciling").is_some(), "an unreachable database is retried");
    ensure!(condition(&away, "Stalled").is_none());
    let server = postgres.clone();
    bao.fleet.at_home(async move { server.run().await }).await?;
    let back = Instant::now();
    registers.go_on_after(back).await?;
    println!("database killed: all writers write {:.1} s after its restart", back.elapsed().as_secs_f64());
    bao.until("all three nodes are Ready", whole).await?;
    // Frozen for longer than the lock is valid.
    for process in postgres.processes()? {
        let _ = signal_process(process, "STOP");
    }
    let stopped = Instant::now();
    bao.until("the outage is reported", |object| {
        condition(object, "StorageReachable").is_some_and(|(status, ..)| status == "False")
    })
    .await?;
    tokio::time::sleep(lasting(120).saturating_sub(stopped.elapsed())).await;
    for process in postgres.processes()? {
        let _ = signal_process(process, "CONT");
    }
    registers.go_on_after(Instant::now()).await?;
    bao.until("all three nodes are Ready", whole).await?;
    before.unchanged(&bao).await?;
    let outcome = registers.check(&bao).await?;
    println!("database connections terminated, database killed and frozen: {outcome}");
    let changes = outcome.changes.context("the changes of the leader are unknown")?;
    // An outage can cost the leader its lock.
    ensure!(changes <= 3, "three outages changed the leader {changes} times");
    Ok(())
}

#[tokio::test]
async fn a_standby_takes_over_without_the_operator() -> Result<()> {
    let bao = Bao::alone("alone").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let fault = Fault::begin(&bao, &registers).await?;
    let run = bao.run_of(&fault.leader).await?;
    bao.fleet.stop_operator().await;
    bao.fleet.cluster.signal(&bao.namespace, &fault.leader, "KILL")?;
    let gap = fault.gap().await?;
    println!("leader killed without the operator: {:.1} s", gap.as_secs_f64());
    within(gap, EXPIRED)?;
    bao.comes_back(&fault.leader, &run).await?;
    fault.changed_leader(1)?;
    // A spec that is refused: this OpenBao cannot go back.
    bao.apply(older).await?;
    bao.fleet.start_operator().await?;
    // The operator has never seen a valid spec, and carries out the duties of the last one.
    bao.until("the spec is refused", |object| condition(object, "Stalled").is_some()).await?;
    let fences = fault.fences().await?;
    ensure!(fences.is_empty(), "a node was fenced after OpenBao's own failover: {fences:?}");
    drop(fault);
    let fault = Fault::begin(&bao, &registers).await?;
    bao.label_follows_a_lost_leader().await?;
    let gap = fault.taken_over().await?;
    fault.leader_is_fenced().await?;
    bao.apply(|_| {}).await?;
    bao.until("all three nodes are Ready", whole).await?;
    fault.recovered(gap, ENDED).await?;
    let outcome = registers.check(&bao).await?;
    println!("without the operator: {outcome}");
    Ok(())
}

#[tokio::test]
async fn manually_edited_or_deleted_objects_are_repaired() -> Result<()> {
    let bao = Bao::serving("edited", |_| {}).await?;
    let pods = bao.pods().await?;
    let (sets, services): (Api<StatefulSet>, Api<Service>) = (
        Api::namespaced(bao.kube.clone(), &bao.namespace),
        Api::namespaced(bao.kube.clone(), &bao.namespace),
    );
    let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    let patch = json!({"spec": {"selector": {"x": "y"}}});
    services.patch("main-active", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    services.delete("main", &DeleteParams::default()).await?;
    secrets.delete("main-tls", &DeleteParams::default()).await?;
    secrets.delete("main-postgresql", &DeleteParams::default()).await?;
    sets.delete("main", &DeleteParams::orphan()).await?;
    steamer_testing::wait::eventually("all objects are restored", || async {
        let error = |error: kube::Error| error.to_string();
        services.get("main").await.map_err(error)?;
        let active = services.get("main-active").await.map_err(error)?;
        let selector = active.spec.and_then(|spec| spec.selector).unwrap_or_default();
        secrets.get("main-tls").await.map_err(error)?;
        let logins = secrets.get("main-postgresql").await.map_err(error)?;
        sets.get("main").await.map_err(error)?;
        let whole = logins.data.is_some_and(|data| data.len() == 4);
        if whole && selector.get("openbao-active").map(String::as_str) == Some("true") {
            Ok(())
        } else {
            Err(format!("{selector:?}"))
        }
    })
    .await?;
    bao.until("all three nodes are Ready", whole).await?;
    // The passwords were lost with their Secret, so the nodes get new roles; all nodes must be able to start.
    for pod in pods {
        bao.replace_pod(&pod.name_any()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_with_a_manually_changed_database_login_gets_a_new_one() -> Result<()> {
    let bao = Bao::serving("login", |_| {}).await?;
    let leader = bao.leader().await?;
    let standby = leader.follower();
    let login = async || {
        let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
        let data = secrets.get("main-postgresql").await?.data.unwrap_or_default();
        let entry = data.get(standby).map(|entry| String::from_utf8_lossy(&entry.0).into_owned());
        let user =
            entry.as_deref().and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("user=")));
        user.map(str::to_owned).context("the Secret has no login for the node")
    };
    let (before, pods) = (login().await?, bao.uids().await?);
    bao.postgres.sql("postgres", &format!("ALTER ROLE \"{before}\" PASSWORD 'something else'"))?;
    let run = bao.run_of(standby).await?;
    bao.fleet.cluster.signal(&bao.namespace, standby, "KILL")?;
    bao.comes_back(standby, &run).await?;
    ensure!(login().await? != before, "the node still has the login that PostgreSQL rejects");
    let now = bao.uids().await?;
    let is_kept = |pod: &&str| *pod == standby || now.get(*pod) == pods.get(*pod);
    ensure!(NODES.iter().all(is_kept), "another node was replaced: {pods:?}, now {now:?}");
    assert_eq!(bao.leader().await?, leader, "the leader must not change");
    Ok(())
}

#[tokio::test]
async fn an_operator_killed_during_the_bootstrap_resumes_it() -> Result<()> {
    let bao = Bao::alone("killed-operator").await?;
    bao.apply(|_| {}).await?;
    // Each kill comes a moment later than the one before.
    for turn in 0..8_u64 {
        tokio::time::sleep(Duration::from_millis(300 * turn)).await;
        bao.fleet.stop_operator().await;
        bao.fleet.start_operator().await?;
    }
    bao.until("all three nodes are Ready", whole).await?;
    let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    let recovery = secrets.get("main-recovery").await?;
    ensure!(
        recovery.annotations().contains_key("steamer.dev/verified"),
        "the recovery keys are not verified"
    );
    let all = secrets.list(&ListParams::default()).await?;
    let kept = all.items.iter().filter(|secret| secret.name_any().starts_with("main-recovery")).count();
    assert_eq!(kept, 1, "exactly one recovery Secret must exist");
    bao.recovery_keys_work(&recovery).await
}
