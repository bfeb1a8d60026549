//! ServiceAccount tokens (TokenRequest): requested for an audience, reused for half of their lifetime, never requested for
//! an audience of the API server.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use secrecy::SecretString;
use steamer_openbao::{Credential, CredentialError};
use steamer_runtime::{Metrics, ObjectName};
use tokio::sync::Mutex;

use crate::access::keys::pem_keys;
use crate::error::Error;

/// ServiceAccount, audiences and lifetime of a token. Equal keys share one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequestKey {
    /// The ServiceAccount.
    pub account: ObjectName,
    /// Audiences of the token. Empty: those of the API server.
    pub audiences: Vec<String>,
    /// Lifetime in seconds; at least 600.
    pub expiration_seconds: i64,
}

/// Source of tokens of one ServiceAccount.
pub struct ServiceAccountToken {
    client: Client,
    metrics: Arc<Metrics>,
    of: TokenRequestKey,
    held: Mutex<Option<(SecretString, Instant)>>,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot request a token of ServiceAccount {account}")]
struct NoToken {
    account: ObjectName,
    source: kube::Error,
}

impl ServiceAccountToken {
    pub fn new(client: Client, metrics: Arc<Metrics>, of: TokenRequestKey) -> Self {
        Self { client, metrics, of, held: Mutex::new(None) }
    }

    async fn token(&self) -> Result<SecretString, CredentialError> {
        let mut held = self.held.lock().await;
        if let Some((token, until)) = held.as_ref()
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let answer = request(&self.client, &self.of).await;
        let answer = answer.map_err(|source| NoToken { account: self.of.account.clone(), source })?;
        self.metrics.token_requested();
        let token: SecretString = answer.status.map(|status| status.token).unwrap_or_default().into();
        let half = Duration::from_secs(u64::try_from(self.of.expiration_seconds / 2).unwrap_or(300));
        *held = Some((token.clone(), Instant::now() + half));
        Ok(token)
    }
}

impl Credential for ServiceAccountToken {
    fn jwt(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(self.token())
    }
}

async fn request(client: &Client, of: &TokenRequestKey) -> Result<TokenRequest, kube::Error> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &of.account.namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: of.audiences.clone(),
            expiration_seconds: Some(of.expiration_seconds),
            bound_object_ref: None,
        },
        ..TokenRequest::default()
    };
    api.create_token_request(&of.account.name, &PostParams::default(), &request).await
}

/// The audiences that the API server accepts: those of a token that is requested without an audience.
///
/// # Errors
/// Any error of the API server.
pub async fn api_audiences(client: &Client, account: &ObjectName) -> Result<BTreeSet<String>, kube::Error> {
    let of = TokenRequestKey { account: account.clone(), audiences: Vec::new(), expiration_seconds: 600 };
    Ok(request(client, &of).await?.spec.audiences.into_iter().collect())
}

/// Issuer and keys of ServiceAccount tokens, as the API server publishes them.
pub struct ApiIssuer {
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The keys, in PEM.
    pub keys: Vec<String>,
}

/// The issuer, read again after a minute, so that a new signing key is known soon.
#[derive(Default)]
pub struct ApiIssuerSource(Mutex<Option<(Arc<ApiIssuer>, Instant)>>);

impl ApiIssuerSource {
    /// The issuer, at most a minute old.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn get(&self, client: &Client) -> Result<Arc<ApiIssuer>, Error> {
        let mut known = self.0.lock().await;
        if let Some((issuer, at)) = known.as_ref()
            && at.elapsed() < Duration::from_secs(60)
        {
            return Ok(issuer.clone());
        }
        let issuer = Arc::new(published(client).await?);
        *known = Some((issuer.clone(), Instant::now()));
        Ok(issuer)
    }
}

async fn published(client: &Client) -> Result<ApiIssuer, Error> {
    #[derive(serde::Deserialize)]
    struct Discovery {
        issuer: String,
    }
    let unreadable = |error: serde_json::Error| Error::Kubernetes(kube::Error::SerdeError(error));
    let discovery = text(client, "/.well-known/openid-configuration").await?;
    let Discovery { issuer } = serde_json::from_str(&discovery).map_err(unreadable)?;
    let keys = text(client, "/openid/v1/jwks").await?;
    Ok(ApiIssuer { issuer, keys: pem_keys(keys.as_bytes()).map_err(unreadable)? })
}

async fn text(client: &Client, path: &str) -> Result<String, Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(client.request_text(request).await?)
}
