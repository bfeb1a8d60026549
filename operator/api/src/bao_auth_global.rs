//! Kind BaoAuthGlobal: defaults that several BaoAuths share.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AllowedNamespaces, AppRoleMethod, AwsMethod, CertMethod, CommonStatus, GcpMethod, JwtMethod,
    KubernetesMethod, LoginMethod, PasswordMethod, Reference, TokenMethod, rules,
};

/// Defaults for BaoAuths: server, auth method, mount, and settings of the methods.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoAuthGlobal",
    plural = "baoauthglobals",
    namespaced,
    status = "BaoAuthGlobalStatus",
    printcolumn(name = "Method", type_ = "string", json_path = ".spec.defaultAuthMethod")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.connectionRef) && has(self.clusterRef))", "at most one of connectionRef and clusterRef can be set"))]
pub struct BaoAuthGlobalSpec {
    /// BaoConnection of BaoAuths that state no server. At most one of `connectionRef` and `clusterRef` can be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<Reference>,
    /// OpenBaoCluster of BaoAuths that state no server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<Reference>,
    /// Auth method of BaoAuths that state none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_auth_method: Option<LoginMethod>,
    /// OpenBao namespace, if neither the BaoAuth nor the settings of the method state one. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub default_namespace: Option<String>,
    /// Path of the auth mount, if neither the BaoAuth nor the settings of the method state one. Default: that of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT)]
    pub default_mount: Option<String>,
    /// Further parameters of the login request. `authGlobalRef.mergeStrategy` of a BaoAuth decides about their use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub params: BTreeMap<String, String>,
    /// HTTP headers. `authGlobalRef.mergeStrategy` of a BaoAuth decides about their use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = rules::HEADER_NAMES, validation = rules::RESERVED_HEADERS, validation = rules::HEADER_VALUES)]
    pub headers: BTreeMap<String, String>,
    /// Defaults of `method: Kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<MethodDefaults<KubernetesMethod>>,
    /// Defaults of `method: JWT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<MethodDefaults<JwtMethod>>,
    /// Defaults of `method: AppRole`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<MethodDefaults<AppRoleMethod>>,
    /// Defaults of `method: Cert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<MethodDefaults<CertMethod>>,
    /// Defaults of `method: UserPass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<MethodDefaults<PasswordMethod>>,
    /// Defaults of `method: LDAP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<MethodDefaults<PasswordMethod>>,
    /// Defaults of `method: Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<MethodDefaults<TokenMethod>>,
    /// Defaults of `method: AWS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<MethodDefaults<AwsMethod>>,
    /// Defaults of `method: GCP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp: Option<MethodDefaults<GcpMethod>>,
    /// Namespaces whose BaoAuths may refer to this BaoAuthGlobal. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// Settings of a method, and where and how it logs in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodDefaults<T> {
    /// Settings of the method.
    #[serde(flatten)]
    pub settings: T,
    /// Place, parameters and headers of the login.
    #[serde(flatten)]
    pub login: LoginDefaults,
}

/// Place, parameters and headers of the logins of one method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginDefaults {
    /// OpenBao namespace of the auth mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Path of the auth mount, without `auth/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT)]
    pub mount: Option<String>,
    /// Further parameters of the login request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub params: BTreeMap<String, String>,
    /// HTTP headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = rules::HEADER_NAMES, validation = rules::RESERVED_HEADERS, validation = rules::HEADER_VALUES)]
    pub headers: BTreeMap<String, String>,
}

/// Observed state of the defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoAuthGlobalStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
}
