//! Reads of values, shared: everybody who wants the same path with the same login at the same time gets one answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steamer_api::KvType;
use steamer_openbao::{Error, Kv, NamespacePath, Session};
use steamer_runtime::Metrics;

use crate::sessions::LoginOf;

/// How long an answer is kept to be shared, at most: objects on one path are due at the same moment, so this spans how
/// long it takes to get through them on a busy machine. No value is kept longer.
const SHARED: Duration = Duration::from_secs(15);

/// What is read, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) login: LoginOf,
    pub(crate) namespace: NamespacePath,
    pub(crate) mount: String,
    pub(crate) path: String,
    pub(crate) kind: KvType,
    pub(crate) version: Option<i64>,
}

/// An answer and when it was given.
pub(crate) struct Reading {
    pub(crate) value: Kv,
    pub(crate) at: Instant,
}

/// Reads under way and just made.
pub(crate) struct Readings {
    shared: moka::future::Cache<Source, Arc<Reading>>,
    metrics: Arc<Metrics>,
}

impl Readings {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { shared: moka::future::Cache::builder().time_to_live(SHARED).build(), metrics }
    }

    /// The value, not older than `oldest`.
    pub(crate) async fn read(
        &self,
        session: &Session,
        source: &Source,
        oldest: Instant,
    ) -> Result<Arc<Reading>, Arc<Error>> {
        if self.shared.get(source).await.is_some_and(|reading| reading.at < oldest) {
            self.shared.invalidate(source).await;
        }
        self.shared.try_get_with(source.clone(), self.fetch(session, source)).await
    }

    async fn fetch(&self, session: &Session, source: &Source) -> Result<Arc<Reading>, Error> {
        self.metrics.value_read();
        let at = Instant::now();
        let value = match source.kind {
            KvType::V1 => session.read_kv1(&source.mount, &source.path).await?,
            KvType::V2 => session.read_kv2(&source.mount, &source.path, source.version).await?,
        };
        Ok(Arc::new(Reading { value, at }))
    }
}
