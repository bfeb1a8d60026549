use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{AllowedNamespaces, Reference};

/// How someone logs in to an OpenBao.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoAuth",
    plural = "baoauths",
    namespaced,
    status = "BaoAuthStatus",
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
    printcolumn(name = "Method", type_ = "string", json_path = ".spec.method"),
    printcolumn(name = "Mount", type_ = "string", json_path = ".status.mount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.connectionRef) ? 1 : 0) + (has(self.clusterRef) ? 1 : 0) + (has(self.projectRef) ? 1 : 0) == 1", "exactly one of connectionRef, clusterRef and projectRef is needed"))]
#[x_kube(validation = ("has(self.projectRef) == has(self.workload)", "projectRef and workload go together: workload is the name of an entry in the project's workloads"))]
#[x_kube(validation = ("!has(self.projectRef) || !(has(self.method) || has(self.mount) || has(self.namespace) || has(self.kubernetes) || has(self.jwt))", "with projectRef everything comes from the project: remove method, mount, namespace, kubernetes and jwt"))]
#[x_kube(validation = ("has(self.projectRef) || has(self.method)", "method is needed: Kubernetes or JWT"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'Kubernetes') == has(self.kubernetes)", "method Kubernetes needs the block kubernetes, and only it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'JWT') == has(self.jwt)", "method JWT needs the block jwt, and only it"))]
pub struct BaoAuthSpec {
    /// The connection to log in over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<Reference>,
    /// A cluster instead of a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<Reference>,
    /// A project instead: server, namespace, mount and role come from its `workloads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_ref: Option<Reference>,
    /// Name of an entry in the project's `workloads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub workload: Option<String>,
    /// The OpenBao namespace of the auth mount and of what is read. Default: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub namespace: Option<String>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<AuthMethod>,
    /// Path of the auth mount without `auth/`. Default: `kubernetes` or `jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub mount: Option<String>,
    /// Settings of `method: Kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesMethod>,
    /// Settings of `method: JWT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtMethod>,
    /// `Auto` sends a JWT along with each read and stores no token in OpenBao; Kubernetes logs in once.
    #[serde(default)]
    pub inline: Inline,
    /// Who may refer to this.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// An auth method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthMethod {
    /// OpenBao asks the API server who a ServiceAccount token belongs to.
    Kubernetes,
    /// OpenBao checks the signature of a JWT.
    JWT,
}

/// Kubernetes auth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesMethod {
    /// The role.
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// The ServiceAccount, in the namespace of the object that reads.
    #[schemars(length(min = 1, max = 253))]
    pub service_account: String,
    /// Audiences of its token; none may be one that the API server accepts, or the server could use it there.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// How long the token lives. Default and least: 600.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 600, max = 86400))]
    pub token_expiration_seconds: i64,
}

/// JWT auth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.serviceAccount) != has(self.secretRef)", "jwt needs exactly one of serviceAccount and secretRef"))]
#[x_kube(validation = ("!has(self.serviceAccount) || (has(self.audiences) && size(self.audiences) > 0)", "audiences is needed with serviceAccount: without it the token would be good for the API server"))]
pub struct JwtMethod {
    /// The role.
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// The ServiceAccount, in the namespace of the object that reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account: Option<String>,
    /// Secret with a JWT under the key `jwt`, in the namespace of the object that reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
    /// Audiences of the ServiceAccount's token; none may be one that the API server accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// How long the ServiceAccount's token lives. Default and least: 600.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 600, max = 86400))]
    pub token_expiration_seconds: i64,
}

fn ten_minutes() -> i64 {
    600
}

/// Whether a login is made with every read or once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Inline {
    /// With every read for JWT, once for Kubernetes.
    #[default]
    Auto,
    /// With every read.
    Always,
    /// Once; the token is renewed.
    Never,
}

/// What is known of a login.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoAuthStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The auth mount in use, from the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 768))]
    pub mount: Option<String>,
}

conditions!(BaoAuthStatus);
