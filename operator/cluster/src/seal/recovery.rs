//! Recovery keys, created directly after the initialization: without them OpenBao cannot rotate its seal.
//!
//! They are verified only after they were written and read back, so that no crash loses them: an unverified operation
//! is canceled and started again. Shares that are encrypted with PGP keys cannot be verified here: OpenBao keeps a copy
//! of them until they are written. Each Secret names the OpenBao (cluster ID) that it belongs to: one of an earlier OpenBao
//! of the same name can still exist.

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
/// Annotation of a Secret: ID of the OpenBao that the shares belong to.
const CLUSTER_ID: &str = "steamer.dev/cluster-id";

/// Work on the recovery keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Create them.
    Create,
    /// Write the copy of OpenBao to a Secret, if OpenBao has one.
    WriteCopy,
    /// Mark the shares as in force: the process that put them in force ended before.
    Mark(String),
}

/// Facts that determine the work on the recovery keys.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Storage contains an initialized OpenBao.
    pub(crate) initialized: bool,
    /// Storage contains recovery keys.
    pub(crate) exist: bool,
    /// The status already names their Secret.
    pub(crate) recorded: bool,
    /// The shares are encrypted, and no Secret contains the shares in force.
    pub(crate) may_be_unwritten: bool,
    /// Secret whose shares must be those in force, although it is not marked.
    pub(crate) unmarked: Option<String>,
}

/// The necessary work on the recovery keys.
pub(crate) fn plan(facts: Facts) -> Option<Task> {
    let Facts { initialized, exist, recorded, may_be_unwritten, unmarked } = facts;
    if initialized && !exist {
        return Some(Task::Create);
    }
    if let Some(name) = unmarked.filter(|_| exist && !may_be_unwritten) {
        Some(Task::Mark(name))
    } else if exist && !recorded && may_be_unwritten {
        Some(Task::WriteCopy)
    } else {
        None
    }
}

/// Carries out the work.
pub(crate) async fn execute(
    keys: &RecoveryKeys<'_>,
    session: &Session,
    secrets: &Api<Secret>,
    task: Task,
) -> Result<(), Error> {
    match task {
        Task::Create => create(keys, session, secrets).await,
        Task::WriteCopy => write_copy(keys, session, secrets).await,
        Task::Mark(name) => mark(secrets, &name).await,
    }
}

/// Creates the keys, writes them to a Secret, and only then puts them in force.
async fn create(keys: &RecoveryKeys<'_>, session: &Session, secrets: &Api<Secret>) -> Result<(), Error> {
    // Cancels an unverified operation of another process.
    keys.cluster.before_write();
    let _ = session.request_any(Method::DELETE, RECOVERY_INIT, None).await;
    let spec = &keys.cluster.spec.recovery_keys;
    let Started { keys_base64, verification_nonce } = start(keys.cluster, session).await?;
    if keys_base64.is_empty() {
        return Err(Error::internal(NoRecoveryKeys));
    }
    let shares: Vec<SecretString> = keys_base64.into_iter().map(SecretString::from).collect();
    let name = write(keys, secrets, &shares).await?;
    let read = read_back(secrets, &name, shares.len()).await?;
    if !verification_nonce.is_empty() {
        let threshold = usize::try_from(spec.threshold).unwrap_or(1);
        for share in read.iter().take(threshold) {
            let body = json!({"key": share.expose_secret(), "nonce": verification_nonce});
            keys.cluster.before_write();
            session.request_any(Method::POST, RECOVERY_VERIFY, Some(body)).await?;
        }
    }
    mark(secrets, &name).await?;
    if !spec.pgp_keys.is_empty() {
        keys.cluster.before_write();
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
    cluster.before_write();
    let answer = session.request_any(Method::POST, RECOVERY_INIT, Some(request)).await?;
    serde_json::from_value(answer.get("data").cloned().unwrap_or(answer)).map_err(Error::internal)
}

/// OpenBao answered without keys.
#[derive(Debug, thiserror::Error)]
#[error("OpenBao returned no recovery keys")]
struct NoRecoveryKeys;

/// Writes encrypted shares that another process created but did not write: OpenBao has a copy of them.
async fn write_copy(keys: &RecoveryKeys<'_>, session: &Session, secrets: &Api<Secret>) -> Result<(), Error> {
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
    let name = write(keys, secrets, &shares).await?;
    read_back(secrets, &name, shares.len()).await?;
    mark(secrets, &name).await?;
    keys.cluster.before_write();
    session.request_any(Method::DELETE, RECOVERY_BACKUP, None).await?;
    Ok(())
}

/// The recovery keys of the OpenBao of a cluster.
pub(crate) struct RecoveryKeys<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Cluster ID of OpenBao, if it is known.
    pub(crate) id: Option<&'a str>,
}

