//! A Terraform state of the resources that were configured by hand, as the provider `vault` writes it.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use steamer_openbao::Session;

use super::requests::get;

/// A value of this OpenBao: its name in the state, its path, and its field.
const VALUES: [(&str, &str, &str); 5] = [
    ("kubernetes_ca", "auth/hand-kubernetes/config", "/kubernetes_ca_cert"),
    ("client_certificate", "auth/hand-cert/certs/web", "/certificate"),
    ("database_url", "hand-db/config/postgres", "/connection_details/connection_url"),
    ("root_certificate", "hand-pki/issuer/root", "/certificate"),
    ("intermediate_certificate", "hand-intermediate/issuer/web", "/certificate"),
];

/// The text of the state, with the values of this OpenBao. It has no users of userpass, which the provider cannot create.
pub async fn state(root: &Session) -> Result<String> {
    let mut text = include_str!("state.json").to_owned();
    for (name, path, field) in VALUES {
        let found = get(root, path).await?;
        let value = found.pointer(field).and_then(Value::as_str).with_context(|| format!("{path}{field}"))?;
        let escaped = json!(value).to_string();
        text = text.replace(&format!("@{{{name}}}"), escaped.trim_matches('"'));
    }
    Ok(text)
}
