//! Servers: from an OpenBaoCluster to a client, and the operator's own session in a cluster.

use kube::ResourceExt;
use steamer_api::{AudienceHolder, ExternalServer, Kind, OpenBaoCluster, OpenBaoClusterStatus, rules};
use steamer_openbao::{Identity, Session, Settings};
use steamer_runtime::{Dependencies, ObjectName};

use super::rivals::{Claim, Conflict};
use super::server_audience::{management_login, server_audience};
use super::sessions::{CredentialOwner, LoginKey, LoginMethod, Server};
use super::token_requests::TokenRequestKey;
use crate::context::Context;
use crate::error::Error;
use crate::layout::{self, OPERATOR_MOUNT, OPERATOR_ROLE};

/// Lifetime of the operator's token requests, in seconds: the minimum that the API server accepts.
const TOKEN_SECONDS: i64 = 600;

/// Token of a ServiceAccount that a login needs.
pub(super) struct AccountToken {
    pub(super) account: ObjectName,
    pub(super) audiences: Vec<String>,
    pub(super) expiration_seconds: i64,
}

/// Mount and role of the operator's login.
struct OperatorLogin {
    mount: String,
    role: String,
}

/// The ID of an external cluster, if it was observed with the current spec. A suspended or failed reconcile keeps the ID
/// of an earlier spec.
fn known_cluster_id(cluster: &OpenBaoCluster) -> Option<&str> {
    let status = cluster.status.as_ref()?;
    let generation = cluster.metadata.generation;
    let is_true = |kind: &str| {
        let mut found = status.common.conditions.iter().filter(|condition| condition.type_ == kind);
        found.any(|condition| condition.status == "True" && condition.observed_generation == generation)
    };
    let is_current = Some(status.common.observed_generation) == generation && is_true("Ready");
    status.cluster_id.as_deref().filter(|_| is_current && !cluster.spec.suspend)
}

