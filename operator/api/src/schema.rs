//! CustomResourceDefinitions as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    ValidationRule,
};
use serde_json::json;

use crate::{KindId, Property, rules};

/// Categories of every kind, for `kubectl get`.
const CATEGORIES: [&str; 2] = ["steamer", "openbao"];

/// Returns the CustomResourceDefinition of every kind, ready to be applied, in the order in which the documentation
/// lists them.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let definitions = KindId::ALL.iter().zip(crate::kind::derived());
    definitions.map(|(kind, definition)| finished(*kind, definition)).collect()
}

fn finished(kind: KindId, mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    definition.spec.names.categories = Some(CATEGORIES.map(str::to_owned).to_vec());
    for version in &mut definition.spec.versions {
        let own = version.additional_printer_columns.take().unwrap_or_default();
        version.additional_printer_columns = Some(columns(own));
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        bounded(schema);
        if kind.is(Property::Placed) {
            placed(schema);
        }
        let properties = schema.properties.get_or_insert_default();
        schema.description = properties.get("spec").and_then(|spec| spec.description.clone());
        if let Some(status) = properties.get_mut("status") {
            // Tools that only compare generations must not take a new object for current.
            status.default = Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON(
                json!({"observedGeneration": -1}),
            ));
        }
    }
    definition
}

/// Adds the rules of a [`Placement`](crate::Placement), whose fields are fields of the spec.
fn placed(schema: &mut JSONSchemaProps) {
    let Some(spec) = schema.properties.get_or_insert_default().get_mut("spec") else {
        return;
    };
    let rules = rules::PLACEMENT.map(|(rule, message)| ValidationRule {
        rule: rule.to_owned(),
        message: Some(message.to_owned()),
        ..ValidationRule::default()
    });
    spec.x_kubernetes_validations.get_or_insert_default().extend(rules);
}

/// The columns of `kubectl get`: Ready and Reason, the columns of the kind, Age.
fn columns(own: Vec<CustomResourceColumnDefinition>) -> Vec<CustomResourceColumnDefinition> {
    let ready = |name: &str, field: &str| {
        column(name, "string", &format!(r#".status.conditions[?(@.type=="Ready")].{field}"#))
    };
    let mut columns = vec![ready("Ready", "status"), ready("Reason", "reason")];
    columns.extend(own);
    columns.push(column("Age", "date", ".metadata.creationTimestamp"));
    columns
}

fn column(name: &str, type_: &str, json_path: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        ..CustomResourceColumnDefinition::default()
    }
}

/// Adds a maximum to every string, list and map without one. The API server needs maximums to estimate the cost of CEL
/// rules, and without them an object could grow up to the limit of etcd.
fn bounded(schema: &mut JSONSchemaProps) {
    match schema.type_.as_deref() {
        Some("string") if schema.enum_.is_none() && schema.format.as_deref() != Some("date-time") => {
            schema.max_length.get_or_insert(4096);
        }
        Some("array") => {
            schema.max_items.get_or_insert(64);
        }
        Some("object") if schema.additional_properties.is_some() => {
            schema.max_properties.get_or_insert(64);
        }
        _ => {}
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        bounded(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        bounded(items);
    }
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrBool::Schema;
    if let Some(Schema(values)) = schema.additional_properties.as_mut() {
        bounded(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unbounded(path: &str, schema: &serde_json::Value, found: &mut Vec<String>) {
        let text = |key: &str| schema.get(key).and_then(|value| value.as_str());
        let missing = match text("type") {
            Some("string") => {
                schema.get("enum").is_none()
                    && text("format") != Some("date-time")
                    && schema.get("maxLength").is_none()
            }
            Some("array") => schema.get("maxItems").is_none(),
            Some("object") => {
                schema.get("additionalProperties").is_some() && schema.get("maxProperties").is_none()
            }
            _ => false,
        };
        if missing {
            found.push(path.to_owned());
        }
        if let Some(properties) = schema.get("properties").and_then(|value| value.as_object()) {
            for (name, property) in properties {
                unbounded(&format!("{path}.{name}"), property, found);
            }
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(inner_schema) = schema.get(inner) {
                unbounded(&format!("{path}.{inner}"), inner_schema, found);
            }
        }
    }

    #[test]
    fn every_string_list_and_map_has_a_maximum() {
        let mut found = Vec::new();
        for definition in definitions() {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
            unbounded(
                &definition.spec.names.kind,
                &schema["openAPIV3Schema"]["properties"]["spec"],
                &mut found,
            );
            unbounded(
                &definition.spec.names.kind,
                &schema["openAPIV3Schema"]["properties"]["status"],
                &mut found,
            );
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn the_default_status_of_a_new_object_is_not_current() {
        for definition in definitions() {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
            let status = &schema["openAPIV3Schema"]["properties"]["status"];
            assert_eq!(status["default"]["observedGeneration"], -1, "{}", definition.spec.names.kind);
        }
    }
}
