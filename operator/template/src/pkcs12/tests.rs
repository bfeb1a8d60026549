//! Files of OpenSSL, and files that are written and read.

use super::encryption::encrypt;
use super::mac;
use super::password::Password;
use super::problem::wrong;
use super::reader::{Store, read};
use super::writer::{Contents, write};
use crate::Limits;
use crate::error::Fault;
use crate::scope::Scope;

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
fn a_salt_does_not_depend_on_the_password() {
    let [one, two] = ["one", "two"].map(|password| {
        let password = Password::new(password);
        let (algorithm, ciphertext) = encrypt(&mut scope(), &password, b"plain").unwrap();
        (algorithm, ciphertext, mac::sign(&mut scope(), &password, b"contents").unwrap())
    });
    assert!(one.0 == two.0 && one.1 != two.1);
    // The end contains the salt and the iterations.
    assert!(one.2 != two.2 && one.2[one.2.len() - 22..] == two.2[two.2.len() - 22..]);
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
