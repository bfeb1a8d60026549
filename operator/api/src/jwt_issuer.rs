use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{AllowedNamespaces, Duration, SecretKeyReference};

/// Who signs the JWTs of CI jobs.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "JWTIssuer",
    plural = "jwtissuers",
    namespaced,
    status = "JWTIssuerStatus",
    category = "steamer",
    category = "openbao",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.boundIssuer"),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keyIds"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.oidcDiscoveryUrl) ? 1 : 0) + (has(self.jwksUrl) ? 1 : 0) + (has(self.publicKeys) ? 1 : 0) == 1", "an issuer needs exactly one of oidcDiscoveryUrl, jwksUrl and publicKeys"))]
#[x_kube(validation = ("has(self.boundIssuer) || has(self.oidcDiscoveryUrl)", "boundIssuer is needed with jwksUrl and publicKeys: it is the `iss` claim that tokens must carry"))]
pub struct JWTIssuerSpec {
    /// Whose tokens these are: it decides which claims are looked at.
    #[serde(default)]
    pub profile: IssuerProfile,
    /// URL of the issuer; keys are found through `/.well-known/openid-configuration` below it, which is not
    /// to be written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+') && !self.contains('.well-known')", "oidcDiscoveryUrl is the issuer's URL without /.well-known/openid-configuration, such as https://gitlab.example.com"))]
    pub oidc_discovery_url: Option<String>,
    /// URL of the issuer's key set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+')", "jwksUrl is a URL such as https://gitlab.example.com/oauth/discovery/keys"))]
    pub jwks_url: Option<String>,
    /// Public keys in PEM, where no server can be asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 32, max = 8192)))]
    #[x_kube(validation = ("self.all(key, key.startsWith('-----BEGIN PUBLIC KEY-----') || key.startsWith('-----BEGIN CERTIFICATE-----'))", "publicKeys are PEM blocks that start with -----BEGIN PUBLIC KEY-----; a private key does not belong here"))]
    pub public_keys: Option<Vec<String>>,
    /// The CA of the issuer's server. Default: public CAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// The `iss` claim that tokens must carry. Default: `oidcDiscoveryUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub bound_issuer: Option<String>,
    /// The `aud` claims that pipeline tokens may carry. Default: the cluster's `jwtAudience`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// Signature algorithms. Symmetric ones cannot be allowed.
    #[serde(default = "rs256")]
    #[schemars(length(min = 1, max = 10))]
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ, in `exp`, `nbf` and `iat`. Default: 60s.
    #[serde(default = "one_minute")]
    pub leeway: Duration,
    /// How often the key set is fetched. Mounts are written again only when a key was removed or replaced,
    /// because OpenBao goes on accepting it otherwise. Default: 5m, at least 1s.
    #[serde(default = "five_minutes")]
    pub refresh_after: Duration,
    /// `true` provisions also while the issuer cannot be reached; logins work as soon as it can.
    #[serde(default = "yes")]
    pub skip_issuer_check: bool,
    /// Who may refer to this issuer.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// `true` stops fetching keys; mounts stay as they are.
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

fn yes() -> bool {
    true
}

/// Whose tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IssuerProfile {
    /// GitLab: subject `project_path:...`, claim `secrets_manager_scope`, ids as strings.
    #[default]
    GitLab,
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

/// What is known of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JWTIssuerStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Whether the key set could be fetched at the last try. Absent with `publicKeys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// The `iss` that is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub bound_issuer: Option<String>,
    /// Ids of the keys in force, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256)))]
    pub key_ids: Vec<String>,
    /// SHA-256 of each key in force, beside `keyIds`: a key replaced under its id is seen by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub key_digests: Vec<String>,
    /// Counts the times a key was removed or replaced; mounts are written again when it moves.
    #[serde(default)]
    pub key_removals: i64,
}

conditions!(JWTIssuerStatus);
