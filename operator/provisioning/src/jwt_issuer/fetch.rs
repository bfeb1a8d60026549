//! Keys of an issuer, from its spec or from its server.

use std::time::Duration;

use kube::ResourceExt;
use serde::Deserialize;
use steamer_api::JWTIssuer;
use steamer_core::access::keys::KeySet;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Dependencies, ObjectName};

/// Timeout of a request to the issuer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The keys, or the reason why they are not available.
pub(crate) type Fetched = Result<KeySet, String>;

#[derive(Deserialize)]
struct Discovery {
    jwks_uri: String,
}

pub(crate) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    issuer: &JWTIssuer,
) -> Result<Fetched, Error> {
    if let Some(keys) = &issuer.spec.public_keys {
        return Ok(Ok(KeySet::of_pem(keys)));
    }
    let ca = ca(context, dependencies, issuer).await?;
    Ok(published_keys(issuer, &ca).await)
}

/// The CA of the issuer's server, in PEM; empty for public CAs.
pub(crate) async fn ca(
    context: &Context,
    dependencies: &Dependencies,
    issuer: &JWTIssuer,
) -> Result<Vec<u8>, Error> {
    let Some(reference) = &issuer.spec.ca_secret_ref else {
        return Ok(Vec::new());
    };
    let name = ObjectName::new(issuer.namespace().unwrap_or_default(), &reference.name);
    context.secrets.value(dependencies, &name, &reference.key).await
}

async fn published_keys(issuer: &JWTIssuer, ca: &[u8]) -> Fetched {
    let client = client(ca)?;
    let url = match &issuer.spec.jwks_url {
        Some(url) => url.clone(),
        None => discovered_url(&client, issuer).await?,
    };
    let document = get(&client, &url).await?;
    KeySet::read(&document).map_err(|_| format!("the response of {url} is not a key set (JWKS)"))
}

/// The URL of the key set, by OIDC discovery.
async fn discovered_url(client: &reqwest::Client, issuer: &JWTIssuer) -> Result<String, String> {
    let issuer = issuer.spec.oidc_discovery_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let url = format!("{issuer}/.well-known/openid-configuration");
    let document = get(client, &url).await?;
    let discovery: Discovery = serde_json::from_slice(&document)
        .map_err(|_| format!("the response of {url} does not contain a jwks_uri"))?;
    Ok(discovery.jwks_uri)
}

fn client(ca: &[u8]) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder().timeout(TIMEOUT).no_proxy();
    if !ca.is_empty() {
        let bundle = reqwest::Certificate::from_pem_bundle(ca)
            .map_err(|_| "the Secret of caSecretRef does not contain a CA certificate in PEM".to_owned())?;
        builder = builder.tls_certs_only(bundle);
    }
    builder.build().map_err(|error| error.to_string())
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| match error.status() {
        Some(status) => format!("{url} returned status {status}"),
        None => format!("{url} is unreachable"),
    })?;
    answer.bytes().await.map(|bytes| bytes.to_vec()).map_err(|_| format!("cannot read the response of {url}"))
}
