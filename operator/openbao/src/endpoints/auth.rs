//! Auth methods, JWT configuration and roles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::endpoints::mounts::{Mount, MountRequest, null_is_default};
use crate::session::{Call, absent};
use crate::{Error, Session};

/// A mounted auth method.
pub type AuthMount = Mount;

/// Source of the keys of a JWT mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// OIDC discovery, by the URL of the issuer.
    Discovery(String),
    /// Key set (JWKS), by URL.
    Jwks(String),
    /// Public keys in PEM.
    Static(Vec<String>),
}

/// Configuration of a JWT mount. A write replaces all fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// Source of the keys.
    pub keys: JwtKeys,
    /// CA certificates of the server that publishes the keys, in PEM. Empty: the system's CA certificates.
    pub ca: String,
    /// `iss` claim that tokens must have.
    pub bound_issuer: String,
    /// Accepted signature algorithms.
    pub algorithms: Vec<String>,
    /// `true` accepts the configuration even if the issuer is unreachable.
    pub skip_validation: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredJwtConfig {
    oidc_discovery_url: String,
    oidc_discovery_ca_pem: String,
    jwks_url: String,
    jwks_ca_pem: String,
    #[serde(deserialize_with = "null_is_default")]
    jwt_validation_pubkeys: Vec<String>,
    bound_issuer: String,
    #[serde(deserialize_with = "null_is_default")]
    jwt_supported_algs: Vec<String>,
}

/// A CEL role. A write replaces all fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CelRole {
    /// CEL program that decides about a login.
    pub cel_program: CelProgram,
    /// Accepted audiences: `aud` must contain one of them.
    #[serde(deserialize_with = "null_is_default")]
    pub bound_audiences: Vec<String>,
    /// Allowed clock skew in seconds.
    pub clock_skew_leeway: i64,
    /// Leeway of `exp` in seconds.
    pub expiration_leeway: i64,
    /// Leeway of `nbf` in seconds.
    pub not_before_leeway: i64,
}

/// A CEL program: variables in order, then the expression that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CelProgram {
    /// Variables, evaluated in order.
    #[serde(deserialize_with = "null_is_default")]
    pub variables: Vec<CelVariable>,
    /// Expression that returns `pb.Auth{...}` to accept a login, and `false` or a message to reject it.
    pub expression: String,
}

/// A variable of a CEL program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CelVariable {
    /// Name of the variable.
    pub name: String,
    /// Expression of its value.
    pub expression: String,
}

/// A role of `role_type: jwt`. OpenBao resets fields that a write omits, so all fields are written every time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JwtRole {
    /// `sub` claim that tokens must have.
    pub bound_subject: String,
    /// Accepted audiences: `aud` must contain one of them.
    #[serde(deserialize_with = "null_is_default")]
    pub bound_audiences: Vec<String>,
    /// Claim that contains the name of the identity.
    pub user_claim: String,
    /// Policies of the token.
    #[serde(deserialize_with = "null_is_default")]
    pub token_policies: Vec<String>,
    /// Lifetime of the token in seconds.
    pub token_ttl: i64,
    /// Maximum lifetime of the token in seconds.
    pub token_max_ttl: i64,
    /// `true` omits the policy `default` from the token.
    pub token_no_default_policy: bool,
    /// Type of the token: `batch` or `service`.
    pub token_type: String,
}

impl Session {
    /// Returns the auth method mounted at `path`, if any (`GET sys/auth/<path>`).
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn auth_mount(&self, path: &str) -> Result<Option<AuthMount>, Error> {
        absent(self.data(Call::get(&format!("sys/auth/{path}"))).await)
    }

    /// Returns all auth methods of the namespace by path, with a trailing slash (`GET sys/auth`).
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn auth_mounts(&self) -> Result<BTreeMap<String, AuthMount>, Error> {
        self.data(Call::get("sys/auth")).await
    }

    /// Mounts an auth method. Requires `sudo`.
    ///
    /// # Errors
    /// [`Error::InUse`] if an auth method is already mounted at `path`. Any other [`Error`] of a request.
    pub async fn enable_auth(&self, path: &str, request: &MountRequest) -> Result<(), Error> {
        self.call(Call::post(&format!("sys/auth/{path}"), json!(request))).await.map(drop)
    }

