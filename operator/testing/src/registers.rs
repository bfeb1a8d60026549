//! Writes throughout a test, each of which is kept: no acknowledged write may be lost or replaced, and no read may return
//! a value that was never written.

pub mod chain;
mod client;
pub mod keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use steamer_openbao::Session;
use steamer_runtime::Locked;
use tokio::task::JoinHandle;

use crate::wait::eventually;
use client::{Acknowledged, Client, Register};
use keys::{differences, path};

/// The workload, which runs until [`Registers::stop`].
pub struct Registers {
    registers: Arc<Vec<Register>>,
    acknowledged: Acknowledged,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Registers {
    /// Starts a writer and a reader with each session, on a mounted engine.
    ///
    /// # Errors
    /// When not every writer writes until the deadline.
    pub async fn start(sessions: Vec<Session>) -> Result<Self> {
        let registers: Arc<Vec<Register>> = Arc::new(sessions.iter().map(|_| Register::default()).collect());
        let acknowledged: Acknowledged = Arc::new(Locked::new(vec![(Instant::now(), Duration::ZERO)]));
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for (number, session) in sessions.into_iter().enumerate() {
            let client = Client { session, number, registers: registers.clone(), stop: stop.clone() };
            tasks.push(tokio::spawn(client.clone().write(acknowledged.clone())));
            tasks.push(tokio::spawn(client.read()));
        }
        let started = Self { registers, acknowledged, stop, tasks };
        started.goes_on().await?;
        Ok(started)
    }

    fn counts(&self, count: impl Fn(&Register) -> i64) -> Vec<i64> {
        self.registers.iter().map(count).collect()
    }

    /// Waits until, for every writer, a write that was sent after this call is acknowledged.
    ///
    /// # Errors
    /// When the deadline passes, or a check of a writer or reader failed.
    pub async fn goes_on(&self) -> Result<()> {
        let begun = self.counts(|register| register.begun.load(Ordering::SeqCst));
        eventually("every writer has a new acknowledged write", || async {
            let now = self.counts(|register| register.acknowledged.load(Ordering::SeqCst));
            let waiting: Vec<usize> =
                (0..now.len()).filter(|number| now[*number] <= begun[*number]).collect();
            if waiting.is_empty() { Ok(()) } else { Err(format!("writers {waiting:?} wait")) }
        })
        .await
    }

    /// Waits until, for every writer, a request fails after this call.
    ///
    /// # Errors
    /// When the deadline passes.
    pub async fn stops(&self) -> Result<()> {
        let failed = || self.registers.iter().map(|register| register.failed.load(Ordering::SeqCst));
        let before: Vec<u64> = failed().collect();
        eventually("every writer has a new failed request", || async {
            let now: Vec<u64> = failed().collect();
            if now.iter().zip(&before).all(|(now, before)| now > before) { Ok(()) } else { Err(now) }
        })
        .await
    }

    /// Waits until all writers write again. Returns the longest time without an acknowledged write since or around
    /// `moment`.
    ///
    /// # Errors
    /// As [`Self::goes_on`].
    pub async fn gap_since(&self, moment: Instant) -> Result<Duration> {
        self.goes_on().await?;
        self.gap(moment)
    }

    /// Same as [`Self::gap_since`], but waits for one writer only, and at most until the deadline.
    ///
    /// # Errors
    /// When no write was acknowledged.
    pub async fn gap_until_one_writes(&self, moment: Instant) -> Result<Duration> {
        let written = || self.acknowledged.lock().len();
        let before = written();
        let more = eventually("a writer writes", || async {
            if written() > before { Ok(()) } else { Err("no new write".to_owned()) }
        });
        match more.await {
            Ok(()) => self.gap(moment),
            Err(_) => Ok(moment.elapsed()),
        }
    }

    fn gap(&self, moment: Instant) -> Result<Duration> {
        let all = self.acknowledged.lock();
        let after = all.windows(2).filter(|pair| pair[1].0 > moment);
        let gaps = after.map(|pair| pair[1].0.duration_since(pair[0].0));
        gaps.max().context("no write was acknowledged since then")
    }

    /// Longest time without an acknowledged write, and median duration of a write.
    #[must_use]
    pub fn durations(&self) -> (Duration, Duration) {
        let all = self.acknowledged.lock().clone();
        let gap = all.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0)).max().unwrap_or_default();
        let mut took: Vec<Duration> = all.iter().map(|(_, took)| *took).collect();
        took.sort();
        (gap, took[took.len() / 2])
    }

    /// Number of acknowledged writes.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.acknowledged.lock().len() - 1
    }

    /// Stops the workload, after another acknowledged write of every writer.
    ///
    /// # Errors
    /// When a response showed that a write was lost, replaced or invented.
    pub async fn stop(&mut self) -> Result<()> {
        let goes_on = self.goes_on().await;
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks.drain(..) {
            task.await??;
        }
        goes_on
    }

    /// Compares every version of every key with the acknowledged writes, after [`Self::stop`]. A late commit is visible
    /// only under another leader, which has not cached anything.
    ///
    /// # Errors
    /// When OpenBao does not answer until the deadline.
    pub async fn differences(&self, session: &Session) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for (writer, register) in self.registers.iter().enumerate() {
            let chains = register.chains.lock().clone();
            for (number, chain) in chains.iter().enumerate() {
                all.extend(differences(session, &path(writer, number), chain).await?);
            }
        }
        Ok(all)
    }
}
