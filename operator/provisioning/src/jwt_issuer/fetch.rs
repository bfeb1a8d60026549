use std::time::Duration;

use kube::ResourceExt;
use serde::Deserialize;
use steamer_api::JWTIssuer;
use steamer_core::access::keys::KeySet;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Dependencies, ObjectName};

/// The keys, or why they cannot be had.
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
    Ok(published(issuer, &ca).await)
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

async fn published(issuer: &JWTIssuer, ca: &[u8]) -> Fetched {
    let client = client(ca)?;
    let url = match (&issuer.spec.jwks_url, &issuer.spec.oidc_discovery_url) {
        (Some(url), _) => url.clone(),
        (None, url) => {
            let url = url.as_deref().unwrap_or_default().trim_end_matches('/');
            let document = get(&client, &format!("{url}/.well-known/openid-configuration")).await?;
            let discovery: Discovery = serde_json::from_slice(&document)
                .map_err(|_| format!("{url}/.well-known/openid-configuration names no jwks_uri"))?;
            discovery.jwks_uri
        }
    };
    let document = get(&client, &url).await?;
    KeySet::read(&document).map_err(|_| format!("{url} is no key set"))
}

fn client(ca: &[u8]) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy();
    if !ca.is_empty() {
        let bundle = reqwest::Certificate::from_pem_bundle(ca)
            .map_err(|_| "the CA of caSecretRef is no PEM".to_owned())?;
        builder = builder.tls_certs_only(bundle);
    }
    builder.build().map_err(|error| error.to_string())
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| match error.status() {
        Some(status) => format!("{url} answers {status}"),
        None => format!("{url} cannot be reached"),
    })?;
    answer.bytes().await.map(|bytes| bytes.to_vec()).map_err(|_| format!("{url} cannot be read"))
}
