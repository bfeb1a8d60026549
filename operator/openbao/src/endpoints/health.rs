use serde::Deserialize;

use crate::session::Call;
use crate::{Error, Session};

/// `sys/health`: the state of the node that answered. Needs no identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether it was ever initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether it follows.
    pub standby: bool,
    /// Its version.
    pub version: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// Tells one storage from another.
    pub cluster_id: String,
}

/// `sys/seal-status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SealStatus {
    /// Kind of the seal.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it was ever initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Its version.
    pub version: String,
}

/// `sys/leader`. 2.6 leaves `is_self` out when it is false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Leader {
    /// Whether several nodes share the storage.
    pub ha_enabled: bool,
    /// Whether the node that answered leads.
    pub is_self: bool,
    /// `api_addr` of the leader; empty when none is known.
    pub leader_address: String,
    /// Since when it leads; the zero time on who follows.
    pub active_time: String,
}

impl Leader {
    /// Since when the node that answered leads.
    #[must_use]
    pub fn since(&self) -> Option<jiff::Timestamp> {
        self.active_time.parse().ok().filter(|since: &jiff::Timestamp| since.as_second() > 0)
    }
}

impl Session {
    /// The state of a node.
    ///
    /// # Errors
    /// [`Error::Unreachable`], or [`Error::Server`] with 500 when the storage cannot be reached.
    pub async fn health(&self) -> Result<Health, Error> {
        self.state("sys/health").await
    }

    /// The seal of a node.
    ///
    /// # Errors
    /// As [`Self::health`].
    pub async fn seal_status(&self) -> Result<SealStatus, Error> {
        self.state("sys/seal-status").await
    }

    /// Who leads.
    ///
    /// # Errors
    /// As [`Self::health`], and [`Error::Sealed`].
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

    /// These endpoints exist in the root namespace only.
    fn within_root(&self) -> Self {
        self.client().session(crate::Identity::Anonymous)
    }
}
