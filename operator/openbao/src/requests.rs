//! Requests and headers of logins.

use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::NamespacePath;
use crate::answer::Request;

/// A POST request.
pub(crate) fn post(namespace: NamespacePath, path: &str, body: Value, headers: HeaderMap) -> Request {
    Request {
        method: reqwest::Method::POST,
        namespace,
        path: path.to_owned(),
        query: Vec::new(),
        body: Some(body),
        headers,
        repeatable: true,
    }
}

/// The header of a token.
pub(crate) fn token_header(token: &SecretString) -> HeaderMap {
    secret_header("x-vault-token", token.expose_secret())
}

/// A header that logs do not show.
pub(crate) fn secret_header(name: &str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let (Ok(name), Ok(mut value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}
