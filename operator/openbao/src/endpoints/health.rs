//! State of a node: health, seal, leader.

use serde::Deserialize;

use crate::session::Call;
use crate::{Error, Session};

/// Response of `sys/health`: the state of the node that answered. Requires no identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// `true` if OpenBao is initialized.
    pub initialized: bool,
    /// `true` if the node is sealed.
    pub sealed: bool,
    /// `true` if the node is a standby.
    pub standby: bool,
    /// OpenBao version of the node.
    pub version: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// ID of the cluster. Identifies its storage.
    pub cluster_id: String,
}

/// Response of `sys/seal-status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SealStatus {
    /// Type of the seal.
    #[serde(rename = "type")]
    pub kind: String,
    /// `true` if OpenBao is initialized.
    pub initialized: bool,
    /// `true` if the node is sealed.
    pub sealed: bool,
    /// OpenBao version of the node.
    pub version: String,
}

/// Response of `sys/leader`. OpenBao 2.6 omits `is_self` if it is false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Leader {
    /// `true` if several nodes can share the storage.
    pub ha_enabled: bool,
    /// `true` if the node that answered is the leader.
    pub is_self: bool,
    /// `api_addr` of the leader. Empty if none is known.
    pub leader_address: String,
    /// Time at which the node became the leader. The zero time on a standby.
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

    async fn state<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.within_root().anonymous(Call::get(path)).await?;
        let body = answer.body();
        if body.get("errors").is_some() {
            return Err(Error::from_answer(answer.status, "GET", path.to_owned(), &body));
        }
        serde_json::from_value(body).map_err(|source| Error::Answer { path: path.to_owned(), source })
    }

    /// Returns an anonymous session in the root namespace, the only one that has these endpoints.
    fn within_root(&self) -> Self {
        self.client().session(crate::Identity::Anonymous)
    }
}
