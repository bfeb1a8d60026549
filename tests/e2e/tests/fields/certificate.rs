//! Contents of a certificate as JSON.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;

/// Subject, issuer, key, lifetime in full hours, and longest path of the first certificate of a text.
///
/// # Errors
/// For a text that contains no certificate.
pub fn contents(text: &str) -> Result<Value> {
    let pem = Pem::iter_from_buffer(text.as_bytes()).next().context("no certificate")??;
    let certificate = pem.parse_x509()?;
    let key = certificate.public_key().parsed()?;
    let key_type = match &key {
        PublicKey::RSA(_) => "rsa",
        PublicKey::EC(_) => "ec",
        _ => "other",
    };
    let validity = certificate.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    let path = certificate.basic_constraints()?.and_then(|it| it.value.path_len_constraint);
    Ok(json!({
        "subject": names(&certificate.subject().to_string()), "issuer": names(&certificate.issuer().to_string()),
        "keyType": key_type, "keyBits": key.key_size(), "hours": seconds / 3600, "maxPathLength": path,
    }))
}

/// The attributes of a name such as `C=DE, O=Example, CN=Example CA`.
fn names(name: &str) -> Map<String, Value> {
    let attributes = name.split(", ").filter_map(|attribute| attribute.split_once('='));
    attributes.map(|(attribute, value)| (attribute.to_owned(), json!(value))).collect()
}

#[test]
fn a_name_has_attributes() {
    let expected = json!({"C": "DE", "CN": "Example CA"});
    assert_eq!(Value::Object(names("C=DE, CN=Example CA")), expected);
}
