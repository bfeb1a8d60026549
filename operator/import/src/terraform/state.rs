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

/// Removes the attribute that contains the end of a path, in the block that the path names. Returns its name, if it was set.
fn remove(attributes: &mut Map<String, Value>, path: &[Step]) -> Option<String> {
    let start = path.iter().position(|step| step.value.is_string())?;
    let (name, rest) = path.get(start..)?.split_first()?;
    let name = name.value.as_str()?;
    let has_names = rest.iter().any(|step| step.value.is_string());
    let is_block = |value: &Value| value.is_object() || value[0].is_object();
    if !has_names || !attributes.get(name).is_some_and(is_block) {
        let is_set = |value: &Value| !value.is_null() && *value != "";
        return attributes.remove(name).filter(is_set).map(|_| name.to_owned());
    }
    match attributes.get_mut(name)? {
        Value::Object(block) => remove(block, rest),
        Value::Array(blocks) => remove_in(blocks, rest),
        _ => None,
    }
}

/// The same for a path that begins with the index of a block. Without an index, the attribute of each block is removed.
fn remove_in(blocks: &mut [Value], path: &[Step]) -> Option<String> {
    let (index, path) = match path.split_first() {
        Some((step, rest)) if !step.value.is_string() => (step.index(), rest),
        _ => (None, path),
    };
    let named = blocks.iter_mut().enumerate().filter(|(at, _)| index.is_none_or(|index| index == *at));
    let removed: Vec<String> = named.filter_map(|(_, block)| remove(block.as_object_mut()?, path)).collect();
    removed.into_iter().next()
}

impl Step {
    /// The index of a block in a list.
    fn index(&self) -> Option<usize> {
        let index = self.value.get("value").unwrap_or(&self.value).as_u64()?;
        usize::try_from(index).ok()
    }
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
    fn the_index_of_a_path_names_the_block() {
        let attributes = json!({"block": [{"extra": "a"}, {"extra": "canary"}, {"extra": "c"}]});
        let name = |value: &str| json!({"type": "get_attr", "value": value});
        let read = |path: Value| {
            let instance = json!({"attributes": attributes, "sensitive_attributes": [path]});
            let entry = entries(&state(&instance)).ok().unwrap().remove(0);
            (json!(entry.attributes["block"]), entry.removed)
        };
        let index = json!({"type": "index", "value": {"value": 1, "type": "number"}});
        let expected = json!([{"extra": "a"}, {}, {"extra": "c"}]);
        assert_eq!(read(json!([name("block"), index, name("extra")])), (expected, vec!["extra".to_owned()]));
        let every = json!([{}, {}, {}]);
        assert_eq!(read(json!([name("block"), name("extra")])).0, every, "a path without an index");
    }

    #[test]
    fn another_version_and_another_document_are_refused_without_their_text() {
        let error = |text: &str| entries(text).err().unwrap().to_string();
        assert!(error(r#"{"version": 3, "modules": []}"#).contains("version 3"));
        let syntax = error("{\"version\": 4, \"resources\": canary}");
        assert!(syntax.contains("line 1") && !syntax.contains("canary"), "{syntax}");
    }
}
