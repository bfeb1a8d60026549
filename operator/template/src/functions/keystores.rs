//! PKCS #12 keystores, with the functions of External Secrets Operator. They are read as bytes, and written in Base64.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::certificates::{CERTIFICATE, certificates, ordered};
use super::keys::private;
use super::signature::Parameter::String as Str;
use super::signature::{Function, lossy, text};
use crate::error::Fault;
use crate::item::Item;
use crate::pem::Block;
use crate::pkcs12::{Contents, Store, read, write};
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("pkcs12key", &[Str], |scope, args| key(scope, text(args, 0), "")),
    Function::new("pkcs12keyPass", &[Str, Str], |scope, args| key(scope, text(args, 1), &lossy(args, 0))),
    Function::new("pkcs12cert", &[Str], |scope, args| chain(scope, text(args, 0), "")),
    Function::new("pkcs12certPass", &[Str, Str], |scope, args| chain(scope, text(args, 1), &lossy(args, 0))),
    Function::new("pemToPkcs12", &[Str, Str], |scope, args| keystore(scope, args, Chain::First)),
    Function::new("pemToPkcs12Pass", &[Str, Str, Str], |scope, args| keystore(scope, args, Chain::First)),
    Function::new("fullPemToPkcs12", &[Str, Str], |scope, args| keystore(scope, args, Chain::All)),
    Function::new("fullPemToPkcs12Pass", &[Str, Str, Str], |scope, args| keystore(scope, args, Chain::All)),
    Function::new("pemTruststoreToPKCS12", &[Str], truststore),
    Function::new("pemTruststoreToPKCS12Pass", &[Str, Str], truststore),
];

/// Certificates that are written.
#[derive(Clone, Copy)]
enum Chain {
    First,
    All,
}

fn key(scope: &mut Scope, file: &[u8], password: &str) -> Result<Item, Fault> {
    let Store { key, .. } = read(scope, file, password)?;
    let key = key.ok_or(Fault::new("the PKCS #12 file contains no private key"))?;
    scope.string(Block::new("PRIVATE KEY", &key).text())
}

/// The certificates from the leaf to the root. Those that are not one chain keep their order.
fn chain(scope: &mut Scope, file: &[u8], password: &str) -> Result<Item, Fault> {
    let Store { certificates, .. } = read(scope, file, password)?;
    let certificates = match ordered(scope, &certificates) {
        Ok(ordered) => ordered,
        Err(Fault::Failed(_)) if !certificates.is_empty() => certificates,
        Err(error) => return Err(error),
    };
    let text: String = certificates.iter().map(|bytes| Block::new(CERTIFICATE, bytes).text()).collect();
    scope.string(text)
}

/// Certificates, a key, and a password if there is one.
fn keystore(scope: &mut Scope, args: &[Item], chain: Chain) -> Result<Item, Fault> {
    let mut certificates = certificates(scope, args, 0)?;
    if let Chain::First = chain {
        certificates.truncate(1);
    }
    let key = private(scope, args, 1)?;
    let contents = Contents { key: Some(&key), certificates: &certificates };
    written(scope, &contents, &lossy(args, 2))
}

fn truststore(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let certificates = certificates(scope, args, 0)?;
    written(scope, &Contents { key: None, certificates: &certificates }, &lossy(args, 1))
}

fn written(scope: &mut Scope, contents: &Contents<'_>, password: &str) -> Result<Item, Fault> {
    let file = write(scope, contents, password)?;
    scope.string(BASE64_STANDARD.encode(file))
}
