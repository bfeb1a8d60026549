//! Keys of an issuer, from its spec or from its server.

use kube::ResourceExt;
use reqwest::Url;
use serde::Deserialize;
use steamer_api::JWTIssuer;
use steamer_core::access::issuer::bound_issuer;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::{Fault, Transport};
use steamer_runtime::{Dependencies, ObjectName};

use super::published::Published;

/// Largest discovery document or key set.
const LIMIT: usize = 1024 * 1024;

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
    Ok(published_keys(context, issuer, &ca).await)
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
    context.secrets.certificates(dependencies, &name, &reference.key).await
}

async fn published_keys(context: &Context, issuer: &JWTIssuer, ca: &[u8]) -> Fetched {
    let transport = context.sessions.documents.trusting(ca).map_err(|invalid| invalid.to_string())?;
    let (url, mistake) = match &issuer.spec.jwks_url {
        Some(url) => (url.clone(), None),
        None => {
            let discovery = discovered(&transport, issuer).await?;
            let mistake = disagreement(issuer, &discovery);
            (discovery.jwks_uri, mistake)
        }
    };
    let document = get(&transport, &url).await?;
    let published = Published::read(&document, issuer);
    let published = published.ok_or_else(|| format!("the response of {url} is not a key set (JWKS)"))?;
    Ok(Published { mistake: mistake.or(published.mistake), ..published })
}

/// The discovery document.
async fn discovered(transport: &Transport, issuer: &JWTIssuer) -> Result<Discovery, String> {
    let issuer = issuer.spec.oidc_discovery_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let url = format!("{issuer}/.well-known/openid-configuration");
    let document = get(transport, &url).await?;
    let discovery: Discovery = serde_json::from_slice(&document)
        .map_err(|_| format!("the response of {url} does not contain a jwks_uri"))?;
    if !is_trusted(&url, &discovery.jwks_uri) {
        return Err(format!(
            "the jwks_uri in {url} is neither https nor on the same server: correct the issuer, or set jwksUrl"
        ));
    }
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

/// Returns whether an issuer may name this key set: on the same server, or with a verified certificate.
fn is_trusted(issuer: &str, keys: &str) -> bool {
    let (Ok(issuer), Ok(keys)) = (Url::parse(issuer), Url::parse(keys)) else { return false };
    keys.scheme() == "https" || (keys.origin() == issuer.origin() && keys.scheme() == "http")
}

async fn get(transport: &Transport, url: &str) -> Result<Vec<u8>, String> {
    let document = match transport.get(url, LIMIT).await {
        // The server can close a connection that was used before.
        Err(Fault::Closed) => transport.get(url, LIMIT).await,
        result => result,
    };
    document.map_err(|fault| format!("cannot fetch {url}: {fault}"))
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

    #[rstest]
    #[case::same_server("http://issuer:8080/keys", true)]
    #[case::https("https://keys.example.com/x", true)]
    #[case::other_server("http://metadata/keys", false)]
    #[case::other_port("http://issuer:8081/keys", false)]
    #[case::no_url("keys", false)]
    #[case::file("file:///etc/passwd", false)]
    fn an_issuer_names_keys_on_its_own_server_or_by_https(#[case] keys: &str, #[case] expected: bool) {
        assert_eq!(is_trusted("http://issuer:8080/.well-known/openid-configuration", keys), expected);
    }
}
