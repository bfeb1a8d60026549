//! A lost leader is replaced within seconds, and nothing that was acknowledged is lost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use steamer_testing::nodes::{Hole, signal_process};

use crate::bao::Bao;
use crate::registers::Registers;

/// How often each fault is made. `make bench` does it more often and prints how long each took.
fn times() -> usize {
    std::env::var("STEAMER_FAILOVERS").ok().and_then(|times| times.parse().ok()).unwrap_or(2)
}

fn told(fault: &str, mut took: Vec<Duration>) {
    took.sort();
    let seconds = |at: usize| took[at].as_secs_f64();
    println!(
        "{fault}: {} times, median {:.1} s, worst {:.1} s",
        took.len(),
        seconds(took.len() / 2),
        seconds(took.len() - 1)
    );
}

#[tokio::test]
async fn a_killed_leader_is_replaced() -> Result<()> {
    let bao = Bao::serving("killed", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let mut took = Vec::new();
    for _ in 0..times() {
        let leader = bao.leader().await?;
        let killed = Instant::now();
        bao.fleet.cluster.signal(&bao.namespace, &leader, "KILL")?;
        took.push(registers.next_write_after(killed + Duration::from_millis(20)).await?);
        bao.leads_other_than(&leader).await?;
        registers.goes_on().await?;
        bao.ready().await?;
    }
    let fenced = bao.object().await?.status.context("a status")?.fenced;
    ensure!(!fenced.is_empty(), "the status tells of no fence");
    let outcome = registers.check(&bao).await?;
    told("leader killed", took);
    println!("leader killed: {outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_and_writes_nothing_when_it_wakes() -> Result<()> {
    let bao = Bao::serving("frozen", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let mut took = Vec::new();
    for _ in 0..times() {
        let leader = bao.leader().await?;
        let frozen = Instant::now();
        let process = bao.fleet.cluster.signal(&bao.namespace, &leader, "STOP")?;
        took.push(registers.next_write_after(frozen + Duration::from_millis(20)).await?);
        bao.leads_other_than(&leader).await?;
        let _ = signal_process(process, "CONT");
        registers.goes_on().await?;
        bao.ready().await?;
        registers.nothing_is_lost().await?;
    }
    let outcome = registers.check(&bao).await?;
    told("leader frozen", took);
    println!("leader frozen: {outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_leader_cut_off_from_its_database_is_replaced() -> Result<()> {
    let bao = Bao::serving("cut-off", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let (cluster, port) = (&bao.fleet.cluster, bao.fleet.postgres.port);
    let mut took = Vec::new();
    for _ in 0..times() {
        let leader = bao.leader().await?;
        let address = bao.address(&leader).await?;
        let cut = Instant::now();
        cluster.black_hole(&address, port, Hole::Open)?;
        let took_now = registers.next_write_after(cut + Duration::from_millis(300)).await;
        let other = bao.leads_other_than(&leader).await;
        cluster.black_hole(&address, port, Hole::Closed)?;
        other?;
        took.push(took_now?);
        registers.goes_on().await?;
        bao.ready().await?;
    }
    let outcome = registers.check(&bao).await?;
    told("leader cut off", took);
    println!("leader cut off: {outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_node_is_replaced() -> Result<()> {
    let bao = Bao::alone("node-lost").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let cluster = &bao.fleet.cluster;
    let mut took = Vec::new();
    for _ in 0..times().div_ceil(2) {
        let leader = bao.leader().await?;
        let pod = bao.pods().await?.into_iter().find(|pod| pod.metadata.name.as_deref() == Some(&leader));
        let node = pod.and_then(|pod| pod.spec?.node_name).context("no node")?;
        let lost = Instant::now();
        cluster.lose_node(&node)?;
        took.push(registers.next_write_after(lost + Duration::from_millis(300)).await?);
        bao.leads_other_than(&leader).await?;
        registers.goes_on().await?;
        cluster.return_node(&node).await?;
        bao.ready().await?;
    }
    let outcome = registers.check(&bao).await?;
    told("node lost", took);
    println!("node lost: {outcome:?}");
    Ok(())
}
