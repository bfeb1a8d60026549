//! Registers that are written and read all the while something is done to a cluster: what was acknowledged may not be
//! lost, and no read may give what was never written.

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

/// One register. Its writer counts up; a write whose outcome is not known may or may not have happened.
#[derive(Default)]
struct Register {
    /// The last count that was begun.
    begun: AtomicU64,
    /// The last that was acknowledged.
    acknowledged: AtomicU64,
    /// How many were refused, or not answered.
    failed: AtomicU64,
}

/// The workload, running until it is checked.
pub struct Registers {
    registers: Arc<Vec<Register>>,
    acknowledged: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<()>>>,
    admin: Session,
    /// How often the leader had changed when it was started.
    changes: i64,
}

/// What a workload has seen.
#[derive(Debug)]
pub struct Outcome {
    /// How many writes were acknowledged.
    pub writes: usize,
    /// The longest time without an acknowledged write.
    pub gap: Duration,
    /// How long half of the writes took at most.
    pub median: Duration,
    /// How often the leader changed.
    pub changes: i64,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { writes, gap, median, changes } = self;
        write!(
            f,
            "{writes} writes, half of them within {median:.0?}, longest gap {:.1} s, {changes} changes of the leader, none lost",
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
        let token =
            token.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?.to_owned();
        let registers: Arc<Vec<Register>> = Arc::new((0..WRITERS).map(|_| Register::default()).collect());
        let (acknowledged, stop) =
            (Arc::new(Mutex::new(vec![(Instant::now(), Duration::ZERO)])), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for number in 0..WRITERS.max(READERS) {
            // Each has connections of its own and begins at another node.
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

    /// Waits until every writer has had a write acknowledged that was begun after now.
    pub async fn goes_on(&self) -> Result<()> {
        let begun: Vec<u64> =
            self.registers.iter().map(|register| register.begun.load(Ordering::SeqCst)).collect();
        eventually("every writer writes", || async {
            let waiting: Vec<usize> = (0..WRITERS)
                .filter(|number| {
                    self.registers[*number].acknowledged.load(Ordering::SeqCst) <= begun[*number]
                })
                .collect();
            if waiting.is_empty() { Ok(()) } else { Err(format!("writers {waiting:?} wait")) }
        })
        .await
    }

    /// Waits until every writer has had a write refused that ended after now.
    pub async fn stops(&self) -> Result<()> {
        let failed = || self.registers.iter().map(|register| register.failed.load(Ordering::SeqCst));
        let before: Vec<u64> = failed().collect();
        eventually("no writer writes", || async {
            let now: Vec<u64> = failed().collect();
            if now.iter().zip(&before).all(|(now, before)| now > before) { Ok(()) } else { Err(now) }
        })
        .await
    }

    /// The longest time without an acknowledged write since a moment, or around it, once all writers write again.
    pub async fn gap_since(&self, moment: Instant) -> Result<Duration> {
        self.goes_on().await?;
        self.gap(moment).await
    }

    /// The same as soon as somebody writes again: at most until the deadline.
    pub async fn gap_until_somebody_writes(&self, moment: Instant) -> Result<Duration> {
        let written = async || self.acknowledged.lock().await.len();
        let before = written().await;
        let more = eventually("somebody writes", || async {
            if written().await > before { Ok(()) } else { Err("nobody".to_owned()) }
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
        gaps.max().context("nothing was written since")
    }

    /// Compares every register with what was acknowledged, while writers go on or not.
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
                "register {number} holds {found}; {acknowledged} was acknowledged and {begun} begun"
            );
        }
        Ok(())
    }

    /// Stops the workload, checks every register, then again under another leader: a late write shows only there.
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
            ensure!(found <= begun, "register {number} gave {found}, and only {begun} were begun");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
