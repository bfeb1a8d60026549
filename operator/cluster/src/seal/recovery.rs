//! Recovery keys, created directly after the initialization: without them OpenBao cannot rotate its seal.
//!
//! They are verified only after they were written and read back, so that no crash loses them: an unverified operation
//! is canceled and started again. Shares that are encrypted with PGP keys cannot be verified here: OpenBao keeps a copy
//! of them until they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use steamer_core::error::Error;
use steamer_openbao::Session;

use crate::children::only;
use crate::cluster::{CLUSTER_LABEL, Cluster};
use crate::objects::secret::without_owner;
use crate::paths::{RECOVERY_BACKUP, RECOVERY_INIT, RECOVERY_VERIFY};

/// Response of the start of a rotation.
#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    keys_base64: Vec<String>,
    #[serde(default)]
    verification_nonce: String,
}

/// Annotation of the Secret with the shares in force.
const VERIFIED: &str = "steamer.dev/verified";

/// Work on the recovery keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Create them.
    Create,
    /// Write the copy of OpenBao to a Secret, if OpenBao has one.
    WriteCopy,
}

/// Facts that determine the work on the recovery keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Storage contains an initialized OpenBao.
    pub(crate) initialized: bool,
    /// Storage contains recovery keys.
    pub(crate) exist: bool,
    /// The status already names their Secret.
    pub(crate) recorded: bool,
    /// The shares are encrypted, and no Secret contains the shares in force.
    pub(crate) may_be_unwritten: bool,
}

/// The necessary work on the recovery keys.
pub(crate) fn plan(facts: Facts) -> Option<Task> {
    let Facts { initialized, exist, recorded, may_be_unwritten } = facts;
    if initialized && !exist {
        Some(Task::Create)
    } else if exist && !recorded && may_be_unwritten {
        Some(Task::WriteCopy)
    } else {
        None
    }
}

/// Carries out the work.
pub(crate) async fn execute(
    cluster: &Cluster,
    session: &Session,
    secrets: &Api<Secret>,
    task: Task,
) -> Result<(), Error> {
    match task {
        Task::Create => create(cluster, session, secrets).await,
        Task::WriteCopy => write_copy(cluster, session, secrets).await,
    }
}

/// Creates the keys, writes them to a Secret, and only then puts them in force.
async fn create(cluster: &Cluster, session: &Session, secrets: &Api<Secret>) -> Result<(), Error> {
    // Cancels an unverified operation of another process.
    let _ = session.request_any(Method::DELETE, RECOVERY_INIT, None).await;
    let keys = &cluster.spec.recovery_keys;
    let Started { keys_base64, verification_nonce } = start(cluster, session).await?;
    if keys_base64.is_empty() {
        return Err(Error::internal(NoRecoveryKeys));
    }
    let shares: Vec<SecretString> = keys_base64.into_iter().map(SecretString::from).collect();
    let name = write(cluster, secrets, &shares).await?;
    let read = read_back(secrets, &name, shares.len()).await?;
    if !verification_nonce.is_empty() {
        let threshold = usize::try_from(keys.threshold).unwrap_or(1);
        for share in read.iter().take(threshold) {
            let body = json!({"key": share.expose_secret(), "nonce": verification_nonce});
            session.request_any(Method::POST, RECOVERY_VERIFY, Some(body)).await?;
        }
    }
    mark(secrets, &name).await?;
    if !keys.pgp_keys.is_empty() {
        session.request_any(Method::DELETE, RECOVERY_BACKUP, None).await?;
    }
    Ok(())
}

/// Starts the operation that creates the keys.
async fn start(cluster: &Cluster, session: &Session) -> Result<Started, Error> {
    let keys = &cluster.spec.recovery_keys;
    let mut request = json!({
        "secret_shares": keys.shares, "secret_threshold": keys.threshold, "require_verification": keys.pgp_keys.is_empty(),
    });
    if !keys.pgp_keys.is_empty() {
        request["pgp_keys"] = json!(keys.pgp_keys);
        request["backup"] = json!(true);
    }
    let answer = session.request_any(Method::POST, RECOVERY_INIT, Some(request)).await?;
    serde_json::from_value(answer.get("data").cloned().unwrap_or(answer)).map_err(Error::internal)
}

/// OpenBao answered without keys.
#[derive(Debug, thiserror::Error)]
#[error("OpenBao returned no recovery keys")]
struct NoRecoveryKeys;

