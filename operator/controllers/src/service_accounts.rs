//! Tokens of ServiceAccounts: asked for by audience, kept for half their life, never for the API server itself.

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
use steamer_runtime::{Metrics, Name};
use tokio::sync::Mutex;

use crate::error::Error;
use crate::jwt_issuer::pem_keys;

/// Whose token, for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenOf {
    pub(crate) account: Name,
    pub(crate) audiences: Vec<String>,
    pub(crate) expiration_seconds: i64,
}

/// Gives tokens of one ServiceAccount.
pub(crate) struct ServiceAccountToken {
    client: Client,
    metrics: Arc<Metrics>,
    of: TokenOf,
    held: Mutex<Option<(SecretString, Instant)>>,
}

#[derive(Debug, thiserror::Error)]
#[error("no token for ServiceAccount {account}")]
struct NoToken {
    account: Name,
    source: kube::Error,
}

impl ServiceAccountToken {
    pub(crate) fn new(client: Client, metrics: Arc<Metrics>, of: TokenOf) -> Self {
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

async fn request(client: &Client, of: &TokenOf) -> Result<TokenRequest, kube::Error> {
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

/// The audiences that the API server accepts: those it puts into a token when none is asked for.
pub(crate) async fn api_audiences(client: &Client, account: &Name) -> Result<BTreeSet<String>, kube::Error> {
    let of = TokenOf { account: account.clone(), audiences: Vec::new(), expiration_seconds: 600 };
    Ok(request(client, &of).await?.spec.audiences.into_iter().collect())
}

/// Who signs ServiceAccount tokens, as the API server publishes it.
pub(crate) struct ApiIssuer {
    /// The `iss` of the tokens.
    pub(crate) issuer: String,
    /// The keys, in PEM.
    pub(crate) keys: Vec<String>,
}

/// The issuer, asked for again when it was not for a minute: a new key is known before it signs for long.
#[derive(Default)]
pub(crate) struct ApiIssuerSource(Mutex<Option<(Arc<ApiIssuer>, Instant)>>);

impl ApiIssuerSource {
    pub(crate) async fn get(&self, client: &Client) -> Result<Arc<ApiIssuer>, Error> {
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
