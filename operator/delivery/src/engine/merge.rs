//! Writing into a Secret of another owner (`create: false`): the keys of the value and an annotation that names the object,
//! by server-side apply, without force. The API server refuses the annotation of a second object. Another annotation has the
//! stamp of an issued value: a crash before the write of the status must not lose it.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use steamer_core::Error;
use steamer_core::digest::digest;
use steamer_core::mac::Mac;
use steamer_core::ownership::Mark;
use steamer_core::ownership::secret::Intent;
use steamer_runtime::{Dependencies, ObjectName};

use super::content::{Content, data_mac};
use super::destination::{ATTEMPTS, Destinations, contended};
use super::frame::{Frame, Wanted, encoded};
use super::labels::{KEYS_OF, KEYS_STAMP, OWNER};
use super::observed::Observed;
use super::repetition::write;
use super::stamp::Stamp;

/// Longest name of a field manager that the API server accepts.
const MAX_MANAGER: usize = 128;

impl Destinations {
    /// Checks whether the keys may be written, before the value is read.
    pub(crate) async fn may_merge(&self, dependencies: &Dependencies, frame: &Frame) -> Result<(), Error> {
        let found = self.named.get(dependencies, &frame.name).await?;
        let observed = Observed::of(&*found.ok_or_else(|| missing(&frame.name))?, &self.observed.mac);
        self.claim(dependencies, frame, Intent::Merge, &observed).await.map(drop)
    }

    /// Writes the keys into an existing Secret. Returns true if a write was necessary.
    pub(crate) async fn merge(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
    ) -> Result<bool, Error> {
        let name = &wanted.frame.name;
        let mut existing = self.named.get(dependencies, name).await?;
        for _ in 0..ATTEMPTS {
            let Some(secret) = existing else {
                return Err(missing(name));
            };
            match self.merge_into(dependencies, wanted, &secret).await {
                Err(Error::Kubernetes(kube::Error::Api(status))) if status.is_conflict() => {
                    existing = self.api(&name.namespace).get_opt(&name.name).await?.map(Arc::new);
                }
                result => return result,
            }
        }
        Err(contended(name))
    }

    async fn merge_into(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        secret: &Secret,
    ) -> Result<bool, Error> {
        let Wanted { frame, content, stamp: _ } = wanted;
        let observed = Observed::of(secret, &self.observed.mac);
        self.claim(dependencies, frame, Intent::Merge, &observed).await?;
        if contains(secret, content, &frame.mark) {
            return Ok(false);
        }
        refuse_unowned(secret, content)?;
        let mac = content.mac(&self.observed.mac, &frame.name);
        let write = write(frame, &mac, Some(&observed), self.interval);
        self.limited(frame, write, self.take(wanted, secret)).await.map(|()| true)
    }

    /// Writes the annotations and the keys. Keys of a deleted object are removed first.
    async fn take(&self, wanted: &Wanted<'_>, secret: &Secret) -> Result<(), Error> {
        let (frame, name) = (wanted.frame, &wanted.frame.name);
        let mut version = secret.resource_version();
        if let Some(former) = mark_of_keys(secret).filter(|mark| *mark != frame.mark) {
            let parameters = PatchParams::apply(&field_manager(&former));
            version = self.apply(name, &parameters, without_keys(secret, version)).await?.resource_version();
        }
        let mut body = fields(secret, version);
        body["metadata"]["annotations"] = annotations(wanted);
        body["data"] = Value::Object(encoded(wanted.content));
        let mut parameters = PatchParams::apply(&field_manager(&frame.mark));
        // Keys that Steamer wrote as the owner of the whole Secret, before `create` was set to false.
        parameters.force = Mark::parse(secret.annotations().get(OWNER).map_or("", String::as_str)).as_ref()
            == Some(&frame.mark);
        self.apply(name, &parameters, body).await.map(drop)
    }

    /// Removes the keys and the annotations of an object from a Secret, if it wrote some.
    pub(crate) async fn withdraw(&self, name: &ObjectName, mark: &Mark) -> Result<(), Error> {
        let found = self.api(&name.namespace).get_opt(&name.name).await?;
        match found.filter(|secret| owns_keys(secret, mark)) {
            Some(secret) => {
                let parameters = PatchParams::apply(&field_manager(mark));
                let body = Patch::Apply(without_keys(&secret, None));
                match self.api(&name.namespace).patch(&name.name, &parameters, &body).await {
                    // The Secret is immutable, or its type requires a key.
                    Err(kube::Error::Api(status)) if status.code == 422 => {
                        tracing::warn!(secret = %name, "the keys stay: the API server does not accept their removal");
                        Ok(())
                    }
                    result => Ok(result.map(drop)?),
                }
            }
            None => Ok(()),
        }
    }

    /// Applies the fields of an object. Fields of an earlier apply that are missing now are removed.
    async fn apply(&self, name: &ObjectName, parameters: &PatchParams, body: Value) -> Result<Secret, Error> {
        match self.api(&name.namespace).patch(&name.name, parameters, &Patch::Apply(&body)).await {
            Err(kube::Error::Api(status)) if is_owned_by_another(&status) => Err(Error::Conflict(format!(
                "another client owns some of these keys of Secret {name}: {}",
                status.message
            ))),
            result => Ok(result?),
        }
    }
}

