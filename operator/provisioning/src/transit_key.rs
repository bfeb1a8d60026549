//! TransitKey: a key in a Transit engine.

use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_api::{Parameters, TransitKey, TransitKeySpec, TransitKeyStatus, rules};
use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, Session};

use crate::general::{self, Found, General, Resource, Site, merged, seconds, typed};

/// Parameters that OpenBao cannot change.
const FIXED: [&str; 4] = ["type", "derived", "convergent_encryption", "key_size"];
/// Parameters that OpenBao cannot change back to false, and their fields.
const ONE_WAY: [(&str, &str); 2] =
    [("exportable", "exportable"), ("allow_plaintext_backup", "allowPlaintextBackup")];
/// Parameters that only a change accepts.
const AFTERWARDS: [&str; 3] = ["deletion_allowed", "min_decryption_version", "min_encryption_version"];
/// Parameters of fields that the spec may leave unset.
const OPTIONAL: [&str; 3] = ["key_size", "min_decryption_version", "min_encryption_version"];
/// Version of a new key.
const FIRST: i64 = 1;

impl General for TransitKey {
    const NAME: &'static str = "transitkey";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("key {}/keys/{}", mount(&self.spec), name(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let resource = found.read(resource(self)?).await?;
        if let Some(parameters) = resource.found() {
            refuse_one_way(&resource, parameters)?;
        }
        Ok(vec![resource])
    }

    fn facts(&self, status: &mut TransitKeyStatus, resources: &[Resource]) {
        let latest = |resource: &Resource| resource.found()?.get("latest_version")?.as_i64();
        status.latest_version = Some(resources.first().and_then(latest).unwrap_or(FIRST));
    }

    async fn delete(session: &Session, path: &str) -> Result<(), Error> {
        match session.request_any(Method::GET, path, None).await {
            Err(OpenBao::NotFound { .. }) => return Ok(()),
            result => result.map(drop)?,
        }
        // `deletionPolicy: Delete` is the consent to the deletion.
        let allowed = json!({"deletion_allowed": true});
        session.request_any(Method::POST, &format!("{path}/config"), Some(allowed)).await?;
        general::delete(session, path).await
    }
}

fn name(key: &TransitKey) -> String {
    key.spec.name.clone().unwrap_or_else(|| key.name_any())
}

fn mount(spec: &TransitKeySpec) -> &str {
    spec.mount.trim_matches('/')
}

fn resource(key: &TransitKey) -> Result<Resource, Error> {
    let (name, mount) = (name(key), mount(&key.spec));
    if rules::is_no_engine_mount(mount) || rules::is_no_entry_name(&name) {
        return Err(Error::Invalid(format!(
            "{mount}/keys/{name} is not the path of a Transit key: correct mount or name"
        )));
    }
    let path = format!("{mount}/keys/{name}");
    let parameters = parameters(&key.spec);
    let created = created(&parameters, &key.spec.parameters)?;
    let resource = Resource::at(format!("key {path}"), &path, parameters);
    Ok(Resource {
        creation: Some((path.clone(), created)),
        is_completed_by_change: true,
        changed_at: Some(format!("{path}/config")),
        fixed: FIXED.to_vec(),
        holds_values: true,
        read: complete,
        ..resource
    })
}

fn parameters(spec: &TransitKeySpec) -> Map<String, Value> {
    typed([
        ("type", json!(spec.key_type)),
        ("derived", json!(spec.derived)),
        ("convergent_encryption", json!(spec.convergent_encryption)),
        ("exportable", json!(spec.exportable)),
        ("allow_plaintext_backup", json!(spec.allow_plaintext_backup)),
        ("deletion_allowed", json!(spec.deletion_allowed)),
        ("auto_rotate_period", json!(spec.auto_rotate_period.as_ref().map_or(0, seconds))),
        ("key_size", json!(spec.key_size)),
        ("min_decryption_version", json!(spec.min_decryption_version)),
        ("min_encryption_version", json!(spec.min_encryption_version)),
    ])
}

