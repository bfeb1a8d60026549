//! Long faults: nodes that only a repair brings back, and outages that must not fence a node. `make faults` runs them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_testing::nodes::signal_process;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, condition, whole};
use crate::faults::Pods;
use crate::registers::Registers;

impl Bao {
    /// Waits until a pod has another UID.
    async fn replaced(&self, pod: &str, uid: &str) -> Result<()> {
        eventually(&format!("{pod} is replaced"), || async {
            let now = self.uids().await.map_err(|error| error.to_string())?;
            if now.get(pod).is_some_and(|now| now != uid) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await
        .with_context(|| self.story())
    }

    async fn is_fenced(&self, uid: &str) -> Result<()> {
        let fenced = self.object().await?.status.unwrap_or_default().fenced;
        ensure!(fenced.iter().any(|fenced| fenced.uid == uid), "the node was not fenced: {fenced:?}");
        Ok(())
    }
}

#[tokio::test]
#[ignore = "takes a minute: run `make faults`"]
async fn a_standby_that_hangs_is_fenced_and_replaced() -> Result<()> {
    let bao = Bao::serving("hung-standby", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let (leader, terms) = (bao.leader().await?, bao.terms()?);
    let standby = leader.follower();
    let uid = bao.uids().await?.remove(standby).context("the standby has no pod")?;
    bao.fleet.cluster.signal(&bao.namespace, standby, "STOP")?;
    bao.replaced(standby, &uid).await?;
    bao.until("all three nodes are Ready", whole).await?;
    bao.is_fenced(&uid).await?;
    assert_eq!((bao.leader().await?, bao.terms()?), (leader, terms), "the leader did not change");
    println!("standby hung: {}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
#[ignore = "takes several minutes: run `make faults`"]
async fn a_standby_whose_kubernetes_node_is_lost_for_good_is_replaced() -> Result<()> {
    // The pod starts on another Kubernetes node.
    let together = |spec: &mut Value| spec["managed"]["podTemplate"]["affinity"] = json!({});
    let bao = Bao::alone("machine-lost").await?.up(together).await?;
    let registers = Registers::start(&bao).await?;
    let leader = bao.leader().await?;
    let machine = bao.machine_of(&leader).await?;
    let mut standby = None;
    for pod in crate::bao::NODES {
        if bao.machine_of(pod).await? != machine {
            standby = Some(pod);
        }
    }
    let standby = standby.context("all pods run on the Kubernetes node of the leader")?;
    let uid = bao.uids().await?.remove(standby).context("the standby has no pod")?;
    let lost = bao.machine_of(standby).await?;
    bao.fleet.cluster.lose_node(&lost)?;
    let outcome = async {
        eventually("Kubernetes evicts the pod", || async {
            let pods = bao.pods().await.map_err(|error| error.to_string())?;
            let ending = pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
            if ending { Ok(()) } else { Err("no pod terminates".to_owned()) }
        })
        .await?;
        bao.replaced(standby, &uid).await?;
        bao.until("all three nodes are Ready", whole).await?;
        bao.is_fenced(&uid).await
    };
    let outcome = outcome.await;
    bao.fleet.cluster.return_node(&lost).await?;
    outcome?;
    println!("Kubernetes node of a standby lost for good: {}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
#[ignore = "measures an outage: run `make faults`"]
async fn a_database_whose_commits_wait_for_a_replica_fences_no_node() -> Result<()> {
    let bao = Bao::with_own_postgres("no-replica").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let before = Pods::of(&bao).await?;
    let names = |change: &str| {
        bao.postgres.sql("postgres", &format!("ALTER SYSTEM {change}"))?;
        bao.postgres.sql("postgres", "SELECT pg_reload_conf()")
    };
    names("SET synchronous_standby_names = 'missing'")?;
    registers.stops().await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    names("RESET synchronous_standby_names")?;
    registers.goes_on().await?;
    bao.until("all three nodes are Ready", whole).await?;
    before.unchanged(&bao).await?;
    println!("no replica for 10 s: {}", registers.check(&bao).await?);
    Ok(())
}

/// Delays the publication of the leader's address, as a takeover with thousands of namespaces does.
const SLOW: &str = "
CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON openbao_kv_store FOR EACH ROW WHEN (NEW.path = '/core/leader/')
  EXECUTE FUNCTION slow()";

#[tokio::test]
#[ignore = "takes two minutes: run `make faults`"]
async fn a_takeover_of_a_minute_fences_no_node() -> Result<()> {
    let bao = Bao::serving("slow-takeover", |_| {}).await?;
    let admin = bao.admin().await?;
    let before = Pods::of(&bao).await?;
    bao.postgres.sql(&bao.namespace, SLOW)?;
    bao.another_leader(&admin).await?;
    bao.postgres.sql(&bao.namespace, "DROP TRIGGER slow ON openbao_kv_store")?;
    bao.until("all three nodes are Ready", whole).await?;
    before.unchanged(&bao).await
}

#[tokio::test]
#[ignore = "waits for the expiry of a lock: run `make faults`"]
async fn a_node_with_the_login_of_the_owner_is_not_fenced_with_another_one() -> Result<()> {
    let shared = |spec: &mut Value| {
        spec["managed"]["storage"]["postgresql"].as_object_mut().unwrap().remove("adminSecretRef");
    };
    let bao = Bao::serving("late-admin", shared).await?;
    let registers = Registers::start(&bao).await?;
    let before = bao.uids().await?;
    // The nodes keep the login of the owner until they are replaced, which waits.
    bao.apply(|spec| spec["managed"]["upgrade"] = json!({"paused": true})).await?;
    let still_shared = |object: &OpenBaoCluster| {
        condition(object, "FencingReady")
            .is_some_and(|(status, _, message)| status == "False" && message.contains("owner"))
    };
    bao.until("the shared login is reported", still_shared).await?;
    let leader = bao.leader().await?;
    let process = bao.fleet.cluster.signal(&bao.namespace, &leader, "STOP")?;
    let moved = bao.leads_after(&leader).await;
    signal_process(process, "CONT")?;
    moved?;
    let fenced = bao.object().await?.status.unwrap_or_default().fenced;
    ensure!(fenced.is_empty(), "a role that no process uses was fenced: {fenced:?}");
    assert_eq!(bao.uids().await?, before, "no pod is replaced");
    bao.apply(|_| {}).await?;
    let fences = |object: &OpenBaoCluster| {
        whole(object) && condition(object, "FencingReady").is_some_and(|(status, ..)| status == "True")
    };
    bao.until("all nodes have roles of their own", fences).await?;
    println!("admin login added later: {}", registers.check(&bao).await?);
    Ok(())
}
