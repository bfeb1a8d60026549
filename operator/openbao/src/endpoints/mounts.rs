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

/// Version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// Without versions.
    V1,
    /// With versions.
    V2,
}

/// A mount as each login sees it that has a permission in it.
#[derive(Deserialize)]
struct Visible {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default, deserialize_with = "null_is_default")]
    options: BTreeMap<String, String>,
    #[serde(default)]
    uuid: String,
}

impl Visible {
    /// States why this is not the KV engine of that version at `mount`.
    fn mismatch(&self, mount: &str, version: KvVersion) -> Option<String> {
        let plain = |character: char| character.is_ascii_lowercase() || "-_0123456789".contains(character);
        let kind = Some(self.kind.as_str()).filter(|kind| kind.len() <= 32 && kind.chars().all(plain));
        if self.kind != "kv" {
            return Some(format!(
                "is an engine of type {}, and not kv: correct mount",
                kind.unwrap_or("of another server")
            ));
        }
        let path = self.path.trim_matches('/');
        if let Some(rest) = mount.strip_prefix(path).filter(|rest| rest.starts_with('/')) {
            let rest = rest.trim_matches('/');
            return Some(format!(
                "does not exist, but {path} does: write mount {path}, and start path with {rest}/"
            ));
        }
        if path != mount {
            return Some("does not exist: correct mount".to_owned());
        }
        let found = if self.options.get("version").is_some_and(|version| version == "2") {
            KvVersion::V2
        } else {
            KvVersion::V1
        };
        match (found, version) {
            (KvVersion::V2, KvVersion::V1) => {
                Some("is a KV engine of version 2: write type: kv-v2".to_owned())
            }
            (KvVersion::V1, KvVersion::V2) => {
                Some("is a KV engine of version 1: write type: kv-v1".to_owned())
            }
            _ => None,
        }
    }
}

/// Returns an ID in a form that fits into a status.
fn id(uuid: &str) -> String {
    let plain = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    let id: String = uuid.chars().filter(plain).take(64).collect();
    if id.is_empty() { "unknown".to_owned() } else { id }
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

    /// Returns the ID of the KV engine that is mounted at `mount` (`GET sys/internal/ui/mounts/<mount>`). Each login with a
    /// permission in the mount may ask. OpenBao refuses inline authentication here.
    ///
    /// # Errors
    /// [`Error::Mount`] if another engine is mounted there, [`Error::Denied`] if there is none or if the login has no
    /// permission in it. Any other [`Error`] of a request.
    pub async fn kv_engine(&self, mount: &str, version: KvVersion) -> Result<String, Error> {
        let found: Visible = self.data(Call::get(&format!("sys/internal/ui/mounts/{mount}"))).await?;
        match found.mismatch(mount, version) {
            None => Ok(id(&found.uuid)),
            Some(found) => Err(Error::Mount { mount: self.namespace().path(mount), found }),
        }
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
