//! Servers: from an OpenBaoCluster or a BaoConnection to a client, and the operator's own session in a cluster.

use kube::ResourceExt;
use steamer_api::{BaoConnection, BaoConnectionSpec, ExternalServer, OpenBaoCluster, Reference};
use steamer_openbao::{NamespacePath, Session, Settings};
use steamer_runtime::{Dependencies, ObjectName};

use super::sessions::{CredentialOwner, LoginKey, Server};
use super::token_requests::TokenRequestKey;
use crate::context::Context;
use crate::error::Error;
use crate::layout::{OPERATOR_AUDIENCE, OPERATOR_MOUNT, OPERATOR_ROLE};

/// Lifetime of the operator's token requests, in seconds: the minimum that the API server accepts.
const TOKEN_SECONDS: i64 = 600;

/// Token of a ServiceAccount that a login needs.
pub(super) struct AccountToken {
    pub(super) account: ObjectName,
    pub(super) audiences: Vec<String>,
    pub(super) expiration_seconds: i64,
}

/// Mount, role and audience of the operator's login.
struct OperatorLogin {
    mount: String,
    role: String,
    audience: String,
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
        let OperatorLogin { mount, role, audience } = operator_login(cluster.spec.external.as_ref())?;
        let root = cluster.spec.external.as_ref().and_then(|external| external.namespace.as_deref());
        let root = NamespacePath::new(root.unwrap_or_default());
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
            inline: false,
            owner: self.account_credential(dependencies, token).await?,
        };
        Ok(self.sessions.session(&server, login, None).await.within(root.as_str()))
    }

    /// The owner of the JWT of a login. Fails before a token is requested if the ServiceAccount does not exist, or if the
    /// API server accepts one of the audiences.
    pub(super) async fn account_credential(
        &self,
        dependencies: &Dependencies,
        token: AccountToken,
    ) -> Result<CredentialOwner, Error> {
        let AccountToken { account, audiences, expiration_seconds } = token;
        let audiences = self.safe_audiences(&audiences)?;
        let uid = self.accounts.existing(dependencies, &account).await?.uid().unwrap_or_default();
        Ok(CredentialOwner::ServiceAccount(TokenRequestKey { account, uid, audiences, expiration_seconds }))
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
        let Some(external) = &cluster.spec.external else {
            return self.managed_server(dependencies, cluster);
        };
        let mut addresses = vec![external.address.clone()];
        addresses.extend(external.additional_addresses.iter().cloned());
        let mut settings = Settings { addresses, ..Settings::default() };
        if let Some(reference) = &external.ca_secret_ref {
            let name = ObjectName::new(cluster.namespace().unwrap_or_default(), &reference.name);
            settings.ca = self.secrets.value(dependencies, &name, &reference.key).await?;
        }
        self.sessions.server(&settings)
    }

    /// The server of the cluster that `reference` in an object of namespace `from` names.
    pub(super) async fn referenced_cluster(
        &self,
        dependencies: &Dependencies,
        reference: &Reference,
        from: &str,
    ) -> Result<Server, Error> {
        let cluster = self.stores.resolve::<OpenBaoCluster>(dependencies, reference, from)?;
        self.cluster_server(dependencies, &cluster).await
    }

    /// The server of a connection.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Denied`] for its cluster, [`Error::Waiting`] for a Secret without the key.
    pub async fn connection_server(
        &self,
        dependencies: &Dependencies,
        connection: &BaoConnection,
    ) -> Result<Server, Error> {
        let namespace = connection.namespace().unwrap_or_default();
        if let Some(reference) = &connection.spec.cluster_ref {
            return self.referenced_cluster(dependencies, reference, &namespace).await;
        }
        let settings = self.connection_settings(dependencies, &connection.spec, &namespace).await?;
        self.sessions.server(&settings)
    }

    async fn connection_settings(
        &self,
        dependencies: &Dependencies,
        spec: &BaoConnectionSpec,
        namespace: &str,
    ) -> Result<Settings, Error> {
        let BaoConnectionSpec {
            address,
            cluster_ref: _,
            headers,
            tls_server_name,
            ca_cert_secret_ref,
            client_cert_secret_ref,
            skip_tls_verify,
            timeout,
            allowed_namespaces: _,
        } = spec;
        let mut settings = Settings {
            addresses: address.iter().cloned().collect(),
            server_name: tls_server_name.clone(),
            insecure: *skip_tls_verify,
            headers: headers.clone(),
            timeout: timeout.as_ref().map(steamer_api::Duration::get),
            ..Settings::default()
        };
        if let Some(name) = ca_cert_secret_ref {
            settings.ca =
                self.secrets.value(dependencies, &ObjectName::new(namespace, name), "ca.crt").await?;
        }
        if let Some(name) = client_cert_secret_ref {
            let name = ObjectName::new(namespace, name);
            let mut pem = self.secrets.value(dependencies, &name, "tls.crt").await?;
            pem.extend(self.secrets.value(dependencies, &name, "tls.key").await?);
            settings.client_certificate = Some(String::from_utf8_lossy(&pem).into_owned().into());
        }
        Ok(settings)
    }
}

/// The login at a managed cluster (`external` is none), or the one that the spec of an external server states.
fn operator_login(external: Option<&ExternalServer>) -> Result<OperatorLogin, Error> {
    let Some(external) = external else {
        let [mount, role, audience] = [OPERATOR_MOUNT, OPERATOR_ROLE, OPERATOR_AUDIENCE].map(str::to_owned);
        return Ok(OperatorLogin { mount, role, audience });
    };
    let auth = &external.management_auth;
    let (login, mount) = match (&auth.kubernetes, &auth.jwt) {
        (Some(login), _) => (login, "kubernetes"),
        (None, Some(login)) => (login, "jwt"),
        (None, None) => return Err(Error::Invalid("managementAuth needs kubernetes or jwt".to_owned())),
    };
    let mount = login.mount.clone().unwrap_or_else(|| mount.to_owned());
    Ok(OperatorLogin { mount, role: login.role.clone(), audience: login.audience.clone() })
}
