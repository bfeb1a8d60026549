//! Writing into a Secret of another owner (`create: false`): only the keys of the value, by server-side apply, without
//! force.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use secrecy::ExposeSecret;
use serde_json::{Map, json};
use steamer_core::Error;
use steamer_core::mac::Mac;
use steamer_runtime::Dependencies;

use super::content::{Content, data_mac};
use super::destination::Destinations;
use super::frame::{Frame, encoded};

impl Destinations {
    /// Writes the keys into an existing Secret. Returns true if a write was necessary.
    pub(crate) async fn merge(
        &self,
        dependencies: &Dependencies,
        frame: &Frame,
        content: &Content,
    ) -> Result<bool, Error> {
        let name = &frame.name;
        let Some(existing) = self.named.get(dependencies, name).await else {
            return Err(Error::Waiting(format!(
                "Secret {name} does not exist: create it, or set destination.create: true"
            )));
        };
        let manager = field_manager(frame);
        if contains(&existing, content, &manager) {
            return Ok(false);
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            // With the uid the apply cannot create a Secret if this one is deleted in the meantime.
            "metadata": {"name": name.name, "uid": existing.uid()},
            "data": encoded(content),
        });
        let parameters = PatchParams::apply(&manager);
        match self.api(&name.namespace).patch(&name.name, &parameters, &Patch::Apply(&body)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Err(Error::Conflict(format!(
                "another client owns some of these keys of Secret {name}: {}",
                status.message
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Keyed digest of the keys that this object wrote into the Secret.
pub(super) fn mac_of_own_keys(secret: &Secret, frame: &Frame, mac: &Mac) -> String {
    let own = own_keys(secret, &field_manager(frame));
    let data = secret.data.iter().flatten().filter(|(key, _)| own.contains(key.as_str()));
    data_mac(mac, &frame.name, data.map(|(key, value)| (key.as_str(), value.0.as_slice())))
}

/// The field manager of an object. Its managed fields tell which keys the object wrote.
fn field_manager(frame: &Frame) -> String {
    format!("steamer.{}", frame.mark.name.name).chars().take(128).collect()
}

/// Returns true if the Secret contains the content, and this object owns exactly these keys.
fn contains(secret: &Secret, content: &Content, manager: &str) -> bool {
    let data = secret.data.as_ref();
    let right = content.0.iter().all(|(key, value)| {
        data.and_then(|data| data.get(key)).is_some_and(|present| present.0 == value.expose_secret())
    });
    right && own_keys(secret, manager).into_iter().eq(content.0.keys().map(String::as_str))
}

fn own_keys<'a>(secret: &'a Secret, manager: &str) -> BTreeSet<&'a str> {
    let entries = secret.metadata.managed_fields.iter().flatten();
    entries
        .filter(|entry| entry.manager.as_deref() == Some(manager))
        .filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:data")?.as_object())
        .flat_map(Map::keys)
        .filter_map(|key| key.strip_prefix("f:"))
        .collect()
}
