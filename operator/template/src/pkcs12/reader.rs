//! Reads a file.

use super::encryption::decrypt;
use super::password::Password;
use super::problem::{invalid, wrong};
use super::{mac, oids};
use crate::der::{EXPLICIT_0, IMPLICIT_0, OCTET_STRING, OID, Reader, SEQUENCE};
use crate::error::Fault;
use crate::scope::Scope;

/// Contents of a file, in DER.
#[derive(Default)]
pub(crate) struct Store {
    /// The first key in PKCS #8.
    pub(crate) key: Option<Vec<u8>>,
    /// Certificates in their order.
    pub(crate) certificates: Vec<Vec<u8>>,
}

/// Reads a file with its password.
///
/// # Errors
/// An error for another file, a wrong password, or a cipher that is not supported.
pub(crate) fn read(scope: &mut Scope, file: &[u8], password: &str) -> Result<Store, Fault> {
    let (contents, mac) = parts(file).ok_or_else(invalid)?;
    let mut chosen = Password::new(password);
    if let Some(mac) = mac {
        let verified = mac::verify(scope, mac, &chosen, contents);
        if verified == Err(wrong()) && password.is_empty() {
            chosen = Password::absent();
            mac::verify(scope, mac, &chosen, contents)?;
        } else {
            verified?;
        }
    }
    let mut store = Store::default();
    let mut safes = Reader::new(contents).inside(SEQUENCE).ok_or_else(invalid)?;
    while !safes.is_empty() {
        let safe = safes.inside(SEQUENCE).ok_or_else(invalid)?;
        store.add_safe(scope, safe, &chosen)?;
    }
    Ok(store)
}

/// The authenticated contents and the `MacData`.
fn parts(file: &[u8]) -> Option<(&[u8], Option<Reader<'_>>)> {
    let mut file = Reader::new(file);
    let mut pfx = file.inside(SEQUENCE).filter(|_| file.is_empty())?;
    let version = pfx.number()?;
    let mut safe = pfx.inside(SEQUENCE).filter(|_| version == 3)?;
    let id = safe.content(OID)?;
    let contents = safe.inside(EXPLICIT_0).filter(|_| id == oids::DATA)?.content(OCTET_STRING)?;
    Some((contents, pfx.inside(SEQUENCE)))
}

impl Store {
    fn add_safe(&mut self, scope: &mut Scope, safe: Reader<'_>, password: &Password) -> Result<(), Fault> {
        let mut safe = safe;
        let (id, content) = (safe.content(OID), safe.inside(EXPLICIT_0));
        let (id, mut content) = id.zip(content).ok_or_else(invalid)?;
        if id == oids::ENCRYPTED {
            let (algorithm, ciphertext) = encrypted(&mut content).ok_or_else(invalid)?;
            let plain = decrypt(scope, algorithm, password, ciphertext)?;
            return self.add_bags(scope, &plain, password);
        }
        let plain = content.content(OCTET_STRING).filter(|_| id == oids::DATA).ok_or_else(invalid)?;
        self.add_bags(scope, plain, password)
    }

    fn add_bags(&mut self, scope: &mut Scope, plain: &[u8], password: &Password) -> Result<(), Fault> {
        let mut bags = Reader::new(plain).inside(SEQUENCE).ok_or_else(wrong)?;
        while !bags.is_empty() {
            let mut bag = bags.inside(SEQUENCE).ok_or_else(invalid)?;
            let (id, value) = (bag.content(OID), bag.inside(EXPLICIT_0));
            let (id, value) = id.zip(value).ok_or_else(invalid)?;
            scope.step(1)?;
            self.add_bag(scope, (id, value), password)?;
        }
        Ok(())
    }

    fn add_bag(
        &mut self,
        scope: &mut Scope,
        (id, value): (&[u8], Reader<'_>),
        password: &Password,
    ) -> Result<(), Fault> {
        let mut value = value;
        match id {
            oids::CERTIFICATE => self.certificates.extend(certificate(&mut value)),
            oids::KEY if self.key.is_none() => {
                let inner = value.content(SEQUENCE).ok_or_else(invalid)?;
                self.key = Some(crate::der::sequence(&[inner]));
            }
            oids::SHROUDED_KEY if self.key.is_none() => {
                let (algorithm, ciphertext) = shrouded(&mut value).ok_or_else(invalid)?;
                self.key = Some(decrypt(scope, algorithm, password, ciphertext)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Algorithm and ciphertext of `EncryptedData`.
fn encrypted<'a>(content: &mut Reader<'a>) -> Option<(Reader<'a>, &'a [u8])> {
    let mut data = content.inside(SEQUENCE)?;
    data.number()?;
    let mut info = data.inside(SEQUENCE)?;
    info.content(OID).filter(|id| *id == oids::DATA)?;
    Some((info.inside(SEQUENCE)?, info.content(IMPLICIT_0)?))
}

/// Algorithm and ciphertext of an `EncryptedPrivateKeyInfo`.
fn shrouded<'a>(value: &mut Reader<'a>) -> Option<(Reader<'a>, &'a [u8])> {
    let mut info = value.inside(SEQUENCE)?;
    Some((info.inside(SEQUENCE)?, info.content(OCTET_STRING)?))
}

fn certificate(value: &mut Reader<'_>) -> Option<Vec<u8>> {
    let mut bag = value.inside(SEQUENCE)?;
    bag.content(OID).filter(|id| *id == oids::X509)?;
    bag.inside(EXPLICIT_0)?.content(OCTET_STRING).map(<[u8]>::to_vec)
}
