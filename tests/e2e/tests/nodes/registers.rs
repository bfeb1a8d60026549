//! Registers that are written and read throughout a test: no acknowledged write may be lost, and no read may return a
//! value that was never written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Client, Identity, Session};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES};

const WRITERS: usize = 4;
const READERS: usize = 4;

/// One register. Its writer counts up; a write without a response may or may not have been committed.
#[derive(Default)]
struct Register {
    /// Last count that was sent.
    begun: AtomicU64,
    /// Last count that was acknowledged.
    acknowledged: AtomicU64,
    /// Number of writes that were rejected or not answered.
    failed: AtomicU64,
}

/// The workload, which runs until [`Registers::check`].
pub struct Registers {
    registers: Arc<Vec<Register>>,
    acknowledged: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<()>>>,
    admin: Session,
    /// Number of leader changes when the workload was started.
    changes: i64,
}

/// Result of a workload.
#[derive(Debug)]
pub struct Outcome {
    /// Number of acknowledged writes.
    pub writes: usize,
    /// Longest time without an acknowledged write.
    pub gap: Duration,
    /// Median duration of a write.
    pub median: Duration,
    /// Number of leader changes.
    pub changes: i64,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { writes, gap, median, changes } = self;
        write!(
            f,
            "{writes} writes, median {median:.0?}, longest gap {:.1} s, {changes} leader changes, none lost",
            gap.as_secs_f64()
        )
    }
}

async fn changes(bao: &Bao) -> Result<i64> {
    Ok(bao.object().await?.status.and_then(|status| status.leadership_changes).unwrap_or(0))
}

fn path(register: usize) -> String {
    format!("registers/data/r{register}")
}

async fn read(session: &Session, register: usize) -> Result<u64, steamer_openbao::Error> {
    let answer = session.request_any(Method::GET, &path(register), None).await?;
    Ok(answer.pointer("/data/data/count").and_then(Value::as_u64).unwrap_or(0))
}

