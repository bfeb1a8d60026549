//! Writes a file.

use aws_lc_rs::digest;

use super::encryption::encrypt;
use super::password::Password;
use super::{mac, oids};
use crate::der::{self, BMP_STRING, EXPLICIT_0, IMPLICIT_0, SET};
use crate::error::Fault;
use crate::scope::Scope;

/// Contents of a file, in DER.
pub(crate) struct Contents<'a> {
    /// A key in PKCS #8, which belongs to the first certificate. None: the certificates are trusted CAs.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) certificates: &'a [Vec<u8>],
}

/// Writes a file. Equal contents have an equal file within an object, so that a refresh does not change a Secret.
pub(crate) fn write(scope: &mut Scope, contents: &Contents<'_>, password: &str) -> Result<Vec<u8>, Fault> {
    let password = Password::new(password);
    let certificates = encrypted(scope, &contents.certificate_bags(), &password)?;
    let mut safes = certificates;
    if let Some(key) = contents.key {
        let bag = contents.key_bag(scope, key, &password)?;
        safes.extend(data(&der::sequence(&[&bag])));
    }
    let safes = der::sequence(&[&safes]);
    let mac = mac::sign(scope, &password, &safes)?;
    Ok(der::sequence(&[&der::integer(&[3]), &data(&safes), &mac]))
}

/// `ContentInfo` with plain bytes.
fn data(bytes: &[u8]) -> Vec<u8> {
    let content = der::element(EXPLICIT_0, &[&der::octets(bytes)]);
    der::sequence(&[&der::oid(oids::DATA), &content])
}

/// `ContentInfo` with encrypted bytes.
fn encrypted(scope: &mut Scope, bytes: &[u8], password: &Password) -> Result<Vec<u8>, Fault> {
    let (algorithm, ciphertext) = encrypt(scope, password, bytes)?;
    let content = der::element(IMPLICIT_0, &[&ciphertext]);
    let info = der::sequence(&[&der::oid(oids::DATA), &algorithm, &content]);
    let data = der::sequence(&[&der::integer(&[0]), &info]);
    Ok(der::sequence(&[&der::oid(oids::ENCRYPTED), &der::element(EXPLICIT_0, &[&data])]))
}

impl Contents<'_> {
    fn certificate_bags(&self) -> Vec<u8> {
        let bags: Vec<Vec<u8>> =
            self.certificates.iter().zip(1..).map(|it| self.certificate_bag(it)).collect();
        der::sequence(&bags.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn certificate_bag(&self, (certificate, position): (&Vec<u8>, usize)) -> Vec<u8> {
        let value = der::element(EXPLICIT_0, &[&der::octets(certificate)]);
        let value = der::sequence(&[&der::oid(oids::X509), &value]);
        let attributes = match self.key {
            None => trusted(position),
            Some(_) if position == 1 => self.key_id(),
            Some(_) => Vec::new(),
        };
        bag(oids::CERTIFICATE, &value, &attributes)
    }

    fn key_bag(&self, scope: &mut Scope, key: &[u8], password: &Password) -> Result<Vec<u8>, Fault> {
        let (algorithm, ciphertext) = encrypt(scope, password, key)?;
        let value = der::sequence(&[&algorithm, &der::octets(&ciphertext)]);
        Ok(bag(oids::SHROUDED_KEY, &value, &self.key_id()))
    }

    /// The attribute that connects the key with its certificate.
    fn key_id(&self) -> Vec<u8> {
        let certificate = self.certificates.first().map_or(&[][..], Vec::as_slice);
        let id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
        attribute(oids::KEY_ID, &der::octets(id.as_ref()))
    }
}

/// The attributes of a trusted certificate. Java requires a name for each.
fn trusted(position: usize) -> Vec<u8> {
    let name: Vec<u8> = format!("ca-{position}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let name = attribute(oids::NAME, &der::element(BMP_STRING, &[&name]));
    [name, attribute(oids::TRUSTED, &der::oid(oids::ANY_USAGE))].concat()
}

fn attribute(id: &[u8], value: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::oid(id), &der::element(SET, &[value])])
}

fn bag(id: &[u8], value: &[u8], attributes: &[u8]) -> Vec<u8> {
    let value = der::element(EXPLICIT_0, &[value]);
    let attributes = if attributes.is_empty() { Vec::new() } else { der::element(SET, &[attributes]) };
    der::sequence(&[&der::oid(id), &value, &attributes])
}
