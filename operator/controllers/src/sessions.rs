//! Sessions: one client a server, one identity a login, whoever asks.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::{Client as Kubernetes, ResourceExt};
use secrecy::SecretString;
use steamer_api::{BaoConnection, BaoConnectionSpec, ExternalServer, OpenBaoCluster};
use steamer_openbao::{
    Client, Credential, CredentialError, Identity, Login, LoginKind, NamespacePath, Presentation, Resolver,
    Session, Settings,
};
use steamer_runtime::{Dependencies, Metrics, Name};

use crate::error::Error;
use crate::named_secrets::NamedSecrets;
use crate::openbao_cluster::children::{Children, ca_of};
use crate::openbao_cluster::cluster::{LOGIN_AUDIENCE, LOGIN_MOUNT, pod_of, url};
use crate::service_accounts::{ServiceAccountToken, TokenOf};

/// A login, as a key: equal logins share one identity and so one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LoginOf {
    pub(crate) server: ServerKey,
    pub(crate) namespace: NamespacePath,
    pub(crate) mount: String,
    pub(crate) role: String,
    pub(crate) inline: bool,
    pub(crate) who: Who,
}

/// Whose JWT is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A ServiceAccount's.
    ServiceAccount(TokenOf),
    /// The one stored in a Secret, at that version of it.
    Secret(Name, String),
}

/// Everything that makes a connection another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey(String);

/// A reachable server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) key: ServerKey,
    pub(crate) client: Client,
    /// What people know it by.
    pub(crate) address: String,
}

/// All clients and identities.
pub(crate) struct Sessions {
    kubernetes: Kubernetes,
    metrics: Arc<Metrics>,
    secrets: Arc<NamedSecrets>,
    operator: Name,
    children: Children,
    servers: Mutex<HashMap<ServerKey, Client>>,
    identities: moka::future::Cache<LoginOf, (Client, Identity)>,
}

/// A JWT that someone keeps in a Secret.
struct StoredJwt(SecretString);