impl Registers {
    /// Starts four writers and four readers.
    pub async fn start(bao: &Bao) -> Result<Self> {
        let admin = bao.admin().await?;
        mount_kv(&admin, "registers").await?;
        let token = json!({"policies": ["administrator"], "period": "24h", "no_parent": true});
        let token = admin.request_any(Method::POST, "auth/token/create", Some(token)).await?;
        let token = token
            .pointer("/auth/client_token")
            .and_then(Value::as_str)
            .context("the response has no token")?
            .to_owned();
        let registers: Arc<Vec<Register>> = Arc::new((0..WRITERS).map(|_| Register::default()).collect());
        let (acknowledged, stop) =
            (Arc::new(Mutex::new(vec![(Instant::now(), Duration::ZERO)])), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for number in 0..WRITERS.max(READERS) {
            // Each has its own connections and starts with a different node.
            let mut pods = NODES;
            pods.rotate_left(number % 3);
            let client: Client = bao.client(&pods, Duration::ZERO).await?;
            let session = client.session(Identity::Token(token.clone().into()));
            let writer = Writer {
                session: session.clone(),
                number,
                registers: registers.clone(),
                acknowledged: acknowledged.clone(),
                stop: stop.clone(),
            };
            tasks.push(tokio::spawn(writer.run()));
            tasks.push(tokio::spawn(reader(session, number % WRITERS, registers.clone(), stop.clone())));
        }
        let started = Self { registers, acknowledged, stop, tasks, admin, changes: changes(bao).await? };
        started.goes_on().await?;
        Ok(started)
    }

    /// Waits until, for every writer, a write that was sent after this call is acknowledged.
    pub async fn goes_on(&self) -> Result<()> {
        let begun: Vec<u64> =
            self.registers.iter().map(|register| register.begun.load(Ordering::SeqCst)).collect();
        eventually("every writer has a new acknowledged write", || async {
            let waiting: Vec<usize> = (0..WRITERS)
                .filter(|number| {
                    self.registers[*number].acknowledged.load(Ordering::SeqCst) <= begun[*number]
                })
                .collect();
            if waiting.is_empty() { Ok(()) } else { Err(format!("writers {waiting:?} wait")) }
        })
        .await
    }

    /// Waits until, for every writer, a write fails after this call.
    pub async fn stops(&self) -> Result<()> {
        let failed = || self.registers.iter().map(|register| register.failed.load(Ordering::SeqCst));
        let before: Vec<u64> = failed().collect();
        eventually("every writer has a new failed write", || async {
            let now: Vec<u64> = failed().collect();
            if now.iter().zip(&before).all(|(now, before)| now > before) { Ok(()) } else { Err(now) }
        })
        .await
    }

    /// Waits until all writers write again. Returns the longest time without an acknowledged write since or around
    /// `moment`.
    pub async fn gap_since(&self, moment: Instant) -> Result<Duration> {
        self.goes_on().await?;
        self.gap(moment).await
    }

    /// Same as [`Self::gap_since`], but waits for one writer only, and at most until the deadline.
    pub async fn gap_until_somebody_writes(&self, moment: Instant) -> Result<Duration> {
        let written = async || self.acknowledged.lock().await.len();
        let before = written().await;
        let more = eventually("a writer writes", || async {
            if written().await > before { Ok(()) } else { Err("no new write".to_owned()) }
        });
        match more.await {
            Ok(()) => self.gap(moment).await,
            Err(_) => Ok(moment.elapsed()),
        }
    }

    async fn gap(&self, moment: Instant) -> Result<Duration> {
        let all = self.acknowledged.lock().await;
        let after = all.windows(2).filter(|pair| pair[1].0 > moment);
        let gaps = after.map(|pair| pair[1].0.duration_since(pair[0].0));
        gaps.max().context("no write was acknowledged since then")
    }

    /// Compares every register with its acknowledged writes; the writers may still be running.
    pub async fn nothing_is_lost(&self) -> Result<()> {
        for (number, register) in self.registers.iter().enumerate() {
            let acknowledged = register.acknowledged.load(Ordering::SeqCst);
            let found = eventually("a register can be read", || async {
                read(&self.admin, number).await.map_err(|error| error.to_string())
            });
            let found = found.await?;
            let begun = register.begun.load(Ordering::SeqCst);
            ensure!(
                (acknowledged..=begun).contains(&found),
                "register {number} holds {found}; {acknowledged} was acknowledged and {begun} sent"
            );
        }
        Ok(())
    }

    /// Stops the workload and checks every register, then again under another leader, where a late write is visible.
    pub async fn check(mut self, bao: &Bao) -> Result<Outcome> {
        self.goes_on().await?;
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks.drain(..) {
            task.await??;
        }
        self.nothing_is_lost().await?;
        let changes = changes(bao).await? - self.changes;
        bao.another_leader(&self.admin).await?;
        self.nothing_is_lost().await?;
        let all = self.acknowledged.lock().await.clone();
        let gap = all.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0)).max().unwrap_or_default();
        let mut took: Vec<Duration> = all.iter().map(|(_, took)| *took).collect();
        took.sort();
        Ok(Outcome { writes: all.len() - 1, gap, median: took[took.len() / 2], changes })
    }
}

struct Writer {
    session: Session,
    number: usize,
    registers: Arc<Vec<Register>>,
    acknowledged: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    async fn run(self) -> Result<()> {
        let register = &self.registers[self.number];
        while !self.stop.load(Ordering::SeqCst) {
            let count = register.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let (body, started) = (json!({"data": {"count": count}}), Instant::now());
            match self.session.request_any(Method::POST, &path(self.number), Some(body)).await {
                Ok(_) => {
                    register.acknowledged.store(count, Ordering::SeqCst);
                    let now = Instant::now();
                    self.acknowledged.lock().await.push((now, now.duration_since(started)));
                }
                Err(_) => {
                    register.failed.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

async fn reader(
    session: Session,
    number: usize,
    registers: Arc<Vec<Register>>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        if let Ok(found) = read(&session, number).await {
            let begun = registers[number].begun.load(Ordering::SeqCst);
            ensure!(found <= begun, "register {number} returned {found}, but only {begun} were sent");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
