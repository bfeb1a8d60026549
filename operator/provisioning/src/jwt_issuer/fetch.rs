//! Keys of an issuer, from its spec or from its server.

use std::time::Duration;

use kube::ResourceExt;
use serde::Deserialize;
use steamer_api::JWTIssuer;
use steamer_core::access::issuer::bound_issuer;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Dependencies, ObjectName};

use super::published::Published;

/// Timeout of a request to the issuer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The keys, or the reason why they are not available.
pub(crate) type Fetched = Result<Published, String>;

#[derive(Deserialize)]
struct Discovery {
    #[serde(default)]
    issuer: String,
    jwks_uri: String,
}

pub(crate) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    issuer: &JWTIssuer,
) -> Result<Fetched, Error> {
    if let Some(keys) = &issuer.spec.public_keys {
        return Ok(Ok(Published::of_pem(keys, issuer)));
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
    let (url, mistake) = match &issuer.spec.jwks_url {
        Some(url) => (url.clone(), None),
        None => {
            let discovery = discovered(&client, issuer).await?;
            let mistake = disagreement(issuer, &discovery);
            (discovery.jwks_uri, mistake)
        }
    };
    let document = get(&client, &url).await?;
    let published = Published::read(&document, issuer);
    let published = published.ok_or_else(|| format!("the response of {url} is not a key set (JWKS)"))?;
    Ok(Published { mistake: mistake.or(published.mistake), ..published })
}

/// The discovery document.
async fn discovered(client: &reqwest::Client, issuer: &JWTIssuer) -> Result<Discovery, String> {
    let issuer = issuer.spec.oidc_discovery_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let url = format!("{issuer}/.well-known/openid-configuration");
    let document = get(client, &url).await?;
    let discovery: Discovery = serde_json::from_slice(&document)
        .map_err(|_| format!("the response of {url} does not contain a jwks_uri"))?;
    Ok(discovery)
}

/// The reason why OpenBao would reject every token: it requires the issuer of the document to be the discovery URL, and
/// the issuer of a token to be `boundIssuer`.
fn disagreement(issuer: &JWTIssuer, discovery: &Discovery) -> Option<String> {
    let url = issuer.spec.oidc_discovery_url.as_deref().unwrap_or_default();
    let (stated, bound) = (&discovery.issuer, bound_issuer(issuer));
    if stated != url {
        return Some(format!(
            "no login can work: the discovery document of {url} names the issuer {stated:?}; set jwksUrl: {} and boundIssuer: \
             {stated} instead of oidcDiscoveryUrl",
            discovery.jwks_uri
        ));
    }
    (*stated != bound).then(|| {
        format!(
            "no login can work: boundIssuer is {bound}, but the issuer calls itself {stated} in its discovery document; \
             remove boundIssuer, or set jwksUrl: {} instead of oidcDiscoveryUrl",
            discovery.jwks_uri
        )
    })
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OUTER: &str = "https://gitlab.example.com";

    #[rstest]
    #[case::same(OUTER, None, OUTER, "")]
    #[case::bound(OUTER, Some(OUTER), OUTER, "")]
    #[case::inner_url(
        "http://gitlab.ns.svc",
        Some(OUTER),
        OUTER,
        "set jwksUrl: https://k and boundIssuer: https://gitlab.example.com instead"
    )]
    #[case::trailing_slash("https://gitlab.example.com/", None, OUTER, "set jwksUrl")]
    #[case::other_bound_issuer(OUTER, Some("https://other"), OUTER, "remove boundIssuer")]
    fn the_discovery_document_and_the_issuer_must_agree(
        #[case] url: &str,
        #[case] bound: Option<&str>,
        #[case] stated: &str,
        #[case] expected: &str,
    ) {
        let spec = serde_json::json!({"oidcDiscoveryUrl": url, "boundIssuer": bound});
        let issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        let discovery = Discovery { issuer: stated.to_owned(), jwks_uri: "https://k".to_owned() };
        let found = disagreement(&issuer, &discovery).unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found}");
    }
}
