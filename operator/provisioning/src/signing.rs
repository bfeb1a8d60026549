//! Certificate of an intermediate authority: a request in its mount, a signature in the mount of its parent, and the import
//! of the result. The key never leaves OpenBao. A crash leaves the key, with which the next request is made.

use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_openbao::{Error, Session};

/// The requests that lead to a signed authority.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    /// Path of the mount of the authority.
    pub(crate) mount: String,
    /// End of the path that makes the request: `internal` with a new key, `existing` with an existing one.
    pub(crate) key: &'static str,
    /// Parameters of the request.
    pub(crate) request: Map<String, Value>,
    /// Session in the OpenBao namespace of the parent.
    pub(crate) parent: Session,
    /// Path that signs, in the namespace of the parent.
    pub(crate) signed_at: String,
    /// Parameters of the certificate.
    pub(crate) certificate: Map<String, Value>,
}

impl Signing {
    /// Path of the first request.
    pub(crate) fn path(&self) -> String {
        format!("{}/intermediate/generate/{}", self.mount, self.key)
    }

    /// The certificate that results, without keys.
    pub(crate) fn canonical(&self) -> Value {
        json!([self.request, self.parent.namespace().as_str(), self.signed_at, self.certificate])
    }

    /// Makes the requests. `session` is in the namespace of the authority.
    ///
    /// # Errors
    /// Any error of a request.
    pub(crate) async fn execute(&self, session: &Session) -> Result<(), Error> {
        let request = Value::Object(self.request.clone());
        let requested = session.request_any(Method::POST, &self.path(), Some(request)).await?;
        let mut certificate = self.certificate.clone();
        certificate.insert("csr".to_owned(), requested["data"]["csr"].clone());
        let body = Value::Object(certificate);
        let signed = self.parent.request_any(Method::POST, &self.signed_at, Some(body)).await?;
        let body = json!({"certificate": bundle(&signed["data"])});
        session
            .request_any(Method::POST, &format!("{}/intermediate/set-signed", self.mount), Some(body))
            .await?;
        Ok(())
    }
}

/// The certificate and its authorities, up to the root. The authorities complete the chain of each certificate.
fn bundle(signed: &Value) -> String {
    let chain = signed["ca_chain"].as_array().into_iter().flatten();
    let parts = [&signed["certificate"]].into_iter().chain(chain).chain([&signed["issuing_ca"]]);
    let mut texts: Vec<&str> = Vec::new();
    for text in parts.filter_map(Value::as_str).map(str::trim) {
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::chain(json!({"certificate": "a\n", "ca_chain": ["b\n", "r"], "issuing_ca": "b"}), "a\nb\nr")]
    #[case::issuer_only(json!({"certificate": "a", "ca_chain": null, "issuing_ca": "r"}), "a\nr")]
    #[case::certificate_only(json!({"certificate": "a"}), "a")]
    fn a_bundle_contains_each_certificate_once(#[case] signed: Value, #[case] expected: &str) {
        assert_eq!(bundle(&signed), expected);
    }
}
