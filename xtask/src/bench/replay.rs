//! Requests to OpenBao as the administrator, without the operator's client: repetitions of recorded requests, and requests whose
//! rejection is part of a measurement.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderValue, Method, StatusCode};
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::Value;
use steamer_testing::openbao::OpenBao;
use steamer_testing::proxy::Asked;

/// Number of objects at the same time: the number of workers of a controller of the operator.
pub(super) const AT_ONCE: usize = 16;

/// Number of repetitions of a rejected configuration.
const CONFIG_TRIES: usize = 200;

/// Time until a request without an answer fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The administrator of one OpenBao.
pub(super) struct Admin {
    http: reqwest::Client,
    url: String,
    token: HeaderValue,
}

impl Admin {
    pub(super) fn new(openbao: &OpenBao) -> Result<Self> {
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(openbao.ca.as_bytes())?)
            .no_proxy()
            .timeout(TIMEOUT)
            .build()?;
        let token = HeaderValue::from_str(openbao.root.expose_secret())?;
        Ok(Self { http, url: openbao.url.clone(), token })
    }

    /// Sends a request, and returns status and body of the answer. The body of an answer without one is null.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self.request(method, &format!("/v1/{path}"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? };
        Ok((status, body))
    }

    /// Sends a recorded request with other names in path, namespace and body. A rejected write is an error; a read may find
    /// nothing.
    pub(super) async fn repeat(&self, asked: &Asked, other: impl Fn(&str) -> String) -> Result<()> {
        let method = Method::from_bytes(asked.method.as_bytes())?;
        let mut path = other(&asked.path);
        if !asked.query.is_empty() {
            path = format!("{path}?{}", other(&asked.query));
        }
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let mut request = self.request(method, &path);
        if !asked.body.is_empty() {
            let body = other(&String::from_utf8_lossy(&asked.body));
            request = request.header("content-type", kind).body(body);
        }
        if !asked.namespace.is_empty() {
            request = request.header("x-vault-namespace", other(&asked.namespace));
        }
        let mut answer = request.try_clone().context("the request cannot be cloned")?.send().await?;
        // A new KV v2 mount rejects its configuration for a moment; the operator waits for the same time.
        for _ in 0..CONFIG_TRIES {
            if !asked.writes() || answer.status() != 400 || !asked.path.ends_with("/config") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = request.try_clone().context("the request cannot be cloned")?.send().await?;
        }
        let status = answer.status();
        let text = answer.text().await.context("the body cannot be read")?;
        anyhow::ensure!(!asked.writes() || status.is_success(), "{} {path}: {status} {text}", asked.method);
        Ok(())
    }

    /// Returns true for the token of the administrator.
    pub(super) fn has_token(&self, token: &str) -> bool {
        self.token == token
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header("x-vault-token", self.token.clone())
    }
}