impl Context {
    /// The operator's own session in a cluster, in the namespace that the operator works in.
    ///
    /// # Errors
    /// [`Error::Waiting`] while the cluster has no certificates, [`Error::NotFound`] for a missing Secret,
    /// [`Error::Invalid`] for an audience that the API server accepts.
    pub async fn operator_session(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Session, Error> {
        let server = self.cluster_server(dependencies, cluster).await?;
        let OperatorLogin { mount, role } = operator_login(cluster.spec.external.as_ref())?;
        let audience = server_audience(cluster);
        self.safe_audiences(std::slice::from_ref(&audience)).map_err(|error| {
            Error::Invalid(format!("OpenBaoCluster {}: {error}", ObjectName::of(cluster)))
        })?;
        self.without_rival(dependencies, cluster).await?;
        let root = layout::root(cluster);
        let token = AccountToken {
            account: self.operator.clone(),
            audiences: vec![audience],
            expiration_seconds: TOKEN_SECONDS,
        };
        let login = LoginKey {
            server: server.key.clone(),
            namespace: root.clone(),
            mount,
            role,
            method: LoginMethod::default(),
            inline: false,
            owner: self.account_credential(dependencies, token).await?,
        };
        Ok(self.sessions.session(&server, login, None).await.0.within(root.as_str()))
    }

    /// Refuses a cluster whose audience, or external server, belongs to a cluster of another namespace.
    pub(super) async fn without_rival(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<(), Error> {
        let cluster_id = match known_cluster_id(cluster) {
            _ if cluster.spec.managed.is_some() => String::new(),
            Some(id) => id.to_owned(),
            None => {
                let server = self.cluster_server(dependencies, cluster).await?;
                server.client.session(Identity::Anonymous).health().await?.cluster_id
            }
        };
        let found = self.conflict(cluster, &cluster_id);
        self.record_holder(cluster, found.as_ref().and_then(|conflict| conflict.holder.as_ref())).await?;
        found.map_or(Ok(()), |conflict| Err(Error::Conflict(conflict.message)))
    }

    fn conflict(&self, cluster: &OpenBaoCluster, cluster_id: &str) -> Option<Conflict> {
        let labels = self.stores.labels(&cluster.namespace().unwrap_or_default());
        let is_honored = &|other: &OpenBaoCluster| {
            self.stores.honor(OpenBaoCluster::ID, &other.namespace().unwrap_or_default()).is_ok()
        };
        let claim = Claim { cluster, cluster_id, labels: &labels, is_honored };
        claim.check(&self.stores.of::<OpenBaoCluster>().filter(|_| true)).err()
    }

    /// Writes the holder of an audience to the status of a cluster that claims it, or removes it.
    async fn record_holder(
        &self,
        cluster: &OpenBaoCluster,
        holder: Option<&AudienceHolder>,
    ) -> Result<(), Error> {
        let cached = cluster.status.as_ref().and_then(|status| status.audience_holder.as_ref());
        if holder == cached {
            return Ok(());
        }
        let mut status: OpenBaoClusterStatus = self.status(cluster);
        status.audience_holder = holder.cloned();
        self.runtime.statuses.write(cluster, &status).await?;
        Ok(())
    }

    /// The owner of the JWT of a login. Fails before a token is requested if the ServiceAccount does not exist, or if the
    /// API server accepts one of the audiences.
    pub(super) async fn account_credential(
        &self,
        dependencies: &Dependencies,
        token: AccountToken,
    ) -> Result<CredentialOwner, Error> {
        self.account_token(dependencies, token).await.map(CredentialOwner::ServiceAccount)
    }

    /// The tokens of a ServiceAccount, as [`Self::account_credential`].
    pub(super) async fn account_token(
        &self,
        dependencies: &Dependencies,
        token: AccountToken,
    ) -> Result<TokenRequestKey, Error> {
        let AccountToken { account, audiences, expiration_seconds } = token;
        let audiences = self.safe_audiences(&audiences)?;
        let uid = self.accounts.existing(dependencies, &account).await?.uid().unwrap_or_default();
        Ok(TokenRequestKey { account, uid, audiences, expiration_seconds })
    }

    /// The server of a cluster.
    ///
    /// # Errors
    /// As [`Self::operator_session`].
    pub async fn cluster_server(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Server, Error> {
        let settings = self.cluster_settings(dependencies, cluster).await?;
        let server = self.shared_server(dependencies, &settings)?;
        let address = if cluster.spec.external.is_some() { server.address } else { cluster.address() };
        Ok(Server { address, ..server })
    }

    /// The settings of the connections to a cluster.
    pub(super) async fn cluster_settings(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Settings, Error> {
        let Some(external) = &cluster.spec.external else {
            return self.managed_settings(dependencies, cluster).await;
        };
        let mut addresses = vec![external.address.clone()];
        addresses.extend(external.additional_addresses.iter().cloned());
        encrypted(&addresses, external.allow_plaintext.into())?;
        let mut settings = Settings { addresses, ..Settings::default() };
        if let Some(reference) = &external.ca_secret_ref {
            let name = ObjectName::new(cluster.namespace().unwrap_or_default(), &reference.name);
            settings.ca = self.secrets.certificates(dependencies, &name, &reference.key).await?;
        }
        Ok(settings)
    }

    /// The server with these settings. The object is requeued when the server recovers from an outage.
    pub(super) fn shared_server(
        &self,
        dependencies: &Dependencies,
        settings: &Settings,
    ) -> Result<Server, Error> {
        let server = self.sessions.server(settings)?;
        dependencies.on(server.key.recovery());
        Ok(server)
    }
}

/// Consent to connections without TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    Accepted,
    Refused,
}

impl From<bool> for Plaintext {
    fn from(accepted: bool) -> Self {
        if accepted { Self::Accepted } else { Self::Refused }
    }
}

/// Refuses an address without TLS of an object that was admitted before the rule existed.
///
/// # Errors
/// [`Error::Invalid`] without consent.
pub fn encrypted(addresses: &[String], plaintext: Plaintext) -> Result<(), Error> {
    match rules::plaintext_address(addresses.iter().map(String::as_str)) {
        Some(address) if plaintext == Plaintext::Refused => Err(Error::Invalid(format!(
            "{address} is not an https:// URL: change the address, or set allowPlaintext: true"
        ))),
        _ => Ok(()),
    }
}

/// The login at a managed cluster (`external` is none), or the one that the spec of an external server states.
fn operator_login(external: Option<&ExternalServer>) -> Result<OperatorLogin, Error> {
    let Some(external) = external else {
        return Ok(OperatorLogin { mount: OPERATOR_MOUNT.to_owned(), role: OPERATOR_ROLE.to_owned() });
    };
    let login = management_login(external)?;
    let default = if external.management_auth.kubernetes.is_some() { "kubernetes" } else { "jwt" };
    let mount = login.mount.clone().unwrap_or_else(|| default.to_owned());
    Ok(OperatorLogin { mount, role: login.role.clone() })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["https://a"], Plaintext::Refused, true)]
    #[case(&["http://a"], Plaintext::Refused, false)]
    #[case(&["https://a", "http://b"], Plaintext::Refused, false)]
    #[case(&["https://a", "http://b"], Plaintext::Accepted, true)]
    fn an_address_without_tls_needs_consent(
        #[case] addresses: &[&str],
        #[case] plaintext: Plaintext,
        #[case] accepted: bool,
    ) {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        assert_eq!(encrypted(&addresses, plaintext).is_ok(), accepted);
    }
}
