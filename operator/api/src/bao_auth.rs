//! Kind BaoAuth: a login to an OpenBao server.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AllowedNamespaces, CommonStatus, Reference};

/// Login to an OpenBao server: connection, auth method, mount and role.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
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
#[x_kube(validation = ("(has(self.connectionRef) ? 1 : 0) + (has(self.clusterRef) ? 1 : 0) + (has(self.projectRef) ? 1 : 0) == 1", "exactly one of connectionRef, clusterRef and projectRef is required"))]
#[x_kube(validation = ("has(self.projectRef) == has(self.workload)", "projectRef and workload must be set together: workload is the name of an entry in the project's workloads"))]
#[x_kube(validation = ("!has(self.projectRef) || !(has(self.method) || has(self.mount) || has(self.namespace) || has(self.kubernetes) || has(self.jwt))", "with projectRef the project defines the login: remove method, mount, namespace, kubernetes and jwt"))]
#[x_kube(validation = ("has(self.projectRef) || has(self.method)", "method is required: Kubernetes or JWT"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'Kubernetes') == has(self.kubernetes)", "kubernetes is required with method Kubernetes, and only allowed with it"))]
#[x_kube(validation = ("!has(self.method) || (self.method == 'JWT') == has(self.jwt)", "jwt is required with method JWT, and only allowed with it"))]
#[x_kube(validation = ("has(self.clusterRef) || !has(self.kubernetes) || (has(self.kubernetes.audiences) && size(self.kubernetes.audiences) > 0)", "kubernetes.audiences is required without clusterRef: only an OpenBaoCluster has a default audience"))]
#[x_kube(validation = ("has(self.clusterRef) || !has(self.jwt) || !has(self.jwt.serviceAccount) || (has(self.jwt.audiences) && size(self.jwt.audiences) > 0)", "jwt.audiences is required with serviceAccount and without clusterRef: only an OpenBaoCluster has a default audience"))]
pub struct BaoAuthSpec {
    /// BaoConnection to log in through. Exactly one of `connectionRef`, `clusterRef` and `projectRef` is required.
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
    /// OpenBao namespace of the auth mount, and the default namespace of reads. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = crate::rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Auth method. Required unless `projectRef` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<AuthMethod>,
    /// Path of the auth mount, without `auth/`. Default: `kubernetes` or `jwt`, according to the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = crate::rules::MOUNT)]
    pub mount: Option<String>,
    /// Settings of `method: Kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesMethod>,
    /// Settings of `method: JWT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtMethod>,
    /// Login mode. `Auto`: the JWT method authenticates each read inline and stores no token in OpenBao; the
    /// Kubernetes method logs in once. `Always`: inline with each read. `Never`: once; the token is renewed. Default:
    /// `Auto`.
    #[serde(default)]
    pub inline: Inline,
    /// Namespaces whose objects may refer to this BaoAuth. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// An auth method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthMethod {
    /// OpenBao validates a ServiceAccount token with the TokenReview API.
    Kubernetes,
    /// OpenBao verifies the signature of a JWT.
    JWT,
}

/// Settings of Kubernetes auth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesMethod {
    /// Name of the role to log in as.
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// Name of the ServiceAccount, in the namespace of the object that reads.
    #[schemars(length(min = 1, max = 253))]
    pub service_account: String,
    /// Audiences of the ServiceAccount's token. An audience that the API server accepts is rejected: OpenBao could use
    /// such a token to access the Kubernetes API. Default: the audience of the cluster of `clusterRef`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// Lifetime of the token in seconds, 600 to 3600. Default: 600.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 600, max = 3600))]
    pub token_expiration_seconds: i64,
}

/// Settings of JWT auth. Exactly one of `serviceAccount` and `secretRef` is required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.serviceAccount) != has(self.secretRef)", "jwt requires exactly one of serviceAccount and secretRef"))]
pub struct JwtMethod {
    /// Name of the role to log in as.
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// Name of the ServiceAccount whose token is used, in the namespace of the object that reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account: Option<String>,
    /// Name of the Secret that holds a JWT (key `jwt`), in the namespace of the object that reads. The Secret needs the
    /// label `steamer.dev/jwt: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
    /// Audiences of the ServiceAccount's token. An audience that the API server accepts is rejected. Default: the audience
    /// of the cluster of `clusterRef`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// Lifetime of the ServiceAccount's token in seconds, 600 to 3600. Default: 600.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 600, max = 3600))]
    pub token_expiration_seconds: i64,
}

fn ten_minutes() -> i64 {
    600
}

/// Login mode: inline with every read, or once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Inline {
    /// Inline with every read for JWT, once for Kubernetes.
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
