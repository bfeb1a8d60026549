//! The CustomResourceDefinitions as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::{
    BaoAuth, BaoConnection, BaoStaticSecret, JWTIssuer, OpenBaoCluster, PipelinePolicy, SecretsProject,
    SecretsTenant,
};

/// Every kind's definition, ready to be applied, in alphabetical order of its plural.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [
        BaoAuth::crd(),
        BaoConnection::crd(),
        BaoStaticSecret::crd(),
        JWTIssuer::crd(),
        OpenBaoCluster::crd(),
        PipelinePolicy::crd(),
        SecretsProject::crd(),
        SecretsTenant::crd(),
    ]
    .into_iter()
    .map(finished)
    .collect()
}

fn finished(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        bounded(schema);
        let properties = schema.properties.get_or_insert_default();
        schema.description = properties.get("spec").and_then(|spec| spec.description.clone());
        if let Some(status) = properties.get_mut("status") {
            // A fresh object must not look current to what only compares generations.
            status.default = Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON(
                json!({"observedGeneration": -1}),
            ));
        }
    }
    definition
}

/// States a maximum for every string, list and map that has none: the API server needs them to bound the cost of
/// rules, and an object without them can grow to whatever etcd takes.
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
    fn every_string_list_and_map_states_its_maximum() {
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
    fn a_fresh_object_is_never_taken_for_current() {
        for definition in definitions() {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
            let status = &schema["openAPIV3Schema"]["properties"]["status"];
            assert_eq!(status["default"]["observedGeneration"], -1, "{}", definition.spec.names.kind);
        }
    }
}
