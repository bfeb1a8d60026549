//! Entries of KV engines: metadata, writes with check-and-set, deletion.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::endpoints::mounts::null_is_default;
use crate::session::{Call, absent};
use crate::{Error, Session, Values};

/// Metadata of an entry of a KV v2 engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct KvMetadata {
    /// Number of the latest version. 0: the entry has no version yet.
    pub current_version: i64,
    /// Number of the last change of the metadata itself.
    #[serde(default)]
    pub current_metadata_version: i64,
    /// Metadata of users.
    #[serde(default, deserialize_with = "null_is_default")]
    pub custom_metadata: BTreeMap<String, String>,
    /// Time of the creation of the entry in RFC 3339. Empty if it is unknown.
    #[serde(default)]
    pub created_time: String,
    /// Number of versions to keep. 0: as many as the engine keeps.
    #[serde(default)]
    pub max_versions: i64,
    /// Time after which a version is deleted, as a Go duration. `0s`: as the engine states.
    #[serde(default)]
    pub delete_version_after: String,
    /// Versions by number.
    #[serde(default, deserialize_with = "null_is_default")]
    pub versions: BTreeMap<String, KvVersionState>,
}

/// State of a version of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KvVersionState {
    /// Time of the creation in RFC 3339. Empty if it is unknown.
    pub created_time: String,
    /// Time of the deletion in RFC 3339, which can be in the future. Empty: not deleted.
    pub deletion_time: String,
    /// `true`: the version was destroyed.
    pub destroyed: bool,
}

/// Custom metadata and settings of an entry of a KV v2 engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvSettings {
    /// Custom metadata.
    pub custom: BTreeMap<String, String>,
    /// Number of versions to keep. 0: as many as the engine keeps.
    pub max_versions: i64,
    /// Seconds after which a version that is written from now on is deleted. 0: as the engine states.
    pub delete_version_after: u64,
}

/// Change of versions of an entry of a KV v2 engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersionChange {
    /// Their values cannot be read any more. It can be undone.
    Delete,
    /// Their values can be read again. Their deletion is scheduled again, as for a version that is written now.
    Undelete,
    /// Their values are removed for good.
    Destroy,
}

impl KvVersionChange {
    /// Returns the path of the request for an entry, within the namespace.
    #[must_use]
    pub fn path(self, mount: &str, path: &str) -> String {
        let endpoint = match self {
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Destroy => "destroy",
        };
        format!("{mount}/{endpoint}/{path}")
    }
}

impl KvMetadata {
    /// Returns the state of the latest version. `None` if there is none.
    #[must_use]
    pub fn latest(&self) -> Option<&KvVersionState> {
        self.versions.get(&self.current_version.to_string())
    }
}

