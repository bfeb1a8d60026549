//! The converted objects as text.

use serde_json::Value;

/// The objects as documents of YAML.
///
/// # Errors
/// When an object cannot be written as YAML.
pub fn documents(objects: &[Value]) -> Result<String, serde_saphyr::ser_error::Error> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(documents?.iter().map(|document| format!("---\n{}\n", document.trim_end())).collect())
}
