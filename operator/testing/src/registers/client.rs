//! A writer and a reader of one register.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use steamer_openbao::Session;
use steamer_runtime::Locked;

use super::chain::Chain;
use super::keys::{path, read, write};
use crate::wait::DEADLINE;

/// Pause of a writer between two writes. Each request costs some milliseconds of CPU time, which the nodes need.
const PAUSE: Duration = Duration::from_millis(40);
/// Pause after a failure.
const FAILED: Duration = Duration::from_millis(50);
/// Pause between two reads.
const LONG_PAUSE: Duration = Duration::from_millis(200);

/// The writes of one writer. It counts up, in one key after the other.
#[derive(Default)]
pub(super) struct Register {
    /// Last count that was sent.
    pub(super) begun: AtomicI64,
    /// Last count that was acknowledged.
    pub(super) acknowledged: AtomicI64,
    /// Number of requests that were rejected or not answered.
    pub(super) failed: AtomicU64,
    pub(super) chains: Locked<Vec<Chain>>,
}

/// Acknowledgments of all writers: time and duration of each write.
pub(super) type Acknowledged = Arc<Locked<Vec<(Instant, Duration)>>>;

/// A writer, or the reader of its values.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) number: usize,
    pub(super) registers: Arc<Vec<Register>>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Client {
    fn register(&self) -> &Register {
        &self.registers[self.number]
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Path of the present key, and number of its last acknowledged version.
    fn present(&self) -> (String, i64) {
        let mut chains = self.register().chains.lock();
        if chains.last().is_none_or(Chain::is_full) {
            chains.push(Chain::default());
        }
        (path(self.number, chains.len() - 1), chains.last().map_or(0, Chain::version))
    }

    /// Records something in the present chain.
    fn record<T>(&self, entry: impl FnOnce(&mut Chain) -> T) -> Result<T> {
        self.register().chains.lock().last_mut().map(entry).context("the writer has no key")
    }

    pub(super) async fn write(self, acknowledged: Acknowledged) -> Result<()> {
        while !self.is_stopped() {
            let count = self.register().begun.fetch_add(1, Ordering::SeqCst) + 1;
            let ((path, last), started) = (self.present(), Instant::now());
            match write(&self.session, &path, count, last).await {
                Ok(version) => {
                    self.record(|chain| chain.acknowledge(version))??;
                    self.register().acknowledged.store(count, Ordering::SeqCst);
                    acknowledged.lock().push((Instant::now(), started.elapsed()));
                }
                Err(_) => {
                    self.record(|chain| chain.lose_response(count))?;
                    self.settle(&path).await?;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Finds out whether a write without a response was committed.
    async fn settle(&self, path: &str) -> Result<()> {
        let started = Instant::now();
        while !self.is_stopped() {
            self.register().failed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(FAILED).await;
            let Ok(latest) = read(&self.session, path, None).await else { continue };
            if self.record(|chain| chain.settle(latest))?? {
                break;
            }
            ensure!(
                started.elapsed() < DEADLINE,
                "{path}: acknowledged versions are lost, {latest:?} is the latest"
            );
        }
        Ok(())
    }

    pub(super) async fn read(self) -> Result<()> {
        while !self.is_stopped() {
            let (path, _) = self.present();
            if let Ok(Some(found)) = read(&self.session, &path, None).await {
                let begun = self.register().begun.load(Ordering::SeqCst);
                ensure!(found.value <= begun, "{path} returned {}, but only {begun} were sent", found.value);
            }
            tokio::time::sleep(LONG_PAUSE).await;
        }
        Ok(())
    }
}
