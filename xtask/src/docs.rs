//! Reference of every kind, generated from its schema, of the metrics, and of the kubectl plugin.

mod commands;

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use steamer_testing::cache::checkout;

use crate::alerts;

/// Writes the reference.
pub(crate) fn write() -> Result<()> {
    for (path, text) in generated()? {
        let path = checkout().join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Every page and its text.
pub(crate) fn generated() -> Result<Vec<(PathBuf, String)>> {
    let mut pages = Vec::new();
    for definition in steamer_api::definitions() {
        let schema = schema(&definition)?;
        let kind = definition.spec.names.kind;
        let mut text = format!("# {kind}\n\n{}\n", describe(&schema));
        for part in ["spec", "status"] {
            let _ = write!(text, "\n## {part}\n\n| field | type | description |\n|---|---|---|\n");
            rows(&mut text, "", &schema["properties"][part]);
        }
        pages.push((PathBuf::from(format!("docs/reference/{}.md", kind.to_lowercase())), text));
    }
    pages.push((PathBuf::from("docs/reference/cli.md"), commands::page(&steamer_cli::command())));
    pages.push((PathBuf::from("docs/reference/metrics.md"), alerts::reference()?));
    Ok(pages)
}

/// Description of a kind, on one line.
pub(crate) fn description(definition: &CustomResourceDefinition) -> Result<String> {
    Ok(describe(&schema(definition)?))
}

fn schema(definition: &CustomResourceDefinition) -> Result<Value> {
    Ok(serde_json::to_value(&definition.spec.versions[0].schema)?["openAPIV3Schema"].take())
}

fn describe(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rows(text: &mut String, prefix: &str, schema: &Value) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let star = if required.contains(&name.as_str()) { " (required)" } else { "" };
        let mut about = describe(property).replace('|', "\\|");
        if let Some(values) = property["enum"].as_array() {
            let values: Vec<String> =
                values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
            let _ = write!(about, " One of {}.", values.join(", "));
        }
        let _ =
            writeln!(text, "| `{path}`{star} | {} | {about} |", property["type"].as_str().unwrap_or("any"));
        rows(text, &format!("{path}."), property);
        rows(text, &format!("{path}[]."), &property["items"]);
    }
}
