//! Kind JWTIssuer: an issuer of the JWTs of CI jobs and users.

mod claims;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::rules;
use crate::{AllowedNamespaces, CommonStatus, Duration, SecretKeyReference};

pub use claims::*;

/// Issuer of the JWTs that CI jobs and users log in with.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "JWTIssuer",
    plural = "jwtissuers",
    namespaced,
    status = "JWTIssuerStatus",
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.boundIssuer"),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keyIds")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.oidcDiscoveryUrl) ? 1 : 0) + (has(self.jwksUrl) ? 1 : 0) + (has(self.publicKeys) ? 1 : 0) == 1", "a JWTIssuer requires exactly one of oidcDiscoveryUrl, jwksUrl and publicKeys"))]
#[x_kube(validation = ("has(self.boundIssuer) || has(self.oidcDiscoveryUrl)", "boundIssuer is required with jwksUrl and publicKeys: it is the `iss` claim that tokens must have"))]
#[x_kube(validation = rules::PLAINTEXT_ISSUER)]
#[x_kube(validation = ("!has(self.claims) || (has(self.profile) && self.profile == 'Generic')", "claims requires profile: Generic; the other profiles have fixed claims"))]
pub struct JWTIssuerSpec {
    /// Kind of issuer. Determines which claims are checked. Default: `GitLab`.
    #[serde(default)]
    pub profile: IssuerProfile,
    /// Beginnings of the `sub` claim that distinguish tokens of CI jobs, of users, and of the issuer itself.
    #[serde(default, skip_serializing_if = "SubjectPrefixes::is_empty")]
    pub subject_prefixes: SubjectPrefixes,
    /// Claim that contains a list of scopes. A PipelinePolicy with `scopes` grants its secrets to tokens with one of its
    /// scopes. Default: `scopes` for CustomersDot; otherwise, scopes are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_.:/@-]+$"))]
    pub scopes_claim: Option<String>,
    /// Names of the claims, for the profile `Generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimNames>,
    /// URL of the issuer, without `/.well-known/openid-configuration`. Keys are discovered from that document. Exactly
    /// one of `oidcDiscoveryUrl`, `jwksUrl` and `publicKeys` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::URL, validation = ("!self.contains('.well-known')", "oidcDiscoveryUrl must be the URL of the issuer without /.well-known/openid-configuration, such as https://gitlab.example.com"))]
    pub oidc_discovery_url: Option<String>,
    /// URL of the issuer's key set (JWKS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::URL_WITH_QUERY)]
    pub jwks_url: Option<String>,
    /// `true` accepts `http://` URLs: everyone in the network can replace the keys of the issuer. Default: `false`.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Public keys in PEM, for an issuer without a reachable key set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 32, max = 8192)))]
    #[x_kube(validation = ("self.all(key, key.startsWith('-----BEGIN PUBLIC KEY-----') || key.startsWith('-----BEGIN CERTIFICATE-----'))", "publicKeys must be PEM blocks that start with -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----: a private key is not allowed"))]
    pub public_keys: Option<Vec<String>>,
    /// Secret that holds the CA certificate of the issuer's server. Default: the system's CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// `iss` claim that tokens must have. Default: `oidcDiscoveryUrl`. Required with `jwksUrl` and `publicKeys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub bound_issuer: Option<String>,
    /// Accepted `aud` claims of pipeline tokens. Default: the `jwtAudience` of the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// Accepted signature algorithms. Symmetric algorithms are not supported. Default: `[RS256]`.
    #[serde(default = "rs256")]
    #[schemars(length(min = 1, max = 10))]
    pub algorithms: Vec<Algorithm>,
    /// Allowed clock skew for `exp`, `nbf` and `iat`, at most 10m. Default: 60s.
    #[serde(default = "one_minute")]
    #[x_kube(validation = ("duration(self) <= duration('10m')", "leeway must be at most 10m: expired tokens are accepted for that long"))]
    pub leeway: Duration,
    /// Interval at which the key set is fetched. When a key was removed or replaced, Steamer rewrites the auth mounts,
    /// because OpenBao would continue to accept the old key. 1s to 24h. Default: 5m.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "refreshAfter must be 1s to 24h: a key that the issuer withdrew is accepted until the next fetch"))]
    pub refresh_after: Duration,
    /// `true` configures auth mounts even while the issuer is unreachable; logins work once it is reachable. Default:
    /// `true`.
    #[serde(default = "yes")]
    pub skip_issuer_check: bool,
    /// Namespaces whose objects may refer to this issuer. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// `true` stops fetching the key set and leaves auth mounts unchanged. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

fn rs256() -> Vec<Algorithm> {
    vec![Algorithm::RS256]
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// An asymmetric signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// Observed state of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JWTIssuerStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// `true` if the last fetch of the key set succeeded. Unset with `publicKeys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// `iss` claim that tokens must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub bound_issuer: Option<String>,
    /// IDs of the current keys, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256)))]
    pub key_ids: Vec<String>,
    /// SHA-256 digests of the current keys, in the order of `keyIds`. A digest identifies a key: several keys can have
    /// the same ID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub key_digests: Vec<String>,
    /// Number of keys that OpenBao cannot read. They are left out.
    #[serde(default)]
    pub unreadable_keys: i64,
    /// Usable keys of a key set that also contains keys which OpenBao cannot read. Auth mounts contain these keys instead
    /// of the URL of the key set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable_keys: Option<ReadableKeys>,
    /// Number of fetches that found a key removed or replaced. A change rewrites the auth mounts.
    #[serde(default)]
    pub key_removals: i64,
}

/// Usable keys of a key set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadableKeys {
    /// `oidcDiscoveryUrl` or `jwksUrl` of the key set.
    #[schemars(length(max = 512))]
    pub source: String,
    /// Public keys in PEM.
    #[schemars(length(max = 64), inner(length(max = 8192)))]
    pub keys: Vec<String>,
}

impl JWTIssuer {
    /// Returns the URL of the key set. `None` with `publicKeys`.
    pub fn source(&self) -> Option<&str> {
        self.spec.oidc_discovery_url.as_deref().or(self.spec.jwks_url.as_deref())
    }

    /// Returns the keys that auth mounts contain instead of the URL of the key set. `None` if OpenBao can read the key set.
    pub fn readable_keys(&self) -> Option<&[String]> {
        let readable = self.status.as_ref()?.readable_keys.as_ref()?;
        (self.source() == Some(&readable.source)).then_some(&readable.keys)
    }
}
