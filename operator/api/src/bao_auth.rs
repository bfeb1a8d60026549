//! Kind BaoAuth: a login to an OpenBao server.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AllowedNamespaces, AppRoleMethod, AwsMethod, CertMethod, CommonStatus, GcpMethod, JwtMethod,
    KubernetesMethod, LoginMethod, PasswordMethod, Reference, TokenMethod, rules,
};

/// Login to an OpenBao server: connection, auth method, mount and role.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoAuth",
    plural = "baoauths",
    namespaced,
    status = "BaoAuthStatus",
    printcolumn(name = "Method", type_ = "string", json_path = ".spec.method"),
    printcolumn(name = "Mount", type_ = "string", json_path = ".status.mount")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.connectionRef) ? 1 : 0) + (has(self.clusterRef) ? 1 : 0) + (has(self.projectRef) ? 1 : 0) == 1 || (has(self.authGlobalRef) && (has(self.connectionRef) ? 1 : 0) + (has(self.clusterRef) ? 1 : 0) + (has(self.projectRef) ? 1 : 0) == 0)", "exactly one of connectionRef, clusterRef and projectRef is required, unless authGlobalRef refers to a BaoAuthGlobal that states the server"))]
#[x_kube(validation = ("has(self.projectRef) == has(self.workload)", "projectRef and workload must be set together: workload is the name of an entry in the project's workloads"))]
#[x_kube(validation = ("!has(self.projectRef) || !(has(self.authGlobalRef) || has(self.method) || has(self.mount) || has(self.namespace) || has(self.params) || has(self.kubernetes) || has(self.jwt) || has(self.appRole) || has(self.cert) || has(self.userPass) || has(self.ldap) || has(self.token) || has(self.aws) || has(self.gcp))", "with projectRef the project defines the login: remove authGlobalRef, method, mount, namespace, params, and the settings of methods such as kubernetes and jwt"))]
#[x_kube(validation = ("has(self.projectRef) || has(self.authGlobalRef) || has(self.method)", "method is required: Kubernetes, JWT, AppRole, Cert, UserPass, LDAP, Token, AWS or GCP"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'Kubernetes') == has(self.kubernetes) || (self.method == 'Kubernetes' && has(self.authGlobalRef))", "kubernetes is required with method Kubernetes, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'JWT') == has(self.jwt) || (self.method == 'JWT' && has(self.authGlobalRef))", "jwt is required with method JWT, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'AppRole') == has(self.appRole) || (self.method == 'AppRole' && has(self.authGlobalRef))", "appRole is required with method AppRole, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'Cert') == has(self.cert) || (self.method == 'Cert' && has(self.authGlobalRef))", "cert is required with method Cert, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'UserPass') == has(self.userPass) || (self.method == 'UserPass' && has(self.authGlobalRef))", "userPass is required with method UserPass, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'LDAP') == has(self.ldap) || (self.method == 'LDAP' && has(self.authGlobalRef))", "ldap is required with method LDAP, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'Token') == has(self.token) || (self.method == 'Token' && has(self.authGlobalRef))", "token is required with method Token, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'AWS') == has(self.aws) || (self.method == 'AWS' && has(self.authGlobalRef))", "aws is required with method AWS, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'GCP') == has(self.gcp) || (self.method == 'GCP' && has(self.authGlobalRef))", "gcp is required with method GCP, and only allowed with it"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.kubernetes) || (has(self.kubernetes.role) && has(self.kubernetes.serviceAccount))", "kubernetes requires role and serviceAccount"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.jwt) || (has(self.jwt.role) && has(self.jwt.serviceAccount) != has(self.jwt.secretRef))", "jwt requires role, and exactly one of serviceAccount and secretRef"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.appRole) || (has(self.appRole.roleId) && has(self.appRole.secretRef) != has(self.appRole.secretIDPath))", "appRole requires roleId, and exactly one of secretRef and secretIDPath"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.userPass) || (has(self.userPass.username) && has(self.userPass.secretRef))", "userPass requires username and secretRef"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.ldap) || (has(self.ldap.username) && has(self.ldap.secretRef))", "ldap requires username and secretRef"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.token) || has(self.token.secretRef)", "token requires secretRef"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.aws) || (has(self.aws.role) && has(self.aws.secretRef) != has(self.aws.irsaServiceAccount))", "aws requires role, and exactly one of secretRef and irsaServiceAccount"))]
#[x_kube(validation = ("has(self.authGlobalRef) || !has(self.gcp) || (has(self.gcp.role) && has(self.gcp.workloadIdentityServiceAccount) && has(self.gcp.region) && has(self.gcp.clusterName) && has(self.gcp.projectID))", "gcp requires role, workloadIdentityServiceAccount, region, clusterName and projectID"))]
#[x_kube(validation = ("!has(self.inline) || self.inline != 'Always' || !has(self.method) || self.method in ['Kubernetes', 'JWT']", "inline: Always requires method Kubernetes or JWT: the credentials of other methods are sent once for each token"))]
#[x_kube(validation = ("has(self.clusterRef) || has(self.authGlobalRef) || !has(self.kubernetes) || (has(self.kubernetes.audiences) && size(self.kubernetes.audiences) > 0)", "kubernetes.audiences is required without clusterRef: only an OpenBaoCluster has a default audience"))]
#[x_kube(validation = ("has(self.clusterRef) || has(self.authGlobalRef) || !has(self.jwt) || !has(self.jwt.serviceAccount) || (has(self.jwt.audiences) && size(self.jwt.audiences) > 0)", "jwt.audiences is required with serviceAccount and without clusterRef: only an OpenBaoCluster has a default audience"))]
pub struct BaoAuthSpec {
    /// BaoConnection to log in through. Exactly one of `connectionRef`, `clusterRef` and `projectRef` is required, unless
    /// the BaoAuthGlobal of `authGlobalRef` states the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<Reference>,
    /// OpenBaoCluster to log in to, instead of a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<Reference>,
    /// SecretsProject to log in to, instead of a connection. Server, namespace, mount and role are those of the
    /// project's entry named by `workload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_ref: Option<Reference>,
    /// Name of an entry in the project's `workloads`. Required with `projectRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub workload: Option<String>,
    /// BaoAuthGlobal that states what this spec does not: server, method, namespace, mount and settings of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_global_ref: Option<AuthGlobalReference>,
    /// OpenBao namespace of the auth mount, and the default namespace of reads. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Auth method. Required unless `projectRef` or `authGlobalRef` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<LoginMethod>,
    /// Path of the auth mount, without `auth/`. Default: `kubernetes`, `jwt`, `approle`, `cert`, `userpass`, `ldap`, `aws` or
    /// `gcp`, according to the method. Not used by method `Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT)]
    pub mount: Option<String>,
    /// Settings of `method: Kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesMethod>,
    /// Settings of `method: JWT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtMethod>,
    /// Settings of `method: AppRole`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<AppRoleMethod>,
    /// Settings of `method: Cert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<CertMethod>,
    /// Settings of `method: UserPass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<PasswordMethod>,
    /// Settings of `method: LDAP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<PasswordMethod>,
    /// Settings of `method: Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenMethod>,
    /// Settings of `method: AWS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsMethod>,
    /// Settings of `method: GCP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp: Option<GcpMethod>,
    /// Further parameters of the login request. They do not replace those of the method.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub params: BTreeMap<String, String>,
    /// HTTP headers sent with the login and every other request, in addition to those of the connection. The same headers
    /// are reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = rules::HEADER_NAMES, validation = rules::RESERVED_HEADERS, validation = rules::HEADER_VALUES)]
    pub headers: BTreeMap<String, String>,
    /// Login mode. `Auto`: the JWT method authenticates each read inline and stores no token in OpenBao; the other
    /// methods log in once. `Always`: inline with each read, for Kubernetes and JWT. `Never`: once; the token is renewed.
    /// Default: `Auto`.
    #[serde(default)]
    pub inline: Inline,
    /// Namespaces whose objects may refer to this BaoAuth. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// Reference to a BaoAuthGlobal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.name) || (has(self.allowDefault) && self.allowDefault)", "authGlobalRef requires name, or allowDefault: true"))]
pub struct AuthGlobalReference {
    /// Name of the BaoAuthGlobal. Required unless `allowDefault` is `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// Namespace of the BaoAuthGlobal. It must allow the reference in its `allowedNamespaces`. Default: the namespace of
    /// the BaoAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// `true`: without `name`, the BaoAuthGlobal `default` of that namespace is used, or else the one of the operator's
    /// namespace. Default: `false`.
    #[serde(default)]
    pub allow_default: bool,
    /// Handling of parameters and headers that both objects state.
    #[serde(default)]
    pub merge_strategy: AuthMergeStrategy,
}

/// Handling of parameters and headers that a BaoAuth and its BaoAuthGlobal state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthMergeStrategy {
    /// Headers. Default: `None`.
    #[serde(default)]
    pub headers: MergeStrategy,
    /// Parameters. Default: `None`.
    #[serde(default)]
    pub params: MergeStrategy,
}

/// How the entries of a BaoAuthGlobal are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MergeStrategy {
    /// Only the entries of the BaoAuth.
    #[default]
    None,
    /// All entries. For the same name, the BaoAuth comes first, then the settings of the method, then the defaults of the
    /// BaoAuthGlobal.
    Union,
    /// The entries of one source: the BaoAuth, or else the settings of the method, or else the defaults of the
    /// BaoAuthGlobal.
    Replace,
}

/// Login mode: inline with every read, or once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Inline {
    /// Inline with every read for JWT, once for the other methods.
    #[default]
    Auto,
    /// Inline with every read.
    Always,
    /// Once; the token is renewed.
    Never,
}

/// Observed state of a login.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoAuthStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Path of the auth mount in use, from the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 768))]
    pub mount: Option<String>,
}
