//! Terraform state, version 4. Its attributes contain secret values: no type here has `Debug`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::TerraformError;

#[derive(Deserialize)]
pub(super) struct State {
    version: u64,
    #[serde(default)]
    resources: Vec<Declared>,
}

#[derive(Deserialize)]
struct Declared {
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    module: Option<String>,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Option<Value>,
    #[serde(default)]
    attributes: Map<String, Value>,
    #[serde(default)]
    sensitive_attributes: Vec<Vec<Step>>,
}

/// Step of a path to a sensitive attribute.
#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    value: Value,
}

/// An instance of a resource of the provider `vault`.
pub(super) struct Entry {
    /// Type, such as `vault_policy`.
    pub(super) kind: String,
    /// Address, such as `module.a.vault_policy.b["c"]`.
    pub(super) address: String,
    pub(super) attributes: Map<String, Value>,
    /// Sensitive attributes that were removed.
    pub(super) removed: Vec<String>,
}

/// Reads the resources of the provider `vault`, without their sensitive attributes. Data sources are left out.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, TerraformError> {
    let state: State = serde_json::from_str(text)
        .map_err(|error| TerraformError::Syntax { line: error.line(), column: error.column() })?;
    if state.version != 4 {
        return Err(TerraformError::Version(state.version));
    }
    let managed =
        state.resources.into_iter().filter(|it| it.mode == "managed" && it.kind.starts_with("vault_"));
    Ok(managed.flat_map(instances).collect())
}

fn instances(declared: Declared) -> Vec<Entry> {
    let Declared { mode: _, kind, name, module, instances } = declared;
    let module = module.map(|module| format!("{module}.")).unwrap_or_default();
    let address = format!("{module}{kind}.{name}");
    let entry = |instance: Instance| {
        let index = instance.index_key.map(|index| format!("[{index}]")).unwrap_or_default();
        let mut attributes = instance.attributes;
        let mut removed = Vec::new();
        for path in &instance.sensitive_attributes {
            removed.extend(remove(&mut attributes, path));
        }
        Entry { kind: kind.clone(), address: format!("{address}{index}"), attributes, removed }
    };
    instances.into_iter().map(entry).collect()
}

/// Removes the attribute that contains the end of a path. Returns its name, if it was set.
fn remove(attributes: &mut Map<String, Value>, path: &[Step]) -> Option<String> {
    let mut fields = attributes;
    let mut names = path.iter().filter_map(|step| step.value.as_str()).peekable();
    while let Some(name) = names.next() {
        let is_block = names.peek().is_some()
            && fields.get(name).is_some_and(|value| value[0].is_object() || value.is_object());
        if !is_block {
            return fields
                .remove(name)
                .filter(|value| !value.is_null() && *value != "")
                .map(|_| name.to_owned());
        }
        fields = match fields.get_mut(name) {
            Some(Value::Object(inner)) => inner,
            Some(Value::Array(items)) => items.first_mut()?.as_object_mut()?,
            _ => return None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(instance: &Value) -> String {
        let resource = |mode: &str, kind: &str| json!({"mode": mode, "type": kind, "name": "a", "module": "module.m", "instances": [instance]});
        let resources =
            [resource("managed", "vault_x"), resource("data", "vault_x"), resource("managed", "aws_x")];
        json!({"version": 4, "resources": resources}).to_string()
    }

    #[test]
    fn managed_resources_of_the_provider_are_read_without_sensitive_attributes() {
        let attributes = json!({"name": "n", "secret": "canary", "empty": "", "block": [{"password": "canary", "user": "u"}]});
        let step = |value: &str| json!({"type": "get_attr", "value": value});
        let sensitive = json!([
            [step("secret")], [step("empty")],
            [step("block"), {"type": "index", "value": {"value": 0, "type": "number"}}, step("password")],
        ]);
        let instance = json!({"index_key": "k", "attributes": attributes, "sensitive_attributes": sensitive});
        let entries = entries(&state(&instance)).ok().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].address, "module.m.vault_x.a[\"k\"]");
        assert_eq!(json!(entries[0].attributes), json!({"name": "n", "block": [{"user": "u"}]}));
        assert_eq!(entries[0].removed, ["secret", "password"]);
    }

    #[test]
    fn another_version_and_another_document_are_refused_without_their_text() {
        let error = |text: &str| entries(text).err().unwrap().to_string();
        assert!(error(r#"{"version": 3, "modules": []}"#).contains("version 3"));
        let syntax = error("{\"version\": 4, \"resources\": canary}");
        assert!(syntax.contains("line 1") && !syntax.contains("canary"), "{syntax}");
    }
}
