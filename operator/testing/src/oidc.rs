//! OpenID Connect provider that records the clients which ask for a token, and refuses every code.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A provider. Clones refer to the same provider.
#[derive(Clone)]
pub struct OidcProvider {
    /// URL of the provider, which is also its issuer.
    pub url: String,
    clients: Arc<Mutex<Vec<String>>>,
}

impl OidcProvider {
    /// Starts a provider on the loopback device.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let provider = Self { url, clients: Arc::default() };
        tokio::spawn(provider.clone().serve(listener));
        Ok(provider)
    }

    /// Clients that asked for a token, as `<ID>:<secret>`, in their order.
    #[must_use]
    pub fn clients(&self) -> Vec<String> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn serve(self, listener: TcpListener) {
        let discovery = self.discovery();
        let token = move |headers: HeaderMap| {
            self.record(&headers);
            std::future::ready((StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))))
        };
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || std::future::ready(Json(discovery.clone()))),
            )
            .route("/keys", get(|| std::future::ready(Json(json!({"keys": []})))))
            .route("/token", post(token));
        let _ = axum::serve(listener, router).await;
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.url);
        json!({
            "issuer": self.url, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
            "jwks_uri": at("keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// Keeps the ID and the secret of the client. Requests with another form of authentication are left out.
    fn record(&self, headers: &HeaderMap) {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let encoded = value.and_then(|value| value.strip_prefix("Basic "));
        let client = encoded.and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).extend(client);
    }
}
