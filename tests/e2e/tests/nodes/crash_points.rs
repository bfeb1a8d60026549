//! The operator is killed before each of its writes, to the API server, to the database and to OpenBao: a fail point in its
//! debug build ends it there. Each change completes after the next start, and no acknowledged write is lost.
//!
//! A round costs the change and two starts of the operator. CI makes some of the rounds of a fence, `make faults` makes all.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;

use crate::bao::{Bao, condition, is_ready, whole};
use crate::registers::Registers;

/// A change makes fewer writes: more mean that it does not end.
const MOST: usize = 200;

/// Numbers of the writes before which the operator is killed.
fn numbers() -> impl Iterator<Item = usize> {
    let step = if std::env::var("STEAMER_FAILOVERS").is_ok() { 1 } else { 6 };
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
        Ok(died.load(Ordering::Relaxed))
    }

    /// Repeats a change until the operator makes it without reaching the fail point.
    async fn survives_each<F: Future<Output = Result<()>>>(&self, change: impl Fn(usize) -> F) -> Result<()> {
        let mut kills = 0;
        for number in numbers() {
            if !self.survives(number, change(number)).await? {
                println!("{}: killed {kills} times, before up to {number} writes", self.namespace);
                ensure!(kills > 0, "the operator was never killed");
                self.fleet.stop_operator().await;
                return self.fleet.start_operator().await;
            }
            kills += 1;
        }
        anyhow::bail!("the operator makes more than {MOST} writes");
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
}

#[tokio::test]
async fn a_fence_survives_a_kill_before_any_write() -> Result<()> {
    let bao = Bao::alone("crash-fence").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    bao.survives_each(|_| bao.fences_and_returns()).await?;
    println!("{}", registers.check(&bao).await?);
    Ok(())
}
