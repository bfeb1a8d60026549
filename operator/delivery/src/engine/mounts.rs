//! Checks that a mount is the KV engine that the spec describes, once for each login and mount, and again before a value
//! counts as absent.

use std::sync::Arc;
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
    pub(super) login: Arc<LoginKey>,
    pub(super) namespace: NamespacePath,
    pub(super) mount: String,
    pub(super) kind: KvType,
}

/// IDs of the mounts that were checked. A mount that is recreated has another ID. None if the login may not know it.
pub(super) struct Mounts(moka::future::Cache<MountKey, Option<String>>);

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

    /// An answer of KV v2 identifies its engine. Inline authentication cannot check a mount, and for this login a token is
    /// created only to record the ID of the mount.
    fn identifies_itself(&self) -> bool {
        self.kind == KvType::V2 && self.login.inline
    }

    /// Returns true if the read replaces a check that failed. A mount that is gone is denied, too; the read states which.
    fn answers_instead_of(&self, error: &Error) -> bool {
        match error {
            Error::Mount { .. } => false,
            Error::Denied { .. } => self.kind == KvType::V2,
            _ => self.identifies_itself(),
        }
    }
}

impl Mounts {
    /// Checks a mount before its first read. Returns its ID, if it is known. `recorded`: the object knows the ID.
    ///
    /// # Errors
    /// [`Error::Mount`] if it is another engine. Any other [`Error`] of a request.
    pub(super) async fn check(
        &self,
        session: &Session,
        mount: &MountKey,
        recorded: Recorded,
    ) -> Result<Option<String>, Arc<Error>> {
        if mount.identifies_itself() && recorded == Recorded::Yes {
            return Ok(self.0.get(mount).await.flatten());
        }
        let checked = async {
            match id(session, mount).await {
                Err(error) if mount.identifies_itself() && is_refused(&error) => Ok(None),
                result => result.map(Some),
            }
        };
        match self.0.try_get_with(mount.clone(), checked).await {
            Err(error) if mount.answers_instead_of(&error) => Ok(None),
            result => result,
        }
    }

    /// Asks again at the next read: a login that may not read the value may be permitted later, and then know the mount.
    pub(super) async fn forget_refusal(&self, mount: &MountKey) {
        if self.0.get(mount).await == Some(None) {
            self.0.invalidate(mount).await;
        }
    }

    /// Returns the current ID of a mount without a value: it decides whether the value is absent, or out of reach.
    ///
    /// # Errors
    /// [`Error::Mount`] if it is another engine. Any other [`Error`] of a request.
    pub(super) async fn confirm_absence(&self, session: &Session, mount: &MountKey) -> Result<String, Error> {
        let now = id(session, mount).await?;
        self.0.insert(mount.clone(), Some(now.clone())).await;
        Ok(now)
    }
}

/// Whether the status of an object contains the ID of the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Yes,
    No,
}

async fn id(session: &Session, mount: &MountKey) -> Result<String, Error> {
    session.kv_engine(&mount.mount, mount.version()).await
}

/// Returns true if the same check is refused again. A rejected login is tried again with the next read: its role may not have
/// existed yet.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Denied { .. } | Error::Invalid { .. })
}
