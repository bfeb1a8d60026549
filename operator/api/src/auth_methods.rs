//! Settings of the auth methods of BaoAuth and BaoAuthGlobal. Fields that a method requires are optional here, because a
//! BaoAuth and its BaoAuthGlobal can each state a part of them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// An auth method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoginMethod {
    /// OpenBao validates a ServiceAccount token with the TokenReview API.
    Kubernetes,
    /// OpenBao verifies the signature of a JWT.
    JWT,
    /// A role ID and a secret ID.
    AppRole,
    /// A TLS client certificate.
    Cert,
    /// A user of OpenBao and its password.
    UserPass,
    /// A user of an LDAP directory and its password.
    LDAP,
    /// A token.
    Token,
    /// An AWS identity, which signs a request.
    AWS,
    /// A Google service account.
    GCP,
}

/// Settings of Kubernetes auth. `role` and `serviceAccount` are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesMethod {
    /// Name of the role to log in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub role: Option<String>,
    /// Name of the ServiceAccount, in the namespace of the object that reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account: Option<String>,
    /// Audiences of the ServiceAccount's token. An audience that the API server accepts is rejected: OpenBao could use
    /// such a token to access the Kubernetes API. Default: the audience of the cluster of `clusterRef`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// Lifetime of the token in seconds, 600 to 3600. Default: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 3600))]
    pub token_expiration_seconds: Option<i64>,
}

/// Settings of JWT auth. `role`, and exactly one of `serviceAccount` and `secretRef`, are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtMethod {
    /// Name of the role to log in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub role: Option<String>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 3600))]
    pub token_expiration_seconds: Option<i64>,
}

/// Settings of AppRole auth. `roleId`, and exactly one of `secretRef` and `secretIDPath`, are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppRoleMethod {
    /// Role ID of the role to log in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub role_id: Option<String>,
    /// Name of the Secret that holds the secret ID (key `id`), in the namespace of the object that reads. The Secret needs
    /// the label `steamer.dev/login: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
    /// Path of a file in the operator's pod that holds the secret ID. Only for a BaoAuth in the namespace of the operator.
    #[serde(default, rename = "secretIDPath", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 2, max = 512),
        regex(pattern = r"^(/[A-Za-z0-9_-]([A-Za-z0-9._-]*[A-Za-z0-9_-])?)+$")
    )]
    pub secret_id_path: Option<String>,
}

/// Settings of certificate auth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertMethod {
    /// Name of the certificate role to log in as. Default: OpenBao tries all roles of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub role: Option<String>,
    /// Name of the Secret that holds the client certificate and its key (keys `tls.crt` and `tls.key`), in the namespace of
    /// the object that reads. The Secret needs the label `steamer.dev/login: "true"`. Default: the client certificate of the
    /// BaoConnection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
}

/// Settings of auth with user and password. Both fields are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordMethod {
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[^/\x00-\x1f\x7f]*[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*$")
    )]
    pub username: Option<String>,
    /// Name of the Secret that holds the password (key `password`), in the namespace of the object that reads. The Secret
    /// needs the label `steamer.dev/login: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
}

/// Settings of auth with a token. `secretRef` is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenMethod {
    /// Name of the Secret that holds the token (key `token`), in the namespace of the object that reads. The Secret needs
    /// the label `steamer.dev/login: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
}

/// Settings of AWS auth (type `iam`). The BaoAuth and its BaoAuthGlobal must be in the namespace of the object that reads, or of
/// the operator. `role`, and exactly one of `secretRef` and `irsaServiceAccount`, are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsMethod {
    /// Name of the role to log in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub role: Option<String>,
    /// AWS region of the STS endpoint, for which the request is signed. Default: `us-east-1` with the global endpoint
    /// `https://sts.amazonaws.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub region: Option<String>,
    /// Value of the header `X-Vault-AWS-IAM-Server-ID`, if the auth mount requires it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[!-~]([ -~]*[!-~])?$"))]
    pub header_value: Option<String>,
    /// Name of the session of the assumed role, with `irsaServiceAccount`. Default: `steamer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = r"^[A-Za-z0-9_+=,.@-]+$"))]
    pub session_name: Option<String>,
    /// STS endpoint that the auth mount uses, and that issues the credentials of `irsaServiceAccount`, such as
    /// `https://sts.eu-west-1.amazonaws.com`. Another host than those of STS requires that the BaoAuth and its BaoAuthGlobal
    /// are in the same namespace. Default: that of `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::ADDRESS, validation = rules::ENCRYPTED)]
    pub sts_endpoint: Option<String>,
    /// Name of the Secret that holds an access key (keys `access_key_id`, `secret_access_key` and optionally
    /// `session_token`), in the namespace of the object that reads. The Secret needs the label `steamer.dev/login: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_ref: Option<String>,
    /// Name of the ServiceAccount whose token is exchanged for credentials of the AWS role in its annotation
    /// `eks.amazonaws.com/role-arn`, in the namespace of the object that reads. Its annotation `steamer.dev/cloud-audiences`
    /// must contain the audience in its annotation `eks.amazonaws.com/audience`, or else `sts.amazonaws.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub irsa_service_account: Option<String>,
}

/// Settings of GCP auth (type `iam`), with workload identity of GKE. The BaoAuth and its BaoAuthGlobal must be in the namespace
/// of the object that reads, or of the operator. All fields except the endpoints are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpMethod {
    /// Name of the role to log in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub role: Option<String>,
    /// Name of the ServiceAccount that acts as the Google service account in its annotation
    /// `iam.gke.io/gcp-service-account`, in the namespace of the object that reads. Its annotation
    /// `steamer.dev/cloud-audiences` must contain `<projectID>.svc.id.goog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub workload_identity_service_account: Option<String>,
    /// Region or zone of the GKE cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub region: Option<String>,
    /// Name of the GKE cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub cluster_name: Option<String>,
    /// ID of the Google Cloud project of the GKE cluster.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$"))]
    pub project_id: Option<String>,
    /// Endpoint of the Security Token Service. Another host than those of the service requires that the BaoAuth and its
    /// BaoAuthGlobal are in the same namespace. Default: `https://sts.googleapis.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::ADDRESS, validation = rules::ENCRYPTED)]
    pub sts_endpoint: Option<String>,
    /// Endpoint of the IAM Service Account Credentials API, with the rule of `stsEndpoint`. Default:
    /// `https://iamcredentials.googleapis.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::ADDRESS, validation = rules::ENCRYPTED)]
    pub iam_endpoint: Option<String>,
}
