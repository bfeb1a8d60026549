//! State of a node: health, seal, leader.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::answer::Answer;
use crate::error::NO_MESSAGE;
use crate::session::Call;
use crate::{Error, Session};

/// Response of `sys/health`: the state of the node that answered. Requires no identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// `true` if OpenBao is initialized.
    pub initialized: bool,
    /// `true` if the node is sealed.
    pub sealed: bool,
    /// `true` if the node is a standby.
    #[serde(default)]
    pub standby: bool,
    /// OpenBao version of the node.
    #[serde(deserialize_with = "version")]
    pub version: String,
    /// Name of the cluster.
    #[serde(default)]
    pub cluster_name: String,
    /// ID of the cluster. Identifies its storage.
    #[serde(default)]
    pub cluster_id: String,
}

/// Response of `sys/seal-status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SealStatus {
    /// Type of the seal.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// `true` if OpenBao is initialized.
    pub initialized: bool,
    /// `true` if the node is sealed.
    pub sealed: bool,
    /// OpenBao version of the node.
    #[serde(default)]
    pub version: String,
}

/// Response of `sys/leader`. OpenBao 2.6 omits `is_self` if it is false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Leader {
    /// `true` if several nodes can share the storage.
    pub ha_enabled: bool,
    /// `true` if the node that answered is the leader.
    #[serde(default)]
    pub is_self: bool,
    /// `api_addr` of the leader. Empty if none is known.
    #[serde(default)]
    pub leader_address: String,
    /// Time at which the node became the leader. The zero time on a standby.
    #[serde(default)]
    pub active_time: String,
}

impl Leader {
    /// Returns the time at which the node that answered became the leader. `None` on a standby.
    #[must_use]
    pub fn since(&self) -> Option<jiff::Timestamp> {
        self.active_time.parse().ok().filter(|since: &jiff::Timestamp| since.as_second() > 0)
    }
}

impl Session {
    /// Returns the state of a node.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if no node answers, [`Error::Server`] with status 500 if the storage is unreachable. Any
    /// other [`Error`] of a request.
    pub async fn health(&self) -> Result<Health, Error> {
        self.state("sys/health").await
    }

    /// Returns the state of a node's seal.
    ///
    /// # Errors
    /// Same as [`Self::health`].
    pub async fn seal_status(&self) -> Result<SealStatus, Error> {
        self.state("sys/seal-status").await
    }

    /// Returns the leader that a node knows.
    ///
    /// # Errors
    /// Same as [`Self::health`], and [`Error::Sealed`].
    pub async fn leader(&self) -> Result<Leader, Error> {
        self.state("sys/leader").await
    }

    async fn state<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.within_root().anonymous(Call::get(path)).await?;
        state(&answer, path)
    }

    /// Returns an anonymous session in the root namespace, the only one that has these endpoints.
    fn within_root(&self) -> Self {
        self.client().session(crate::Identity::Anonymous)
    }
}

/// Reads a version in a form that fits into a status.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = |character: &char| character.is_ascii_alphanumeric() || ".+-_".contains(*character);
    let version: String = text.chars().filter(expected).take(63).collect();
    if version.is_empty() { Err(D::Error::custom("no version")) } else { Ok(version) }
}

/// Reads the state of a node. A server that is not OpenBao may answer as well.
fn state<T: DeserializeOwned>(answer: &Answer, path: &str) -> Result<T, Error> {
    let (path, status) = (path.to_owned(), answer.status.as_u16());
    let body = answer.body();
    if body.get("errors").is_some() {
        return Err(Error::from_answer(answer.status, "GET", path, &body));
    }
    match serde_json::from_value(body) {
        Ok(state) => Ok(state),
        // A load balancer without a server.
        Err(_) if matches!(status, 500..=504) => {
            Err(Error::Server { status, path, message: NO_MESSAGE.to_owned() })
        }
        Err(_) => Err(Error::Foreign { path, status }),
    }
}
