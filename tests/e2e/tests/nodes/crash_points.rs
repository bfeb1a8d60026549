//! The operator is killed before each write that it makes for a managed cluster: to the API server (except for Leases and
//! Events), to the database, and to OpenBao for a step-down and for recovery keys. A fail point in its debug build ends it there.
//! Each change completes after the next start, and no acknowledged write is lost. Not covered is the mark of the standbys.
//! `general_crash` kills the operator between writes for other kinds.
//!
//! A round costs the change and two starts of the operator. `make faults` makes all rounds. CI makes some of a fence, and one in the
//! middle of a creation, of a rollout and of a restore, with one cluster. A rotation is three rollouts: it has none in CI.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES, condition, is_ready, whole};
use crate::faults;
use crate::registers::Registers;

/// A change makes fewer writes: more mean that it does not end.
const MOST: usize = 200;

/// Write in the middle of each change, for the only round of CI. No change makes fewer.
const CREATION: usize = 20;
const ROLLOUT: usize = 6;
const RESTORE: usize = 4;

/// Numbers of the writes before which the operator is killed.
fn numbers() -> impl Iterator<Item = usize> {
    let step = if faults::are_requested() { 1 } else { 6 };
    (1..MOST).step_by(step)
}

impl Bao {
    /// Starts the operator again once it has reached its fail point. Does not return otherwise.
    async fn restarts_operator(&self, died: &AtomicBool) -> Result<()> {
        let fleet = &self.fleet;
        loop {
            if fleet.is_operator_gone().await {
                died.store(true, Ordering::Relaxed);
                fleet.start_operator().await?;
                return std::future::pending().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Makes a change while the operator is killed before its n-th write for this namespace. Returns whether it was.
    async fn survives(&self, number: usize, change: impl Future<Output = Result<()>>) -> Result<bool> {
        self.fleet.stop_operator().await;
        // It can reach the fail point while it starts.
        let _ = self.fleet.start_failing(format!("{}:{number}", self.namespace)).await;
        let died = AtomicBool::new(false);
        tokio::select! {
            done = change => done,
            failed = self.restarts_operator(&died) => failed,
        }
        .with_context(|| format!("killed before write {number}"))?;
        // The change can be complete before the loop sees that the operator has ended.
        if !died.load(Ordering::Relaxed) && self.fleet.is_operator_gone().await {
            died.store(true, Ordering::Relaxed);
            self.fleet.start_operator().await?;
        }
        Ok(died.load(Ordering::Relaxed))
    }

    /// Makes a change while the operator is killed once, before its n-th write for this namespace.
    async fn survives_once(&self, number: usize, change: impl Future<Output = Result<()>>) -> Result<()> {
        let was_killed = self.survives(number, change).await?;
        ensure!(was_killed, "the operator makes fewer than {number} writes");
        Ok(())
    }

    /// Repeats a change until the operator makes it without reaching the fail point.
    async fn survives_each<F: Future<Output = Result<()>>>(&self, change: impl Fn(usize) -> F) -> Result<()> {
        for (kills, number) in numbers().enumerate() {
            if !self.survives(number, change(number)).await? {
                println!("{}: killed {kills} times, before up to {number} writes", self.namespace);
                ensure!(kills > 0, "the operator was never killed");
                self.fleet.stop_operator().await;
                return self.fleet.start_operator().await;
            }
        }
        anyhow::bail!("the operator makes more than {MOST} writes");
    }

    async fn creates(&self) -> Result<()> {
        self.apply(|_| {}).await?;
        self.until("all three nodes are Ready", whole).await?;
        self.has_recovery_keys().await
    }

    async fn fences_and_returns(&self) -> Result<()> {
        let leader = self.leader().await?;
        self.annotate("steamer.dev/fence", json!(*leader)).await?;
        let fenced = |object: &OpenBaoCluster| {
            condition(object, "Fenced").is_some_and(|(status, ..)| status == "True") && is_ready(object)
        };
        self.until("the leader is fenced", fenced).await?;
        self.annotate("steamer.dev/fence", Value::Null).await?;
        let returned = |object: &OpenBaoCluster| whole(object) && condition(object, "Fenced").is_none();
        self.until("the node returns", returned).await?;
        self.all_follow().await
    }

    async fn restarts_all(&self, number: usize) -> Result<()> {
        let before = self.uids().await?;
        self.annotate("steamer.dev/restart", json!(number.to_string())).await?;
        eventually("every pod is replaced", || async {
            let now = self.uids().await.map_err(|error| error.to_string())?;
            let is_new = |pod: &&str| now.get(*pod).is_some_and(|uid| before.get(*pod) != Some(uid));
            if NODES.iter().all(is_new) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await
        .with_context(|| self.story())?;
        let done =
            |object: &OpenBaoCluster| whole(object) && condition(object, "UpgradeInProgress").is_none();
        self.until("the rollout is complete", done).await?;
        self.all_follow().await
    }

    async fn stops_for_a_restore_and_starts(&self) -> Result<()> {
        self.annotate("steamer.dev/restoring", json!("today")).await?;
        let stopped = |object: &OpenBaoCluster| {
            condition(object, "Ready").is_some_and(|(_, _, message)| message.starts_with("no node runs"))
        };
        self.until("no node runs", stopped).await?;
        self.annotate("steamer.dev/restoring", Value::Null).await?;
        self.until("all three nodes are Ready", whole).await?;
        self.all_follow().await
    }

    /// Rotates the key of the static seal to a new one.
    async fn rotates_the_key(&self, number: usize) -> Result<()> {
        let id = format!("r{number}");
        self.patch_secret("main-seal", json!({&id: STANDARD.encode(format!("{number:064x}"))})).await?;
        self.apply(|spec| spec["managed"]["seal"]["static"]["keyId"] = json!(id)).await?;
        self.rotated(&id).await?;
        self.until("all three nodes are Ready", whole).await?;
        self.all_follow().await
    }

    /// Writes a value that a restore must not lose.
    async fn keeps_a_value(&self) -> Result<()> {
        let admin = self.admin().await?;
        mount_kv(&admin, "kv").await?;
        admin.write_kv2("kv", "kept", &json!({"value": "kept"})).await?;
        Ok(())
    }

    async fn has_kept_the_value(&self) -> Result<()> {
        let read = self.admin().await?.request_any(reqwest::Method::GET, "kv/data/kept", None).await?;
        ensure!(read["data"]["data"]["value"] == "kept", "{read}");
        Ok(())
    }

    /// Exactly one Secret contains recovery keys, and they work.
    async fn has_recovery_keys(&self) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.kube.clone(), &self.namespace);
        let verified = |secret: &Secret| secret.annotations().contains_key("steamer.dev/verified");
        eventually("the recovery keys are verified", || async {
            let secret = secrets.get("main-recovery").await.map_err(|error| error.to_string())?;
            if verified(&secret) { Ok(()) } else { Err("not verified".to_owned()) }
        })
        .await?;
        let all = secrets.list(&ListParams::default()).await?.items;
        let kept: Vec<&Secret> =
            all.iter().filter(|secret| secret.name_any().starts_with("main-recovery")).collect();
        ensure!(kept.len() == 1, "{:?}", kept.iter().map(|secret| &secret.meta().name).collect::<Vec<_>>());
        self.recovery_keys_work(kept[0]).await
    }
}

#[tokio::test]
async fn a_fence_survives_a_kill_before_any_write_and_other_changes_survive_one() -> Result<()> {
    let bao = Bao::alone("crash-fence").await?;
    bao.survives_once(CREATION, bao.creates()).await?;
    bao.all_follow().await?;
    bao.keeps_a_value().await?;
    let registers = Registers::start(&bao).await?;
    bao.survives_each(|_| bao.fences_and_returns()).await?;
    bao.survives_once(ROLLOUT, bao.restarts_all(0)).await?;
    println!("{}", registers.check(&bao).await?);
    bao.survives_once(RESTORE, bao.stops_for_a_restore_and_starts()).await?;
    bao.has_kept_the_value().await
}

#[tokio::test]
#[ignore = "takes many minutes: run `make faults`"]
async fn a_rollout_survives_a_kill_before_any_write() -> Result<()> {
    let bao = Bao::alone("crash-rollout").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    bao.survives_each(|number| bao.restarts_all(number)).await?;
    println!("{}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
#[ignore = "takes many minutes: run `make faults`"]
async fn a_rotation_survives_a_kill_before_any_write() -> Result<()> {
    let bao = Bao::alone("crash-rotation").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    bao.survives_each(|number| bao.rotates_the_key(number)).await?;
    println!("{}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
#[ignore = "takes many minutes: run `make faults`"]
async fn a_restore_survives_a_kill_before_any_write() -> Result<()> {
    let bao = Bao::alone("crash-restore").await?.up(|_| {}).await?;
    bao.keeps_a_value().await?;
    bao.survives_each(|_| bao.stops_for_a_restore_and_starts()).await?;
    bao.has_kept_the_value().await
}

#[tokio::test]
#[ignore = "takes many minutes: run `make faults`"]
async fn a_creation_with_its_recovery_keys_survives_a_kill_before_any_write() -> Result<()> {
    for number in numbers() {
        let bao = Bao::alone(&format!("crash-create-{number:03}")).await?;
        if !bao.survives(number, bao.creates()).await? {
            println!("created without a kill at {number} writes");
            ensure!(number > 1, "the operator was never killed");
            bao.fleet.stop_operator().await;
            return bao.fleet.start_operator().await;
        }
    }
    anyhow::bail!("the operator makes more than {MOST} writes");
}
