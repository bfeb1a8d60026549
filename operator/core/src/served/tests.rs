use std::sync::Arc;

use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use rstest::rstest;
use serde_json::{Value, json};
use steamer_api::{BaoAuth, BaoAuthGlobal, BaoConnection, BaoDynamicSecret, BaoPKISecret, BaoStaticSecret};
use steamer_api::{Kind, Reference};
use steamer_runtime::{Index, Object, ObjectName};

use super::*;
use crate::error::Error;
use crate::stores::Stores;

/// An object of VSO as a list of the API server contains it.
fn object(name: (&str, &str), spec: Value) -> Value {
    json!({
        "metadata": {
            "namespace": name.0, "name": name.1, "uid": "u", "generation": 3, "resourceVersion": "7",
            "finalizers": ["vaultstaticsecret.secrets.hashicorp.com/finalizer"],
        },
        "spec": spec,
    })
}

fn served<K: Counterpart>(value: &Value) -> Served<K> {
    serde_json::from_value(value.clone()).unwrap()
}

fn static_secret(changes: Value) -> Value {
    let mut spec = json!({
        "mount": "kv", "path": "app", "type": "kv-v2", "destination": {"name": "app", "create": true},
    });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    object(("web", "app"), spec)
}

/// The status that is written for an object.
fn written<K: Object>(object: &K, status: &Value) -> Value {
    (translation().status)(&serde_json::to_value(object).unwrap(), status)
}

fn ready(status: &str, message: &str) -> Value {
    json!([{
        "type": "Ready", "status": status, "reason": "Applied", "message": message, "observedGeneration": 3,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }])
}

/// Types and statuses of conditions.
fn conditions(status: &Value) -> Vec<String> {
    let all = status["conditions"].as_array().unwrap().iter();
    let text = |one: &Value| format!("{}={}", one["type"].as_str().unwrap(), one["status"].as_str().unwrap());
    all.map(text).collect()
}

#[test]
fn an_object_of_vso_is_an_object_of_steamer_with_the_identity_of_vso() {
    let mut value = static_secret(json!({"vaultAuthRef": "auth", "refreshAfter": "30s"}));
    value["metadata"]["annotations"] =
        json!({"steamer.dev/status": r#"{"version": 4, "observedGeneration": 3}"#, "team": "a"});
    value["status"] = json!({"secretMAC": "m", "lastGeneration": 1});
    let served = served::<BaoStaticSecret>(&value);
    let spec = &served.object().spec;
    assert_eq!(spec.auth_ref, Some(Reference { name: "vso/auth".to_owned(), namespace: None }));
    assert_eq!((spec.mount.as_deref(), spec.refresh_after.to_string().as_str()), (Some("kv"), "30s"));
    assert!(spec.destination.create && spec.destination.overwrite);
    assert_eq!(served.status().unwrap().version, Some(4));
    assert_eq!(served.annotations().keys().collect::<Vec<_>>(), ["team"], "templates do not see the status");
    let owner = served.controller_owner_ref(&()).unwrap();
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()),
        ("secrets.hashicorp.com/v1beta1", "VaultStaticSecret", "app", "u")
    );
    let path = Served::<BaoStaticSecret>::url_path(&(), Some("web"));
    assert_eq!(path, "/apis/secrets.hashicorp.com/v1beta1/namespaces/web/vaultstaticsecrets");
    assert_eq!(<Served<BaoStaticSecret> as Kind>::KIND, "VaultStaticSecret");
    let last: Value = serde_json::to_value(&served).unwrap()["status"].take();
    assert_eq!(last["version"], json!(4));
}

#[test]
fn a_status_annotation_that_a_user_broke_does_not_count() {
    for text in ["x", "{}", "7", r#"{"version": "x"}"#] {
        let mut value = static_secret(json!({}));
        value["metadata"]["annotations"] = json!({"steamer.dev/status": text});
        let served = served::<BaoStaticSecret>(&value);
        assert!(served.status().is_none_or(|status| status.version.is_none()), "{text}");
    }
}

