//! Checks that a mount is the KV engine that the spec describes, once for each login and mount, and again before a value
//! counts as absent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steamer_api::KvType;
use steamer_core::access::sessions::LoginKey;
use steamer_openbao::{Error, KvVersion, NamespacePath, Session};

/// How long a check is valid.
const VALID: Duration = Duration::from_secs(3600);
/// Most checks that are kept.
const CAPACITY: u64 = 10_000;

/// A mount, and the login that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MountKey {
    pub(super) login: LoginKey,
    pub(super) namespace: NamespacePath,
    pub(super) mount: String,
    pub(super) kind: KvType,
}

/// Result of a check.
#[derive(Clone)]
struct Checked {
    /// ID of the mount. It changes when the mount is recreated.
    id: String,
    /// Whether a later check found another ID.
    replaced: Arc<AtomicBool>,
}

/// The mounts that were checked.
pub(super) struct Mounts(moka::future::Cache<MountKey, Checked>);

impl Default for Mounts {
    fn default() -> Self {
        Self(moka::future::Cache::builder().time_to_live(VALID).max_capacity(CAPACITY).build())
    }
}

impl MountKey {
    fn version(&self) -> KvVersion {
        match self.kind {
            KvType::V1 => KvVersion::V1,
            KvType::V2 => KvVersion::V2,
        }
    }

    /// An answer of KV v2 identifies its engine. Inline authentication cannot check a mount, and for this login no token is
    /// created if the answers suffice.
    fn identifies_itself(&self) -> bool {
        self.kind == KvType::V2 && self.login.inline
    }
}

impl Mounts {
    /// Checks a mount before its first read.
    ///
    /// # Errors
    /// [`Error::Mount`] if it is another engine. Any other [`Error`] of a request.
    pub(super) async fn check(&self, session: &Session, mount: &MountKey) -> Result<(), Arc<Error>> {
        if mount.identifies_itself() {
            return Ok(());
        }
        match self.0.try_get_with(mount.clone(), checked(session, mount)).await {
            // A mount that is gone is denied, too. The read states which, and an answer of KV v2 identifies its engine.
            Err(error) if mount.kind == KvType::V2 && matches!(*error, Error::Denied { .. }) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Confirms that the mount is still the one that was checked: otherwise its values are not absent, but out of reach.
    ///
    /// # Errors
    /// [`Error::Mount`] if it is another engine, or was recreated. Any other [`Error`] of a request.
    pub(super) async fn confirm_absence(&self, session: &Session, mount: &MountKey) -> Result<(), Error> {
        let now = checked(session, mount).await?;
        let Some(known) = self.0.get(mount).await else {
            self.0.insert(mount.clone(), now).await;
            return Ok(());
        };
        if known.id == now.id {
            return Ok(());
        }
        known.replaced.store(true, Ordering::Relaxed);
        Err(Error::Mount {
            mount: mount.namespace.path(&mount.mount),
            found: "was recreated and contains no value at this path: restore the value".to_owned(),
        })
    }

    /// Accepts a recreated mount that contains a value.
    pub(super) async fn answered(&self, mount: &MountKey) {
        if self.0.get(mount).await.is_some_and(|known| known.replaced.load(Ordering::Relaxed)) {
            self.0.invalidate(mount).await;
        }
    }
}

async fn checked(session: &Session, mount: &MountKey) -> Result<Checked, Error> {
    let id = session.kv_engine(&mount.mount, mount.version()).await?;
    Ok(Checked { id, replaced: Arc::default() })
}
