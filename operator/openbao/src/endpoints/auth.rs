use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::endpoints::mounts::{Mount, MountRequest, null_is_default};
use crate::session::{Call, absent};
use crate::{Error, Session};

/// An auth method where it is mounted.
pub type AuthMount = Mount;

/// Where a JWT mount has its keys from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// OIDC discovery below a URL.
    Discovery(String),
    /// A key set at a URL.
    Jwks(String),
    /// Keys in PEM.
    Static(Vec<String>),
}

/// Configuration of a JWT mount. A write replaces all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// The keys.
    pub keys: JwtKeys,
    /// CA of the server that has the keys, in PEM; empty: public CAs.
    pub ca: String,
    /// The `iss` that tokens must carry.
    pub bound_issuer: String,
    /// Allowed signature algorithms.
    pub algorithms: Vec<String>,
    /// Whether an issuer that cannot be reached is only a warning.
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

/// A CEL role. A write replaces all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CelRole {
    /// The program.
    pub cel_program: CelProgram,
    /// `aud` must hold one of these.
    #[serde(deserialize_with = "null_is_default")]
    pub bound_audiences: Vec<String>,
    /// Seconds.
    pub clock_skew_leeway: i64,
    /// Seconds.
    pub expiration_leeway: i64,
    /// Seconds.
    pub not_before_leeway: i64,
}

/// A CEL program: variables in order, then the expression that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CelProgram {
    /// Variables.
    #[serde(deserialize_with = "null_is_default")]
    pub variables: Vec<CelVariable>,
    /// `pb.Auth{...}` to let in; `false` or a string to refuse.
    pub expression: String,
}

/// A variable of a CEL program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CelVariable {
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub expression: String,
}

/// A role of `role_type: jwt`. OpenBao resets what a write leaves out, so all of it is written every time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JwtRole {
    /// The `sub` that tokens must carry.
    pub bound_subject: String,
    /// `aud` must hold one of these.
    #[serde(deserialize_with = "null_is_default")]
    pub bound_audiences: Vec<String>,
    /// The claim that names the identity.
    pub user_claim: String,
    /// Policies of the token.
    #[serde(deserialize_with = "null_is_default")]
    pub token_policies: Vec<String>,
    /// Seconds.
    pub token_ttl: i64,
    /// Seconds.
    pub token_max_ttl: i64,
    /// Whether the policy `default` is left out.
    pub token_no_default_policy: bool,
    /// `batch` or `service`.
    pub token_type: String,
}

impl Session {
    /// The auth method mounted at `path`, if any (`GET sys/auth/<path>`).
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn auth_mount(&self, path: &str) -> Result<Option<AuthMount>, Error> {
        absent(self.data(Call::get(&format!("sys/auth/{path}"))).await)
    }

    /// Every auth method of the namespace by its path, with a slash at the end (`GET sys/auth`).
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn auth_mounts(&self) -> Result<BTreeMap<String, AuthMount>, Error> {
        self.data(Call::get("sys/auth")).await
    }

    /// Mounts an auth method. Needs `sudo`.
    ///
    /// # Errors
    /// [`Error::InUse`] when one is mounted there.
    pub async fn enable_auth(&self, path: &str, request: &MountRequest) -> Result<(), Error> {
        self.call(Call::post(&format!("sys/auth/{path}"), json!(request))).await.map(drop)
    }

    /// Changes the description of an auth method. Needs `sudo`.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn describe_auth(&self, path: &str, description: &str) -> Result<(), Error> {
        let body = json!({"description": description});
        self.call(Call::post(&format!("sys/auth/{path}/tune"), body)).await.map(drop)
    }

    /// Unmounts an auth method; its tokens are revoked. Nothing happens where none is.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn disable_auth(&self, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("sys/auth/{path}"))).await).map(drop)
    }

    /// The configuration of a JWT mount; none before the first write.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn jwt_config(&self, mount: &str) -> Result<Option<JwtConfig>, Error> {
        let stored: Option<Option<StoredJwtConfig>> =
            absent(self.data(Call::get(&format!("auth/{mount}/config"))).await)?;
        Ok(stored.flatten().and_then(read))
    }

    /// Replaces the configuration of a JWT mount; OpenBao forgets the keys it had fetched.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the issuer cannot be reached and `skip_validation` is false.
    pub async fn put_jwt_config(&self, mount: &str, config: &JwtConfig) -> Result<(), Error> {
        self.call(Call::post(&format!("auth/{mount}/config"), config.body())).await.map(drop)
    }

    /// Names of a mount's CEL roles.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn cel_roles(&self, mount: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("auth/{mount}/cel/role")).await
    }

    /// A CEL role.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn cel_role(&self, mount: &str, name: &str) -> Result<Option<CelRole>, Error> {
        absent(self.data(Call::get(&format!("auth/{mount}/cel/role/{name}"))).await)
    }

    /// Replaces a CEL role.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the program does not type-check.
    pub async fn put_cel_role(&self, mount: &str, name: &str, role: &CelRole) -> Result<(), Error> {
        self.call(Call::post(&format!("auth/{mount}/cel/role/{name}"), json!(role))).await.map(drop)
    }

    /// Deletes a CEL role. Nothing happens where there is none.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn delete_cel_role(&self, mount: &str, name: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("auth/{mount}/cel/role/{name}"))).await).map(drop)
    }

    /// Names of a mount's roles.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn jwt_roles(&self, mount: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("auth/{mount}/role")).await
    }

    /// A role.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn jwt_role(&self, mount: &str, name: &str) -> Result<Option<JwtRole>, Error> {
        absent(self.data(Call::get(&format!("auth/{mount}/role/{name}"))).await)
    }

    /// Replaces a role.
    ///
    /// # Errors
    /// [`Error::Invalid`] when OpenBao does not take it.
    pub async fn put_jwt_role(&self, mount: &str, name: &str, role: &JwtRole) -> Result<(), Error> {
        let mut body = json!(role);
        body["role_type"] = json!("jwt");
        body["bound_claims_type"] = json!("string");
        self.call(Call::post(&format!("auth/{mount}/role/{name}"), body)).await.map(drop)
    }

    /// Deletes a role. Nothing happens where there is none.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn delete_jwt_role(&self, mount: &str, name: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("auth/{mount}/role/{name}"))).await).map(drop)
    }
}

impl JwtConfig {
    /// What is written to `<mount>/config`.
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
    // `skip_jwks_validation` speaks of the write alone and is not stored.
    Some(JwtConfig { keys, ca, bound_issuer, algorithms: jwt_supported_algs, skip_validation: true })
}
