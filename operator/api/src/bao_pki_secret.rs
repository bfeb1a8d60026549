//! Kind BaoPKISecret: a certificate of a PKI engine, issued into a Kubernetes Secret.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, Destination, Duration, Mode, PlannedChange, Reference, RolloutRestart,
    RolloutRestartTarget, SyncStatus, rules,
};

/// A certificate of a PKI engine, issued into a Kubernetes Secret and renewed before it expires.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoPKISecret",
    plural = "baopkisecrets",
    namespaced,
    status = "BaoPKISecretStatus",
    shortname = "bpki",
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.destination.name"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.certificate.notAfter")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.ttl) && has(self.notAfter))", "ttl and notAfter both determine when the certificate expires: write one of them"))]
#[x_kube(validation = ("!has(self.destination.type) || self.destination.type != 'kubernetes.io/tls' || !has(self.format) || self.format == 'pem'", "a Secret of type kubernetes.io/tls contains PEM: remove format, or choose another destination.type"))]
pub struct BaoPKISecretSpec {
    /// BaoAuth to log in with. Default: the BaoAuth `default` in this namespace, or else the BaoAuth `default` in the
    /// operator's namespace if it allows references from this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<Reference>,
    /// OpenBao namespace of the PKI engine. Default: the namespace of the BaoAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Path of the PKI mount, such as `pki`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::ENGINE_MOUNT)]
    pub mount: String,
    /// Role of the PKI engine that issues the certificate. The role must not have `generate_lease`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::PKI_NAME)]
    pub role: String,
    /// Name or ID of the issuer. Default: the issuer of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::PKI_NAME)]
    pub issuer_ref: Option<String>,
    /// Common name (CN) of the certificate. Default: none, which the role must allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub common_name: Option<String>,
    /// DNS names and e-mail addresses of the certificate. Default: none besides `commonName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 320)))]
    #[x_kube(validation = ("!self.exists(name, name.contains(','))", "each entry of altNames is one name: write several names as several entries"))]
    pub alt_names: Vec<String>,
    /// IP addresses of the certificate. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 45)))]
    #[x_kube(validation = ("self.all(address, isIP(address))", "each entry of ipSans must be an IP address, such as 10.0.0.1"))]
    pub ip_sans: Vec<String>,
    /// URIs of the certificate. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 2048)))]
    pub uri_sans: Vec<String>,
    /// Other names of the certificate, each as `<OID>;UTF8:<text>`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 1024)))]
    pub other_sans: Vec<String>,
    /// User IDs of the subject (OID 0.9.2342.19200300.100.1.1). Default: none.
    #[serde(default, rename = "userIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub user_ids: Vec<String>,
    /// Requested lifetime of the certificate, such as `720h` or `30d`. Default: that of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = ("self.matches('^(([0-9]{1,8}([.][0-9]{1,9})?[hms])+|[0-9]{1,5}d)$')", "ttl must be a duration with its unit, such as 30m, 720h or 30d"))]
    pub ttl: Option<String>,
    /// Time at which the certificate expires, in UTC, such as `2027-01-31T00:00:00Z`. It is not renewed then: set a new time
    /// before. Default: computed from `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 20))]
    #[x_kube(validation = ("self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$')", "notAfter must be a time in UTC, such as 2027-01-31T00:00:00Z"))]
    pub not_after: Option<String>,
    /// Encoding of certificates and key: `pem`, `der` (in Base64), or `pem_bundle` (the key `certificate` contains the
    /// private key, the certificate and its CAs). Default: `pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<CertificateFormat>,
    /// Encoding of the private key: `der` and `pem` are the encoding of the algorithm, such as PKCS #1, and `pkcs8` is PKCS
    /// #8. Default: `der`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_format: Option<PrivateKeyFormat>,
    /// `true` does not add `commonName` to the DNS names and e-mail addresses. Default: `false`.
    #[serde(default, rename = "excludeCNFromSans")]
    pub exclude_cn_from_sans: bool,
    /// Time before the expiration at which the certificate is renewed. Unset, or more than nine tenths of the lifetime:
    /// after two thirds of the lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_offset: Option<Duration>,
    /// `true` revokes a certificate that was replaced, once the Secret contains the new one, and the last certificate when
    /// this object is deleted. Default: `false`.
    #[serde(default)]
    pub revoke: bool,
    /// `true` removes the keys of a Secret that outlives this object when this object is deleted. Default: `false`.
    #[serde(default)]
    pub clear: bool,
    /// Kubernetes Secret to write. Type `kubernetes.io/tls`: `tls.crt` with the intermediate certificates, `tls.key` and
    /// `ca.crt`. Other types: the fields of OpenBao's answer.
    pub destination: Destination,
    /// Workloads of the namespace to restart when the data of the Secret changes. The creation of the Secret, a change of
    /// its labels and the repair of an edit restart nothing. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rollout_restart_targets: Vec<RolloutRestartTarget>,
    /// How workloads are restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_restart: Option<RolloutRestart>,
    /// `Enforce` issues certificates and writes the Kubernetes Secret. `Observe` issues and writes nothing: it lists the keys
    /// that would be written and the workloads that would be restarted in `status.plan`. A certificate that was issued
    /// before is not renewed and can expire. Default: `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// `true` stops renewals and leaves the Kubernetes Secret unchanged. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// Encoding of certificates and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CertificateFormat {
    /// PEM.
    #[serde(rename = "pem")]
    Pem,
    /// DER in Base64.
    #[serde(rename = "der")]
    Der,
    /// PEM, with everything in one key.
    #[serde(rename = "pem_bundle")]
    PemBundle,
}

/// Encoding of the private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PrivateKeyFormat {
    /// The encoding of the algorithm.
    #[serde(rename = "der")]
    Der,
    /// The encoding of the algorithm.
    #[serde(rename = "pem")]
    Pem,
    /// PKCS #8.
    #[serde(rename = "pkcs8")]
    Pkcs8,
}

/// Observed state of an issued certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoPKISecretStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// The Kubernetes Secret, and the restarts of its consumers.
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// The certificate that the Secret contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<IssuedCertificate>,
    /// State of the last sync, in a format of the operator: digests of the request and the content, and serial numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub stamp: Option<String>,
    /// Pending changes, with `mode: Observe`: the request, and names of keys and workloads, without values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// Serial number, as `<mount>/cert/<serial>` of OpenBao names it.
    #[schemars(length(max = 128))]
    pub serial: String,
    /// Time at which the certificate expires.
    pub not_after: Time,
}
