//! An existing OpenBao server and the login of the operator.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::ExternalRelays;
use crate::SecretKeyReference;

/// Existing OpenBao server that Steamer does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::PLAINTEXT_ADDRESSES)]
pub struct ExternalServer {
    /// URL of the server, such as `https://openbao.openbao.svc:8200`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = crate::rules::ADDRESS)]
    pub address: String,
    /// URLs of other nodes of the same OpenBao cluster, used when a node is unreachable or cannot serve the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 512)))]
    #[x_kube(validation = crate::rules::ADDRESSES)]
    pub additional_addresses: Vec<String>,
    /// `true` accepts `http://` addresses: everyone in the network can read and change all requests and values. Default:
    /// `false`.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Secret that holds the CA certificate of the server. Default: the CA certificates of the operator's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// OpenBao namespace that Steamer uses as its root. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = crate::rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Sync of written values at once instead of at the next refresh, by relays beside the nodes. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant_delivery: Option<ExternalRelays>,
    /// Login of the operator. It always uses a short-lived token of its own ServiceAccount.
    pub management_auth: ManagementAuth,
}

/// Login of the operator. Exactly one of `kubernetes` and `jwt` is required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.kubernetes) != has(self.jwt)", "managementAuth requires exactly one of kubernetes and jwt"))]
pub struct ManagementAuth {
    /// Kubernetes auth: OpenBao validates the token with the TokenReview API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ManagementLogin>,
    /// JWT auth: OpenBao verifies the signature of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<ManagementLogin>,
}

/// Auth mount, role and audience of the operator's login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagementLogin {
    /// Path of the auth mount, without `auth/`. Default: `kubernetes` or `jwt`, according to the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = crate::rules::MOUNT)]
    pub mount: Option<String>,
    /// Name of the role to log in as. Default: `steamer`.
    #[serde(default = "steamer")]
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// Audience of the token, which the role must bind. It identifies the server: an audience that the API server accepts,
    /// or that an OpenBaoCluster of another namespace uses for another address, is rejected.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
}

fn steamer() -> String {
    "steamer".to_owned()
}
