//! Certificates in PEM, with the functions of External Secrets Operator.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;

use super::signature::Parameter::String as Str;
use super::signature::{Function, lossy, text};
use crate::error::Fault;
use crate::item::Item;
use crate::pem::{Block, blocks};
use crate::scope::Scope;

/// Label of a certificate.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";
/// Most certificates of a text.
const MOST: usize = 100;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("filterPEM", &[Str, Str], filter),
    Function::new("filterCertChain", &[Str, Str], part_of_chain),
    Function::new("certSANs", &[Str], names),
];

/// The blocks of a text, from its first one.
pub(super) fn parsed(scope: &mut Scope, args: &[Item], index: usize) -> Result<Vec<Block>, Fault> {
    let text = lossy(args, index);
    scope.allocate(text.len() * 2)?;
    blocks(scope, text.find("-----BEGIN").map_or("", |start| &text[start..]))
}

/// The certificates of a text, in DER.
pub(super) fn certificates(scope: &mut Scope, args: &[Item], index: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let blocks = parsed(scope, args, index)?;
    if blocks.is_empty() || blocks.len() > MOST {
        return Err(Fault::new(format!("the argument must contain 1 to {MOST} certificates in PEM")));
    }
    let verified = |block: Block| -> Result<Vec<u8>, Fault> {
        certificate(&block.bytes)?;
        Ok(block.bytes)
    };
    blocks.into_iter().map(verified).collect()
}

fn certificate(der: &[u8]) -> Result<X509Certificate<'_>, Fault> {
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Fault::new("a PEM block of the argument is not a certificate")),
    }
}

fn filter(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let (label, blocks) = (lossy(args, 0), parsed(scope, args, 1)?);
    if blocks.is_empty() && !text(args, 1).is_empty() {
        return Err(Fault::new("the argument contains no PEM block"));
    }
    let chosen = blocks.iter().filter(|block| block.label.eq_ignore_ascii_case(&label));
    let texts: String = chosen.map(Block::text).collect();
    scope.string(texts)
}

/// A certificate in a chain. Key IDs connect the certificates.
struct Link {
    bytes: Vec<u8>,
    key: Vec<u8>,
    issuer: Option<Vec<u8>>,
}

impl Link {
    fn of(bytes: Vec<u8>) -> Result<Self, Fault> {
        let certificate = certificate(&bytes)?;
        let (mut key, mut issuer) = (Vec::new(), None);
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => key = id.0.to_vec(),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    issuer = id.key_identifier.as_ref().map(|id| id.0.to_vec())
                }
                _ => {}
            }
        }
        Ok(Self { bytes, key, issuer })
    }

    fn is_root(&self) -> bool {
        self.issuer.as_ref().is_none_or(|issuer| *issuer == self.key)
    }

    fn text(&self) -> String {
        Block::new(CERTIFICATE, &self.bytes).text()
    }
}

/// The certificates from the leaf to the root. None of them is verified.
///
/// # Errors
/// An error for certificates that are not one chain.
pub(super) fn ordered(scope: &mut Scope, certificates: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Fault> {
    Ok(chain(scope, certificates)?.into_iter().map(|link| link.bytes).collect())
}

fn chain(scope: &mut Scope, certificates: &[Vec<u8>]) -> Result<Vec<Link>, Fault> {
    scope.step(certificates.len() * certificates.len())?;
    let links: Vec<Link> = certificates.iter().cloned().map(Link::of).collect::<Result<_, _>>()?;
    let parents: Vec<Option<usize>> = (0..links.len()).map(|index| parent(&links, index)).collect();
    let mut leaves = (0..links.len()).filter(|index| !parents.contains(&Some(*index)));
    let (Some(leaf), None) = (leaves.next(), leaves.next()) else {
        return Err(Fault::new("the certificates are not one chain: there must be exactly one leaf"));
    };
    let order: Vec<usize> =
        std::iter::successors(Some(leaf), |index| parents[*index]).take(links.len() + 1).collect();
    if order.len() > links.len() {
        return Err(Fault::new("the certificates are not one chain: they sign each other"));
    }
    let mut found: Vec<Option<Link>> = links.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| found[index].take()).collect())
}

/// Position of the certificate that signed the one at `index`.
fn parent(links: &[Link], index: usize) -> Option<usize> {
    let issuer = links[index].issuer.as_deref().unwrap_or_default();
    (0..links.len()).find(|other| *other != index && links[*other].key == issuer)
}

fn part_of_chain(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let certificates = certificates(scope, args, 1)?;
    let chain = chain(scope, &certificates)?;
    let texts: String = match text(args, 0) {
        b"leaf" => chain.first().filter(|link| !link.is_root()).map(Link::text).unwrap_or_default(),
        b"intermediate" => chain.iter().skip(1).take_while(|link| !link.is_root()).map(Link::text).collect(),
        b"root" => chain.last().filter(|link| link.is_root()).map(Link::text).unwrap_or_default(),
        _ => String::new(),
    };
    scope.string(texts)
}

/// DNS names, then IP addresses, mail addresses and URIs.
fn names(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let certificates = certificates(scope, args, 0)?;
    let certificate = certificate(certificates.first().map_or(&[], Vec::as_slice))?;
    let found = certificate.subject_alternative_name().ok().flatten();
    let mut named: Vec<(u8, String)> =
        found.iter().flat_map(|names| &names.value.general_names).filter_map(name).collect();
    named.sort_by_key(|(order, _)| *order);
    scope.strings(named.into_iter().map(|(_, name)| name))
}

fn name(name: &GeneralName<'_>) -> Option<(u8, String)> {
    match name {
        GeneralName::DNSName(name) => Some((0, (*name).to_owned())),
        GeneralName::IPAddress(bytes) => {
            address(bytes).map(|address| (1, address.to_canonical().to_string()))
        }
        GeneralName::RFC822Name(name) => Some((2, (*name).to_owned())),
        GeneralName::URI(name) => Some((3, (*name).to_owned())),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let short = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    short().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}
