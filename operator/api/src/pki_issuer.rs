//! Kind PKIIssuer: a certificate authority of a PKI engine.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AllowedNamespaces, CommonStatus, Lifecycle, LifecycleStatus, LongDuration, OwnedResources, Parameters,
    Placement, Reference, rules,
};

/// A certificate authority of a PKI engine: a root, or an intermediate that another PKIIssuer signs.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "PKIIssuer",
    plural = "pkiissuers",
    namespaced,
    status = "PKIIssuerStatus",
    printcolumn(name = "Mount", type_ = "string", json_path = ".spec.mount"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.certificate.notAfter")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.root) != has(self.intermediate)", "set exactly one of root and intermediate"))]
#[x_kube(validation = ("has(self.root) == has(oldSelf.root)", "an issuer stays a root or an intermediate: create another PKIIssuer"))]
#[x_kube(validation = crate::rules::immutable!("issuerName", "issuerName is immutable: create another PKIIssuer"))]
pub struct PKIIssuerSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the PKI mount, such as `pki`. Immutable.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::ENGINE_MOUNT, validation = ("self == oldSelf", "mount is immutable: create another PKIIssuer"))]
    pub mount: String,
    /// Name of the issuer in the mount, and of its key. It always names the latest issuer: after a rotation, the former one
    /// has the name `<issuerName>-<start of its serial number>`. It must not be `default` and must not end with `-next`.
    /// Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = rules::PKI_NAME, validation = rules::ISSUER_NAME)]
    pub issuer_name: Option<String>,
    /// `true` makes the issuer the default issuer of the mount, in one PKIIssuer of the mount: in another one, it is a
    /// `Conflict`. `false` leaves the default issuer unchanged; OpenBao makes the first issuer of a mount the default.
    /// Default: `false`.
    #[serde(default)]
    pub default: bool,
    /// A self-signed certificate, generated in OpenBao. Its key never leaves OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootAuthority>,
    /// A certificate that another PKIIssuer signs. Its key is generated in OpenBao and never leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intermediate: Option<IntermediateAuthority>,
    /// Time before the expiration of the certificate at which an issuer with a new key replaces this one. The former issuer
    /// stays in the mount, so that its certificates and its CRL stay valid. At most half of the lifetime of the certificate,
    /// and longer than that of the certificates that it issues. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = rules::LONG_TIME)]
    pub renew_before: Option<String>,
    /// URLs in the certificates that the issuer signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<IssuerUrls>,
    /// Certificate revocation lists of the mount, in one PKIIssuer of the mount. Another PKIIssuer with them, or one of a
    /// SecretEngine whose `configs` contain `crl`, is a `Conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<CrlSettings>,
    /// Further parameters of the issuer, under the names of OpenBao's API (`<mount>/issuer/<name>`), such as
    /// `leaf_not_after_behavior: truncate`. A parameter that a field of this spec sets is not allowed here.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Namespaces whose PKIIssuers may be signed by this one. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Lifecycle of the issuer in OpenBao. A deletion keeps the issuers and their keys unless `deletionPolicy` is `Delete`.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// A self-signed certificate authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootAuthority {
    /// Contents of the certificate.
    #[serde(flatten)]
    pub certificate: AuthorityCertificate,
}

/// A certificate authority that another one signs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntermediateAuthority {
    /// PKIIssuer that signs the certificate, in any mount and cluster. Its `allowedNamespaces` must contain the namespace of
    /// this object. A change applies to the next certificate.
    pub parent_ref: Reference,
    /// Contents of the certificate.
    #[serde(flatten)]
    pub certificate: AuthorityCertificate,
}

/// Contents of the certificate of an authority. Changes apply to the next certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityCertificate {
    /// Common name (CN) of the authority. Immutable.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = ("self == oldSelf", "commonName is immutable: create another PKIIssuer"))]
    pub common_name: String,
    /// Organizations (O) of the subject. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64)))]
    pub organization: Vec<String>,
    /// Organizational units (OU) of the subject. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64)))]
    pub organizational_unit: Vec<String>,
    /// Countries (C) of the subject. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 2, max = 2)))]
    pub country: Vec<String>,
    /// Algorithm of the key. Default: `ec`.
    #[serde(default)]
    pub key_type: AuthorityKeyType,
    /// Length of the key in bits: 2048, 3072, 4096 or 8192 for `rsa`, 224, 256, 384 or 521 for `ec`. Default: 2048 for `rsa`,
    /// 256 for `ec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 224, max = 8192))]
    pub key_bits: Option<i64>,
    /// Lifetime of the certificate, such as `87600h` or `365d`. `maxLeaseTTL` of the mount of the authority that signs limits it.
    /// An intermediate must expire before its parent.
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = rules::LONG_TIME)]
    pub ttl: String,
    /// Number of authorities that may follow below this one. `0`: it signs only certificates that are no authority. Default:
    /// any number, as far as the parent allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub max_path_length: Option<i64>,
    /// Further parameters of the certificate, under the names of OpenBao's API (`<mount>/root/generate` and
    /// `<mount>/root/sign-intermediate`), such as `permitted_dns_domains: [example.com]`. A parameter that a field of this
    /// spec sets is not allowed here.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

/// Algorithm of the key of an authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityKeyType {
    /// ECDSA.
    #[default]
    Ec,
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl AuthorityKeyType {
    /// Name of the algorithm in OpenBao.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ec => "ec",
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// URLs in the certificates that an issuer signs. A list that is not set is left unchanged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerUrls {
    /// URLs of the certificate of the issuer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048)))]
    #[x_kube(validation = rules::CERTIFICATE_URLS)]
    pub issuing_certificates: Vec<String>,
    /// URLs of the CRL of the issuer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048)))]
    #[x_kube(validation = rules::CERTIFICATE_URLS)]
    pub crl_distribution_points: Vec<String>,
    /// URLs of OCSP responders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048)))]
    #[x_kube(validation = rules::CERTIFICATE_URLS)]
    pub ocsp_servers: Vec<String>,
}

/// Settings of the certificate revocation lists of a mount. A setting that is not set is left unchanged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrlSettings {
    /// Time after which a list expires, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub expiry: Option<LongDuration>,
    /// `true` rebuilds the lists before they expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rebuild: Option<bool>,
    /// Further parameters of `<mount>/config/crl`, under the names of OpenBao's API, such as `ocsp_expiry: 1h`.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

/// Observed state of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PKIIssuerStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
    /// The certificate of the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<AuthorityStatus>,
    /// ID of the issuer in the mount.
    #[serde(default, rename = "issuerID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub issuer_id: Option<String>,
}

/// The certificate of an authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityStatus {
    /// Serial number, as `<mount>/cert/<serial>` of OpenBao names it.
    #[schemars(length(max = 128))]
    pub serial: String,
    /// Time at which the certificate expires.
    pub not_after: Time,
    /// Common name (CN) of the certificate.
    #[schemars(length(max = 256))]
    pub common_name: String,
}