/// The parameters of the request that creates the key.
fn created(parameters: &Map<String, Value>, free: &Parameters) -> Result<Map<String, Value>, Error> {
    // Free parameters also must not repeat a field that the spec leaves unset.
    let unset = OPTIONAL.map(|name| (name.to_owned(), Value::Null));
    let mut created = merged(unset.into_iter().chain(parameters.clone()).collect(), free)?;
    let is_set = |name: &String| parameters.contains_key(name) || free.0.contains_key(name);
    created.retain(|name, _| is_set(name) && !AFTERWARDS.contains(&name.as_str()));
    Ok(created)
}

/// OpenBao does not return the fixed parameters of other types of keys.
fn complete(mut answer: Map<String, Value>) -> Map<String, Value> {
    answer.entry("convergent_encryption").or_insert(Value::Bool(false));
    answer.entry("key_size").or_insert(json!(0));
    answer
}

/// OpenBao accepts a request to undo these parameters, and ignores it.
fn refuse_one_way(resource: &Resource, found: &Map<String, Value>) -> Result<(), Error> {
    let is_set = |parameters: &Map<String, Value>, name| parameters.get(name) == Some(&Value::Bool(true));
    let undone = |name| is_set(found, name) && !is_set(&resource.body.parameters, name);
    let Some((_, field)) = ONE_WAY.into_iter().find(|(name, _)| undone(*name)) else {
        return Ok(());
    };
    Err(Error::Conflict(format!(
        "{} has {field}: true in OpenBao, which cannot be undone: set {field}: true, or replace the key",
        resource.name
    )))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn key(spec: Value) -> TransitKey {
        let mut all = json!({"clusterRef": {"name": "main"}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        TransitKey::new("app", serde_json::from_value(all).unwrap())
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_key_is_created_at_its_path_and_changed_at_its_configuration() {
        let spec = json!({
            "mount": "team/transit", "name": "orders", "type": "hmac", "keySize": 64, "autoRotatePeriod": "720h",
            "deletionAllowed": true, "minDecryptionVersion": 2, "minEncryptionVersion": 0, "parameters": {"context": "YQ=="},
        });
        let resource = resource(&key(spec)).unwrap();
        assert_eq!(resource.path, "team/transit/keys/orders");
        assert_eq!(resource.changed_at.as_deref(), Some("team/transit/keys/orders/config"));
        let created = json!({
            "type": "hmac", "key_size": 64, "derived": false, "convergent_encryption": false, "exportable": false,
            "allow_plaintext_backup": false, "auto_rotate_period": 2_592_000, "context": "YQ==",
        });
        assert_eq!(Value::Object(resource.creation_body().parameters), created);
        let changed = json!({
            "exportable": false, "allow_plaintext_backup": false, "auto_rotate_period": 2_592_000, "deletion_allowed": true,
            "min_decryption_version": 2, "min_encryption_version": 0,
        });
        assert_eq!(Value::Object(resource.change_body().parameters), changed);
    }

    #[rstest]
    #[case::typed_field(json!({"parameters": {"exportable": true}}), "parameters.exportable")]
    #[case::unset_field(json!({"parameters": {"min_encryption_version": 1}}), "parameters.min_encryption_version")]
    #[case::mount(json!({"mount": "sys"}), "correct mount or name")]
    #[case::name(json!({"name": "a/b"}), "correct mount or name")]
    fn a_mistake_in_the_spec_is_named(#[case] spec: Value, #[case] expected: &str) {
        let error = resource(&key(spec)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case::neither(json!({}), json!({"exportable": false}), None)]
    #[case::to_be_set(json!({"exportable": true}), json!({"exportable": false}), None)]
    #[case::exportable(json!({}), json!({"exportable": true}), Some("set exportable: true"))]
    #[case::backup(json!({}), json!({"allow_plaintext_backup": true}), Some("set allowPlaintextBackup: true"))]
    fn what_openbao_cannot_undo_is_a_conflict(
        #[case] spec: Value,
        #[case] found: Value,
        #[case] expected: Option<&str>,
    ) {
        let refused = refuse_one_way(&resource(&key(spec)).unwrap(), &map(found));
        let text = refused.err().map(|error| error.to_string());
        assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
        assert!(text.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn fixed_parameters_that_openbao_does_not_return_have_their_default() {
        let answer = complete(map(json!({"type": "ed25519"})));
        assert_eq!(
            Value::Object(answer),
            json!({"type": "ed25519", "convergent_encryption": false, "key_size": 0})
        );
    }
}
