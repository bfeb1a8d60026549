//! The keys of a static seal: created if needed, identified, rotated.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use steamer_api::{SealState, StaticSeal};
use steamer_core::digest::random_hex;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::database::wrapping::unknown_format;
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

/// Identifies the keys that seal the storage of a cluster. None if its seal is of another type. `wrapping` are the IDs of the
/// keys that wrap the values in storage, if they are known.
pub(crate) async fn observe(
    sources: &Sources<'_>,
    cluster: &Cluster,
    (recorded, wrapping): (&StaticKeys, Option<&[String]>),
) -> Result<Option<StaticKeys>, Error> {
    let (Some(seal), Some(keys)) = (&cluster.spec.seal.r#static, &recorded.keys) else { return Ok(None) };
    let fingerprints = fingerprints(sources, cluster, seal, &recorded.fingerprints).await?;
    let wrapping = wrapping.ok_or_else(|| unknown_format(&cluster.owner.database))?;
    let keys = match keys.rotating {
        Some(_) => keys.clone(),
        None => Keys { in_use: key_in_use(keys, &fingerprints, wrapping)?, rotating: None },
    };
    let rewrapped = keys.is_changing_to(&seal.key_id) && is_only(wrapping, &seal.key_id);
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

/// Returns true if every value in storage is wrapped by this key.
fn is_only(wrapping: &[String], key: &str) -> bool {
    !wrapping.is_empty() && wrapping.iter().all(|id| id == key)
}

/// ID of the key that seals the storage. It differs from the recorded one after a restore or a takeover. `wrapping` are the
/// IDs of the keys that wrap the values in storage.
fn key_in_use(
    recorded: &Keys,
    fingerprints: &BTreeMap<String, String>,
    wrapping: &[String],
) -> Result<String, Error> {
    if wrapping.contains(&recorded.in_use) {
        return Ok(recorded.in_use.clone());
    }
    let held = fingerprints.keys().find(|id| is_only(wrapping, id));
    held.cloned().ok_or_else(|| {
        let ids: Vec<String> = wrapping.iter().map(|id| format!("`{id}`")).collect();
        Error::Invalid(format!(
            "storage is sealed with a key that the seal's Secret does not contain ({}): add that key under its ID",
            ids.join(", ")
        ))
    })
}

/// The keys after the next step of a rotation.
pub(crate) fn plan(cluster: &Cluster, observed: &StaticKeys, facts: Facts) -> Result<StaticKeys, Error> {
    let (Some(seal), Some(keys)) = (&cluster.spec.seal.r#static, &observed.keys) else {
        return Ok(observed.clone());
    };
    Ok(StaticKeys { keys: Some(rotation::next(keys, &seal.key_id, facts)?), ..observed.clone() })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::recorded("k1", &["k1"], &["k1", "k1"], "k1")]
    #[case::longer_id("k1", &["k1", "k10"], &["k10", "k10"], "k10")]
    #[case::shorter_id("k10", &["k1", "k10"], &["k1"], "k1")]
    #[case::restored("k2", &["k1", "k2"], &["k1", "k1"], "k1")]
    #[case::interrupted_rotation("k1", &["k1", "k2"], &["k1", "k2"], "k1")]
    #[case::missing_key("k2", &["k2"], &["k1"], "does not contain (`k1`)")]
    #[case::two_other_keys("k3", &["k1", "k2"], &["k1", "k2"], "does not contain (`k1`, `k2`)")]
    fn the_key_in_use_is_the_one_that_wraps_storage(
        #[case] recorded: &str,
        #[case] held: &[&str],
        #[case] wrapping: &[&str],
        #[case] expected: &str,
    ) {
        let recorded = Keys { in_use: recorded.to_owned(), rotating: None };
        let held = held.iter().map(|id| ((*id).to_owned(), String::new())).collect();
        let wrapping: Vec<String> = wrapping.iter().map(|id| (*id).to_owned()).collect();
        let said = key_in_use(&recorded, &held, &wrapping).unwrap_or_else(|error| error.to_string());
        assert!(said == expected || said.contains(expected) && expected.contains(' '), "{said}");
    }

    #[rstest]
    #[case(&["k10", "k10"], true)]
    #[case(&["k10", "k1"], false)]
    #[case(&["k1"], false)]
    #[case(&[], false)]
    fn a_rotation_is_complete_when_only_the_new_key_wraps_storage(
        #[case] wrapping: &[&str],
        #[case] expected: bool,
    ) {
        let wrapping: Vec<String> = wrapping.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(is_only(&wrapping, "k10"), expected);
    }
}
