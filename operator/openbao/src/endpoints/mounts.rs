//! Mounts of secrets engines.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::session::{Call, absent};
use crate::{Error, Session};

/// A mounted secrets engine or auth method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Type of the engine or method: `kv`, `jwt`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Description of the mount.
    pub description: String,
    /// Options. KV stores its `version` here.
    #[serde(deserialize_with = "null_is_default")]
    pub options: BTreeMap<String, String>,
    /// ID that identity aliases refer to.
    pub accessor: String,
}

/// A new mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MountRequest {
    /// Type of the engine or method.
    #[serde(rename = "type")]
    pub kind: String,
    /// Description of the mount.
    pub description: String,
    /// Options. KV accepts `version`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Deserializes `null` as the default: OpenBao returns some empty lists and maps as `null`.
pub(super) fn null_is_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Session {
    /// Returns the secrets engine mounted at `path`, if any (`GET sys/mounts/<path>`).
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn mount(&self, path: &str) -> Result<Option<Mount>, Error> {
        absent(self.data(Call::get(&format!("sys/mounts/{path}"))).await)
    }

    /// Returns all secrets engines of the namespace by path, with a trailing slash (`GET sys/mounts`).
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn mounts(&self) -> Result<BTreeMap<String, Mount>, Error> {
        self.data(Call::get("sys/mounts")).await
    }

    /// Mounts a secrets engine (`POST sys/mounts/<path>`).
    ///
    /// # Errors
    /// [`Error::InUse`] if something is already mounted at, above or below `path`. Any other [`Error`] of a request.
    pub async fn enable_mount(&self, path: &str, request: &MountRequest) -> Result<(), Error> {
        self.call(Call::post(&format!("sys/mounts/{path}"), json!(request))).await.map(drop)
    }

    /// Changes the description of a secrets engine (`POST sys/mounts/<path>/tune`).
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn describe_mount(&self, path: &str, description: &str) -> Result<(), Error> {
        let body = json!({"description": description});
        self.call(Call::post(&format!("sys/mounts/{path}/tune"), body)).await.map(drop)
    }

    /// Unmounts a secrets engine and deletes its data. No-op if none is mounted.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn disable_mount(&self, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("sys/mounts/{path}"))).await).map(drop)
    }
}
