//! Seal migration: OpenBao's own procedure, one node at a time. Storage determines its progress.
//!
//! Nodes are rolled with both seals and unsealed with the recovery keys. The first of them that leads wraps every value
//! again. From then on storage names the new seal type, and nodes are rolled with the new seal only.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use steamer_api::SealMigration;
use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, Identity};

use crate::cluster::Cluster;
use crate::database::facts;
use crate::effects::{Effects, Sources};
use crate::nodes::members::{Answer, Member};
use crate::objects::seal::{SealSettings, openbao_kind, seal};
use crate::seal::identity::SpecSeal;
use crate::seal::recovery;
use crate::seal::recovery::RecoveryKeys;
use crate::seal::rotation::Keys;

/// Response of `sys/seal-status`.
#[derive(Deserialize)]
struct SealStatus {
    #[serde(default)]
    migration: bool,
}

/// Error of an unsealed node whose seal differs from that of storage.
const OTHER_SEAL: &str = "barrier seal type";

/// State of a seal migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Migration {
    /// Storage is sealed with the seal of the spec, or empty.
    None,
    /// Storage is sealed with the previous seal.
    InProgress,
}

/// State of the migration.
///
/// # Errors
/// [`Error::Invalid`] if the spec does not name the seal of storage.
pub(crate) fn state(cluster: &Cluster, contents: &facts::Contents) -> Result<Migration, Error> {
    let wanted = openbao_kind(&cluster.spec.seal);
    let Some(found) = contents.seal.as_deref().filter(|found| *found != wanted) else {
        return Ok(Migration::None);
    };
    match &cluster.spec.seal_migration {
        Some(SealMigration { from }) if openbao_kind(from) == found => Ok(Migration::InProgress),
        _ => Err(Error::Invalid(format!(
            "storage is sealed with seal type `{found}`, but seal is `{wanted}`: restore that seal, or set it in \
             sealMigration.from"
        ))),
    }
}

/// The previous seal, while storage is sealed with it.
pub(crate) fn previous(cluster: &Cluster, migration: Migration) -> Option<SpecSeal<'_>> {
    let SealMigration { from } =
        cluster.spec.seal_migration.as_ref().filter(|_| migration == Migration::InProgress)?;
    Some(SpecSeal { seal: from, field: "sealMigration.from" })
}

/// The seal of the spec.
pub(crate) fn own(cluster: &Cluster) -> SpecSeal<'_> {
    SpecSeal { seal: &cluster.spec.seal, field: "seal" }
}

/// Settings of the seal for the nodes. During a migration they contain both seals.
pub(crate) fn settings(
    cluster: &Cluster,
    keys: Option<&Keys>,
    migration: Migration,
) -> Result<SealSettings, Error> {
    let rotation = keys.and_then(|keys| Some((keys.in_use.as_str(), keys.rotating.as_ref()?)));
    let own = seal(cluster, &cluster.spec.seal, rotation)?;
    match previous(cluster, migration) {
        Some(previous) => Ok(own.after(seal(cluster, previous.seal, None)?)),
        None => Ok(own),
    }
}

/// Recognizes nodes that are unsealed with both seals: they report only that their seal is not that of storage.
pub(crate) async fn recognize(sources: &Sources<'_>, cluster: &Cluster, members: &mut [Member]) {
    for member in members.iter_mut().filter(|member| member.answer == Answer::NoStorage) {
        let status = seal_status(sources, cluster, &member.name()).await;
        if matches!(status, Err(Error::OpenBao(OpenBao::Server { message, .. })) if message.contains(OTHER_SEAL))
        {
            member.answer = Answer::Migrating;
        }
    }
}

async fn seal_status(sources: &Sources<'_>, cluster: &Cluster, pod: &str) -> Result<SealStatus, Error> {
    let session = sources.node(cluster, pod)?.session(Identity::Anonymous);
    let status = session.request_any(Method::GET, "sys/seal-status", None).await?;
    serde_json::from_value(status).map_err(Error::internal)
}

/// Pods of the nodes that must be unsealed: a node with both seals does not do it automatically.
pub(crate) fn sealed(members: &[Member]) -> Vec<String> {
    let sealed = members.iter().filter(|member| member.answer.is_sealed() && !member.is_ending());
    sealed.map(Member::name).collect()
}

/// Unseals nodes with the recovery keys. All at the same time: a node that does not answer does not delay the others.
pub(crate) async fn unseal(effects: &Effects<'_>, cluster: &Cluster, pods: &[String]) -> Result<(), Error> {
    let shares = recovery::shares(&RecoveryKeys::last(cluster), &effects.child_api.all());
    let unsealed = pods.iter().map(|pod| unseal_one(effects, cluster, pod, &shares));
    futures::future::join_all(unsealed).await.into_iter().collect()
}

async fn unseal_one(
    effects: &Effects<'_>,
    cluster: &Cluster,
    pod: &str,
    shares: &[SecretString],
) -> Result<(), Error> {
    if !seal_status(effects, cluster, pod).await?.migration {
        return Ok(());
    }
    let session = effects.node(cluster, pod)?.session(Identity::Anonymous);
    tracing::info!(cluster = %cluster.name, pod, "unsealing a node for a seal migration");
    for share in shares {
        let body = json!({"key": share.expose_secret(), "migrate": true});
        let answer = session.request_any(Method::PUT, "sys/unseal", Some(body)).await?;
        if answer.get("sealed") == Some(&Value::Bool(false)) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;

    #[rstest]
    #[case::empty_storage(None, None, "None")]
    #[case::seal_of_the_spec(Some("static"), None, "None")]
    #[case::previous_seal(Some("transit"), Some("transit"), "InProgress")]
    #[case::after_the_migration(Some("static"), Some("transit"), "None")]
    #[case::unknown_seal(Some("transit"), None, "set it in sealMigration.from")]
    fn storage_determines_whether_a_migration_is_in_progress(
        #[case] found: Option<&str>,
        #[case] from: Option<&str>,
        #[case] expected: &str,
    ) {
        let mut cluster = cluster();
        let seal = json!({"address": "https://x", "keyName": "k", "tokenSecretRef": {"name": "t"}});
        cluster.spec.seal_migration =
            from.map(|from| serde_json::from_value(json!({"from": {from: seal}})).unwrap());
        let contents = facts::Contents { seal: found.map(str::to_owned), ..facts::Contents::default() };
        let said = match state(&cluster, &contents) {
            Ok(state) => format!("{state:?}"),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    }
}