/// Writes encrypted shares that another process created but did not write: OpenBao has a copy of them.
async fn write_copy(cluster: &Cluster, session: &Session, secrets: &Api<Secret>) -> Result<(), Error> {
    let answer = match session.request_any(Method::GET, RECOVERY_BACKUP, None).await {
        Ok(answer) => answer,
        // They were written: a user deleted the Secret.
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let kept = answer.get("data").unwrap_or(&answer).get("keys_base64").cloned().unwrap_or_default();
    let by_key: BTreeMap<String, Vec<SecretString>> =
        serde_json::from_value(kept).map_err(Error::internal)?;
    let shares: Vec<SecretString> = by_key.into_values().flatten().collect();
    let name = write(cluster, secrets, &shares).await?;
    read_back(secrets, &name, shares.len()).await?;
    mark(secrets, &name).await?;
    session.request_any(Method::DELETE, RECOVERY_BACKUP, None).await?;
    Ok(())
}

/// Returns true if encrypted shares may exist only in OpenBao's copy.
pub(crate) fn may_be_unwritten(cluster: &Cluster, secrets: &[Arc<Secret>]) -> bool {
    !cluster.spec.recovery_keys.pgp_keys.is_empty() && in_force(cluster, secrets).is_none()
}

/// The Secret with the shares in force.
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

/// Writes the shares to a Secret, with a number in its name if the name is taken. Shares in force are never
/// overwritten, unverified ones are. Returns the name.
async fn write(cluster: &Cluster, secrets: &Api<Secret>, shares: &[SecretString]) -> Result<String, Error> {
    let base = cluster.recovery_secret();
    for attempt in 1..100 {
        let name = if attempt == 1 { base.clone() } else { format!("{base}-{attempt}") };
        if let Some(found) = secrets.get_opt(&name).await? {
            let ours = found.labels().get(CLUSTER_LABEL).map(String::as_str) == Some(cluster.name());
            if !ours || found.annotations().contains_key(VERIFIED) {
                continue;
            }
            secrets.delete(&name, &only(&found)).await?;
        }
        match secrets.create(&PostParams::default(), &secret(cluster, &name, shares)).await {
            Ok(_) => return Ok(name),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Conflict(format!("a hundred Secrets {base}-* exist: delete those that are not needed")))
}

/// The shares in force, unless they are encrypted with PGP keys.
pub(crate) fn shares(cluster: &Cluster, secrets: &[Arc<Secret>]) -> Vec<SecretString> {
    if !cluster.spec.recovery_keys.pgp_keys.is_empty() {
        return Vec::new();
    }
    let entries = in_force(cluster, secrets).and_then(|secret| secret.data.as_ref());
    let text = |value: &k8s_openapi::ByteString| String::from_utf8_lossy(&value.0).into_owned().into();
    entries.into_iter().flat_map(BTreeMap::values).map(text).collect()
}

/// Marks the shares of a Secret as in force.
async fn mark(secrets: &Api<Secret>, name: &str) -> Result<(), Error> {
    let patch = json!({"metadata": {"annotations": {VERIFIED: "true"}}});
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

fn secret(cluster: &Cluster, name: &str, shares: &[SecretString]) -> Secret {
    let share = |(index, share): (usize, &SecretString)| (entry(index), share.expose_secret().to_owned());
    let entries = shares.iter().enumerate().map(share).collect();
    Secret { immutable: Some(true), ..without_owner(cluster, name, &entries) }
}

async fn read_back(secrets: &Api<Secret>, name: &str, count: usize) -> Result<Vec<SecretString>, Error> {
    let secret = secrets.get(name).await?;
    let data = secret.data.unwrap_or_default();
    let read = (0..count).filter_map(|index| data.get(&entry(index)));
    let read: Vec<SecretString> =
        read.map(|value| String::from_utf8_lossy(&value.0).into_owned().into()).collect();
    if read.len() == count { Ok(read) } else { Err(Error::internal(Incomplete(name.to_owned()))) }
}

/// A Secret does not contain what was written to it.
#[derive(Debug, thiserror::Error)]
#[error("Secret {0} does not contain all recovery keys that were written to it")]
struct Incomplete(String);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// `i` initialized, `k` keys exist, `r` recorded in the status, `u` possibly unwritten.
    #[rstest]
    #[case::before_the_initialization("", None)]
    #[case::initialized("i", Some(Task::Create))]
    #[case::first_seen("ik", None)]
    #[case::encrypted_and_not_written("iku", Some(Task::WriteCopy))]
    #[case::encrypted_and_secret_deleted_later("ikru", None)]
    fn keys_are_created_once_and_a_lost_write_is_repeated(
        #[case] facts: &str,
        #[case] expected: Option<Task>,
    ) {
        let has = |letter| facts.contains(letter);
        let facts =
            Facts { initialized: has('i'), exist: has('k'), recorded: has('r'), may_be_unwritten: has('u') };
        assert_eq!(plan(facts), expected);
    }
}
