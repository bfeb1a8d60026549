//! The keys of a static seal: created if needed, identified, rotated.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use steamer_api::{SealState, StaticSeal};
use steamer_core::digest::random_hex;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::effects::{Effects, Sources};
use crate::objects::seal::static_secret;
use crate::objects::secret::without_owner;
use crate::seal::check::Contents;
use crate::seal::rotation;
use crate::seal::rotation::{Facts, Keys};

/// The static keys of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StaticKeys {
    /// None if the seal is of another type.
    pub(crate) keys: Option<Keys>,
    /// Keyed digests of the keys in the Secret, by ID.
    pub(crate) fingerprints: BTreeMap<String, String>,
    /// Storage is wrapped by the desired key only. Read only during a rotation.
    pub(crate) rewrapped: bool,
}

/// The keys as the last status recorded them.
pub(crate) fn recorded(cluster: &Cluster, last: Option<&SealState>) -> StaticKeys {
    let keys = cluster.spec.seal.r#static.as_ref().map(|seal| {
        let in_use = last.and_then(|last| last.key_id.clone()).unwrap_or_else(|| seal.key_id.clone());
        Keys { in_use, rotating: last.and_then(|last| last.rotating.clone()) }
    });
    let fingerprints = last.map(|last| last.fingerprints.clone()).unwrap_or_default();
    StaticKeys { keys, fingerprints, rewrapped: false }
}

/// Creates the key if it does not exist and no data is sealed.
pub(crate) async fn create(
    effects: &Effects<'_>,
    cluster: &Cluster,
    contents: Contents,
) -> Result<(), Error> {
    let Some(seal) = cluster.spec.seal.r#static.as_ref().filter(|seal| seal.generate) else { return Ok(()) };
    let name = static_secret(cluster, seal);
    let secrets = effects.child_api.api::<Secret>();
    if contents == Contents::Sealed || secrets.get_metadata_opt(&name).await?.is_some() {
        return Ok(());
    }
    // Without the key the data cannot be unsealed, so the Secret outlives the cluster.
    let secret = without_owner(cluster, &name, &[(seal.key_id.clone(), random_hex()?)].into());
    match secrets.create(&PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Identifies the keys that seal the storage of a cluster. None if its seal is of another type.
pub(crate) async fn observe(
    sources: &Sources<'_>,
    cluster: &Cluster,
    recorded: &StaticKeys,
) -> Result<Option<StaticKeys>, Error> {
    let (Some(seal), Some(keys)) = (&cluster.spec.seal.r#static, &recorded.keys) else { return Ok(None) };
    let fingerprints = fingerprints(sources, cluster, seal, &recorded.fingerprints).await?;
    let keys = match keys.rotating {
        Some(_) => keys.clone(),
        None => Keys { in_use: key_in_use(sources, keys, &fingerprints).await?, rotating: None },
    };
    let owner = &sources.guard_target.links.owner;
    let rewrapped = keys.is_changing_to(&seal.key_id)
        && owner.wrapped_by(&seal.key_id).await?
        && !owner.uses(&keys.in_use).await?;
    Ok(Some(StaticKeys { keys: Some(keys), fingerprints, rewrapped }))
}

/// Keyed digests of the keys in the Secret. Refuses a key that was replaced under the same ID.
async fn fingerprints(
    sources: &Sources<'_>,
    cluster: &Cluster,
    seal: &StaticSeal,
    recorded: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let name = static_secret(cluster, seal);
    let secret = sources.secret(&name).await?;
    let mut all = BTreeMap::new();
    for (id, key) in secret.data.iter().flatten() {
        let mac = sources.context.mac.of([(id.as_str(), key.0.as_slice())])[..16].to_owned();
        if recorded.get(id).is_some_and(|recorded| *recorded != mac) {
            return Err(Error::Invalid(format!(
                "key `{id}` of Secret {} is another than it was: restore the old key, and add the new key under a new ID",
                sources.named(&name)
            )));
        }
        all.insert(id.clone(), mac);
    }
    Ok(all)
}

/// ID of the key that seals the storage. It differs from the recorded one after a restore or a takeover.
async fn key_in_use(
    sources: &Sources<'_>,
    recorded: &Keys,
    fingerprints: &BTreeMap<String, String>,
) -> Result<String, Error> {
    let owner = &sources.guard_target.links.owner;
    if owner.uses(&recorded.in_use).await? {
        return Ok(recorded.in_use.clone());
    }
    for id in fingerprints.keys() {
        if owner.wrapped_by(id).await? {
            return Ok(id.clone());
        }
    }
    Err(Error::Invalid(format!(
        "storage is sealed with a key that the seal's Secret does not contain (it is not `{}`): add that key under its ID",
        recorded.in_use
    )))
}

/// The keys after the next step of a rotation.
pub(crate) fn plan(cluster: &Cluster, observed: &StaticKeys, facts: Facts) -> Result<StaticKeys, Error> {
    let (Some(seal), Some(keys)) = (&cluster.spec.seal.r#static, &observed.keys) else {
        return Ok(observed.clone());
    };
    Ok(StaticKeys { keys: Some(rotation::next(keys, &seal.key_id, facts)?), ..observed.clone() })
}
