//! Shared reads: objects that need the same path with the same login at the same time share one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steamer_api::KvType;
use steamer_core::access::sessions::LoginKey;
use steamer_openbao::{Error, Kv, NamespacePath, Session};
use steamer_runtime::Metrics;

/// How long a value is kept for other objects. Objects on one path are due at the same time; this is long enough to
/// reconcile them all on a busy machine. No value is kept longer.
const SHARED: Duration = Duration::from_secs(15);

/// A read of a value, and the login for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) login: LoginKey,
    pub(crate) namespace: NamespacePath,
    pub(crate) mount: String,
    pub(crate) path: String,
    pub(crate) kind: KvType,
    pub(crate) version: Option<i64>,
}

/// A value, and when it was read.
pub(crate) struct Reading {
    pub(crate) value: Kv,
    pub(crate) at: Instant,
}

/// Current and recent reads.
pub(crate) struct Readings {
    shared: moka::future::Cache<Request, Arc<Reading>>,
    metrics: Arc<Metrics>,
}

impl Readings {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { shared: moka::future::Cache::builder().time_to_live(SHARED).build(), metrics }
    }

    /// The value, read at `oldest` or later.
    pub(crate) async fn read(
        &self,
        session: &Session,
        source: &Request,
        oldest: Instant,
    ) -> Result<Arc<Reading>, Arc<Error>> {
        if self.shared.get(source).await.is_some_and(|reading| reading.at < oldest) {
            self.shared.invalidate(source).await;
        }
        self.shared.try_get_with(source.clone(), self.fetch(session, source)).await
    }

    async fn fetch(&self, session: &Session, source: &Request) -> Result<Arc<Reading>, Error> {
        self.metrics.value_read();
        let at = Instant::now();
        let value = match source.kind {
            KvType::V1 => session.read_kv1(&source.mount, &source.path).await?,
            KvType::V2 => session.read_kv2(&source.mount, &source.path, source.version).await?,
        };
        Ok(Arc::new(Reading { value, at }))
    }
}
