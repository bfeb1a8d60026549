//! Kind OpenBaoCluster: an OpenBao cluster that Steamer runs, or an existing server.

mod audit;
mod exposure;
mod external;
mod instant_delivery;
mod managed;
mod network;
mod plugins;
mod pods;
mod restore_drill;
mod scope;
mod seal;
mod seal_rules;
mod status;
mod storage;
mod topology;
mod upgrade;

pub use audit::*;
pub use exposure::*;
pub use external::*;
pub use instant_delivery::*;
pub use managed::*;
pub use network::*;
pub use plugins::*;
pub use pods::*;
pub use restore_drill::*;
pub use scope::*;
pub use seal::*;
pub use status::*;
pub use storage::*;
pub use topology::*;
pub use upgrade::*;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AllowedNamespaces, LocalReference};

/// An OpenBao cluster that Steamer runs on PostgreSQL, or an existing OpenBao server.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "OpenBaoCluster",
    plural = "openbaoclusters",
    namespaced,
    status = "OpenBaoClusterStatus",
    shortname = "obc",
    scale(
        spec_replicas_path = ".spec.managed.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
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
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.managed) != has(self.external)", "an OpenBaoCluster requires exactly one of managed and external"))]
#[x_kube(validation = ("has(self.managed) == has(oldSelf.managed)", "an OpenBaoCluster cannot be changed between managed and external: create another OpenBaoCluster"))]
#[x_kube(validation = ("has(self.jwtAudience) == has(oldSelf.jwtAudience) ? (!has(self.jwtAudience) || self.jwtAudience == oldSelf.jwtAudience) : !has(oldSelf.jwtAudience)", "jwtAudience is immutable once it is set: every role binds it"))]
#[x_kube(validation = ("!has(self.administrators) || has(self.managed)", "administrators requires managed: only the self-initialization of a managed cluster writes them"))]
#[x_kube(validation = ("(self.operatorScope == 'Namespaces') == (has(self.operatorNamespaces) && size(self.operatorNamespaces) > 0)", "operatorScope: Namespaces requires operatorNamespaces, and no other operatorScope permits it: list at least one OpenBao namespace with this scope, or remove operatorNamespaces"))]
pub struct OpenBaoClusterSpec {
    /// OpenBao cluster that Steamer runs. Exactly one of `managed` and `external` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedServer>,
    /// Existing OpenBao server that Steamer does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalServer>,
    /// URL for clients outside the Kubernetes cluster, such as CI runners. Default: the URL that is used inside the
    /// Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = crate::rules::URL)]
    pub external_url: Option<String>,
    /// Audience (`aud`) of JWTs for this OpenBao. Immutable. Used by JWTIssuers and SecretsProjects that set no
    /// audiences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub jwt_audience: Option<String>,
    /// OpenBao namespaces in which objects of this cluster can create resources, and for which the operator needs
    /// rights. `Tenants`: only the namespaces of SecretsTenants, without access to values. `Namespaces`: also
    /// `operatorNamespaces`. `Root`: also every other namespace, including the root namespace. `Namespaces` and `Root`
    /// are equivalent to root access in these namespaces: an identity that can write policies and roles can read every
    /// value. With `Root`, this is the whole server. A wider scope needs a new policy in OpenBao, which an
    /// administrator installs (`steamer openbao-policy`); the condition `OperatorPolicyCurrent` names the missing
    /// lines. Default: `Tenants`.
    #[serde(default)]
    pub operator_scope: OperatorScope,
    /// OpenBao namespaces of `operatorScope: Namespaces`, as paths from the root namespace of this cluster, such as
    /// `team-a/apps`. The namespaces below them are included; the policy covers two levels of them. Each entry adds more than
    /// 300 rules, which OpenBao reads for each request of the operator: list one namespace above several others rather than
    /// each of them. Required with `operatorScope: Namespaces`, and not permitted with another scope. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = crate::rules::OPERATOR_NAMESPACES, validation = crate::rules::UNRESERVED_NAMESPACES)]
    pub operator_namespaces: Vec<String>,
    /// Administrators of a managed cluster. Written to OpenBao once, during initialization. Later changes of this list
    /// have no effect: an administrator makes them in OpenBao. The condition `AdministratorsCurrent` reports them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub administrators: Vec<Administrator>,
    /// Namespaces whose objects may refer to this cluster. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Namespaces whose objects with `clusterRef` may create resources in any OpenBao namespace of `operatorScope`: BaoPolicy,
    /// SecretEngine, AuthMethod and the other general kinds. Everyone who may write such objects there is an administrator
    /// of OpenBao. Default: only the namespace of this cluster.
    #[serde(default)]
    pub provisioning_namespaces: AllowedNamespaces,
    /// `true` stops checking an external server, and stops changes to a managed cluster; the last `Ready` condition is
    /// kept. A lost leader is still replaced. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// Administrator of a managed cluster: a role of the auth mount `kubernetes` (`serviceAccount`) or `jwt_<issuer>`
/// (`jwt`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.serviceAccount) != has(self.jwt)", "an administrator requires exactly one of serviceAccount and jwt"))]
#[x_kube(validation = ("self.name != 'steamer'", "the role steamer is reserved for the operator: choose another name for the administrator"))]
pub struct Administrator {
    /// Name of the role.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')", "the name of an administrator must consist of lowercase letters, digits, dashes and underscores"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// ServiceAccount that logs in, with a token of `kubectl create token --audience <managed.audience>`. Exactly one of
    /// `serviceAccount` and `jwt` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<AccountReference>,
    /// Subject of a JWTIssuer that logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtSubject>,
    /// Name of the policy that the role assigns. Default: `administrator`.
    #[serde(default = "administrator")]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$') && !(self in ['root', 'default', 'steamer'])", "policy must consist of lowercase letters, digits, dashes and underscores, and must not be root, default or steamer"))]
    #[schemars(length(min = 1, max = 63))]
    pub policy: String,
    /// Rules of the policy, in HCL or JSON. Default: all capabilities on all paths. If several administrators share a
    /// policy name, the rules of the first one apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub rules: Option<String>,
}

fn administrator() -> String {
    "administrator".to_owned()
}

/// Reference to a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountReference {
    /// Name of the ServiceAccount.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the ServiceAccount. Default: the namespace of the OpenBaoCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Subject of a JWTIssuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtSubject {
    /// JWTIssuer in the namespace of the OpenBaoCluster.
    pub issuer_ref: LocalReference,
    /// `sub` claim of the JWT.
    #[schemars(length(min = 1, max = 512))]
    pub subject: String,
}

impl OpenBaoCluster {
    /// Returns whether relays report the writes of this cluster.
    #[must_use]
    pub fn has_relays(&self) -> bool {
        let managed = self.spec.managed.as_ref().and_then(|managed| managed.instant_delivery.as_ref());
        let external = self.spec.external.as_ref().and_then(|external| external.instant_delivery.as_ref());
        managed.is_some_and(|relay| relay.enabled) || external.is_some()
    }

    /// Returns whether the nodes serve plain HTTP.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.spec.managed.as_ref().is_some_and(|managed| managed.tls.mode == ServerTlsMode::Disabled)
    }

    /// Returns the URL for clients inside the Kubernetes cluster, such as `https://main.openbao.svc:8200`.
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