/// The annotations of an object. A value that can be read again needs no stamp.
fn annotations(wanted: &Wanted<'_>) -> Value {
    let mut annotations = json!({KEYS_OF: wanted.frame.mark.to_string()});
    if wanted.stamp.held.is_issued() {
        annotations[KEYS_STAMP] = json!(wanted.stamp.text());
    }
    annotations
}

/// The stamp that Steamer wrote together with the keys of an object, which have that digest.
pub(super) fn stamp_of_keys(secret: &Secret, content: &str, mac: &Mac) -> Option<Stamp> {
    let stamp = Stamp::parse(secret.annotations().get(KEYS_STAMP)?)?;
    (stamp.content == content && stamp.is_sealed(mac)).then_some(stamp)
}

fn missing(name: &ObjectName) -> Error {
    Error::Waiting(format!("Secret {name} does not exist: create it, or set destination.create: true"))
}

/// Refuses keys that exist and that no client owns, such as keys applied as `stringData`: the API server reports no conflict for
/// them, and would remove them together with the keys of the object.
fn refuse_unowned(secret: &Secret, content: &Content) -> Result<(), Error> {
    let unowned: Vec<&str> = unowned(secret).into_iter().filter(|key| content.0.contains_key(*key)).collect();
    if unowned.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "Secret {} already has the keys {}, and no field manager owns them, as after an apply of stringData: apply them as \
         data, remove them, or rename the keys of the value",
        ObjectName::of(secret),
        unowned.join(", ")
    )))
}

/// Keys that no field manager owns. A Secret without managed fields states no owners.
fn unowned(secret: &Secret) -> Vec<&str> {
    let owned: BTreeSet<&str> = secret.metadata.managed_fields.iter().flatten().flat_map(keys_in).collect();
    let is_known = secret.metadata.managed_fields.as_ref().is_some_and(|entries| !entries.is_empty());
    let present = secret.data.iter().flat_map(|data| data.keys()).map(String::as_str);
    present.filter(|key| is_known && !owned.contains(key)).collect()
}

/// The body of an apply without fields. With the uid it cannot create a Secret if this one is deleted in the meantime.
fn fields(secret: &Secret, version: Option<String>) -> Value {
    let mut metadata = json!({"name": secret.name_any(), "uid": secret.uid()});
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
}

/// The body of an apply that removes the keys of an object. A key that no field manager owns is kept by an empty map: the API
/// server would remove the map with it.
fn without_keys(secret: &Secret, version: Option<String>) -> Value {
    let mut body = fields(secret, version);
    if !unowned(secret).is_empty() {
        body["data"] = json!({});
    }
    body
}

/// Returns true if the API server refuses fields of another manager, and not a version.
fn is_owned_by_another(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_conflict() && causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

/// Returns true if the object wrote keys into the Secret.
pub(super) fn owns_keys(secret: &Secret, mark: &Mark) -> bool {
    mark_of_keys(secret).as_ref() == Some(mark) || !own_keys(secret, &field_manager(mark)).is_empty()
}

/// The object that wrote keys into the Secret.
fn mark_of_keys(secret: &Secret) -> Option<Mark> {
    Mark::parse(secret.annotations().get(KEYS_OF)?)
}

/// The keys that the object wrote into the Secret.
pub(super) fn keys_of(secret: &Secret, mark: &Mark) -> BTreeSet<String> {
    own_keys(secret, &field_manager(mark)).into_iter().map(str::to_owned).collect()
}

/// Keyed digest of the keys that this object wrote into the Secret.
pub(super) fn mac_of_own_keys(secret: &Secret, frame: &Frame, mac: &Mac) -> String {
    let own = own_keys(secret, &field_manager(&frame.mark));
    let data = secret.data.iter().flatten().filter(|(key, _)| own.contains(key.as_str()));
    data_mac(mac, &frame.name, data.map(|(key, value)| (key.as_str(), value.0.as_slice())))
}

/// The field manager of an object: different for all objects of a namespace. Its managed fields tell which keys the object
/// wrote. A name that does not fit ends with a digest.
pub(super) fn field_manager(mark: &Mark) -> String {
    let whole = format!("steamer.{}", mark.name.name);
    if whole.len() < MAX_MANAGER {
        return whole;
    }
    let digest = &digest(mark.to_string().as_bytes())[..32];
    format!("{}.{digest}", &whole[..MAX_MANAGER - 1 - digest.len()])
}

/// Returns true if the Secret contains the content, and this object owns exactly these keys.
fn contains(secret: &Secret, content: &Content, mark: &Mark) -> bool {
    let data = secret.data.as_ref();
    let right = content.0.iter().all(|(key, value)| {
        data.and_then(|data| data.get(key)).is_some_and(|present| present.0 == value.expose_secret())
    });
    let own = own_keys(secret, &field_manager(mark));
    let marked = secret.annotations().get(KEYS_OF) == Some(&mark.to_string());
    right && marked && own.into_iter().eq(content.0.keys().map(String::as_str))
}

fn own_keys<'a>(secret: &'a Secret, manager: &str) -> BTreeSet<&'a str> {
    let entries = secret.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| entry.manager.as_deref() == Some(manager)).flat_map(keys_in).collect()
}

