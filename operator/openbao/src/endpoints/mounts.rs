use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::session::{Call, absent};
use crate::{Error, Session};

/// A secrets engine or auth method where it is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Type of the engine or method: `kv`, `jwt`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Whatever who mounted it wrote.
    pub description: String,
    /// Options; KV has its `version` here.
    #[serde(deserialize_with = "null_is_default")]
    pub options: BTreeMap<String, String>,
    /// Id that identity aliases refer to.
    pub accessor: String,
}

/// A new mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MountRequest {
    /// Type of the engine or method.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for, whose it is.
    pub description: String,
    /// Options; KV takes `version`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// OpenBao writes some empty lists and maps as `null`.
pub(super) fn null_is_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Session {
    /// The engine mounted at `path`, if any (`GET sys/mounts/<path>`).
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn mount(&self, path: &str) -> Result<Option<Mount>, Error> {
        absent(self.data(Call::get(&format!("sys/mounts/{path}"))).await)
    }

    /// Every engine of the namespace by its path, with a slash at the end (`GET sys/mounts`).
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn mounts(&self) -> Result<BTreeMap<String, Mount>, Error> {
        self.data(Call::get("sys/mounts")).await
    }

    /// Mounts an engine (`POST sys/mounts/<path>`).
    ///
    /// # Errors
    /// [`Error::InUse`] when something is mounted there, above or below.
    pub async fn enable_mount(&self, path: &str, request: &MountRequest) -> Result<(), Error> {
        self.call(Call::post(&format!("sys/mounts/{path}"), json!(request))).await.map(drop)
    }

    /// Changes the description of an engine (`POST sys/mounts/<path>/tune`).
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn describe_mount(&self, path: &str, description: &str) -> Result<(), Error> {
        let body = json!({"description": description});
        self.call(Call::post(&format!("sys/mounts/{path}/tune"), body)).await.map(drop)
    }

    /// Unmounts an engine and deletes what it holds. Nothing happens where none is.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn disable_mount(&self, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("sys/mounts/{path}"))).await).map(drop)
    }
}
