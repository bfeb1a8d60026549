//! Issuer of JWTs with several keys. Serves the discovery document and the key set over HTTP.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An issuer. Clones refer to the same issuer.
#[derive(Clone)]
pub struct JwtIssuer {
    /// URL of the issuer, which is also its `iss`.
    pub url: String,
    keys: Arc<RwLock<Vec<Key>>>,
    /// Other members of the key set.
    others: Arc<RwLock<Vec<Value>>>,
}

struct Key {
    /// Name in this process.
    name: String,
    /// Published ID.
    id: String,
    pair: Arc<KeyPair>,
    published: bool,
}

impl JwtIssuer {
    /// Starts an issuer with the key `key-1` on the loopback device.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        Self::start_on("127.0.0.1").await
    }

    /// Starts an issuer with the key `key-1` on an address of this machine.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_on(host: &str) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let issuer = Self::at(url)?;
        tokio::spawn(issuer.clone().serve(listener));
        Ok(issuer)
    }

    /// Creates an issuer with the key `key-1` and does not serve it.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn at(url: String) -> Result<Self> {
        let issuer = Self { url, keys: Arc::default(), others: Arc::default() };
        issuer.add_key("key-1")?;
        Ok(issuer)
    }

    /// Creates an issuer with an existing key.
    ///
    /// # Errors
    /// When the key cannot be parsed.
    pub fn with_key(url: String, id: &str, pkcs8: &[u8]) -> Result<Self> {
        let pair = KeyPair::from_pkcs8(pkcs8).ok().context("no RSA key in PKCS#8")?;
        let issuer = Self { url, keys: Arc::default(), others: Arc::default() };
        issuer.push(id, id, pair);
        Ok(issuer)
    }

    /// Serves the discovery document and the keys until the listener closes.
    pub async fn serve(self, listener: TcpListener) {
        let (discovery, keys) = (self.clone(), self.clone());
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || std::future::ready(Json(discovery.discovery()))),
            )
            .route("/keys", get(move || std::future::ready(Json(keys.key_set()))));
        let _ = axum::serve(listener, router).await;
    }

    /// Discovery document.
    #[must_use]
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.url, "jwks_uri": format!("{}/keys", self.url),
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// Key set with the published keys.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let published = keys.iter().filter(|key| key.published);
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner).clone();
        json!({"keys": published.map(|key| jwk(&key.id, &key.pair)).chain(others).collect::<Vec<_>>()})
    }

    /// Publishes these keys beside its own ones, instead of those of the last call.
    pub fn publish(&self, others: Vec<Value>) {
        *self.others.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// Creates and publishes a key.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn add_key(&self, id: &str) -> Result<()> {
        self.add_key_as(id, id)
    }

    /// Creates the key `name` and publishes it with an ID that another key can have, too.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn add_key_as(&self, name: &str, id: &str) -> Result<()> {
        self.push(name, id, KeyPair::generate(KeySize::Rsa2048).ok().context("no key")?);
        Ok(())
    }

    fn push(&self, name: &str, id: &str, pair: KeyPair) {
        let (name, id) = (name.to_owned(), id.to_owned());
        self.write().push(Key { name, id, pair: Arc::new(pair), published: true });
    }

    /// Stops publishing a key. It can still sign, like a stolen key.
    pub fn withdraw_key(&self, name: &str) {
        for key in self.write().iter_mut().filter(|key| key.name == name) {
            key.published = false;
        }
    }

    /// Public part of a key in PEM.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn public_pem(&self, id: &str) -> Result<String> {
        let pair = self.pair(id)?;
        let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key())
            .ok()
            .context("a key")?;
        let encoded = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }

    /// Private part of a key in PKCS#8, for another process that serves the issuer.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn private_key(&self, id: &str) -> Result<Vec<u8>> {
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&*self.pair(id)?).ok().context("a key")?;
        Ok(der.as_ref().to_vec())
    }

    /// Token with the given claims, signed by a key with RS256.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn sign(&self, key: &str, claims: &Value) -> Result<String> {
        self.sign_as(key, key, claims)
    }

    /// Token that is signed by `key` and names the key `id` in its header.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn sign_as(&self, key: &str, id: &str, claims: &Value) -> Result<String> {
        let input = signing_input(&json!({"alg": "RS256", "typ": "JWT", "kid": id}), claims);
        let pair = self.pair(key)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .ok()
            .context("signing")?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn pair(&self, name: &str) -> Result<Arc<KeyPair>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = keys.iter().find(|key| key.name == name).map(|key| key.pair.clone());
        found.with_context(|| format!("the issuer has no key {name}"))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Key>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Header and claims in the form that is signed.
#[must_use]
pub fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Token with `alg: none`.
#[must_use]
pub fn unsigned(claims: &Value) -> String {
    format!("{}.", signing_input(&json!({"alg": "none", "typ": "JWT"}), claims))
}

/// Token signed with HS256 by `secret`, such as the issuer's public key.
#[must_use]
pub fn symmetric(id: &str, secret: &[u8], claims: &Value) -> String {
    let input = signing_input(&json!({"alg": "HS256", "typ": "JWT", "kid": id}), claims);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

fn jwk(id: &str, pair: &KeyPair) -> Value {
    let public = pair.public_key();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
        "n": encode(public.modulus().big_endian_without_leading_zero()),
        "e": encode(public.exponent().big_endian_without_leading_zero()),
    })
}

/// Claims of a GitLab pipeline JWT: a job of branch `main` in project 42 of group 7.
#[must_use]
pub fn pipeline_claims(issuer: &str, audience: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": issuer, "aud": audience, "sub": "project_path:acme/web:ref_type:branch:ref:main",
        "exp": now + 300, "nbf": now - 5, "iat": now, "jti": format!("jti-{now}"),
        "namespace_id": "7", "namespace_path": "acme", "project_id": "42", "project_path": "acme/web",
        "user_id": "1", "user_login": "dev", "user_email": "dev@example.com", "user_access_level": "developer",
        "pipeline_id": "100", "pipeline_source": "push", "job_id": "1000",
        "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
        "runner_id": 1, "runner_environment": "self-hosted", "sha": "0123456789abcdef",
        "project_visibility": "private", "ci_config_ref_uri": "gitlab.example.com/acme/web//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": "0123456789abcdef", "groups_direct": ["acme"],
        "secrets_manager_scope": "pipeline", "project_group_ids": ["7"],
    })
}

/// Claims of a GitLab user JWT, without a project or group: user 5, with the access level of a developer. `scope` is `user`
/// for the management of secrets and `api` for the reading of values.
#[must_use]
pub fn user_claims(issuer: &str, audience: &str, scope: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": issuer, "aud": audience, "sub": "user:dev", "exp": now + 30, "nbf": now - 5, "iat": now,
        "jti": format!("jti-{now}"), "user_id": "5", "role_id": "30", "secrets_manager_scope": scope,
        "correlation_id": "correlation-1", "organization_id": "1", "root_group_id": "7",
    })
}
