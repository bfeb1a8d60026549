//! Sessions: one HTTP client for each server, one identity for each login. All objects share them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use steamer_openbao::{
    Client, Credential, CredentialError, Identity, Login, LoginKind, NamespacePath, Observer, Outgoing,
    Presentation, Session, Settings,
};
use steamer_runtime::{Index, Key, Metrics, ObjectName, fail_point};

use super::cloud::{self, CloudLogin};
use super::service_accounts::{ServiceAccountToken, TokenSource};
use super::token_requests::TokenRequestKey;
use super::transports::Transports;
use crate::digest::digest;
use crate::error::Error;

/// How long an identity is kept without use. Its token is then revoked.
const IDLE: Duration = Duration::from_secs(3600);
/// Most servers with an HTTP client. A client keeps connections and CA certificates in memory.
const CLIENTS: u64 = 512;
/// How long the operator waits for the revocation of a token that is not used any more, and of all when it stops.
const REVOCATION: Duration = Duration::from_secs(5);

/// A login. Equal logins share one identity and one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoginKey {
    /// The server.
    pub server: ServerKey,
    /// OpenBao namespace of the auth mount.
    pub namespace: NamespacePath,
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// Role of the auth mount, or user.
    pub role: String,
    /// Auth method and parameters.
    pub method: LoginMethod,
    /// Whether each request carries the JWT itself (inline authentication) and no token is created.
    pub inline: bool,
    /// Owner of the JWT.
    pub owner: CredentialOwner,
}

/// Auth method of a login, and its further parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoginMethod {
    /// Auth method.
    pub kind: LoginKind,
    /// Further parameters.
    pub params: BTreeMap<String, String>,
}

/// Owner of the secret of a login.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialOwner {
    /// A ServiceAccount.
    ServiceAccount(TokenRequestKey),
    /// A JWT in a Secret, at that resource version.
    Secret(ObjectName, String),
    /// A password, secret ID or token with that digest. Equal ones share a login, so that a wrong password of several
    /// namespaces is tried once.
    Value(String),
    /// The client certificate of the server's connections.
    Certificate,
    /// An identity of a cloud provider.
    Cloud(CloudLogin),
}

/// Digest of all settings of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServerKey(String);

impl ServerKey {
    /// The key for the recovery of the server: it requeues the objects that use the server.
    pub(super) fn recovery(&self) -> Key {
        Key::new("Server", ObjectName::new("", &self.0))
    }
}

/// Counts the requests to a server.
struct Counter(Arc<Metrics>);

/// Counts the requests to a server, and requeues the objects that use it when it recovers.
struct Watcher {
    counter: Counter,
    index: Arc<Index>,
    key: Key,
}

impl Observer for Counter {
    fn asked(&self) {
        self.0.openbao_asked();
    }

    fn before_write(&self, namespace: &NamespacePath, path: &str) {
        fail_point::before_openbao_write(namespace.as_str(), path);
    }

    fn ended(&self, class: &'static str, took: Duration) {
        self.0.openbao_answered(class, took);
    }
}

impl Observer for Watcher {
    fn asked(&self) {
        self.counter.asked();
    }

    fn before_write(&self, namespace: &NamespacePath, path: &str) {
        self.counter.before_write(namespace, path);
    }

    fn ended(&self, class: &'static str, took: Duration) {
        self.counter.ended(class, took);
    }

    fn recovered(&self) {
        self.index.wake(std::slice::from_ref(&self.key), None);
    }
}

/// A server and the client for it.
#[derive(Clone)]
pub struct Server {
    /// Equal for equal settings.
    pub key: ServerKey,
    /// The client.
    pub client: Client,
    /// Address for messages and statuses.
    pub address: String,
}

/// All clients and identities.
pub struct Sessions {
    tokens: TokenSource,
    index: Arc<Index>,
    /// Rules for all connections of this process.
    pub outgoing: Outgoing,
    servers: moka::sync::Cache<ServerKey, Client>,
    /// Clients for documents of other servers.
    pub documents: Arc<Transports>,
    identities: Identities,
}

type Identities = moka::future::Cache<LoginKey, Known>;

/// A login that objects use. Each of them refers to the same key: most logins are those of many objects.
#[derive(Clone)]
struct Known {
    login: Arc<LoginKey>,
    client: Client,
    identity: Identity,
}

/// A secret that does not change.
struct Stored(SecretString);

impl Credential for Stored {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        // A change of the Secret is another login.
        Box::pin(std::future::ready(false))
    }
}

