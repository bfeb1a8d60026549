//! The keys of a static seal: made when there are none, known again, rotated.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::json;
use steamer_api::StaticSeal;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::database::incarnations::random_hex;
use crate::database::storage::Storage;
use crate::managed::apply::{Done, Work};
use crate::nodes::replace::are_updated;
use crate::objects::seal::static_secret;
use crate::objects::selector;
use crate::objects::stateful_set::revision;
use crate::seal::rotation;
use crate::seal::rotation::{Facts, Keys};

impl Work<'_> {
    /// Makes the key where there is none and nothing is sealed by it yet.
    pub(crate) async fn make_key(&self, storage: &Storage) -> Result<(), Error> {
        let Some(seal) = self.cluster.spec.seal.r#static.as_ref() else { return Ok(()) };
        let name = static_secret(self.cluster, seal);
        let secrets = self.child_api.api::<Secret>();
        let sealed = storage.contents.initialized && !self.migrates(storage)?;
        if !seal.generate || sealed || secrets.get_metadata_opt(&name).await?.is_some() {
            return Ok(());
        }
        // No owner: it outlives the cluster, for nothing opens the data without it.
        let made = json!({
            "metadata": {"name": name, "labels": selector(self.cluster)}, "type": "Opaque",
            "data": {&seal.key_id: STANDARD.encode(random_hex()?)},
        });
        let made = serde_json::from_value(made).map_err(|error| Error::Waiting(error.to_string()))?;
        match secrets.create(&PostParams::default(), &made).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Knows the static keys and where a rotation of them stands.
    pub(crate) async fn static_keys(&self, done: &mut Done, live: Option<&StatefulSet>) -> Result<(), Error> {
        let Some(seal) = self.cluster.spec.seal.r#static.as_ref() else { return Ok(()) };
        let Ok(storage) = &done.storage else { return Ok(()) };
        if !storage.contents.initialized || self.migrates(storage)? {
            return Ok(());
        }
        // Without the Secret nothing is decided: nodes that run go on.
        let fingerprints = match self.fingerprints(seal, &done.fingerprints).await {
            Err(Error::NotFound { .. }) => return Err(Error::Waiting(done.seal.text().to_owned())),
            fingerprints => fingerprints?,
        };
        let Some(mut keys) = done.keys.clone() else { return Ok(()) };
        if keys.rotating.is_none() && !self.guard_target.owner.uses(&keys.in_use).await? {
            match self.key_in_use(&fingerprints).await? {
                Some(in_use) => keys.in_use = in_use,
                None => {
                    return Err(Error::Invalid(format!(
                        "storage is sealed with a key that the seal's Secret has not (`{}` is not it): put that key back \
                         under its id",
                        keys.in_use
                    )));
                }
            }
        }
        let rolled_out = live.is_some_and(|live| {
            are_updated(&done.members, revision(live)) == self.cluster.spec.replicas.unsigned_abs() as usize
        });
        done.keys = Some(self.rotate(&keys, &seal.key_id, (storage, rolled_out)).await?);
        done.fingerprints = fingerprints;
        Ok(())
    }

    /// Keyed digests of the keys in the Secret; an id whose key is another than it was is refused.
    async fn fingerprints(
        &self,
        seal: &StaticSeal,
        known: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let name = ObjectName::new(&self.cluster.name.namespace, static_secret(self.cluster, seal));
        let secret = self.context.secrets.existing(self.dependencies, &name).await?;
        let mut all = BTreeMap::new();
        for (id, key) in secret.data.iter().flatten() {
            let mac = self.context.mac.of([(id.as_str(), key.0.as_slice())])[..16].to_owned();
            if known.get(id).is_some_and(|known| *known != mac) {
                return Err(Error::Invalid(format!(
                    "key `{id}` of Secret {name} is another than it was: put the old one back, and give a new key an id of \
                     its own"
                )));
            }
            all.insert(id.clone(), mac);
        }
        Ok(all)
    }

    /// The key that storage is sealed with, where the status does not tell: that of a restored or adopted one.
    async fn key_in_use(&self, fingerprints: &BTreeMap<String, String>) -> Result<Option<String>, Error> {
        for id in fingerprints.keys() {
            if self.guard_target.owner.wrapped_by(id).await? {
                return Ok(Some(id.clone()));
            }
        }
        Ok(None)
    }

    /// Where a rotation goes from here, given that the last phase is rolled out or not.
    async fn rotate(
        &self,
        keys: &Keys,
        wanted: &str,
        (storage, rolled_out): (&Storage, bool),
    ) -> Result<Keys, Error> {
        if keys.rotating.is_none() && keys.in_use == wanted {
            return Ok(keys.clone());
        }
        let owner = &self.guard_target.owner;
        let rewrapped = owner.wrapped_by(wanted).await? && !owner.uses(&keys.in_use).await?;
        let facts = Facts { rolled_out, rewrapped, recovery_keys: storage.contents.recovery_keys };
        rotation::next(keys, wanted, facts)
    }
}