    /// Changes the description of an auth method. Requires `sudo`.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn describe_auth(&self, path: &str, description: &str) -> Result<(), Error> {
        let body = json!({"description": description});
        self.call(Call::post(&format!("sys/auth/{path}/tune"), body)).await.map(drop)
    }

    /// Unmounts an auth method, which revokes its tokens. No-op if none is mounted.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn disable_auth(&self, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("sys/auth/{path}"))).await).map(drop)
    }

    /// Returns the configuration of a JWT mount, or `None` before the first write.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn jwt_config(&self, mount: &str) -> Result<Option<JwtConfig>, Error> {
        let stored: Option<Option<StoredJwtConfig>> =
            absent(self.data(Call::get(&format!("auth/{mount}/config"))).await)?;
        Ok(stored.flatten().and_then(read))
    }

    /// Replaces the configuration of a JWT mount. OpenBao discards the keys that it had fetched.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the issuer is unreachable and `skip_validation` is false. Any other [`Error`] of a
    /// request.
    pub async fn put_jwt_config(&self, mount: &str, config: &JwtConfig) -> Result<(), Error> {
        self.call(Call::post(&format!("auth/{mount}/config"), config.body())).await.map(drop)
    }

    /// Returns the names of the CEL roles of a mount.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn cel_roles(&self, mount: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("auth/{mount}/cel/role")).await
    }

    /// Returns a CEL role, or `None` if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn cel_role(&self, mount: &str, name: &str) -> Result<Option<CelRole>, Error> {
        absent(self.data(Call::get(&format!("auth/{mount}/cel/role/{name}"))).await)
    }

    /// Creates or replaces a CEL role.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the program does not type-check. Any other [`Error`] of a request.
    pub async fn put_cel_role(&self, mount: &str, name: &str, role: &CelRole) -> Result<(), Error> {
        self.call(Call::post(&format!("auth/{mount}/cel/role/{name}"), json!(role))).await.map(drop)
    }

    /// Returns the names of the roles of a mount.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn jwt_roles(&self, mount: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("auth/{mount}/role")).await
    }

    /// Returns a role, or `None` if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn jwt_role(&self, mount: &str, name: &str) -> Result<Option<JwtRole>, Error> {
        absent(self.data(Call::get(&format!("auth/{mount}/role/{name}"))).await)
    }

    /// Creates or replaces a role.
    ///
    /// # Errors
    /// [`Error::Invalid`] if OpenBao rejects the role. Any other [`Error`] of a request.
    pub async fn put_jwt_role(&self, mount: &str, name: &str, role: &JwtRole) -> Result<(), Error> {
        let mut body = json!(role);
        body["role_type"] = json!("jwt");
        body["bound_claims_type"] = json!("string");
        self.call(Call::post(&format!("auth/{mount}/role/{name}"), body)).await.map(drop)
    }
}

impl JwtConfig {
    /// Returns the request body for `<mount>/config`.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "bound_issuer": self.bound_issuer,
            "jwt_supported_algs": self.algorithms,
            "skip_jwks_validation": self.skip_validation,
        });
        match &self.keys {
            JwtKeys::Discovery(url) => {
                body["oidc_discovery_url"] = json!(url);
                body["oidc_discovery_ca_pem"] = json!(self.ca);
            }
            JwtKeys::Jwks(url) => {
                body["jwks_url"] = json!(url);
                body["jwks_ca_pem"] = json!(self.ca);
            }
            JwtKeys::Static(keys) => body["jwt_validation_pubkeys"] = json!(keys),
        }
        body
    }
}

fn read(stored: StoredJwtConfig) -> Option<JwtConfig> {
    let StoredJwtConfig {
        oidc_discovery_url,
        oidc_discovery_ca_pem,
        jwks_url,
        jwks_ca_pem,
        jwt_validation_pubkeys,
        bound_issuer,
        jwt_supported_algs,
    } = stored;
    let (keys, ca) = if !oidc_discovery_url.is_empty() {
        (JwtKeys::Discovery(oidc_discovery_url), oidc_discovery_ca_pem)
    } else if !jwks_url.is_empty() {
        (JwtKeys::Jwks(jwks_url), jwks_ca_pem)
    } else if !jwt_validation_pubkeys.is_empty() {
        (JwtKeys::Static(jwt_validation_pubkeys), String::new())
    } else {
        return None;
    };
    // `skip_jwks_validation` only affects the write and is not stored.
    Some(JwtConfig { keys, ca, bound_issuer, algorithms: jwt_supported_algs, skip_validation: true })
}