impl Sessions {
    /// No sessions.
    #[must_use]
    pub fn new(tokens: TokenSource, outgoing: Outgoing, index: Arc<Index>) -> Self {
        let identities = moka::future::Cache::builder()
            .time_to_idle(IDLE)
            .max_capacity(10_000)
            .support_invalidation_closures()
            .async_eviction_listener(|_, Known { client, identity, login: _ }: Known, _| {
                // The listener runs in the reconcile of any object, which must not wait for this server.
                let revoked = async move { identity.revoke(&client).await };
                Box::pin(async move { drop(tokio::spawn(tokio::time::timeout(REVOCATION, revoked))) })
            })
            .build();
        let servers = servers(identities.clone());
        let documents = Arc::new(Transports::new(outgoing));
        Self { tokens, index, outgoing, servers, documents, identities }
    }

    /// A session in the root namespace of a server, and its login. `stored` is the secret of an owner that is no ServiceAccount.
    pub async fn session(
        &self,
        server: &Server,
        login: LoginKey,
        stored: Option<SecretString>,
    ) -> (Session, Arc<LoginKey>) {
        let made = async {
            let identity = self.identity(login.clone(), stored);
            Known { login: Arc::new(login.clone()), client: server.client.clone(), identity }
        };
        let known = self.identities.get_with_by_ref(&login, made).await;
        (known.client.session(known.identity), known.login)
    }

    fn identity(&self, login: LoginKey, stored: Option<SecretString>) -> Identity {
        let LoginKey { server: _, namespace, mount, role, method, inline, owner } = login;
        let credential: Arc<dyn Credential> = match owner {
            CredentialOwner::ServiceAccount(key) => {
                Arc::new(ServiceAccountToken::new(self.tokens.clone(), key))
            }
            CredentialOwner::Cloud(login) => {
                cloud::credential(login, stored, (&self.tokens, &self.documents))
            }
            CredentialOwner::Secret(..) | CredentialOwner::Value(_) | CredentialOwner::Certificate => {
                Arc::new(Stored(stored.unwrap_or_default()))
            }
        };
        let presentation = if inline { Presentation::Inline } else { Presentation::Token };
        let LoginMethod { kind, params } = method;
        Identity::login(Login { namespace, mount, role, kind, params, presentation, credential })
    }

    /// The server with these settings.
    ///
    /// # Errors
    /// [`Error::OpenBao`] if the settings are invalid.
    pub fn server(&self, settings: &Settings) -> Result<Server, Error> {
        let key = server_key(settings);
        let address = settings.addresses.first().cloned().unwrap_or_default();
        if let Some(client) = self.servers.get(&key) {
            return Ok(Server { key, client, address });
        }
        let settings = Settings { outgoing: self.outgoing, ..settings.clone() };
        let (metrics, index) = (self.tokens.metrics.clone(), self.index.clone());
        let client =
            Client::observed(&settings, Watcher { counter: Counter(metrics), index, key: key.recovery() })?;
        let client = self.servers.entry(key.clone()).or_insert(client).into_value();
        Ok(Server { key, client, address })
    }

    /// A client with connections of its own.
    ///
    /// # Errors
    /// [`Error::OpenBao`] if the settings are invalid.
    pub fn separate(&self, settings: &Settings) -> Result<Client, Error> {
        let settings = Settings { outgoing: self.outgoing, ..settings.clone() };
        Ok(Client::observed(&settings, Counter(self.tokens.metrics.clone()))?)
    }

    /// Revokes all tokens when the process ends.
    pub async fn revoke_all(&self) {
        let revocations = self
            .identities
            .iter()
            .map(|(_, Known { client, identity, login: _ })| async move { identity.revoke(&client).await });
        let all = futures::future::join_all(revocations);
        let _ = tokio::time::timeout(REVOCATION, all).await;
    }
}

/// A client that is evicted takes its logins along, which hold it as well.
fn servers(identities: Identities) -> moka::sync::Cache<ServerKey, Client> {
    moka::sync::Cache::builder()
        .time_to_idle(IDLE)
        .max_capacity(CLIENTS)
        .eviction_listener(move |server: Arc<ServerKey>, _, _| {
            // The error states that closures are not supported, which they are.
            let _ = identities.invalidate_entries_if(move |login, _| login.server == *server);
        })
        .build()
}

/// Digests the settings of a connection, so that no private key is kept in a map key.
fn server_key(settings: &Settings) -> ServerKey {
    let Settings {
        addresses,
        ca,
        client_certificate,
        server_name,
        insecure,
        headers,
        timeout,
        patience,
        resolver,
        plain,
        outgoing: _,
        node,
    } = settings;
    // A managed cluster resolves its nodes, a connection to the same addresses does not.
    let resolver = resolver.is_some();
    let certificate = client_certificate.as_ref().map(|pem| digest(pem.expose_secret().as_bytes()));
    let text = format!(
        "{addresses:?} {} {certificate:?} {server_name:?} {insecure} {headers:?} {timeout:?} {patience:?} {plain} {resolver} {node}",
        digest(ca)
    );
    ServerKey(digest(text.as_bytes()))
}
