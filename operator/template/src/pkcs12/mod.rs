//! PKCS #12 keystores. They are written with AES-256 and HMAC-SHA256, as all current versions of OpenSSL and Java read them.
//! Files with the former ciphers (3DES, RC2, SHA-1) can be read.

mod derivation;
mod encryption;
mod mac;
mod oids;
mod reader;
mod writer;

pub(crate) use reader::{Store, read};
pub(crate) use writer::{Contents, write};

use crate::error::Fault;

/// A password in the encodings of keys and of ciphers.
pub(crate) struct Password {
    /// UTF-8, for PBES2.
    text: Vec<u8>,
    /// UTF-16 with a zero at its end, for the derivation of PKCS #12.
    wide: Vec<u8>,
}

impl Password {
    pub(crate) fn new(text: &str) -> Self {
        let wide = text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
        Self { text: text.as_bytes().to_vec(), wide }
    }

    /// An empty password without the zero at its end: some programs omit it.
    fn absent() -> Self {
        Self { text: Vec::new(), wide: Vec::new() }
    }
}

fn invalid() -> Fault {
    Fault::new("the argument is not a PKCS #12 file in DER: decode it with b64dec if it is Base64")
}

fn unsupported() -> Fault {
    Fault::new("the PKCS #12 file uses a cipher or digest that is not supported")
}

fn wrong() -> Fault {
    Fault::new("the password of the PKCS #12 file is wrong, or the file is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, scope::Scope};

    fn scope() -> Scope {
        Scope::new(&Limits::default())
    }

    /// Written by OpenSSL with the password `pässword`: a key, its certificate and a CA.
    const MODERN: &[u8] = include_bytes!("../../golden/modern.p12");
    /// As above with 3DES for the key, RC2 with 40 bits for the certificates, and SHA-1.
    const LEGACY: &[u8] = include_bytes!("../../golden/legacy.p12");
    const PASSWORD: &str = "pässword";

    #[test]
    fn files_of_openssl_are_read() {
        let modern = read(&mut scope(), MODERN, PASSWORD).ok().unwrap();
        let legacy = read(&mut scope(), LEGACY, PASSWORD).ok().unwrap();
        assert!(modern.key.is_some() && modern.certificates.len() == 2);
        assert!(modern.key == legacy.key && modern.certificates == legacy.certificates);
    }

    #[test]
    fn a_wrong_password_and_a_damaged_file_are_refused() {
        for file in [MODERN, LEGACY] {
            let error = read(&mut scope(), file, "wrong").err().unwrap();
            assert_eq!(error, wrong());
            let mut damaged = file.to_vec();
            damaged[file.len() / 2] ^= 1;
            assert!(read(&mut scope(), &damaged, PASSWORD).is_err());
            assert!(read(&mut scope(), &file[..file.len() - 1], PASSWORD).is_err());
        }
    }

    #[test]
    fn a_written_file_is_read_and_does_not_change() {
        let Store { key, certificates } = read(&mut scope(), MODERN, PASSWORD).ok().unwrap();
        for password in ["", "x", "p\u{1f600}"] {
            let contents = Contents { key: key.as_deref(), certificates: &certificates };
            let file = write(&mut scope(), &contents, password).unwrap();
            assert!(file == write(&mut scope(), &contents, password).unwrap());
            let found = read(&mut scope(), &file, password).ok().unwrap();
            assert!(found.key == key && found.certificates == certificates);
            assert!(read(&mut scope(), &file, "other").is_err());
        }
    }

    #[test]
    fn the_iterations_of_a_file_are_bounded() {
        let mut scope = Scope::new(&Limits { steps: 1000, ..Limits::default() });
        assert!(matches!(read(&mut scope, MODERN, PASSWORD), Err(Fault::Limit(_))));
    }

    proptest::proptest! {
        #[test]
        fn a_changed_file_is_read_without_a_panic(at in 0..MODERN.len(), byte: u8) {
            let mut file = MODERN.to_vec();
            file[at] = byte;
            let mut scope = Scope::new(&Limits { steps: 20_000, ..Limits::default() });
            let _ = read(&mut scope, &file, PASSWORD);
        }
    }
}
