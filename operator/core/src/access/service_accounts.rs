//! ServiceAccount tokens: requested for an audience, reused for half of their lifetime, and discarded when OpenBao rejects
//! them. Issuer and keys of these tokens.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use secrecy::SecretString;
use steamer_openbao::{Credential, CredentialError};
use steamer_runtime::{Metrics, after};
use tokio::sync::Mutex;

use super::api_audiences::ApiAudiences;
use super::reused::Reused;
use super::token_requests::{self, TokenRequestKey};
use crate::access::keys::pem_keys;
use crate::error::{Error, NoToken};

/// Requests tokens of any ServiceAccount.
#[derive(Clone)]
pub struct TokenSource {
    /// Client of the Kubernetes API.
    pub client: Client,
    /// Counts the requests.
    pub metrics: Arc<Metrics>,
    /// Audiences that no token may have.
    pub api_audiences: Arc<ApiAudiences>,
}

/// Tokens of one ServiceAccount.
pub struct ServiceAccountToken {
    source: TokenSource,
    of: TokenRequestKey,
    /// Token, and the time until which it is reused.
    held: Reused<(SecretString, Instant)>,
}

impl ServiceAccountToken {
    pub fn new(source: TokenSource, of: TokenRequestKey) -> Self {
        Self { source, of, held: Reused::default() }
    }

    async fn token(&self) -> Result<SecretString, CredentialError> {
        let (token, _) = self.held.get(|(_, until)| Instant::now() < *until, self.issued()).await?;
        Ok(token)
    }

    /// Requests a token. Returns the time until which it is reused.
    async fn issued(&self) -> Result<(SecretString, Instant), CredentialError> {
        let account = || self.of.account.clone();
        let token = self.requested().await.map_err(|source| NoToken { account: account(), source })?;
        let half = Duration::from_secs(u64::try_from(self.of.expiration_seconds / 2).unwrap_or(300));
        Ok((token, after(Instant::now(), half)))
    }

    async fn requested(&self) -> Result<SecretString, Error> {
        let TokenSource { client, metrics, api_audiences } = &self.source;
        api_audiences.still_safe(&self.of.audiences).await?;
        let token = token_requests::token(client, &self.of).await?;
        metrics.token_requested();
        Ok(token)
    }
}

impl Credential for ServiceAccountToken {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(self.token())
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.held.discard())
    }
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
