//! Shared reads: objects that need the same path with the same login at the same time share one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steamer_api::KvType;
use steamer_core::access::sessions::LoginKey;
use steamer_openbao::{Error, Kv, NamespacePath, Session};
use steamer_runtime::Metrics;

use super::mounts::{MountKey, Mounts};

/// How long a value is kept for other objects. Objects on one path are due at the same time; this is long enough to
/// reconcile them all on a busy machine. No value is kept longer.
const SHARED: Duration = Duration::from_secs(15);

/// Most bytes of all values that are kept.
const CAPACITY: u64 = 32 << 20;
/// Approximate number of bytes of a request.
const REQUEST: usize = 1024;

impl MountKey {
    fn of(source: &Request) -> Self {
        let Request { login, namespace, mount, kind, .. } = source.clone();
        Self { login, namespace, mount, kind }
    }
}

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

/// Sessions of one login in one namespace.
#[derive(Clone)]
pub(crate) struct Reader {
    /// Session for values.
    pub(crate) session: Session,
    /// Session with a token, for checks of mounts.
    pub(crate) token: Session,
}

/// A value, and when it was read.
pub(crate) struct Reading {
    pub(crate) value: Kv,
    pub(crate) at: Instant,
}

/// Current and recent reads.
pub(crate) struct Readings {
    shared: moka::future::Cache<Request, Arc<Reading>>,
    mounts: Mounts,
    metrics: Arc<Metrics>,
}

impl Readings {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let weigh = |_: &Request, reading: &Arc<Reading>| {
            u32::try_from(reading.value.size().saturating_add(REQUEST)).unwrap_or(u32::MAX)
        };
        let shared =
            moka::future::Cache::builder().time_to_live(SHARED).weigher(weigh).max_capacity(CAPACITY);
        Self { shared: shared.build(), mounts: Mounts::default(), metrics }
    }

    /// The value, read at `oldest` or later.
    pub(crate) async fn read(
        &self,
        reader: &Reader,
        source: &Request,
        oldest: Instant,
    ) -> Result<Arc<Reading>, Arc<Error>> {
        let mount = MountKey::of(source);
        self.mounts.check(&reader.token, &mount).await?;
        if self.shared.get(source).await.is_some_and(|reading| reading.at < oldest) {
            self.shared.invalidate(source).await;
        }
        self.shared.try_get_with(source.clone(), self.fetch(reader, source)).await
    }

    async fn fetch(&self, reader: &Reader, source: &Request) -> Result<Arc<Reading>, Error> {
        let session = &reader.session;
        self.metrics.value_read();
        let at = Instant::now();
        let value = match source.kind {
            KvType::V1 => session.read_kv1(&source.mount, &source.path).await?,
            KvType::V2 => session.read_kv2(&source.mount, &source.path, source.version).await?,
        };
        let mount = MountKey::of(source);
        match &value {
            Kv::Absent => self.mounts.confirm_absence(&reader.token, &mount).await?,
            Kv::Value { .. } | Kv::Deleted { .. } => self.mounts.answered(&mount).await,
        }
        Ok(Arc::new(Reading { value, at }))
    }
}
