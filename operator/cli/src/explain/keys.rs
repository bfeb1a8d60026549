//! Keys of the issuer, to verify the signature of a token.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use steamer_api::JWTIssuer;
use steamer_core::access::public_key::PublicKey;
use steamer_provisioning::jwt::{Key, keys_of_set};

use super::objects::Objects;

/// Time within which the issuer has to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where keys may come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// No keys are needed.
    Nothing,
    /// A file with a key set.
    File(&'a Path),
    /// The JWTIssuer.
    Objects,
    /// The JWTIssuer, or else its URL.
    Url,
}

/// The keys of the issuer. None: they are not known, and the notes state why.
///
/// # Errors
/// When the file with the key set cannot be read.
pub(super) async fn keys(source: Source<'_>, objects: &mut Objects) -> Result<Option<Vec<Key>>> {
    if let Source::Nothing = source {
        return Ok(None);
    }
    if let Source::File(path) = source {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let set: Value = serde_json::from_str(&text)
            .map_err(|_| anyhow!("{} is not a key set: it is no JSON", path.display()))?;
        return Ok(Some(keys_of_set(&set)));
    }
    let issuer = &objects.issuer;
    if let Some(keys) = stated(issuer) {
        return Ok(Some(keys));
    }
    if let Source::Objects = source {
        objects
            .notes
            .push("the signature is not verified: state the key set of the issuer with --key-set".to_owned());
        return Ok(None);
    }
    match fetched(issuer).await {
        Ok(set) => Ok(Some(keys_of_set(&set))),
        Err(error) => {
            let name = steamer_runtime::ObjectName::of(issuer);
            objects.notes.push(format!(
                "the signature is not verified: cannot read the keys of JWTIssuer {name} from here ({error:#}); state them with --key-set"
            ));
            Ok(None)
        }
    }
}

/// The keys that auth mounts contain. None: they contain the URL of the key set.
fn stated(issuer: &JWTIssuer) -> Option<Vec<Key>> {
    let keys = issuer.readable_keys().or(issuer.spec.public_keys.as_deref())?;
    let key = |pem: &String| PublicKey::of_pem(pem).ok().map(|key| Key { id: None, key });
    Some(keys.iter().filter_map(key).collect())
}

async fn fetched(issuer: &JWTIssuer) -> Result<Value> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let read = async |url: &str| -> Result<Value> {
        let answer = client.get(url).send().await?.error_for_status()?;
        Ok(serde_json::from_str(&answer.text().await?)?)
    };
    let url = match (&issuer.spec.oidc_discovery_url, &issuer.spec.jwks_url) {
        (Some(url), _) => {
            let document =
                read(&format!("{}/.well-known/openid-configuration", url.trim_end_matches('/'))).await?;
            document["jwks_uri"].as_str().context("the discovery document has no jwks_uri")?.to_owned()
        }
        (None, Some(url)) => url.clone(),
        (None, None) => return Err(anyhow!("it has no URL")),
    };
    read(&url).await
}
