//! An OpenBao server as its API shows it, whether or not Steamer runs it.

pub(crate) mod conditions;
pub(crate) mod fetch;
pub(crate) mod orphans;
pub(crate) mod verdict;

use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, Health, Leader};

use crate::operator_policy::PolicyScope;

/// State of a server.
pub(crate) struct Server {
    /// Its health, or the error of the request.
    pub(crate) health: Result<Health, OpenBao>,
    /// Its leader. None if it is sealed or the request failed.
    pub(crate) leader: Option<Leader>,
    /// Rules that the operator's policy lacks, or the error of the request.
    pub(crate) missing: Result<Vec<String>, Error>,
    /// Steamer runs the server.
    pub(crate) managed: bool,
    /// Scope of the operator's policy.
    pub(crate) scope: PolicyScope,
}

impl Server {
    pub(crate) fn serves(&self) -> bool {
        self.is_open() && self.has_leader()
    }

    /// Returns true if it is initialized and unsealed.
    pub(crate) fn is_open(&self) -> bool {
        self.health.as_ref().is_ok_and(|health| health.initialized && !health.sealed)
    }

    pub(crate) fn has_leader(&self) -> bool {
        let led = |leader: &Leader| !leader.ha_enabled || leader.is_self || !leader.leader_address.is_empty();
        self.leader.as_ref().is_some_and(led)
    }

    /// The administrator's command that completes the operator's policy, with the rules that it lacks.
    pub(crate) fn lacking(&self, missing: &[String]) -> String {
        let managed = if self.managed { " --managed" } else { "" };
        let options = self.scope.options();
        format!(
            "the operator's policy in OpenBao lacks {}; an administrator runs `steamer openbao-policy{managed}{options} | \
             bao policy write steamer -`{}",
            missing.join(", "),
            self.scope.warning()
        )
    }
}
