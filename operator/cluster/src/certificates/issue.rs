//! The CA and the certificate of a cluster's nodes. A certificate is renewed after two thirds of its life; a CA as well,
//! with the old one trusted until it ends, and no certificate by the new one before everyone has had time to see it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use steamer_core::error::Error;
use time::OffsetDateTime;
use x509_parser::pem::Pem;

use crate::cluster::Cluster;

const DAY: i64 = 86_400;
/// How long a CA lasts.
const CA_LIFE: i64 = 3650 * DAY;
/// How long a certificate lasts.
const LEAF_LIFE: i64 = 90 * DAY;
/// How long a new CA is published before it signs.
const OVERLAP: i64 = DAY;
/// Clocks differ.
const SKEW: i64 = 3600;

/// When something begins and ends, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Validity {
    fn due(self, now: i64) -> bool {
        now >= self.from + (self.to - self.from) / 3 * 2
    }
}

/// What there is, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// The CA Secret: `ca.crt`, `ca.key`, and those of the next CA.
    pub(crate) authority: BTreeMap<String, String>,
    /// The certificate's Secret.
    pub(crate) leaf: BTreeMap<String, String>,
}

/// What there should be: the entries of both Secrets, and what everyone trusts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) authority: BTreeMap<String, String>,
    pub(crate) leaf: BTreeMap<String, String>,
    pub(crate) bundle: String,
    pub(crate) leaf_ends: i64,
}

/// What to do about the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    /// There is none that is any good.
    Make,
    /// Its time comes: another is made and published beside it.
    MakeNext,
    /// The other one has been seen by everyone.
    Switch,
    Keep,
}

fn authority(current: Option<Validity>, next: Option<Validity>, now: i64) -> Authority {
    match (current, next) {
        (None, _) => Authority::Make,
        (Some(current), None) if now >= current.to => Authority::Make,
        (Some(current), None) if current.due(now) => Authority::MakeNext,
        (Some(current), Some(next)) if now >= next.from + SKEW + OVERLAP || now >= current.to => {
            Authority::Switch
        }
        _ => Authority::Keep,
    }
}

/// The certificates as they should be now.
pub(crate) fn wanted(cluster: &Cluster, held: &Held, now: i64) -> Result<Wanted, Error> {
    let mut ca = held.authority.clone();
    let validity =
        |entries: &BTreeMap<String, String>, name: &str| entries.get(name).and_then(|pem| validity(pem));
    match authority(validity(&ca, "ca.crt"), validity(&ca, "next.crt"), now) {
        Authority::Make => ca = pair("ca", new_authority(cluster, now)?).into(),
        Authority::MakeNext => ca.extend(pair("next", new_authority(cluster, now)?)),
        Authority::Switch => {
            let old = ca.insert("ca.crt".to_owned(), ca.get("next.crt").cloned().unwrap_or_default());
            ca.insert("ca.key".to_owned(), ca.get("next.key").cloned().unwrap_or_default());
            ca.retain(|name, _| !name.starts_with("next."));
            ca.insert("old.crt".to_owned(), old.unwrap_or_default());
        }
        Authority::Keep => {}
    }
    if validity(&ca, "old.crt").is_some_and(|old| now >= old.to) {
        ca.remove("old.crt");
    }
    let text = |name: &str| ca.get(name).cloned().unwrap_or_default();
    let bundle = [text("ca.crt"), text("next.crt"), text("old.crt")].concat();
    let mut leaf = held.leaf.clone();
    if !good_leaf(cluster, &leaf, &text("ca.crt"), now) {
        leaf = new_leaf(cluster, (&text("ca.crt"), &text("ca.key")), now)?;
    }
    leaf.insert("ca.crt".to_owned(), bundle.clone());
    let leaf_ends = validity(&leaf, "tls.crt").map_or(0, |validity| validity.to);
    Ok(Wanted { authority: ca, leaf, bundle, leaf_ends })
}

fn pair(name: &str, (certificate, key): (String, String)) -> [(String, String); 2] {
    [(format!("{name}.crt"), certificate), (format!("{name}.key"), key)]
}

/// When a certificate in PEM is valid.
pub(crate) fn validity(pem: &str) -> Option<Validity> {
    let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    let validity = pem.parse_x509().ok()?.validity().clone();
    Some(Validity { from: validity.not_before.timestamp(), to: validity.not_after.timestamp() })
}

/// Whether a certificate carries all names, was signed by the CA, and is not due.
fn good_leaf(cluster: &Cluster, leaf: &BTreeMap<String, String>, ca: &str, now: i64) -> bool {
    let (Some(text), Some(_)) = (leaf.get("tls.crt"), leaf.get("tls.key")) else { return false };
    let certificates: Vec<Pem> = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok).collect();
    let Some(Ok(certificate)) = certificates.first().map(Pem::parse_x509) else { return false };
    let issuer: Vec<Pem> = Pem::iter_from_buffer(ca.as_bytes()).filter_map(Result::ok).collect();
    let Some(Ok(issuer)) = issuer.first().map(Pem::parse_x509) else { return false };
    // A CA of the same name with another key has another key id.
    let of = |certificate: &x509_parser::certificate::X509Certificate<'_>| {
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => None,
        })
    };
    let own = issuer.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    let carried = carried_names(&certificate);
    let validity = validity(text).is_some_and(|validity| !validity.due(now));
    validity && of(&certificate) == own && names(cluster).iter().all(|name| carried.contains(name))
}

