//! Registers that are written and read throughout a test of a managed cluster.

use std::ops::{Deref, RangeInclusive};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_openbao::{Identity, Session};
use steamer_testing::registers::{Registers as Workload, keys};

use crate::bao::{Bao, NODES};

/// Number of writers, and of readers.
const WRITERS: usize = 4;

/// Longest time without a write while no operator acts, and after an outage of the database: twice the 15 s after which a lock
/// that is left expires.
pub const EXPIRED: Duration = Duration::from_secs(30);

/// Records every node that acquires the lock of the leader, so that changes of the leader are counted where they happen.
const TERMS: &str = "
CREATE TABLE IF NOT EXISTS public.test_terms (value text NOT NULL);
GRANT ALL ON public.test_terms TO PUBLIC;
CREATE OR REPLACE FUNCTION public.test_terms() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO public.test_terms VALUES (NEW.ha_value); RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER test_terms_insert AFTER INSERT ON openbao_ha_locks
  FOR EACH ROW WHEN (NEW.ha_key = 'core/lock') EXECUTE FUNCTION public.test_terms();
CREATE OR REPLACE TRIGGER test_terms_update AFTER UPDATE ON openbao_ha_locks
  FOR EACH ROW WHEN (NEW.ha_key = 'core/lock' AND NEW.ha_value IS DISTINCT FROM OLD.ha_value)
  EXECUTE FUNCTION public.test_terms()";

/// The workload, which runs until [`Registers::check`].
pub struct Registers {
    workload: Workload,
    admin: Session,
    /// Number of terms when the workload was started.
    terms: usize,
}

impl Deref for Registers {
    type Target = Workload;

    fn deref(&self) -> &Workload {
        &self.workload
    }
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
    /// Number of leader changes. None if the first database does not exist anymore.
    pub changes: Option<usize>,
}

impl Outcome {
    /// Checks the longest gap, and the number of leader changes.
    pub fn expect(&self, bound: Duration, changes: RangeInclusive<usize>) -> Result<()> {
        let Self { gap, changes: found, .. } = self;
        ensure!(*gap < bound, "no write was acknowledged for {gap:.1?}, and {bound:?} is the bound");
        let is_expected = found.is_some_and(|found| changes.contains(&found));
        ensure!(is_expected, "the leader changed {found:?} times, and {changes:?} is expected");
        Ok(())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { writes, gap, median, changes } = self;
        let changes = changes.map_or("unknown".to_owned(), |changes| changes.to_string());
        write!(
            f,
            "{writes} writes, median {median:.0?}, longest gap {:.1} s, leader changes: {changes}, none lost",
            gap.as_secs_f64()
        )
    }
}

impl Bao {
    /// Number of terms: how often a node acquired the lock of the leader since the first workload began.
    pub fn terms(&self) -> Result<usize> {
        let count = self.postgres.sql(&self.namespace, "SELECT count(*) FROM public.test_terms")?;
        count.trim().parse().context("the number of terms")
    }

    /// A token that outlives the leader that issued it.
    async fn writer_token(&self, admin: &Session) -> Result<SecretString> {
        let token = json!({"policies": ["administrator"], "period": "24h", "no_parent": true});
        let answer = admin.request_any(Method::POST, "auth/token/create", Some(token)).await?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        Ok(token.context("the response has no token")?.to_owned().into())
    }
}

impl Registers {
    /// Starts four writers and four readers.
    pub async fn start(bao: &Bao) -> Result<Self> {
        let admin = bao.admin().await?;
        bao.postgres.sql(&bao.namespace, TERMS)?;
        keys::mount(&admin).await?;
        let token = bao.writer_token(&admin).await?;
        let mut sessions = Vec::new();
        for number in 0..WRITERS {
            // Each has its own connections and starts with a different node.
            let mut pods = NODES;
            pods.rotate_left(number % NODES.len());
            let client = bao.client(&pods, Duration::ZERO).await?;
            sessions.push(client.session(Identity::Token(token.clone())));
        }
        let terms = bao.terms()?;
        Ok(Self { workload: Workload::start(sessions).await?, admin, terms })
    }

    /// Waits until all writers write after an outage that ended at a moment.
    pub async fn go_on_after(&self, end: Instant) -> Result<()> {
        self.goes_on().await?;
        let took = end.elapsed();
        ensure!(took < EXPIRED, "no write for {took:.1?} after the outage, and {EXPIRED:?} is the bound");
        Ok(())
    }

    /// Stops the workload, and compares every acknowledged write with the storage under another leader, where a late commit
    /// is visible.
    pub async fn check(mut self, bao: &Bao) -> Result<Outcome> {
        self.workload.stop().await.with_context(|| bao.story())?;
        let changes = bao.terms().ok().map(|terms| terms - self.terms);
        bao.another_leader(&self.admin).await?;
        let differences = self.workload.differences(&self.admin).await?;
        ensure!(differences.is_empty(), "{}", differences.join("; "));
        let (gap, median) = self.workload.durations();
        Ok(Outcome { writes: self.workload.writes(), gap, median, changes })
    }
}
