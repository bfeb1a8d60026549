//! What a kind tells the engine.

use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use steamer_api::{Destination, HasConditions, Kind, LastSync, OnSourceDeleted, Reference};
use steamer_core::Error;
use steamer_core::access::sessions::LoginKey;
use steamer_openbao::NamespacePath;

use super::document::Document;
use super::readings::Reader;
use super::schedule::Schedule;
use super::shared::Engine;
use super::stamp::Held;

/// A kind that becomes a Secret: the common part of the CRDs, and the source of the value.
pub(crate) trait Synced: Kind {
    /// Name of the controller.
    const NAME: &'static str;
    /// Status of the kind.
    type Status: HasConditions + Serialize + DeserializeOwned + Default + Send + Sync;
    /// Source of the value.
    type Source: Source;

    /// The fields that all kinds have.
    fn common(&self) -> Common<'_>;

    /// Checks the description of the source.
    ///
    /// # Errors
    /// [`Error::Invalid`] states what to change.
    fn validate(&self) -> Result<(), Error>;

    /// The source that the spec describes.
    fn source(&self, access: ReadAccess) -> Self::Source;

    /// The part of the status that the engine reads.
    fn recorded(status: &Self::Status) -> Recorded;

    /// Writes what the engine recorded to the status.
    fn record(status: &mut Self::Status, recorded: Recorded);
}

/// The fields that all kinds have.
pub(crate) struct Common<'a> {
    pub(crate) auth_ref: Option<&'a Reference>,
    /// OpenBao namespace. Default: that of the BaoAuth.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) destination: &'a Destination,
    pub(crate) on_source_deleted: OnSourceDeleted,
    pub(crate) suspend: bool,
}

/// The part of a status that the engine reads and writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    /// Keyed digest of the content that was written last.
    pub(crate) secret_mac: Option<String>,
    /// Version of the value.
    pub(crate) version: Option<i64>,
    /// ID of the mount of the value.
    pub(crate) mount: Option<String>,
    /// Name of the Secret that was written last.
    pub(crate) destination: Option<String>,
    /// The last write.
    pub(crate) last_sync: Option<LastSync>,
    /// The stamp of the last sync.
    pub(crate) stamp: Option<String>,
    /// Value of the reconcile annotation that was handled last.
    pub(crate) handled: Option<String>,
}

/// Sessions in the OpenBao namespace of the value, and their login.
#[derive(Clone)]
pub(crate) struct ReadAccess {
    pub(crate) reader: Reader,
    pub(crate) namespace: NamespacePath,
    /// Objects with equal logins share reads.
    pub(crate) login: LoginKey,
}

/// Source of a value.
pub(crate) trait Source: Send + Sync {
    /// Digest of the request: different if a new value must be obtained.
    fn request(&self) -> &str;

    /// Digest of the server, the OpenBao namespace and the mount.
    fn mount(&self) -> &str;

    /// Name of the source in messages.
    fn describe(&self) -> String;

    /// When the value is due again.
    fn schedule(&self) -> Schedule;

    /// Obtains the value. `None` if the source has no value.
    fn obtain(
        &self,
        engine: &Engine,
        asked: Asked<'_>,
    ) -> impl Future<Output = Result<Option<Obtained>, Error>> + Send;
}

/// Conditions for a value.
pub(crate) struct Asked<'a> {
    /// How old a shared value may be.
    pub(crate) oldest: Instant,
    /// ID of the mount that contained the value, if the source has the same mount.
    pub(crate) mount: Option<&'a str>,
    /// Another ID of the mount that the user accepts.
    pub(crate) accepted: Option<&'a str>,
}

impl Asked<'_> {
    /// Returns true if a missing value of the mount with this ID is a deleted value.
    pub(crate) fn recognizes(&self, mount: &str) -> bool {
        self.mount.is_none_or(|known| known == mount) || self.accepted == Some(mount)
    }
}

/// A value.
pub(crate) struct Obtained {
    pub(crate) documents: Vec<Document>,
    pub(crate) held: Held,
    /// ID of the mount, if it was checked.
    pub(crate) mount: Option<String>,
    /// When OpenBao returned it.
    pub(crate) at: Timestamp,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first_read(None, None, true)]
    #[case::same_mount(Some("new"), None, true)]
    #[case::recreated(Some("old"), None, false)]
    #[case::accepted(Some("old"), Some("new"), true)]
    #[case::another_one_accepted(Some("old"), Some("newer"), false)]
    fn a_missing_value_of_a_recreated_mount_is_not_deleted(
        #[case] mount: Option<&str>,
        #[case] accepted: Option<&str>,
        #[case] expected: bool,
    ) {
        let asked = Asked { oldest: Instant::now(), mount, accepted };
        assert_eq!(asked.recognizes("new"), expected);
    }
}
