//! Kind BaoAuthRole: a role of an auth mount in OpenBao.

mod methods;
mod tokens;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Lifecycle, LifecycleStatus, OwnedResources, Parameters, Placement, rules};
pub use methods::*;
pub use tokens::*;

/// A role of an auth mount in OpenBao: who may log in, and which policies the token gets.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoAuthRole",
    plural = "baoauthroles",
    namespaced,
    status = "BaoAuthRoleStatus",
    printcolumn(name = "Mount", type_ = "string", json_path = ".spec.mount"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.kubernetes), has(self.jwt), has(self.appRole), has(self.cert), has(self.userPass), has(self.token), has(self.method)].filter(set, set).size() == 1", "set exactly one of kubernetes, jwt, appRole, cert, userPass, token and method"))]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another BaoAuthRole"))]
#[x_kube(validation = ("!has(self.name) || self.name == self.name.lowerAscii() || has(self.token) || (has(self.method) && self.method in ['LDAPGroup', 'LDAPUser', 'KerberosGroup', 'Token', 'Plugin'])", "name must be lower-case: OpenBao changes names of this method to lower case"))]
#[x_kube(validation = ("has(self.token) == (self.mount == 'token') || has(self.method)", "the block token and the mount token belong together"))]
#[x_kube(validation = ("!has(self.token) || !(has(self.tokenPolicies) || has(self.tokenTTL) || has(self.tokenMaxTTL))", "a role of the mount token has no tokenPolicies, tokenTTL and tokenMaxTTL: use token.allowedPolicies, tokenExplicitMaxTTL and tokenPeriod"))]
#[x_kube(validation = ("!has(self.method) || !(has(self.tokenPolicies) || has(self.tokenTTL) || has(self.tokenMaxTTL) || has(self.tokenExplicitMaxTTL) || has(self.tokenPeriod) || has(self.tokenType) || has(self.tokenBoundCIDRs) || has(self.tokenNoDefaultPolicy) || has(self.tokenNumUses))", "with method, write token_policies and the other settings of tokens in parameters"))]
#[x_kube(validation = ("!has(self.method) || has(self.parameters)", "method requires parameters"))]
pub struct BaoAuthRoleSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the auth mount, without `auth/`, such as `kubernetes`. The mount must exist. Immutable.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::AUTH_MOUNT)]
    #[x_kube(validation = ("self == oldSelf", "mount is immutable: create another BaoAuthRole"))]
    pub mount: String,
    /// Name of the role, user or group in OpenBao. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::ROLE_NAME)]
    pub name: Option<String>,
    /// Role of a mount of type `kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesRole>,
    /// Role of a mount of type `jwt` or `oidc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtRole>,
    /// Role of a mount of type `approle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<AppRole>,
    /// Certificate of a mount of type `cert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<CertRole>,
    /// User of a mount of type `userpass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<UserPassRole>,
    /// Role of the mount `token`: rules for tokens that are created with `auth/token/create/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRole>,
    /// Method whose role is written with `parameters` only. OpenBao then keeps each parameter that `parameters` does not
    /// contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<RoleMethod>,
    /// Settings of the tokens. A setting that is not set gets OpenBao's default.
    #[serde(flatten)]
    pub tokens: TokenSettings,
    /// Further parameters, with the names and values of OpenBao's API. A parameter that is also a field of this spec is
    /// refused. Passwords are refused.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Lifecycle of the role in OpenBao. A deletion removes the role with both deletion policies, because it is access.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Observed state of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoAuthRoleStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
}
