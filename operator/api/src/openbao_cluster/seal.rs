use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SealPlugin;
use crate::{LocalReference, SecretKeyReference};

/// What opens OpenBao at its start. Exactly one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.static), has(self.transit), has(self.kmip), has(self.awsKms), has(self.gcpKms), has(self.azureKeyVault), has(self.ociKms), has(self.pkcs11)].filter(x, x).size() == 1", "seal needs exactly one of static, transit, kmip, awsKms, gcpKms, azureKeyVault, ociKms and pkcs11"))]
pub struct Seal {
    /// A key in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#static: Option<StaticSeal>,
    /// The transit engine of another OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit: Option<TransitSeal>,
    /// A KMIP server.
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
    /// An HSM by PKCS#11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11Seal>,
}

impl Seal {
    /// The field that is set, such as `static`.
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

/// A change of the seal's kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealMigration {
    /// The seal before, as it was in `seal`.
    pub from: Seal,
}

/// A key in a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticSeal {
    /// The Secret with one entry per key id: 32 raw bytes, or 64 hex or 44 Base64 characters without a newline. Default:
    /// `<name>-seal`. It outlives the cluster: without it the data cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// The entry in use. To rotate, add an entry and name it here. Default: `k1`.
    #[serde(default = "first_key")]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_.-]{1,64}$')", "keyId is 1 to 64 letters, digits, dots, dashes and underscores"))]
    #[schemars(length(max = 64))]
    pub key_id: String,
    /// Whether Steamer makes the Secret where there is none. Default: `true`.
    #[serde(default = "yes")]
    pub generate: bool,
}

fn first_key() -> String {
    "k1".to_owned()
}

fn yes() -> bool {
    true
}

/// The transit engine of another OpenBao.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitSeal {
    /// Its URL.
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+$')", "address is a URL without a path, such as https://seal.kms.svc:8200"))]
    pub address: String,
    /// Path of the engine. Default: `transit`.
    #[serde(default = "transit")]
    #[schemars(length(min = 1, max = 255))]
    pub mount: String,
    /// The key.
    #[schemars(length(min = 1, max = 255))]
    pub key_name: String,
    /// Its OpenBao namespace. Default: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub namespace: Option<String>,
    /// A periodic token that may `update` `<mount>/encrypt/<key>`, `<mount>/decrypt/<key>` and `auth/token/renew-self`.
    pub token_secret_ref: TokenReference,
    /// The CA of its certificate. Default: public CAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
}

fn transit() -> String {
    "transit".to_owned()
}

/// A token in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its key. Default: `token`.
    #[serde(default = "token")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn token() -> String {
    "token".to_owned()
}

/// A KMIP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KmipSeal {
    /// Host and port.
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^[^/]+:[0-9]+$')", "endpoint is host and port, such as kmip.kms.svc:5696"))]
    pub endpoint: String,
    /// Id of the key.
    #[schemars(length(min = 1, max = 255))]
    pub key_id: String,
    /// Secret with the client's certificate and key, `tls.crt` and `tls.key`.
    pub client_cert_secret_ref: LocalReference,
    /// The CA of the server's certificate.
    pub ca_secret_ref: SecretKeyReference,
    /// The name in the server's certificate. Default: the endpoint's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// AWS KMS. The pods' identity comes from the ServiceAccount's annotations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsKmsSeal {
    /// Region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Id or ARN of the key.
    #[schemars(length(min = 1, max = 512))]
    pub kms_key_id: String,
    /// URL of the service, where it is not AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// Secret whose keys become environment variables, such as `AWS_ACCESS_KEY_ID`; not needed with a workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// The plugin; needed from 2.7 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// Google Cloud KMS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpKmsSeal {
    /// Project.
    #[schemars(length(min = 1, max = 255))]
    pub project: String,
    /// Location of the key ring.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Key ring.
    #[schemars(length(min = 1, max = 255))]
    pub key_ring: String,
    /// Key.
    #[schemars(length(min = 1, max = 255))]
    pub crypto_key: String,
    /// Secret whose keys become environment variables; not needed with a workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// The plugin; needed from 2.7 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureKeyVaultSeal {
    /// Tenant.
    #[schemars(length(min = 1, max = 64))]
    pub tenant_id: String,
    /// Vault.
    #[schemars(length(min = 1, max = 127))]
    pub vault_name: String,
    /// Key.
    #[schemars(length(min = 1, max = 127))]
    pub key_name: String,
    /// Secret whose keys become environment variables; not needed with a workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// The plugin; needed from 2.7 on.
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
    /// URL for encryption.
    #[schemars(length(min = 1, max = 512))]
    pub crypto_endpoint: String,
    /// URL for management.
    #[schemars(length(min = 1, max = 512))]
    pub management_endpoint: String,
    /// Secret whose keys become environment variables; not needed with a workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// The plugin; needed from 2.7 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}

/// An HSM by PKCS#11. The PIN comes as `BAO_HSM_PIN` from the credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pkcs11Seal {
    /// Path of the HSM's library in the image.
    #[schemars(length(min = 1, max = 512))]
    pub lib: String,
    /// Label of the token.
    #[schemars(length(min = 1, max = 255))]
    pub token_label: String,
    /// Label of the key.
    #[schemars(length(min = 1, max = 255))]
    pub key_label: String,
    /// Secret whose keys become environment variables: `BAO_HSM_PIN`.
    pub credentials_secret_ref: LocalReference,
    /// The plugin; needed from 2.7 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<SealPlugin>,
}
