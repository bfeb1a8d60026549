//! PKCS #12 keystores. They are written with AES-256 and HMAC-SHA256, as all current versions of OpenSSL and Java read them.
//! Files with the former ciphers (3DES, RC2, SHA-1) can be read.

mod derivation;
mod encryption;
mod legacy;
mod mac;
mod oids;
mod password;
mod problem;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use reader::{Store, read};
pub(crate) use writer::{Contents, write};
