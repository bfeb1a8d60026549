//! The status of a served object in the form that VSO gives it.

use serde_json::{Map, Value, json};
use steamer_runtime::Translation;

use super::names::GROUP;

/// Annotation with the status of Steamer: the schemas of VSO have no fields for it.
const ANNOTATION: &str = "steamer.dev/status";
/// Condition that lists the fields that are ignored or have another effect.
const REVIEW: &str = "NeedsReview";

/// The translation of statuses.
#[must_use]
pub fn translation() -> Translation {
    Translation { group: GROUP, annotation: ANNOTATION, status }
}

/// Takes the status of Steamer out of metadata. Templates do not see it.
pub(super) fn taken(metadata: &mut Value) -> Value {
    let all = metadata.get_mut("annotations").and_then(Value::as_object_mut);
    let text = all.and_then(|all| all.remove(ANNOTATION));
    text.as_ref().and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The status of VSO: that of the API server with the fields that Steamer knows. Fields of VSO's own state stay, so that VSO
/// can continue.
fn status(object: &Value, status: &Value) -> Value {
    let mut all = object["served"]["status"].as_object().cloned().unwrap_or_default();
    let ready = condition(status, "Ready").cloned().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    let (fields, becomes_a_secret) = match kind {
        "BaoConnection" => (json!({"valid": is_true(&ready)}), false),
        "BaoAuth" | "BaoAuthGlobal" | "SecretTransformation" => (validity(&ready), false),
        "BaoStaticSecret" => (json!({"lastGeneration": status["observedGeneration"]}), true),
        "BaoDynamicSecret" => (lease(status, &all), true),
        "BaoPKISecret" => (certificate(status, &ready, &all), true),
        _ => (json!({}), true),
    };
    all.extend(fields.as_object().cloned().unwrap_or_default());
    let findings = object["served"]["findings"].as_array().cloned().unwrap_or_default();
    all.insert("conditions".to_owned(), conditions(status, &ready, becomes_a_secret, &findings));
    Value::Object(all)
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

fn is_true(condition: &Value) -> bool {
    condition["status"] == "True"
}

fn error(ready: &Value) -> Value {
    if is_true(ready) { json!("") } else { ready["message"].clone() }
}

fn validity(ready: &Value) -> Value {
    json!({"valid": is_true(ready), "error": error(ready)})
}

/// The conditions of Steamer, and those of VSO that have the same meaning.
fn conditions(status: &Value, ready: &Value, becomes_a_secret: bool, findings: &[Value]) -> Value {
    let mut all = status["conditions"].as_array().cloned().unwrap_or_default();
    if ready.is_null() {
        return Value::Array(all);
    }
    let mut add = |type_: &str, reason: &str| {
        let mut condition = ready.clone();
        condition["type"] = json!(type_);
        condition["reason"] = json!(reason);
        all.push(condition);
    };
    add("Healthy", if is_true(ready) { "Healthy" } else { "Unhealthy" });
    if becomes_a_secret {
        add("SecretSynced", if is_true(ready) { "Synced" } else { "NotSynced" });
    }
    if !findings.is_empty() {
        all.push(review(ready, findings));
    }
    Value::Array(all)
}

fn review(ready: &Value, findings: &[Value]) -> Value {
    let texts: Vec<&str> = findings.iter().filter_map(Value::as_str).collect();
    let mut condition = ready.clone();
    condition["type"] = json!(REVIEW);
    condition["status"] = json!("True");
    condition["reason"] = json!("FieldsDiffer");
    condition["message"] = json!(clipped(&texts.join("; ")));
    condition
}

/// Kubernetes allows 32768 bytes.
fn clipped(text: &str) -> String {
    text.chars().take(4096).collect()
}

/// The value in the stamp of the engine.
fn held(status: &Value, kind: &str) -> Value {
    let stamp = status["stamp"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    stamp.map(|stamp| stamp["held"][kind].clone()).unwrap_or_default()
}

/// The fields of a VaultDynamicSecret. Those of the lease are required.
fn lease(status: &Value, last: &Map<String, Value>) -> Value {
    let lease = held(status, "lease");
    let none = json!({"id": "", "duration": 0, "renewable": false, "requestID": ""});
    let mut fields = json!({
        "lastGeneration": status["observedGeneration"],
        "lastRenewalTime": last.get("lastRenewalTime").cloned().unwrap_or(json!(0)),
        "secretLease": last.get("secretLease").cloned().unwrap_or(none),
    });
    if let Some(at) = lease["at"].as_i64() {
        fields["lastRenewalTime"] = json!(at);
        fields["secretLease"] = json!({
            "id": lease["id"], "duration": lease["seconds"], "renewable": lease["renewable"], "requestID": "",
        });
    }
    fields
}

/// The fields of a VaultPKISecret.
fn certificate(status: &Value, ready: &Value, last: &Map<String, Value>) -> Value {
    let certificate = held(status, "certificate");
    let mut fields = json!({
        "lastGeneration": status["observedGeneration"],
        "lastRotation": last.get("lastRotation").cloned().unwrap_or(json!(0)),
        "valid": is_true(ready),
        "error": error(ready),
    });
    if let (Some(at), Some(end)) = (certificate["at"].as_i64(), certificate["not_after"].as_i64()) {
        fields["lastRotation"] = json!(at);
        fields["expiration"] = json!(end);
        fields["serialNumber"] = certificate["serial"].clone();
    }
    fields
}
