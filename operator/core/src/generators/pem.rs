//! Key pairs as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

/// A key pair as text.
pub(super) struct Pair {
    pub(super) private: SecretString,
    pub(super) public: SecretString,
}

/// A document in PEM. `width` is the length of its lines: OpenSSH writes 70 characters, all others 64.
pub(super) fn document(label: &str, der: &[u8], width: usize) -> SecretString {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(width) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text.into()
}
