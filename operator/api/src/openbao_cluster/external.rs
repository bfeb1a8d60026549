use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretKeyReference;

/// A server that Steamer does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalServer {
    /// Its URL, such as `https://openbao.openbao.svc:8200`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+$')", "address is a URL without a path, such as https://openbao.openbao.svc:8200"))]
    pub address: String,
    /// URLs of other nodes of the same OpenBao, tried when the first does not answer or cannot serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub additional_addresses: Vec<String>,
    /// The CA that signed the server's certificate. Default: the CAs of the operator's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// The OpenBao namespace that is the root for Steamer. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub namespace: Option<String>,
    /// How the operator logs in, always with a short-lived token of its own ServiceAccount.
    pub management_auth: ManagementAuth,
}

/// The operator's own login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.kubernetes) != has(self.jwt)", "managementAuth needs exactly one of kubernetes and jwt"))]
pub struct ManagementAuth {
    /// Kubernetes auth: OpenBao asks the API server who the token belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ManagementLogin>,
    /// JWT auth: OpenBao checks the token's signature itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<ManagementLogin>,
}

/// Where and as what the operator logs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagementLogin {
    /// Path of the auth mount, without `auth/`. Default: `kubernetes`, or `jwt` under `jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub mount: Option<String>,
    /// The role to log in as. Default: `steamer`.
    #[serde(default = "steamer")]
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// The audience of the token, which the role has to bind. It may not be one that the API server accepts.
    /// Default: `openbao`.
    #[serde(default = "openbao")]
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
}

fn steamer() -> String {
    "steamer".to_owned()
}

fn openbao() -> String {
    "openbao".to_owned()
}
