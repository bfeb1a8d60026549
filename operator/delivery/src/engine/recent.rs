//! Recent answers of OpenBao: objects that need the same one at the same time share one request.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use steamer_openbao::Error;

/// How long an answer is kept for other objects. Objects on one path are due at the same time; this is long enough to
/// reconcile them all on a busy machine. No answer is kept longer.
const SHARED: Duration = Duration::from_secs(15);

/// An answer that objects share.
pub(super) trait Answer: Send + Sync + 'static {
    /// Most bytes of all answers that are kept.
    const CAPACITY: u64;

    /// When it was requested.
    fn at(&self) -> Instant;

    /// Approximate number of bytes.
    fn size(&self) -> usize;
}

/// Current and recent answers, by what was requested.
pub(super) struct Recent<K, V>(moka::future::Cache<K, Arc<V>>);

impl<K: Clone + Eq + Hash + Send + Sync + 'static, V: Answer> Default for Recent<K, V> {
    fn default() -> Self {
        let weigh = |_: &K, answer: &Arc<V>| u32::try_from(answer.size()).unwrap_or(u32::MAX);
        let cache = moka::future::Cache::builder().time_to_live(SHARED).weigher(weigh);
        Self(cache.max_capacity(V::CAPACITY).build())
    }
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static, V: Answer> Recent<K, V> {
    /// The answer to a request that was made at `oldest` or later. `fetch` makes it if there is none.
    ///
    /// # Errors
    /// The error of the request, which is not kept.
    pub(super) async fn read(
        &self,
        key: &K,
        oldest: Instant,
        fetch: impl Future<Output = Result<V, Error>>,
    ) -> Result<Arc<V>, Arc<Error>> {
        if self.0.get(key).await.is_some_and(|answer| answer.at() < oldest) {
            self.0.invalidate(key).await;
        }
        self.0.try_get_with(key.clone(), async { fetch.await.map(Arc::new) }).await
    }
}