#[test]
fn the_status_has_the_conditions_of_vso_and_keeps_its_state() {
    let mut value = static_secret(json!({}));
    value["status"] = json!({"secretMAC": "m", "lastGeneration": 1, "conditions": [{"type": "Old"}]});
    let served = served::<BaoStaticSecret>(&value);
    let status = written(&served, &json!({"observedGeneration": 3, "conditions": ready("True", "done")}));
    assert_eq!((&status["secretMAC"], &status["lastGeneration"]), (&json!("m"), &json!(3)));
    assert_eq!(conditions(&status), ["Ready=True", "Healthy=True", "SecretSynced=True"]);
    let failed = written(&served, &json!({"observedGeneration": 3, "conditions": ready("False", "denied")}));
    assert_eq!(conditions(&failed), ["Ready=False", "Healthy=False", "SecretSynced=False"]);
}

#[test]
fn a_field_without_a_counterpart_is_a_condition_that_names_it() {
    let value = static_secret(json!({"syncConfig": {"instantUpdates": true}}));
    let served = served::<BaoStaticSecret>(&value);
    let status = written(&served, &json!({"conditions": ready("True", "done")}));
    let ignored = status["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&ignored["type"], &ignored["status"]), (&json!("NeedsReview"), &json!("True")));
    assert!(ignored["message"].as_str().unwrap().contains("spec.syncConfig.instantUpdates: "), "{ignored}");
}

#[test]
fn a_credential_is_reported_in_the_fields_of_vso() {
    let spec = json!({"mount": "db", "path": "creds/app", "destination": {"name": "app", "create": true}});
    let dynamic = served::<BaoDynamicSecret>(&object(("web", "app"), spec));
    let none = written(&dynamic, &json!({"observedGeneration": 3}));
    let lease = json!({"id": "", "duration": 0, "renewable": false, "requestID": ""});
    assert_eq!((&none["secretLease"], &none["lastRenewalTime"]), (&lease, &json!(0)), "required fields");
    let stamp =
        r#"{"held":{"lease":{"id":"db/creds/app/x","at":1700000000,"seconds":3600,"renewable":true}}}"#;
    let some = written(&dynamic, &json!({"observedGeneration": 3, "stamp": stamp}));
    let lease = json!({"id": "db/creds/app/x", "duration": 3600, "renewable": true, "requestID": ""});
    assert_eq!((&some["secretLease"], &some["lastRenewalTime"]), (&lease, &json!(1_700_000_000)));

    let spec = json!({"mount": "pki", "role": "web", "destination": {"name": "app", "create": true}});
    let certificate = served::<BaoPKISecret>(&object(("web", "app"), spec));
    let stamp =
        r#"{"held":{"certificate":{"mount":"pki","serial":"0a:1b","at":1700000000,"not_after":1800000000}}}"#;
    let status = json!({"observedGeneration": 3, "stamp": stamp, "conditions": ready("True", "done")});
    let status = written(&certificate, &status);
    let expected = json!({
        "serialNumber": "0a:1b", "expiration": 1_800_000_000, "lastRotation": 1_700_000_000, "valid": true,
        "error": "", "lastGeneration": 3,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&status[field], value, "{field}");
    }
}

#[test]
fn a_login_that_fails_is_invalid_with_its_error() {
    let auth = served::<BaoAuth>(&object(("web", "app"), json!({"method": "kubernetes", "mount": "k"})));
    let status = written(&auth, &json!({"conditions": ready("False", "no server")}));
    assert_eq!((&status["valid"], &status["error"]), (&json!(false), &json!("no server")));
    assert_eq!(conditions(&status), ["Ready=False", "Healthy=False"]);
}

#[test]
fn a_global_without_a_connection_uses_the_default_one_of_vso() {
    let global = served::<BaoAuthGlobal>(&object(("web", "app"), json!({})));
    let reference = global.object().spec.connection_ref.clone().unwrap();
    assert_eq!(reference.name, "vso/default");
    assert_eq!(reference.namespace.as_deref(), Some("vault-secrets-operator-system"));
}

/// Stores with a VaultAuth `shared/one` that allows some namespaces, and a BaoAuth of the same name.
fn stores(allowed: &[&str]) -> Stores {
    let stores = Stores::default();
    let spec = json!({"method": "kubernetes", "mount": "of-vso", "allowedNamespaces": allowed});
    let auth = served::<BaoAuth>(&object(("shared", "one"), spec));
    stores.of::<Served<BaoAuth>>().insert(ObjectName::of(&auth), Arc::new(auth));
    let mut native = BaoAuth::new("one", serde_json::from_value(json!({"mount": "of-steamer"})).unwrap());
    native.metadata.namespace = Some("shared".to_owned());
    stores.of::<BaoAuth>().insert(ObjectName::of(&native), Arc::new(native));
    stores
}

#[rstest]
#[case::own_namespace(&[], "vso/one", "shared", "of-vso")]
#[case::not_listed(&["other"], "vso/one", "web", "denied")]
#[case::listed_with_others(&["other", "web"], "vso/one", "web", "of-vso")]
#[case::all(&["*"], "vso/one", "web", "of-vso")]
#[case::a_star_among_others(&["*", "other"], "vso/one", "web", "denied")]
#[case::missing(&["*"], "vso/two", "shared", "not found")]
#[case::native(&["*"], "one", "shared", "of-steamer")]
#[case::native_from_another_namespace(&["*"], "one", "web", "denied")]
fn references_of_vso_and_of_steamer_never_meet(
    #[case] allowed: &[&str],
    #[case] name: &str,
    #[case] from: &str,
    #[case] expected: &str,
) {
    let index = Arc::<Index>::default();
    let dependencies = index.pass("vaultstaticsecrets", ObjectName::new(from, "x"));
    let name = ObjectName::new("shared", name);
    let found = match stores(allowed).named::<BaoAuth>(&dependencies, &name, from) {
        Ok(auth) => auth.spec.mount.clone().unwrap(),
        Err(Error::Denied { kind, .. }) => {
            assert_eq!(kind == "VaultAuth", name.name.starts_with("vso/"));
            "denied".to_owned()
        }
        Err(Error::NotFound { kind, name }) => {
            assert_eq!((kind, name.to_string().as_str()), ("VaultAuth", "shared/two"));
            "not found".to_owned()
        }
        Err(_) => "another error".to_owned(),
    };
    assert_eq!(found, expected);
}

#[test]
fn an_object_of_steamer_cannot_name_a_served_object() {
    let index = Arc::<Index>::default();
    let name = ObjectName::new("shared", "vso/one");
    for controller in ["baostaticsecret", "baoauth"] {
        let dependencies = index.pass(controller, ObjectName::new("shared", "x"));
        let stores = stores(&["*"]);
        stores.of::<BaoAuth>().listed(Some("shared"), 0);
        let found = stores.named::<BaoAuth>(&dependencies, &name, "shared");
        assert!(matches!(found, Err(Error::NotFound { kind: "BaoAuth", .. })), "{controller}");
    }
}

#[rstest]
#[case::named(json!({"name": "default"}), "not found")]
#[case::named_with_a_default(json!({"name": "default", "allowDefault": true}), "not found")]
#[case::default(json!({"allowDefault": true}), "vault-secrets-operator-system")]
fn only_a_reference_without_a_name_uses_the_default_of_vso(#[case] global: Value, #[case] expected: &str) {
    let (stores, index) = (Stores::default(), Arc::<Index>::default());
    let namespace = "vault-secrets-operator-system";
    let default = served::<BaoAuthGlobal>(&object((namespace, "default"), json!({})));
    let store = stores.of::<Served<BaoAuthGlobal>>();
    [namespace, "web"].iter().for_each(|namespace| store.listed(Some(*namespace), 0));
    store.insert(ObjectName::of(&default), Arc::new(default));
    let auth = served::<BaoAuth>(&object(("web", "app"), json!({"vaultAuthGlobalRef": global})));
    let reference = auth.object().spec.auth_global_ref.clone().unwrap();
    let dependencies = index.pass("vaultauths", ObjectName::of(&auth));
    let name = ObjectName::new("web", reference.name.unwrap());
    let found = match stores.named::<BaoAuthGlobal>(&dependencies, &name, "web") {
        Ok(global) => global.namespace().unwrap(),
        Err(Error::NotFound { name, .. }) => {
            assert_eq!(name.to_string(), "web/default");
            "not found".to_owned()
        }
        Err(_) => "another error".to_owned(),
    };
    assert_eq!(found, expected);
}

#[test]
fn every_namespace_may_refer_to_a_connection() {
    let connection = served::<BaoConnection>(&object(("a", "b"), json!({"address": "https://bao:8200"})));
    assert!(connection.allows("a", "other"));
    assert_eq!(connection.object().spec.address.as_deref(), Some("https://bao:8200"));
}
