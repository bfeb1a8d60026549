//! The roles of the guide of the homelab, which the jobs of a repository write.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cache::checkout;

/// The block of the guide that is the content of a file, in JSON.
fn block(file: &str) -> Result<String> {
    let page = std::fs::read_to_string(checkout().join("docs/how-to/homelab.md"))?;
    let start = format!("`{file}`:\n\n```text\n");
    let block = page.split_once(&start).and_then(|(_, rest)| rest.split_once("\n```"));
    Ok(block.with_context(|| format!("the guide has no {file}"))?.0.to_owned())
}

/// Parameters of the role of the pods of `webapp`.
///
/// # Errors
/// When the guide has no such block.
pub fn pods() -> Result<Value> {
    Ok(serde_json::from_str(&block("pods.json")?)?)
}

/// Parameters of the role of the database of `webapp`, for an application and a connection.
///
/// # Errors
/// When the guide has no such block.
pub fn database(app: &str, connection: &str) -> Result<Value> {
    let text = block("database.json")?.replace("webapp_role", &format!("{app}_role"));
    let named = |connection: &str| format!("\"db_name\": \"{connection}\"");
    Ok(serde_json::from_str(&text.replace(&named("postgres"), &named(connection)))?)
}
