//! Seals of a managed cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SealPlugin;
use super::seal_rules;
use crate::common::yes;
use crate::{LocalReference, SecretKeyReference};

/// Seal that unseals OpenBao when it starts. Exactly one type is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = seal_rules::exactly_one_type())]
pub struct Seal {
    /// Static key in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#static: Option<StaticSeal>,
    /// Transit secrets engine of another OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit: Option<TransitSeal>,
    /// KMIP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kmip: Option<KmipSeal>,
    /// AWS KMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_kms: Option<AwsKmsSeal>,
    /// Google Cloud KMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp_kms: Option<GcpKmsSeal>,
    /// Azure Key Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_key_vault: Option<AzureKeyVaultSeal>,
    /// OCI KMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci_kms: Option<OciKmsSeal>,
    /// HSM with PKCS#11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11Seal>,
}

impl Seal {
    /// Returns the name of the field that is set, such as `static`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let Self { r#static, transit, kmip, aws_kms, gcp_kms, azure_key_vault, oci_kms, pkcs11: _ } = self;
        let kinds = [
            ("static", r#static.is_some()),
            ("transit", transit.is_some()),
            ("kmip", kmip.is_some()),
            ("awsKms", aws_kms.is_some()),
            ("gcpKms", gcp_kms.is_some()),
            ("azureKeyVault", azure_key_vault.is_some()),
            ("ociKms", oci_kms.is_some()),
        ];
        kinds.iter().find(|(_, is)| *is).map_or("pkcs11", |(kind, _)| *kind)
    }
}

/// Migration to another seal type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealMigration {
    /// Previous seal, as it was in `seal`.
    pub from: Seal,
}

/// Static key in a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticSeal {
    /// Secret that holds one entry per key ID: 32 raw bytes, or 64 hex or 44 Base64 characters without a newline. The
    /// data is unreadable without it, so it outlives the cluster unless `deletionPolicy` is `Delete`. Default:
    /// `<name>-seal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// ID of the key in use, an entry of the Secret. To rotate the key, add an entry and set its ID here. Default:
    /// `k1`.
    #[serde(default = "first_key")]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_.-]{1,64}$')", "keyId must be 1 to 64 letters, digits, dots, dashes and underscores"))]
    #[schemars(length(max = 64))]
    pub key_id: String,
    /// `true` generates the Secret if it does not exist and no data is sealed yet. Default: `true`.
    #[serde(default = "yes")]
    pub generate: bool,
}

fn first_key() -> String {
    "k1".to_owned()
}

/// Transit secrets engine of another OpenBao.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitSeal {
    /// URL of the other OpenBao.
    #[schemars(length(max = 512))]
    #[x_kube(validation = crate::rules::ADDRESS)]
    pub address: String,
    /// Path of the transit mount. Default: `transit`.
    #[serde(default = "transit")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = crate::rules::MOUNT)]
    pub mount: String,
    /// Name of the transit key.
    #[schemars(length(min = 1, max = 255))]
    pub key_name: String,
    /// OpenBao namespace of the transit mount. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = crate::rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Secret that holds a periodic token with the capability `update` on `<mount>/encrypt/<key>`,
    /// `<mount>/decrypt/<key>` and `auth/token/renew-self`.
    pub token_secret_ref: TokenReference,
    /// Secret that holds the CA certificate of the other OpenBao. Default: the system's CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
}

fn transit() -> String {
    "transit".to_owned()
}

/// Reference to a token in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret. Default: `token`.
    #[serde(default = "token")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn token() -> String {
    "token".to_owned()
}

/// KMIP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KmipSeal {
    /// Host and port of the server, such as `kmip.kms.svc:5696`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^[^/]+:[0-9]+$')", "endpoint must be a host and a port, such as kmip.kms.svc:5696"))]
    pub endpoint: String,
    /// ID of the key.
    #[schemars(length(min = 1, max = 255))]
    pub key_id: String,
    /// Secret that holds the client certificate and key (keys `tls.crt` and `tls.key`).
    pub client_cert_secret_ref: LocalReference,
    /// Secret that holds the CA certificate of the server.
    pub ca_secret_ref: SecretKeyReference,
    /// Name that the server's certificate must contain. Default: the host of `endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// AWS KMS. The identity of the pods is configured with the ServiceAccount's annotations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsKmsSeal {
    /// AWS region of the key.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// ID or ARN of the key.
    #[schemars(length(min = 1, max = 512))]
    pub kms_key_id: String,
    /// URL of the KMS service. Default: the AWS endpoint of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// Secret whose keys are set as environment variables, such as `AWS_ACCESS_KEY_ID`. Not required with workload
    /// identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Plugin of this seal. Required from OpenBao 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// Google Cloud KMS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpKmsSeal {
    /// Google Cloud project of the key ring.
    #[schemars(length(min = 1, max = 255))]
    pub project: String,
    /// Location of the key ring.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Name of the key ring.
    #[schemars(length(min = 1, max = 255))]
    pub key_ring: String,
    /// Name of the key.
    #[schemars(length(min = 1, max = 255))]
    pub crypto_key: String,
    /// Secret whose keys are set as environment variables. Not required with workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Plugin of this seal. Required from OpenBao 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureKeyVaultSeal {
    /// ID of the Microsoft Entra tenant.
    #[schemars(length(min = 1, max = 64))]
    pub tenant_id: String,
    /// Name of the key vault.
    #[schemars(length(min = 1, max = 127))]
    pub vault_name: String,
    /// Name of the key.
    #[schemars(length(min = 1, max = 127))]
    pub key_name: String,
    /// Secret whose keys are set as environment variables. Not required with workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Plugin of this seal. Required from OpenBao 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// OCI KMS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciKmsSeal {
    /// OCID of the key.
    #[schemars(length(min = 1, max = 512))]
    pub key_id: String,
    /// URL of the cryptographic endpoint.
    #[schemars(length(min = 1, max = 512))]
    pub crypto_endpoint: String,
    /// URL of the management endpoint.
    #[schemars(length(min = 1, max = 512))]
    pub management_endpoint: String,
    /// Secret whose keys are set as environment variables. Not required with workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Plugin of this seal. Required from OpenBao 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// HSM with PKCS#11. The PIN is the key `BAO_HSM_PIN` of the credentials Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pkcs11Seal {
    /// Path of the PKCS#11 library in the image.
    #[schemars(length(min = 1, max = 512))]
    pub lib: String,
    /// Label of the token.
    #[schemars(length(min = 1, max = 255))]
    pub token_label: String,
    /// Label of the key.
    #[schemars(length(min = 1, max = 255))]
    pub key_label: String,
    /// Secret whose keys are set as environment variables: `BAO_HSM_PIN`.
    pub credentials_secret_ref: LocalReference,
    /// Plugin of this seal. Required from OpenBao 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}