impl<'a> RecoveryKeys<'a> {
    /// The recovery keys of the OpenBao that a cluster ran last.
    pub(crate) fn last(cluster: &'a Cluster) -> Self {
        Self { cluster, id: cluster.openbao_id.as_deref() }
    }

    /// Returns true if encrypted shares may exist only in OpenBao's copy.
    pub(crate) fn may_be_unwritten(&self, secrets: &[Arc<Secret>]) -> bool {
        !self.cluster.spec.recovery_keys.pgp_keys.is_empty() && self.in_force(secrets).is_none()
    }

    /// The Secret with the shares in force. One of an earlier Steamer does not name its OpenBao.
    fn in_force<'b>(&self, secrets: &'b [Arc<Secret>]) -> Option<&'b Arc<Secret>> {
        let marked = || self.candidates(secrets).filter(|secret| secret.annotations().contains_key(VERIFIED));
        let own = marked().find(|secret| self.id.is_some() && id(secret) == self.id);
        own.or_else(|| marked().find(|secret| id(secret).is_none() || self.id.is_none()))
    }

    /// Name of the Secret with the shares in force.
    pub(crate) fn secret_name(&self, secrets: &[Arc<Secret>]) -> Option<String> {
        self.in_force(secrets).map(|secret| secret.name_any())
    }

    /// Name of the Secret whose shares must be those in force although it is not marked: it is the only one of this
    /// OpenBao. Encrypted shares are written only after they are in force; others are not in force before they are written.
    pub(crate) fn unmarked(&self, secrets: &[Arc<Secret>]) -> Option<String> {
        let mut own = self.candidates(secrets).filter(|secret| self.id.is_some() && id(secret) == self.id);
        let only = own.next().filter(|_| own.next().is_none())?;
        (!only.annotations().contains_key(VERIFIED)).then(|| only.name_any())
    }

    fn candidates<'b>(&self, secrets: &'b [Arc<Secret>]) -> impl Iterator<Item = &'b Arc<Secret>> {
        let base = self.cluster.recovery_secret();
        secrets.iter().filter(move |secret| is_numbered(&secret.name_any(), &base))
    }

    /// Returns true if a Secret contains shares that were never in force: it may be replaced.
    fn is_void(&self, secret: &Secret) -> bool {
        let ours = secret.labels().get(CLUSTER_LABEL).map(String::as_str) == Some(self.cluster.name());
        let is_of_another = id(secret).is_some_and(|id| self.id.is_some_and(|own| own != id));
        ours && !is_of_another && !secret.annotations().contains_key(VERIFIED)
    }
}

fn id(secret: &Secret) -> Option<&str> {
    secret.annotations().get(CLUSTER_ID).map(String::as_str)
}

/// Returns true if a name is `base`, or `base` with a number.
fn is_numbered(name: &str, base: &str) -> bool {
    let number = |rest: &str| rest.strip_prefix('-').is_some_and(|number| number.parse::<u8>().is_ok());
    name.strip_prefix(base).is_some_and(|rest| rest.is_empty() || number(rest))
}

fn entry(index: usize) -> String {
    format!("share-{}", index + 1)
}

