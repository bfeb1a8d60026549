//! The conversion of one object of VSO, and its references to other served objects.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use steamer_convert::{Finding, Severity, convert};

use super::facts::Facts;
use super::names::{ANY_DEFAULT, Counterpart, GROUP, VERSION, reference};
use super::settings::settings;
use super::status;

/// A converted object.
pub(super) struct Converted<K> {
    pub(super) object: K,
    pub(super) facts: Facts,
}

/// Converts an object of VSO. Metadata stay as they are, because templates read labels and annotations.
///
/// # Errors
/// When the object has no spec, or a value that Steamer cannot read.
pub(super) fn converted<K: Counterpart + DeserializeOwned>(
    mut source: Map<String, Value>,
) -> Result<Converted<K>, String> {
    // Elements of a list can lack them.
    source.insert("apiVersion".to_owned(), json!(format!("{GROUP}/{VERSION}")));
    source.insert("kind".to_owned(), json!(K::SERVED));
    let status = source.remove("status").unwrap_or_default();
    let mut metadata = source.get("metadata").cloned().unwrap_or_default();
    let recorded = status::taken(&mut metadata);
    let conversion = convert(vec![source], settings());
    let findings = conversion.report.findings.iter().filter(|finding| concerns(finding)).map(text).collect();
    let mut object = conversion.objects.into_iter().next().ok_or("the object has no spec")?;
    object["metadata"] = metadata;
    refer::<K>(&mut object["spec"]);
    let object = with_status(object, recorded)?;
    Ok(Converted { object, facts: Facts { status, findings } })
}

/// The object with its status. A status that cannot be read does not count: anyone who may edit the object can change it.
fn with_status<K: DeserializeOwned>(mut object: Value, recorded: Value) -> Result<K, String> {
    if !recorded.is_null() {
        object["status"] = recorded;
        if let Ok(object) = serde_json::from_value(object.clone()) {
            return Ok(object);
        }
        object["status"] = Value::Null;
    }
    serde_json::from_value(object).map_err(|error| error.to_string())
}

/// Returns true for a finding about a field that Steamer ignores in a served object: permissions of namespaces are those of
/// VSO, and notes are about the conversion.
fn concerns(finding: &Finding) -> bool {
    finding.severity == Severity::Review && !finding.field.starts_with("spec.allowedNamespaces")
}

fn text(finding: &Finding) -> String {
    match finding.field.as_str() {
        "" => finding.action.clone(),
        field => format!("{field}: {}", finding.action),
    }
}

/// Makes the references of a spec references to served objects.
fn refer<K: Counterpart>(spec: &mut Value) {
    // A VaultAuthGlobal without a connection uses the default one.
    if K::SERVED == "VaultAuthGlobal" && spec["connectionRef"].is_null() {
        spec["connectionRef"] = json!({"name": "default", "namespace": settings().vso_namespace});
    }
    let global = &mut spec["authGlobalRef"];
    if global["allowDefault"] == json!(true) && global["name"].is_null() {
        global["name"] = json!(ANY_DEFAULT);
    }
    for path in ["/authRef", "/connectionRef", "/authGlobalRef"] {
        rename(spec.pointer_mut(path));
    }
    let path = "/destination/transformation/transformationRefs";
    let references = spec.pointer_mut(path).and_then(Value::as_array_mut);
    references.into_iter().flatten().for_each(|reference| rename(Some(reference)));
}

fn rename(found: Option<&mut Value>) {
    let name = found.and_then(|found| found.get_mut("name")).filter(|name| name.is_string());
    if let Some(name) = name {
        *name = json!(reference(name.as_str().unwrap_or_default()));
    }
}