/// The keys that a field manager owns.
fn keys_in(entry: &ManagedFieldsEntry) -> impl Iterator<Item = &str> {
    let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:data")?.as_object());
    fields.into_iter().flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;

    use super::super::frame::sample;
    use super::super::held::Held;
    use super::*;

    /// A Secret with the keys `mine` and `theirs`.
    fn secret(managed: &Value) -> Secret {
        let fields = |(manager, keys): (&String, &Value)| {
            let keys: Map<String, Value> = keys
                .as_array()
                .unwrap()
                .iter()
                .map(|key| (format!("f:{}", key.as_str().unwrap()), json!({})))
                .collect();
            json!({"manager": manager, "fieldsType": "FieldsV1", "fieldsV1": {"f:data": keys}})
        };
        let managed: Vec<Value> = managed.as_object().unwrap().iter().map(fields).collect();
        let metadata = json!({"name": "app", "namespace": "web", "managedFields": managed});
        serde_json::from_value(json!({"metadata": metadata, "data": {"mine": "MQ==", "theirs": "Mg=="}}))
            .unwrap()
    }

    #[rstest]
    #[case::own(json!({"steamer.app": ["mine"]}), &["mine"], None)]
    #[case::of_another_client(json!({"kubectl": ["mine"], "steamer.app": []}), &["mine"], None)]
    #[case::applied_as_string_data(json!({"steamer.app": ["mine"]}), &["mine", "theirs"], Some("theirs"))]
    #[case::new(json!({"steamer.app": ["mine"]}), &["mine", "new"], None)]
    #[case::without_managed_fields(json!({}), &["theirs"], None)]
    fn a_key_applied_as_string_data_is_neither_taken_nor_removed_later(
        #[case] managed: Value,
        #[case] keys: &[&str],
        #[case] refused: Option<&str>,
    ) {
        let value = |key: &&str| ((*key).to_owned(), b"3".to_vec().into());
        let content = Content::new(keys.iter().map(value).collect()).unwrap();
        let error = refuse_unowned(&secret(&managed), &content).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), refused.is_some());
        let expected = refused.map(|key| format!("Secret web/app already has the keys {key}, and no"));
        assert!(error.unwrap_or_default().starts_with(&expected.unwrap_or_default()));
    }

    #[rstest]
    #[case::without_owner(json!({"steamer.app": ["mine"]}), true)]
    #[case::owned(json!({"steamer.app": ["mine"], "kubectl": ["theirs"]}), false)]
    fn a_key_without_owner_survives_the_removal_of_the_keys(#[case] managed: Value, #[case] keeps_map: bool) {
        let body = without_keys(&secret(&managed), None);
        assert_eq!(body.get("data"), keeps_map.then(|| json!({})).as_ref());
    }

    fn certificate() -> Held {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        Held::Certificate {
            namespace: None,
            mount: "pki".to_owned(),
            serial: "0a".to_owned(),
            at: at(0),
            not_after: at(60),
        }
    }

    #[test]
    fn the_stamp_of_an_issued_value_survives_a_crash_before_the_status() {
        let (mac, other) = (Mac::new(&[7; 32]), Mac::new(&[8; 32]));
        let stamp = Stamp { content: "c".to_owned(), held: certificate(), ..Stamp::default() }.sealed(&mac);
        let written = |stamp: &Stamp| {
            let (frame, content) = (sample(), Content::default());
            annotations(&Wanted { frame: &frame, content: &content, stamp })
        };
        let mut merged = secret(&json!({"steamer.app": ["mine"]}));
        merged.metadata.annotations = serde_json::from_value(written(&stamp)).unwrap();
        assert_eq!(stamp_of_keys(&merged, "c", &mac), Some(stamp.clone()));
        assert_eq!(stamp_of_keys(&merged, "edited", &mac), None);
        assert_eq!(stamp_of_keys(&merged, "c", &other), None, "a stamp that Steamer did not write");
        let read = Stamp { held: Held::default(), ..stamp };
        assert_eq!(written(&read).get(KEYS_STAMP), None);
        assert!(written(&read).get(KEYS_OF).is_some());
    }

    #[test]
    fn objects_with_names_of_any_length_have_different_field_managers() {
        let mark = |name: String| Mark {
            installation: "i".to_owned(),
            owner: Owner::Object(KindId::BaoStaticSecret),
            name: ObjectName::new("web", name),
        };
        let long = (1..=253).map(|length| "x".repeat(length));
        let ends = (100..=252).map(|length| format!("{}y", "x".repeat(length)));
        let managers: Vec<String> = long.chain(ends).map(|name| field_manager(&mark(name))).collect();
        assert!(managers.iter().all(|manager| manager.len() <= MAX_MANAGER));
        assert_eq!(managers.iter().collect::<HashSet<_>>().len(), managers.len());
        assert_eq!(field_manager(&mark("app".to_owned())), "steamer.app");
    }
}
