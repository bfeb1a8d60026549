//! Removal of everything that can be a value of a secret.

use serde_json::{Map, Value};

/// Text in the place of a removed value.
const REDACTED: &str = "(redacted)";
/// Fields that can contain values: of environment variables, headers, parameters of plugins, templates and connections.
const FIELDS: [&str; 21] = [
    "value",
    "values",
    "headers",
    "params",
    "data",
    "stringData",
    "binaryData",
    "options",
    "configuration",
    "config",
    "connectionUrl",
    "connectionURL",
    "username",
    "password",
    "token",
    "templates",
    "text",
    "creationStatements",
    "revocationStatements",
    "renewStatements",
    "rollbackStatements",
];
/// Annotations of Steamer. Others, such as the last applied configuration, can contain a copy of the object.
const OWN_ANNOTATIONS: &str = "steamer.dev/";

/// An object without values.
pub(super) fn redacted(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| name.starts_with(OWN_ANNOTATIONS));
        }
    }
    if let Some(spec) = object.get_mut("spec") {
        hide(spec);
    }
    object
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => hide_fields(fields),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn hide_fields(fields: &mut Map<String, Value>) {
    for (name, value) in fields {
        if FIELDS.contains(&name.as_str()) {
            *value = Value::String(REDACTED.to_owned());
        } else {
            hide(value);
        }
    }
}

/// The lines of a log, without control characters. Logs of the operator contain no values.
pub(super) fn last_lines(log: &str) -> Value {
    Value::Array(log.lines().map(|line| Value::String(crate::style::line(line))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_contains_no_value() {
        let annotations =
            json!({"steamer.dev/restart": "1", "kubectl.kubernetes.io/last-applied-configuration": "canary"});
        let env = json!([{"name": "A", "value": "canary"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s"}}}]);
        let object = json!({
            "kind": "OpenBaoCluster",
            "metadata": {"name": "main", "annotations": annotations, "managedFields": [{"manager": "canary"}]},
            "spec": {
                "managed": {"podTemplate": {"env": env}}, "connectionUrl": "postgresql://canary", "headers": {"X": "canary"},
                "secretRef": {"name": "pg-app"}, "transformation": {"templates": {"a": {"text": "canary"}}},
            },
            "status": {"phase": "Running"},
        });
        let redacted = redacted(object);
        assert!(!redacted.to_string().contains("canary"), "{redacted}");
        assert_eq!(
            redacted["spec"]["managed"]["podTemplate"]["env"][1]["valueFrom"]["secretKeyRef"]["name"],
            "s"
        );
        assert_eq!(redacted["spec"]["secretRef"]["name"], "pg-app");
        assert_eq!(redacted["metadata"]["annotations"], json!({"steamer.dev/restart": "1"}));
        assert_eq!(redacted["status"]["phase"], "Running");
    }
}
