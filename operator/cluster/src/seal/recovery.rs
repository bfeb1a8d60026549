//! Recovery keys, made right after initialisation: without them OpenBao cannot rotate its seal.
//!
//! They are verified only after they were written and read back, so that no crash loses them: what was begun and not
//! verified is cancelled and begun again. Shares for somebody's PGP keys cannot be verified here: OpenBao keeps a copy of
//! them until they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use steamer_core::error::Error;
use steamer_openbao::Session;

use crate::children::only;
use crate::cluster::{CLUSTER_LABEL, Cluster};
use crate::objects::selector;

#[derive(Deserialize)]
struct Begun {
    #[serde(default)]
    keys_base64: Vec<String>,
    #[serde(default)]
    verification_nonce: String,
}

/// On the Secret whose shares are in force.
const VERIFIED: &str = "steamer.dev/verified";
const INIT: &str = "sys/rotate/recovery/init";
const BACKUP: &str = "sys/rotate/recovery/backup";
const VERIFY: &str = "sys/rotate/recovery/verify";

/// Makes them, keeps them, and only then puts them in force.
pub(crate) async fn make(cluster: &Cluster, session: &Session, secrets: &Api<Secret>) -> Result<(), Error> {
    // What another process began and nobody verified.
    let _ = session.request_any(Method::DELETE, INIT, None).await;
    let keys = &cluster.spec.recovery_keys;
    let mut asked = json!({
        "secret_shares": keys.shares, "secret_threshold": keys.threshold, "require_verification": keys.pgp_keys.is_empty(),
    });
    if !keys.pgp_keys.is_empty() {
        asked["pgp_keys"] = json!(keys.pgp_keys);
        asked["backup"] = json!(true);
    }
    let answer = session.request_any(Method::POST, INIT, Some(asked)).await?;
    let begun = answer.get("data").cloned().unwrap_or(answer);
    let unreadable =
        |error: serde_json::Error| Error::Waiting(format!("recovery keys were not given: {error}"));
    let Begun { keys_base64, verification_nonce } = serde_json::from_value(begun).map_err(unreadable)?;
    if keys_base64.is_empty() {
        return Err(Error::Waiting("OpenBao gave no recovery keys".to_owned()));
    }
    let shares: Vec<SecretString> = keys_base64.into_iter().map(SecretString::from).collect();
    let name = write(cluster, secrets, &shares).await?;
    let read = read_back(secrets, &name, shares.len()).await?;
    if !verification_nonce.is_empty() {
        let threshold = usize::try_from(keys.threshold).unwrap_or(1);
        for share in read.iter().take(threshold) {
            let body = json!({"key": share.expose_secret(), "nonce": verification_nonce});
            session.request_any(Method::POST, VERIFY, Some(body)).await?;
        }
    }
    mark(secrets, &name).await?;
    if !keys.pgp_keys.is_empty() {
        session.request_any(Method::DELETE, BACKUP, None).await?;
    }
    Ok(())
}

/// Keeps shares for PGP keys that another process made and did not come to write: the copy that OpenBao has of them.
pub(crate) async fn recover(
    cluster: &Cluster,
    session: &Session,
    secrets: &Api<Secret>,
) -> Result<(), Error> {
    let answer = match session.request_any(Method::GET, BACKUP, None).await {
        Ok(answer) => answer,
        // Nothing is missing: someone has taken the Secret away.
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let kept = answer.get("data").unwrap_or(&answer).get("keys_base64").cloned().unwrap_or_default();
    let by_key: BTreeMap<String, Vec<SecretString>> = serde_json::from_value(kept)
        .map_err(|error| Error::Waiting(format!("the copy of the recovery keys was not given: {error}")))?;
    let shares: Vec<SecretString> = by_key.into_values().flatten().collect();
    let name = write(cluster, secrets, &shares).await?;
    read_back(secrets, &name, shares.len()).await?;
    mark(secrets, &name).await?;
    session.request_any(Method::DELETE, BACKUP, None).await?;
    Ok(())
}

/// Whether the shares for PGP keys may be nowhere but in OpenBao's copy.
pub(crate) fn may_be_unwritten(cluster: &Cluster, secrets: &[Arc<Secret>]) -> bool {
    !cluster.spec.recovery_keys.pgp_keys.is_empty() && in_force(cluster, secrets).is_none()
}

/// The Secret whose shares are in force.
fn in_force<'a>(cluster: &Cluster, secrets: &'a [Arc<Secret>]) -> Option<&'a Arc<Secret>> {
    let base = cluster.recovery_secret();
    let ours = |secret: &&Arc<Secret>| {
        secret.name_any().starts_with(&base) && secret.annotations().contains_key(VERIFIED)
    };
    secrets.iter().find(ours)
}

fn entry(index: usize) -> String {
    format!("share-{}", index + 1)
}

/// Writes the shares into a Secret of the name, or, where that is taken, into one of another. What is in force is never
/// overwritten; what was written and never verified is.
async fn write(cluster: &Cluster, secrets: &Api<Secret>, shares: &[SecretString]) -> Result<String, Error> {
    let base = cluster.recovery_secret();
    for attempt in 1..100 {
        let name = if attempt == 1 { base.clone() } else { format!("{base}-{attempt}") };
        if let Some(found) = secrets.get_opt(&name).await? {
            let ours = found.labels().get(CLUSTER_LABEL) == Some(&cluster.name.name);
            if !ours || found.annotations().contains_key(VERIFIED) {
                continue;
            }
            secrets.delete(&name, &only(&found)).await?;
        }
        match secrets.create(&PostParams::default(), &secret(cluster, &name, shares)?).await {
            Ok(_) => return Ok(name),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Conflict(format!("a hundred Secrets {base}-* are there: remove those that are not needed")))
}

/// The shares in force, where they can be read: those for somebody's PGP keys cannot.
pub(crate) fn shares(cluster: &Cluster, secrets: &[Arc<Secret>]) -> Vec<SecretString> {
    if !cluster.spec.recovery_keys.pgp_keys.is_empty() {
        return Vec::new();
    }
    let entries = in_force(cluster, secrets).and_then(|secret| secret.data.as_ref());
    let text = |value: &k8s_openapi::ByteString| String::from_utf8_lossy(&value.0).into_owned().into();
    entries.into_iter().flat_map(BTreeMap::values).map(text).collect()
}

/// Says on the Secret that its shares are in force.
async fn mark(secrets: &Api<Secret>, name: &str) -> Result<(), Error> {
    let patch = json!({"metadata": {"annotations": {VERIFIED: "true"}}});
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

fn secret(cluster: &Cluster, name: &str, shares: &[SecretString]) -> Result<Secret, Error> {
    let data: BTreeMap<String, String> = shares
        .iter()
        .enumerate()
        .map(|(index, share)| (entry(index), STANDARD.encode(share.expose_secret())))
        .collect();
    let made: Value = json!({
        "metadata": {"name": name, "labels": selector(cluster)}, "type": "Opaque", "immutable": true, "data": data,
    });
    serde_json::from_value(made).map_err(|error| Error::Waiting(error.to_string()))
}

async fn read_back(secrets: &Api<Secret>, name: &str, count: usize) -> Result<Vec<SecretString>, Error> {
    let secret = secrets.get(name).await?;
    let data = secret.data.unwrap_or_default();
    let read = (0..count).filter_map(|index| data.get(&entry(index)));
    let read: Vec<SecretString> =
        read.map(|value| String::from_utf8_lossy(&value.0).into_owned().into()).collect();
    if read.len() == count {
        Ok(read)
    } else {
        Err(Error::Waiting(format!("Secret {name} lacks recovery keys")))
    }
}