impl Credential for StoredJwt {
    fn jwt(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

impl Sessions {
    pub(crate) fn new(
        kubernetes: Kubernetes,
        metrics: Arc<Metrics>,
        secrets: Arc<NamedSecrets>,
        (operator, children): (Name, Children),
    ) -> Self {
        // An identity nobody has used for an hour gives its token back.
        let identities = moka::future::Cache::builder()
            .time_to_idle(std::time::Duration::from_secs(3600))
            .max_capacity(10_000)
            .async_eviction_listener(|_, (client, identity): (Client, Identity), _| {
                Box::pin(async move { identity.revoke(&client).await })
            })
            .build();
        Self { kubernetes, metrics, secrets, operator, children, servers: Mutex::default(), identities }
    }

    /// The operator's own session in a cluster.
    pub(crate) async fn operator(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Session, Error> {
        let server = self.cluster(dependencies, cluster).await?;
        let (mount, role, audience) = match &cluster.spec.external {
            None => (LOGIN_MOUNT.to_owned(), "steamer".to_owned(), LOGIN_AUDIENCE.to_owned()),
            Some(external) => external_login(external)?,
        };
        let root = cluster.spec.external.as_ref().and_then(|external| external.namespace.as_deref());
        let root = NamespacePath::new(root.unwrap_or_default());
        let login = LoginOf {
            server: server.key.clone(),
            namespace: root.clone(),
            mount,
            role,
            inline: false,
            who: Who::ServiceAccount(TokenOf {
                account: self.operator.clone(),
                audiences: vec![audience],
                expiration_seconds: 600,
            }),
        };
        Ok(self.session(&server, login, None).await.within(root.as_str()))
    }

    /// A session in the root namespace of a server. `stored` is the JWT of [`Who::Secret`].
    pub(crate) async fn session(
        &self,
        server: &Server,
        login: LoginOf,
        stored: Option<SecretString>,
    ) -> Session {
        let (client, identity) = self
            .identities
            .get_with(login.clone(), async { (server.client.clone(), self.identity(login, stored)) })
            .await;
        client.session(identity)
    }

    fn identity(&self, login: LoginOf, stored: Option<SecretString>) -> Identity {
        let LoginOf { server: _, namespace, mount, role, inline, who } = login;
        let credential: Arc<dyn Credential> = match who {
            Who::ServiceAccount(of) => {
                Arc::new(ServiceAccountToken::new(self.kubernetes.clone(), self.metrics.clone(), of))
            }
            Who::Secret(..) => Arc::new(StoredJwt(stored.unwrap_or_default())),
        };
        let presentation = if inline { Presentation::Inline } else { Presentation::Token };
        Identity::login(Login { namespace, mount, role, kind: LoginKind::Role, presentation, credential })
    }

    /// The server of a cluster.
    pub(crate) async fn cluster(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Server, Error> {
        let Some(external) = &cluster.spec.external else {
            return self.managed(dependencies, cluster);
        };
        let mut addresses = vec![external.address.clone()];
        addresses.extend(external.additional_addresses.iter().cloned());
        let mut settings = Settings { addresses, ..Settings::default() };
        if let Some(reference) = &external.ca_secret_ref {
            let name = Name::new(cluster.namespace().unwrap_or_default(), &reference.name);
            settings.ca = self.secret_value(dependencies, &name, &reference.key).await?;
        }
        self.server(&settings)
    }

    /// A cluster that Steamer runs: its nodes by their stable names, at the addresses of their pods.
    fn managed(&self, dependencies: &Dependencies, cluster: &OpenBaoCluster) -> Result<Server, Error> {
        let name = Name::of(cluster);
        dependencies.on(ca_of(name.clone()));
        let map = self.children.config_maps.get(&Name::new(&name.namespace, format!("{}-ca", name.name)));
        let ca = map.and_then(|map| map.data.as_ref()?.get("ca.crt").cloned());
        let ca = ca.or_else(|| cluster.is_plain().then(String::new));
        let ca =
            ca.ok_or_else(|| Error::Waiting(format!("OpenBaoCluster {name} has no certificates yet")))?;
        let (replicas, tls) = cluster
            .spec
            .managed
            .as_ref()
            .map_or_else(Default::default, |managed| (managed.replicas, managed.tls.mode));
        let address = |ordinal| url(&name, &format!("{}-{ordinal}", name.name), tls);
        let server = self.server(&Settings {
            addresses: (0..replicas).map(address).collect(),
            ca: ca.into_bytes(),
            resolver: Some(self.resolver()),
            ..Settings::default()
        })?;
        Ok(Server { address: cluster.address(), ..server })
    }

    /// Knows where the nodes of managed clusters are.
    pub(crate) fn resolver(&self) -> Resolver {
        let pods = self.children.pods.clone();
        Resolver::new(move |name| {
            let pod = pods.get(&pod_of(name)?)?;
            pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
        })
    }

    /// The server of a connection by address.
    pub(crate) async fn connection(
        &self,
        dependencies: &Dependencies,
        connection: &BaoConnection,
    ) -> Result<Server, Error> {
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
        } = &connection.spec;
        let namespace = connection.namespace().unwrap_or_default();
        let mut settings = Settings {
            addresses: address.iter().cloned().collect(),
            server_name: tls_server_name.clone(),
            insecure: *skip_tls_verify,
            headers: headers.clone(),
            timeout: timeout.as_ref().map(steamer_api::Duration::get),
            ..Settings::default()
        };
        if let Some(name) = ca_cert_secret_ref {
            settings.ca = self.secret_value(dependencies, &Name::new(&namespace, name), "ca.crt").await?;
        }
        if let Some(name) = client_cert_secret_ref {
            let name = Name::new(&namespace, name);
            let mut pem = self.secret_value(dependencies, &name, "tls.crt").await?;
            pem.extend(self.secret_value(dependencies, &name, "tls.key").await?);
            settings.client_certificate = Some(String::from_utf8_lossy(&pem).into_owned().into());
        }
        self.server(&settings)
    }

    /// The value of a key of a Secret that an object names.
    pub(crate) async fn secret_value(
        &self,
        dependencies: &Dependencies,
        name: &Name,
        key: &str,
    ) -> Result<Vec<u8>, Error> {
        let secret = self.named_secret(dependencies, name).await?;
        let value = secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.clone());
        value.ok_or_else(|| Error::Waiting(format!("Secret {name} has no key `{key}`")))
    }

    /// A Secret that an object names.
    pub(crate) async fn named_secret(
        &self,
        dependencies: &Dependencies,
        name: &Name,
    ) -> Result<Arc<Secret>, Error> {
        let found = self.secrets.get(dependencies, name).await;
        found.ok_or_else(|| Error::NotFound { kind: "Secret", name: name.clone() })
    }

    pub(crate) fn server(&self, settings: &Settings) -> Result<Server, Error> {
        let key = server_key(settings);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let address = settings.addresses.first().cloned().unwrap_or_default();
        if let Some(client) = servers.get(&key) {
            return Ok(Server { key, client: client.clone(), address });
        }
        let metrics = self.metrics.clone();
        let client = Client::counted(settings, move || metrics.openbao_asked())?;
        servers.insert(key.clone(), client.clone());
        Ok(Server { key, client, address })
    }

    /// Gives all tokens back, at the end of the process.
    pub(crate) async fn revoke_all(&self) {
        let revocations = self
            .identities
            .iter()
            .map(|(_, (client, identity))| async move { identity.revoke(&client).await });
        let all = futures::future::join_all(revocations);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), all).await;
    }
}

/// Mount, role and audience of the operator's login at a server that someone else runs.
fn external_login(external: &ExternalServer) -> Result<(String, String, String), Error> {
    let auth = &external.management_auth;
    let (login, mount) = match (&auth.kubernetes, &auth.jwt) {
        (Some(login), _) => (login, "kubernetes"),
        (None, Some(login)) => (login, "jwt"),
        (None, None) => return Err(Error::Invalid("managementAuth needs kubernetes or jwt".to_owned())),
    };
    let mount = login.mount.clone().unwrap_or_else(|| mount.to_owned());
    Ok((mount, login.role.clone(), login.audience.clone()))
}

/// Digests what a connection is made of, so that no certificate key is kept as a map key.
fn server_key(settings: &Settings) -> ServerKey {
    use secrecy::ExposeSecret;
    let Settings {
        addresses,
        ca,
        client_certificate,
        server_name,
        insecure,
        headers,
        timeout,
        patience,
        resolver: _,
        plain,
    } = settings;
    let certificate = client_certificate.as_ref().map(|pem| digest(pem.expose_secret().as_bytes()));
    let text = format!(
        "{addresses:?} {} {certificate:?} {server_name:?} {insecure} {headers:?} {timeout:?} {patience:?} {plain}",
        digest(ca)
    );
    ServerKey(digest(text.as_bytes()))
}

/// SHA-256 in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    crate::pipelines::hex(digest.as_ref())
}
