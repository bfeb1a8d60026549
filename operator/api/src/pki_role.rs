//! Kind PKIRole: a role of a PKI engine.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, Lifecycle, LifecycleStatus, LongDuration, OwnedResources, Parameters, Placement, rules,
};

/// A role of a PKI engine: which certificates may be issued with it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "PKIRole",
    plural = "pkiroles",
    namespaced,
    status = "PKIRoleStatus",
    printcolumn(name = "Mount", type_ = "string", json_path = ".spec.mount"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another PKIRole"))]
#[x_kube(validation = ("!has(self.ttl) || !has(self.maxTTL) || duration(self.ttl) <= duration(self.maxTTL)", "ttl must be at most maxTTL"))]
pub struct PKIRoleSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the PKI mount, such as `pki`. Immutable.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::ENGINE_MOUNT, validation = ("self == oldSelf", "mount is immutable: create another PKIRole"))]
    pub mount: String,
    /// Name of the role in OpenBao. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::PKI_NAME)]
    pub name: Option<String>,
    /// Domains for which certificates may be issued. `allowBareDomains`, `allowSubdomains` and `allowGlobDomains` determine
    /// which names match. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = ("!self.exists(name, name.contains(','))", "each entry of allowedDomains is one domain: write several domains as several entries"))]
    pub allowed_domains: Vec<String>,
    /// `true` allows the domains themselves. Default: that of OpenBao, `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_bare_domains: Option<bool>,
    /// `true` allows all names below the domains, wildcards too. Default: that of OpenBao, `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_subdomains: Option<bool>,
    /// `true` allows patterns with `*` in `allowedDomains`. Default: that of OpenBao, `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_glob_domains: Option<bool>,
    /// `true` allows every name, regardless of `allowedDomains`. Default: that of OpenBao, `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_any_name: Option<bool>,
    /// `true` allows only host names as common name and DNS names. Default: that of OpenBao, `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_hostnames: Option<bool>,
    /// `true` allows IP addresses. Default: that of OpenBao, `true`.
    #[serde(default, rename = "allowIPSANs", skip_serializing_if = "Option::is_none")]
    pub allow_ip_sans: Option<bool>,
    /// URIs that a certificate may contain, with `*` for any text, such as `spiffe://example.com/*`. Default: none.
    #[serde(default, rename = "allowedURISANs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 2048)))]
    pub allowed_uri_sans: Vec<String>,
    /// Other names that a certificate may contain, each as `<OID>;UTF8:<pattern>`, or `*` for all. Default: none.
    #[serde(default, rename = "allowedOtherSANs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 1024)))]
    pub allowed_other_sans: Vec<String>,
    /// `true` issues certificates for servers. Default: that of OpenBao, `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_flag: Option<bool>,
    /// `true` issues certificates for clients. Default: that of OpenBao, `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_flag: Option<bool>,
    /// Algorithm of the keys: `any` allows all for certificate requests, and issues none with a key of OpenBao. Default: that
    /// of OpenBao, `rsa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<PKIKeyType>,
    /// Length of the keys in bits: 2048 to 8192 for `rsa`, 224 to 521 for `ec`, 0 for the default of the algorithm, which is
    /// 2048 for `rsa` and 256 for `ec`. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8192))]
    pub key_bits: Option<i64>,
    /// Usages of the key, such as `DigitalSignature`. An empty list: none. Default: those of OpenBao, `DigitalSignature`,
    /// `KeyAgreement` and `KeyEncipherment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub key_usage: Option<Vec<String>>,
    /// Further usages of the certificate, such as `CodeSigning`. Default: none besides those of `serverFlag` and `clientFlag`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)))]
    pub ext_key_usage: Vec<String>,
    /// Lifetime of a certificate whose request states none, in whole seconds. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub ttl: Option<LongDuration>,
    /// Longest lifetime of a certificate, in whole seconds. Default: that of the mount.
    #[serde(default, rename = "maxTTL", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub max_ttl: Option<LongDuration>,
    /// Name of the issuer in the mount that signs. A PKIIssuer that rotates keeps its name, so the role follows it. Default:
    /// the default issuer of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::PKI_NAME)]
    pub issuer_ref: Option<String>,
    /// `true` does not store certificates in OpenBao. They cannot be revoked by their serial number. Default: that of OpenBao,
    /// `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_store: Option<bool>,
    /// `false` allows certificates without a common name. Default: that of OpenBao, `true`.
    #[serde(default, rename = "requireCN", skip_serializing_if = "Option::is_none")]
    pub require_cn: Option<bool>,
    /// Further parameters of the endpoint `<mount>/roles/<name>`, under the names of OpenBao's API, such as
    /// `allow_localhost: false`. A parameter that a field of this spec sets is not allowed here.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Lifecycle of the role in OpenBao. A deletion removes the role with both deletion policies, because it is access.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Algorithm of the keys of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PKIKeyType {
    /// RSA.
    Rsa,
    /// ECDSA.
    Ec,
    /// Ed25519.
    Ed25519,
    /// Any algorithm.
    Any,
}

/// Observed state of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PKIRoleStatus {
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
