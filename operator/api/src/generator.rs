//! Generators of secret values.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Generator of a value. Exactly one field is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.password), has(self.passwordPolicy), has(self.bytes), has(self.uuid), has(self.sshKey), has(self.tlsKey)].filter(set, set).size() == 1", "generate requires exactly one of password, passwordPolicy, bytes, uuid, sshKey and tlsKey"))]
pub struct Generator {
    /// Random password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordGenerator>,
    /// Password by a password policy of OpenBao (`sys/policies/password`), in the OpenBao namespace of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_policy: Option<PasswordPolicy>,
    /// Random bytes as text, such as a key for symmetric encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BytesGenerator>,
    /// Random UUID (version 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<UuidGenerator>,
    /// SSH key (Ed25519) in the format of OpenSSH. The property with the suffix `.pub` contains the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<SshKeyGenerator>,
    /// Private key for TLS, as PKCS #8 in PEM. The property with the suffix `.pub` contains the public key in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<TlsKeyGenerator>,
}

impl Generator {
    /// Returns true if the generator makes a key pair: two properties.
    #[must_use]
    pub fn makes_pair(&self) -> bool {
        self.ssh_key.is_some() || self.tls_key.is_some()
    }
}

/// Generator of a password. A class with the minimum 0 is not used. Each character is chosen uniformly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.minLowercase + self.minUppercase + self.minDigits + self.minSymbols <= self.length", "the minimums of a password must not exceed its length"))]
#[x_kube(validation = ("self.minLowercase + self.minUppercase + self.minDigits + self.minSymbols > 0", "a password needs a class of characters: set one of the minimums to 1 or more"))]
pub struct PasswordGenerator {
    /// Number of characters, 8 to 256. Default: 32.
    #[serde(default = "thirty_two")]
    #[schemars(range(min = 8, max = 256))]
    pub length: u16,
    /// Minimum number of lowercase letters. 0: none. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 256))]
    pub min_lowercase: u16,
    /// Minimum number of uppercase letters. 0: none. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 256))]
    pub min_uppercase: u16,
    /// Minimum number of digits. 0: none. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 256))]
    pub min_digits: u16,
    /// Minimum number of symbols. 0: none. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 256))]
    pub min_symbols: u16,
    /// Symbols to choose from, in ASCII. Default: `-._~`, which need no escape in a URL.
    #[serde(default = "symbols")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::SYMBOLS)]
    pub symbols: String,
}

impl Default for PasswordGenerator {
    fn default() -> Self {
        let (length, one) = (thirty_two(), one());
        let (min_lowercase, min_uppercase, min_digits) = (one, one, one);
        Self { length, min_lowercase, min_uppercase, min_digits, min_symbols: 0, symbols: symbols() }
    }
}

fn thirty_two() -> u16 {
    32
}

fn one() -> u16 {
    1
}

fn symbols() -> String {
    "-._~".to_owned()
}

/// Password policy of OpenBao.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordPolicy {
    /// Name of the policy.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::PASSWORD_POLICY)]
    pub name: String,
}

/// Generator of random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BytesGenerator {
    /// Number of bytes before they are encoded, 16 to 1024. Default: 32.
    #[serde(default = "thirty_two")]
    #[schemars(range(min = 16, max = 1024))]
    pub length: u16,
    /// `Base64`: the standard alphabet with padding. `Base64URL`: the alphabet for URLs without padding. `Hex`: lower-case
    /// digits. Default: `Base64`.
    #[serde(default)]
    pub encoding: BytesEncoding,
}

impl Default for BytesGenerator {
    fn default() -> Self {
        Self { length: thirty_two(), encoding: BytesEncoding::default() }
    }
}

/// Encoding of random bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BytesEncoding {
    /// Base64 with padding.
    #[default]
    Base64,
    /// Base64 for URLs, without padding.
    #[serde(rename = "Base64URL")]
    Base64Url,
    /// Hexadecimal digits in lower case.
    Hex,
}

/// Generator of a UUID. It has no settings: write `uuid: {}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UuidGenerator {}

/// Generator of an SSH key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshKeyGenerator {
    /// Comment of the key. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::SSH_COMMENT)]
    pub comment: Option<String>,
}

/// Generator of a private key for TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsKeyGenerator {
    /// Type of the key: `EC-P256`, `RSA-2048` or `RSA-4096`. Default: `EC-P256`.
    #[serde(default)]
    pub algorithm: TlsKeyAlgorithm,
}

/// Type of a private key for TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsKeyAlgorithm {
    /// Elliptic curve P-256.
    #[default]
    #[serde(rename = "EC-P256")]
    P256,
    /// RSA with 2048 bits.
    #[serde(rename = "RSA-2048")]
    Rsa2048,
    /// RSA with 4096 bits.
    #[serde(rename = "RSA-4096")]
    Rsa4096,
}
