mod audit;
mod exposure;
mod external;
mod managed;
mod plugins;
mod pods;
mod seal;
mod status;
mod storage;

pub use audit::*;
pub use exposure::*;
pub use external::*;
pub use managed::*;
pub use plugins::*;
pub use pods::*;
pub use seal::*;
pub use status::*;
pub use storage::*;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AllowedNamespaces, LocalReference};

/// An OpenBao that Steamer runs on PostgreSQL, or one that is there already.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "OpenBaoCluster",
    plural = "openbaoclusters",
    namespaced,
    status = "OpenBaoClusterStatus",
    shortname = "obc",
    category = "steamer",
    category = "openbao",
    scale(
        spec_replicas_path = ".spec.managed.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
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
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader.pod"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.managed) != has(self.external)", "an OpenBaoCluster needs exactly one of managed and external"))]
#[x_kube(validation = ("has(self.managed) == has(oldSelf.managed)", "a cluster cannot be changed from managed to external or back: make another OpenBaoCluster"))]
#[x_kube(validation = ("has(self.jwtAudience) == has(oldSelf.jwtAudience) ? (!has(self.jwtAudience) || self.jwtAudience == oldSelf.jwtAudience) : !has(oldSelf.jwtAudience)", "jwtAudience cannot be changed once it is set: every role binds it"))]
#[x_kube(validation = ("!has(self.administrators) || has(self.managed)", "administrators are written by self-initialisation, which only a managed cluster has"))]
pub struct OpenBaoClusterSpec {
    /// A cluster that Steamer runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedServer>,
    /// A server that someone else runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalServer>,
    /// The address that clients outside the cluster use, such as CI runners. Default: the address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+')", "externalUrl is a URL such as https://bao.example.com"))]
    pub external_url: Option<String>,
    /// The audience that JWTs for this OpenBao carry. Immutable. Issuers and projects use it where they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub jwt_audience: Option<String>,
    /// What the operator may do in OpenBao. `Tenants`: nothing to policies and roles of the root namespace.
    #[serde(default)]
    pub operator_scope: OperatorScope,
    /// Humans and machines that administer a managed cluster. Written once, when it is initialised; later changes are
    /// made in OpenBao by one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub administrators: Vec<Administrator>,
    /// Who may refer to this cluster from BaoConnection, BaoAuth and SecretsTenant.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// `true` stops looking at an external server, and changes nothing of a managed one; the last state stays. A lost
    /// leader is still replaced.
    #[serde(default)]
    pub suspend: bool,
}

/// Who administers a managed cluster: a role of the auth mount `kubernetes`, or `jwt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.serviceAccount) != has(self.jwt)", "an administrator is exactly one of serviceAccount and jwt"))]
#[x_kube(validation = ("self.name != 'steamer'", "the role steamer is the operator's own; name the administrator otherwise"))]
pub struct Administrator {
    /// Name of the role.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')", "the name of an administrator is lower-case letters, digits, dashes and underscores"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// A ServiceAccount: `kubectl create token` with audience `openbao` is what it logs in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<AccountReference>,
    /// Someone whom an issuer of JWTs knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtSubject>,
    /// Name of its policy. Default: `administrator`.
    #[serde(default = "administrator")]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$') && !(self in ['root', 'default', 'steamer'])", "policy is a name of lower-case letters, digits, dashes and underscores, and none of root, default and steamer"))]
    #[schemars(length(min = 1, max = 63))]
    pub policy: String,
    /// The rules of that policy, in HCL or JSON. Default: everything. The first of one name decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub rules: Option<String>,
}

fn administrator() -> String {
    "administrator".to_owned()
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Someone whom an issuer of JWTs knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtSubject {
    /// A JWTIssuer of the cluster's namespace.
    pub issuer_ref: LocalReference,
    /// The `sub` of the JWT.
    #[schemars(length(min = 1, max = 512))]
    pub subject: String,
}

/// How far the operator's own policy reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatorScope {
    /// Namespaces of tenants only.
    #[default]
    Tenants,
}

impl OpenBaoCluster {
    /// Whether its nodes talk plain HTTP.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.spec.managed.as_ref().is_some_and(|managed| managed.tls.mode == ServerTlsMode::Disabled)
    }

    /// Where clients inside Kubernetes reach it, such as `https://main.openbao.svc:8200`.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.spec.external {
            Some(external) => external.address.clone(),
            None => {
                let name = self.metadata.name.as_deref().unwrap_or_default();
                let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
                let scheme = if self.is_plain() { "http" } else { "https" };
                format!("{scheme}://{name}.{namespace}.svc:8200")
            }
        }
    }
}
