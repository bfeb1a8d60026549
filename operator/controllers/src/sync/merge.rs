//! Writing into a Secret of someone else: our keys only, by server-side apply, and nothing by force.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use steamer_runtime::Dependencies;

use super::destination::{Destinations, uid_of};
use super::wanted::Wanted;
use crate::error::Error;

impl Destinations {
    /// Puts our keys into a Secret that exists; whether anything was written.
    pub(crate) async fn merge(&self, dependencies: &Dependencies, wanted: &Wanted) -> Result<bool, Error> {
        let Some(there) = self.named.get(dependencies, &wanted.name).await else {
            return Err(Error::Waiting(format!(
                "Secret {} does not exist: make it, or set destination.create: true",
                wanted.name
            )));
        };
        let manager = format!("steamer.{}", wanted.mark.name.name).chars().take(128).collect::<String>();
        if holds(&there, wanted, &manager) {
            return Ok(false);
        }
        let data: Map<String, Value> = wanted
            .data
            .iter()
            .map(|(key, value)| (key.clone(), Value::String(STANDARD.encode(value.expose_secret()))))
            .collect();
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            // The uid keeps the apply from making a Secret where this one has gone.
            "metadata": {"name": wanted.name.name, "uid": uid_of(&there)},
            "data": data,
        });
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &wanted.name.namespace);
        match api.patch(&wanted.name.name, &PatchParams::apply(&manager), &Patch::Apply(&body)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Err(Error::Conflict(format!(
                "Secret {} has some of these keys from someone else: {}",
                wanted.name, status.message
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the Secret has our keys as they should be, and no key that we put there and do not want any more.
fn holds(there: &Arc<Secret>, wanted: &Wanted, manager: &str) -> bool {
    let data = there.data.as_ref();
    let right = wanted.data.iter().all(|(key, value)| {
        data.and_then(|data| data.get(key)).is_some_and(|there| there.0 == value.expose_secret().as_bytes())
    });
    let fields = there.metadata.managed_fields.iter().flatten();
    let ours = fields
        .filter(|entry| entry.manager.as_deref() == Some(manager))
        .filter_map(|entry| entry.fields_v1.as_ref());
    let mut stale = ours.filter_map(|fields| fields.0.get("f:data")?.as_object()).flat_map(Map::keys);
    right && !stale.any(|key| key.strip_prefix("f:").is_some_and(|key| !wanted.data.contains_key(key)))
}