fn carried_names(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).collect()
}

/// Every name under which a node is reached.
pub(crate) fn names(cluster: &Cluster) -> Vec<String> {
    let (name, namespace) = (&cluster.name.name, &cluster.name.namespace);
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    for service in ["", "-active"] {
        for ending in [
            String::new(),
            format!(".{namespace}"),
            format!(".{namespace}.svc"),
            format!(".{namespace}.svc.cluster.local"),
        ] {
            all.push(format!("{name}{service}{ending}"));
        }
    }
    all.push(format!("*.{name}-internal.{namespace}.svc"));
    all.push(format!("*.{name}-internal.{namespace}.svc.cluster.local"));
    all.extend(cluster.spec.tls.extra_names.iter().cloned());
    all
}

fn parameters(life: i64, names: Vec<String>, now: i64) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::new(names).map_err(|error| {
        Error::Invalid(format!("tls.extraNames holds what is no name or address: {error}"))
    })?;
    parameters.not_before = date(now - SKEW);
    parameters.not_after = date(now + life);
    Ok(parameters)
}

/// A point in time as certificates have it.
fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds)
}

fn new_authority(cluster: &Cluster, now: i64) -> Result<(String, String), Error> {
    let mut parameters = parameters(CA_LIFE, Vec::new(), now)?;
    let name = format!("OpenBao {}/{}", cluster.name.namespace, cluster.name.name);
    parameters.distinguished_name.push(DnType::CommonName, name.chars().take(60).collect::<String>());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(unmade)?;
    let certificate = parameters.self_signed(&key).map_err(unmade)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn new_leaf(
    cluster: &Cluster,
    (ca, ca_key): (&str, &str),
    now: i64,
) -> Result<BTreeMap<String, String>, Error> {
    let mut parameters = parameters(LEAF_LIFE, names(cluster), now)?;
    parameters.distinguished_name.push(DnType::CommonName, "openbao");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    let issuer =
        KeyPair::from_pem(ca_key).and_then(|key| Issuer::from_ca_cert_pem(ca, key)).map_err(unmade)?;
    let key = KeyPair::generate().map_err(unmade)?;
    let certificate = parameters.signed_by(&key, &issuer).map_err(unmade)?;
    Ok(BTreeMap::from(pair("tls", (certificate.pem(), key.serialize_pem()))))
}

fn unmade(error: rcgen::Error) -> Error {
    Error::Waiting(format!("a certificate cannot be made: {error}"))
}

/// Now, in seconds since the epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cluster;

    const T0: i64 = 1_800_000_000;

    fn after(held: &Held, at: i64) -> (Wanted, Held) {
        let wanted = wanted(&cluster(), held, at).unwrap();
        let held = Held { authority: wanted.authority.clone(), leaf: wanted.leaf.clone() };
        (wanted, held)
    }

    fn count(bundle: &str) -> usize {
        bundle.matches("BEGIN CERTIFICATE").count()
    }

    #[test]
    fn what_is_good_is_kept() {
        let (first, held) = after(&Held::default(), T0);
        assert_eq!(after(&held, T0 + 30 * DAY).0, first);
        assert_eq!(first.leaf_ends, T0 + LEAF_LIFE);
    }

    #[test]
    fn a_certificate_is_renewed_well_before_it_ends_by_the_same_ca() {
        let (first, held) = after(&Held::default(), T0);
        let (second, _) = after(&held, T0 + 61 * DAY);
        assert_ne!(second.leaf["tls.crt"], first.leaf["tls.crt"]);
        assert_eq!(second.bundle, first.bundle);
    }

    #[test]
    fn a_new_ca_is_trusted_before_it_signs_and_the_old_one_until_it_ends() {
        let (first, held) = after(&Held::default(), T0);
        let due = T0 + CA_LIFE / 3 * 2 + DAY;
        // The certificate of that day, by the old CA.
        let (published, held) = after(&held, due);
        assert_eq!(count(&published.bundle), 2);
        assert_eq!(published.authority["ca.crt"], first.authority["ca.crt"]);
        let (waiting, held) = after(&held, due + OVERLAP / 2);
        assert_eq!(waiting.leaf["tls.crt"], published.leaf["tls.crt"]);
        let (switched, held) = after(&held, due + OVERLAP + 2 * SKEW);
        assert_ne!(switched.authority["ca.crt"], first.authority["ca.crt"]);
        assert_ne!(switched.leaf["tls.crt"], published.leaf["tls.crt"]);
        assert_eq!(count(&switched.bundle), 2);
        assert_eq!(count(&after(&held, T0 + CA_LIFE + DAY).0.bundle), 1);
    }

    #[test]
    fn a_name_more_is_a_new_certificate_and_a_lost_secret_is_made_again() {
        let (first, held) = after(&Held::default(), T0);
        let mut more = cluster();
        more.spec.tls.extra_names = vec!["bao.example.com".to_owned(), "10.1.2.3".to_owned()];
        let second = wanted(&more, &held, T0).unwrap();
        assert_ne!(second.leaf["tls.crt"], first.leaf["tls.crt"]);
        let kept = Held { authority: second.authority.clone(), leaf: second.leaf.clone() };
        assert_eq!(wanted(&more, &kept, T0 + DAY).unwrap().leaf, second.leaf);
        let lost = Held { leaf: BTreeMap::new(), ..held };
        assert_eq!(after(&lost, T0).0.bundle, first.bundle);
    }
}
