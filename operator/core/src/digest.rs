//! Digests and random values in lower-case hex.

use aws_lc_rs::{digest, rand};

use crate::error::Error;

/// Lower-case hex. OpenBao folds the case of policy names, so two different Base64 names can become the same name.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}

/// SHA-256 in hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// 32 random bytes in hex.
///
/// # Errors
/// When the system provides no random numbers.
pub fn random_hex() -> Result<String, Error> {
    Ok(hex(&random()?))
}

/// 32 random bytes.
///
/// # Errors
/// When the system provides no random numbers.
pub fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(bytes)
}