impl Session {
    /// Returns the metadata of an entry of a KV v2 engine, or `None` if the entry does not exist.
    ///
    /// # Errors
    /// [`Error::Mount`] if nothing is mounted there. Any other [`Error`] of a request.
    pub async fn kv_metadata(&self, mount: &str, path: &str) -> Result<Option<KvMetadata>, Error> {
        match self.data(Call::get(&format!("{mount}/metadata/{path}"))).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { mounted: true, .. }) => Ok(None),
            Err(error) => Err(self.of_mount(mount, error)),
        }
    }

    /// Replaces the custom metadata of an entry of a KV v2 engine if `cas` is the number of the last change of the metadata (0:
    /// there was none). Creates an entry without a version if none exists.
    ///
    /// # Errors
    /// [`Error::CheckAndSet`] if another client has changed the metadata, [`Error::Mount`] if nothing is mounted there. Any other [`Error`] of a request.
    pub async fn put_kv_metadata(
        &self,
        mount: &str,
        path: &str,
        custom: &BTreeMap<String, String>,
        cas: i64,
    ) -> Result<(), Error> {
        let body = json!({"custom_metadata": custom, "metadata_cas": cas});
        let written = self.call(Call::post(&format!("{mount}/metadata/{path}"), body)).await;
        written.map(drop).map_err(|error| self.of_mount(mount, error))
    }

    /// Replaces the custom metadata and the settings of an entry of a KV v2 engine if `cas` is the number of the last change of
    /// the metadata (0: there was none). Creates an entry without a version if none exists.
    ///
    /// # Errors
    /// As [`Session::put_kv_metadata`].
    pub async fn put_kv_settings(
        &self,
        mount: &str,
        path: &str,
        settings: &KvSettings,
        cas: i64,
    ) -> Result<(), Error> {
        let KvSettings { custom, max_versions, delete_version_after } = settings;
        let body = json!({
            "custom_metadata": custom, "max_versions": max_versions,
            "delete_version_after": format!("{delete_version_after}s"), "metadata_cas": cas,
        });
        let written = self.call(Call::post(&format!("{mount}/metadata/{path}"), body)).await;
        written.map(drop).map_err(|error| self.of_mount(mount, error))
    }

    /// Deletes, restores or destroys versions of an entry of a KV v2 engine. No-op for versions that do not exist.
    ///
    /// # Errors
    /// [`Error::Mount`] if nothing is mounted there. Any other [`Error`] of a request.
    pub async fn change_kv_versions(
        &self,
        mount: &str,
        path: &str,
        change: KvVersionChange,
        versions: &[i64],
    ) -> Result<(), Error> {
        let body = json!({"versions": versions});
        let changed = self.call(Call::post(&change.path(mount, path), body)).await;
        changed.map(drop).map_err(|error| self.of_mount(mount, error))
    }

    /// Writes a version of an entry of a KV v2 engine if `cas` is its latest version (0: it has none). Returns the new
    /// version.
    ///
    /// # Errors
    /// [`Error::CheckAndSet`] if another client has written a version. Any other [`Error`] of a request.
    pub async fn put_kv2(&self, mount: &str, path: &str, values: &Values, cas: i64) -> Result<i64, Error> {
        #[derive(Deserialize)]
        struct Written {
            version: i64,
        }
        let body = json!({"data": values.object(), "options": {"cas": cas}});
        let written = self.data::<Written>(Call::post(&format!("{mount}/data/{path}"), body)).await;
        written.map(|written| written.version).map_err(|error| self.of_mount(mount, error))
    }

    /// Writes an entry of a KV v1 engine.
    ///
    /// # Errors
    /// [`Error::Mount`] if nothing is mounted there. Any other [`Error`] of a request.
    pub async fn put_kv1(&self, mount: &str, path: &str, values: &Values) -> Result<(), Error> {
        let written = self.call(Call::post(&format!("{mount}/{path}"), values.object())).await;
        written.map(drop).map_err(|error| self.of_mount(mount, error))
    }

    /// Deletes an entry of a KV v1 engine. No-op if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn delete_kv1(&self, mount: &str, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("{mount}/{path}"))).await).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_latest_version_is_found_by_its_number() {
        let text = r#"{"current_version": 2, "custom_metadata": null, "cas_required": false,
            "versions": {"1": {"deletion_time": "", "destroyed": false}, "2": {"deletion_time": "x", "destroyed": true}}}"#;
        let metadata: KvMetadata = serde_json::from_str(text).unwrap();
        assert!(metadata.latest().unwrap().destroyed);
        assert_eq!(KvMetadata::default().latest(), None);
    }

    #[test]
    fn each_change_of_versions_has_its_endpoint() {
        use KvVersionChange::{Delete, Destroy, Undelete};
        let paths = [Delete, Undelete, Destroy].map(|change| change.path("secrets/kv", "explicit/A"));
        let expected = ["delete", "undelete", "destroy"].map(|it| format!("secrets/kv/{it}/explicit/A"));
        assert_eq!(paths, expected);
    }
}