/// Writes the shares to a Secret, with a number in its name if the name is taken. Shares in force are never
/// overwritten, void ones are. Returns the name.
async fn write(
    keys: &RecoveryKeys<'_>,
    secrets: &Api<Secret>,
    shares: &[SecretString],
) -> Result<String, Error> {
    let base = keys.cluster.recovery_secret();
    for attempt in 1..100 {
        let name = if attempt == 1 { base.clone() } else { format!("{base}-{attempt}") };
        if let Some(found) = secrets.get_opt(&name).await? {
            if !keys.is_void(&found) {
                continue;
            }
            secrets.delete(&name, &only(&found)).await?;
        }
        match secrets.create(&PostParams::default(), &secret(keys, &name, shares)).await {
            Ok(_) => return Ok(name),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Conflict(format!("a hundred Secrets {base}-* exist: delete those that are not needed")))
}

/// The shares in force, unless they are encrypted with PGP keys.
pub(crate) fn shares(keys: &RecoveryKeys<'_>, secrets: &[Arc<Secret>]) -> Vec<SecretString> {
    if !keys.cluster.spec.recovery_keys.pgp_keys.is_empty() {
        return Vec::new();
    }
    let entries = keys.in_force(secrets).and_then(|secret| secret.data.as_ref());
    let text = |value: &k8s_openapi::ByteString| String::from_utf8_lossy(&value.0).into_owned().into();
    entries.into_iter().flat_map(BTreeMap::values).map(text).collect()
}

/// Marks the shares of a Secret as in force.
async fn mark(secrets: &Api<Secret>, name: &str) -> Result<(), Error> {
    let patch = json!({"metadata": {"annotations": {VERIFIED: "true"}}});
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

fn secret(keys: &RecoveryKeys<'_>, name: &str, shares: &[SecretString]) -> Secret {
    let share = |(index, share): (usize, &SecretString)| (entry(index), share.expose_secret().to_owned());
    let entries = shares.iter().enumerate().map(share).collect();
    let mut secret = without_owner(keys.cluster, name, &entries);
    secret.metadata.annotations = keys.id.map(|id| [(CLUSTER_ID.to_owned(), id.to_owned())].into());
    Secret { immutable: Some(true), ..secret }
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
    use crate::tests::cluster;

    /// `i` initialized, `k` keys exist, `r` recorded in the status, `u` possibly unwritten, `m` not marked.
    #[rstest]
    #[case::before_the_initialization("", None)]
    #[case::initialized("i", Some(Task::Create))]
    #[case::written_but_not_in_force("im", Some(Task::Create))]
    #[case::in_force_but_not_marked("ikm", Some(Task::Mark("s".to_owned())))]
    #[case::first_seen("ik", None)]
    #[case::encrypted_and_not_written("iku", Some(Task::WriteCopy))]
    #[case::encrypted_and_not_marked("ikum", Some(Task::WriteCopy))]
    #[case::encrypted_and_secret_deleted_later("ikru", None)]
    fn keys_are_created_once_and_a_lost_write_is_repeated(
        #[case] facts: &str,
        #[case] expected: Option<Task>,
    ) {
        let has = |letter| facts.contains(letter);
        let facts = Facts {
            initialized: has('i'),
            exist: has('k'),
            recorded: has('r'),
            may_be_unwritten: has('u'),
            unmarked: has('m').then(|| "s".to_owned()),
        };
        assert_eq!(plan(facts), expected);
    }

    /// Secrets such as `main-recovery=a!`: of OpenBao `a`, and marked.
    fn secrets(text: &str) -> Vec<Arc<Secret>> {
        let secret = |text: &str| {
            let (name, id) = text.trim_end_matches('!').split_once('=').unwrap();
            let mut annotations = BTreeMap::new();
            if !id.is_empty() {
                annotations.insert(CLUSTER_ID.to_owned(), id.to_owned());
            }
            if text.ends_with('!') {
                annotations.insert(VERIFIED.to_owned(), "true".to_owned());
            }
            let mut secret = without_owner(&cluster(), name, &BTreeMap::new());
            secret.metadata.annotations = Some(annotations);
            Arc::new(secret)
        };
        text.split_whitespace().map(secret).collect()
    }

    #[rstest]
    #[case::own("main-recovery=a!", Some("main-recovery"))]
    #[case::after_one_of_an_earlier_openbao("main-recovery=z! main-recovery-2=a!", Some("main-recovery-2"))]
    #[case::after_one_of_an_earlier_steamer("main-recovery=! main-recovery-2=a!", Some("main-recovery-2"))]
    #[case::of_an_earlier_steamer("main-recovery=!", Some("main-recovery"))]
    #[case::only_of_an_earlier_openbao("main-recovery=z!", None)]
    #[case::not_marked("main-recovery=a", None)]
    #[case::of_another_name("main-recovery-backup=a!", None)]
    fn the_secret_in_force_is_that_of_the_same_openbao(#[case] all: &str, #[case] expected: Option<&str>) {
        let cluster = cluster();
        let keys = RecoveryKeys { cluster: &cluster, id: Some("a") };
        let all = secrets(all);
        assert_eq!(keys.in_force(&all).map(|secret| secret.name_any()).as_deref(), expected);
    }

    #[rstest]
    #[case::crash_before_the_mark("main-recovery=a", Some("main-recovery"))]
    #[case::beside_one_of_an_earlier_openbao("main-recovery=z! main-recovery-2=a", Some("main-recovery-2"))]
    #[case::marked("main-recovery=a!", None)]
    #[case::of_an_earlier_openbao("main-recovery=z", None)]
    #[case::beside_the_shares_in_force("main-recovery=a! main-recovery-2=a", None)]
    fn a_mark_that_a_crash_prevented_is_found(#[case] all: &str, #[case] expected: Option<&str>) {
        let cluster = cluster();
        let keys = RecoveryKeys { cluster: &cluster, id: Some("a") };
        assert_eq!(keys.unmarked(&secrets(all)).as_deref(), expected);
    }

    #[rstest]
    #[case::own_and_not_in_force("main-recovery=a", true)]
    #[case::of_an_earlier_steamer("main-recovery=", true)]
    #[case::in_force("main-recovery=a!", false)]
    #[case::of_an_earlier_openbao("main-recovery=z", false)]
    fn only_shares_that_were_never_in_force_are_replaced(#[case] all: &str, #[case] expected: bool) {
        let cluster = cluster();
        let keys = RecoveryKeys { cluster: &cluster, id: Some("a") };
        assert_eq!(keys.is_void(&secrets(all)[0]), expected);
    }
}
