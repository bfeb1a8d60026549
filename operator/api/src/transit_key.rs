//! Kind TransitKey: an encryption or signing key in a Transit engine.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Lifecycle, LifecycleStatus, LongDuration, OwnedResources, Parameters, Placement};

/// An encryption or signing key in a Transit engine of OpenBao.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "TransitKey",
    plural = "transitkeys",
    namespaced,
    status = "TransitKeyStatus",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.latestVersion")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another TransitKey"))]
#[x_kube(validation = ("self.mount == oldSelf.mount", "mount is immutable: create another TransitKey"))]
#[x_kube(validation = ("self.type == oldSelf.type && self.derived == oldSelf.derived && self.convergentEncryption == oldSelf.convergentEncryption", "type, derived and convergentEncryption are immutable, because OpenBao cannot change them: create another TransitKey"))]
#[x_kube(validation = crate::rules::immutable!("keySize", "keySize is immutable, because OpenBao cannot change it: create another TransitKey"))]
#[x_kube(validation = ("self.exportable || !oldSelf.exportable", "exportable cannot become false, because OpenBao cannot undo it: create another TransitKey"))]
#[x_kube(validation = ("self.allowPlaintextBackup || !oldSelf.allowPlaintextBackup", "allowPlaintextBackup cannot become false, because OpenBao cannot undo it: create another TransitKey"))]
#[x_kube(validation = ("!self.convergentEncryption || self.derived", "convergentEncryption needs derived: true"))]
#[x_kube(validation = ("!has(self.keySize) || self.type == 'hmac'", "keySize is for type: hmac only"))]
#[x_kube(validation = ("!has(self.minDecryptionVersion) || !has(self.minEncryptionVersion) || self.minEncryptionVersion == 0 || self.minEncryptionVersion >= self.minDecryptionVersion", "minEncryptionVersion must be 0 (the latest version), or at least minDecryptionVersion"))]
pub struct TransitKeySpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the mount of the Transit engine. It must exist. Immutable. Default: `transit`.
    #[serde(default = "transit")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = crate::rules::MOUNT, validation = crate::rules::ENGINE_MOUNT)]
    pub mount: String,
    /// Name of the key in OpenBao. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rules::ENTRY_NAME)]
    pub name: Option<String>,
    /// Type of the key. Immutable. Default: `aes256-gcm96`.
    #[serde(default, rename = "type")]
    pub key_type: TransitKeyType,
    /// Size of an HMAC key in bytes, 32 to 512. Only for `type: hmac`. Immutable. Default: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 32, max = 512))]
    pub key_size: Option<i32>,
    /// `true` derives a key from each context that a request contains. Immutable. Default: `false`.
    #[serde(default)]
    pub derived: bool,
    /// `true` encrypts the same plain text with the same context to the same cipher text. It needs `derived: true`.
    /// Immutable. Default: `false`.
    #[serde(default)]
    pub convergent_encryption: bool,
    /// `true` lets clients with the right to `<mount>/export` read the key material. OpenBao cannot undo it. Default:
    /// `false`.
    #[serde(default)]
    pub exportable: bool,
    /// `true` lets clients with the right to `<mount>/backup` read the key material in plain text. OpenBao cannot undo it.
    /// Default: `false`.
    #[serde(default)]
    pub allow_plaintext_backup: bool,
    /// `true` lets other clients delete the key in OpenBao. `deletionPolicy: Delete` does not need it. Default: `false`.
    #[serde(default)]
    pub deletion_allowed: bool,
    /// Interval at which OpenBao rotates the key: `0s` (never), or 1h or more, in whole seconds. Default: `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) == duration('0s') || duration(self) >= duration('1h')", "autoRotatePeriod must be 0s (never), or at least 1h"))]
    #[x_kube(validation = crate::rules::WHOLE_SECONDS)]
    pub auto_rotate_period: Option<LongDuration>,
    /// Oldest version of the key that decrypts or verifies. Unset: not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_decryption_version: Option<i32>,
    /// Oldest version of the key that encrypts or signs. 0: only the latest one. Unset: not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_encryption_version: Option<i32>,
    /// Further parameters of the request that creates the key, such as `external_key_ref`. A later change has no effect.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Lifecycle of the key in OpenBao. `deletionPolicy: Retain` keeps the key, because data that it encrypted is lost
    /// without it. `Delete` sets `deletion_allowed` and deletes the key with all versions.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

fn transit() -> String {
    "transit".to_owned()
}

/// Type of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TransitKeyType {
    /// AES with 128 bits in GCM.
    #[serde(rename = "aes128-gcm96")]
    Aes128Gcm96,
    /// AES with 256 bits in GCM.
    #[default]
    #[serde(rename = "aes256-gcm96")]
    Aes256Gcm96,
    /// ChaCha20-Poly1305.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// ChaCha20-Poly1305 with an extended nonce.
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// HMAC.
    #[serde(rename = "hmac")]
    Hmac,
    /// Ed25519 signatures.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA with curve P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA with curve P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// ECDSA with curve P-521.
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    /// RSA with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA with 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// ML-DSA-44 signatures. Needs OpenBao 2.7.
    #[serde(rename = "mldsa-44")]
    MlDsa44,
    /// ML-DSA-65 signatures. Needs OpenBao 2.7.
    #[serde(rename = "mldsa-65")]
    MlDsa65,
    /// ML-DSA-87 signatures. Needs OpenBao 2.7.
    #[serde(rename = "mldsa-87")]
    MlDsa87,
    /// A key outside of OpenBao, which `parameters.external_key_ref` names.
    #[serde(rename = "external-key")]
    External,
}

/// Observed state of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitKeyStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
    /// Latest version of the key, as observed by the last reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<i64>,
}
