//! Order of the certificates of a chain.

use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

/// A chain in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The certificate, and the intermediate CAs up to the root, without it.
    pub(super) certificates: String,
    /// The root. The last known CA, if OpenBao does not know the root.
    pub(super) root: String,
}

/// A certificate with its text.
struct Block<'a> {
    text: &'a str,
    pem: Pem,
}

impl Chain {
    /// The chain from the first certificate of `leaf`. `authorities` are CAs in any order. CAs that did not sign a
    /// certificate of the chain are left out. `None` if a text is not PEM, or there is no CA of the certificate.
    pub(super) fn of(leaf: &str, authorities: &[&str]) -> Option<Self> {
        let leaf = blocks(leaf)?.into_iter().next()?;
        let mut rest = Vec::new();
        for authority in authorities {
            rest.extend(blocks(authority)?);
        }
        let mut chain = vec![leaf];
        while let Some(next) = issuer(chain.last()?, &rest) {
            chain.push(rest.remove(next));
        }
        let root = chain.last()?.text.to_owned() + "\n";
        let ends_with_root = chain.len() > 1 && chain.last()?.certificate()?.is_root();
        let shown = chain.len() - usize::from(ends_with_root);
        let certificates = chain[..shown].iter().map(|block| format!("{}\n", block.text)).collect();
        (chain.len() > 1).then_some(Self { certificates, root })
    }
}

/// Position of the CA that signed a certificate. None for a root.
fn issuer(of: &Block<'_>, authorities: &[Block<'_>]) -> Option<usize> {
    let certificate = of.certificate()?;
    if certificate.is_root() {
        return None;
    }
    let issued = |authority: &Block<'_>| {
        authority.certificate().is_some_and(|authority| {
            authority.subject().as_raw() == certificate.issuer().as_raw()
                && keys_match(&certificate, &authority)
        })
    };
    authorities.iter().position(issued)
}

/// Key IDs tell CAs of the same name apart.
fn keys_match(certificate: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    match (certificate.issuer_key(), authority.key()) {
        (Some(issuer), Some(key)) => issuer == key,
        _ => true,
    }
}

/// Properties of a certificate in a chain.
trait Link {
    fn is_root(&self) -> bool;
    fn key(&self) -> Option<&[u8]>;
    fn issuer_key(&self) -> Option<&[u8]>;
}

impl Link for X509Certificate<'_> {
    fn is_root(&self) -> bool {
        self.subject().as_raw() == self.issuer().as_raw()
    }

    fn key(&self) -> Option<&[u8]> {
        use x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier;
        self.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        })
    }

    fn issuer_key(&self) -> Option<&[u8]> {
        use x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier;
        self.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
            _ => None,
        })
    }
}

impl Block<'_> {
    fn certificate(&self) -> Option<X509Certificate<'_>> {
        self.pem.parse_x509().ok()
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates of a text. None if it has none, or one of them cannot be parsed.
fn blocks(text: &str) -> Option<Vec<Block<'_>>> {
    let (mut blocks, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(BEGIN) {
        let end = start + rest[start..].find(END)? + END.len();
        let pem = Pem::iter_from_buffer(&rest.as_bytes()[start..end]).next()?.ok()?;
        let block = Block { text: &rest[start..end], pem };
        block.certificate()?;
        blocks.push(block);
        rest = &rest[end..];
    }
    (!blocks.is_empty()).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rstest::rstest;

    use super::*;

    type Authority = (String, Issuer<'static, KeyPair>);

    fn parameters(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.use_authority_key_identifier_extension = true;
        parameters
    }

    /// A CA, as OpenBao returns it: without a line break at the end.
    fn authority(name: &str, parent: Option<&Authority>) -> Authority {
        let mut parameters = parameters(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = match parent {
            Some((_, parent)) => parameters.signed_by(&key, parent),
            None => parameters.self_signed(&key),
        };
        (certificate.unwrap().pem().trim().replace("\r\n", "\n"), Issuer::new(parameters, key))
    }

    fn leaf(parent: &Authority) -> String {
        let key = KeyPair::generate().unwrap();
        let pem = parameters("leaf").signed_by(&key, &parent.1).unwrap().pem();
        pem.trim().replace("\r\n", "\n")
    }

    #[rstest]
    #[case::as_openbao_orders_them(&[2, 1, 0])]
    #[case::reversed(&[0, 1, 2])]
    #[case::the_root_twice(&[2, 0, 1, 0, 2])]
    #[case::unrelated(&[3, 2, 1, 0, 4])]
    fn a_chain_is_ordered_from_the_certificate_to_the_root(#[case] order: &[usize]) {
        let root = authority("root", None);
        let upper = authority("upper", Some(&root));
        let lower = authority("lower", Some(&upper));
        // The same name, and another key.
        let other = authority("lower", Some(&root));
        let all = [&root, &upper, &lower, &other, &authority("other", None)];
        let given: Vec<&str> = order.iter().map(|at| all[*at].0.as_str()).collect();
        let leaf = leaf(&lower);
        let chain = Chain::of(&leaf, &given).unwrap();
        assert_eq!(chain.certificates, format!("{leaf}\n{}\n{}\n", lower.0, upper.0));
        assert_eq!(chain.root, format!("{}\n", root.0));
    }

    #[test]
    fn an_unknown_root_leaves_the_last_known_ca() {
        let root = authority("root", None);
        let lower = authority("lower", Some(&root));
        let leaf = leaf(&lower);
        let chain = Chain::of(&leaf, &[&lower.0]).unwrap();
        assert_eq!(
            (chain.certificates, chain.root),
            (format!("{leaf}\n{}\n", lower.0), format!("{}\n", lower.0))
        );
    }

    #[test]
    fn a_root_that_issues_is_not_part_of_the_chain() {
        let root = authority("root", None);
        let leaf = leaf(&root);
        let chain = Chain::of(&format!("{leaf}\n{}", root.0), &[&root.0, &root.0]).unwrap();
        assert_eq!((chain.certificates, chain.root), (format!("{leaf}\n"), format!("{}\n", root.0)));
    }

    #[test]
    fn a_text_without_certificates_or_with_others_only_is_no_chain() {
        let (root, other) = (authority("root", None), authority("other", None));
        let leaf = leaf(&root);
        assert_eq!(Chain::of("", &[&root.0]), None);
        assert_eq!(Chain::of(&leaf, &[]), None);
        assert_eq!(Chain::of(&leaf, &[&other.0]), None);
        assert_eq!(Chain::of(&leaf, &["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]), None);
        assert_eq!(Chain::of(&leaf, &["-----BEGIN CERTIFICATE-----\nAAAA"]), None);
    }
}
