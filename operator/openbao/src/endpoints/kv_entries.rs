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
    /// Versions by number.
    #[serde(default, deserialize_with = "null_is_default")]
    pub versions: BTreeMap<String, KvVersionState>,
}

/// State of a version of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KvVersionState {
    /// Time of the deletion in RFC 3339, which can be in the future. Empty: not deleted.
    pub deletion_time: String,
    /// `true`: the version was destroyed.
    pub destroyed: bool,
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
}
