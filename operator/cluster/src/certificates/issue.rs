//! CA and certificate of a cluster's nodes. Both are renewed after two thirds of their lifetime. A new CA is published
//! before it signs, so that all clients trust it by then, and the old one is trusted until it expires.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use steamer_core::error::Error;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;

use crate::cluster::Cluster;
use crate::objects::services::STANDBY;

const DAY: i64 = 86_400;
/// Lifetime of a CA, in seconds.
const CA_LIFE: i64 = 3650 * DAY;
/// Lifetime of a certificate, in seconds.
const LEAF_LIFE: i64 = 90 * DAY;
/// Time for which a new CA is published before it signs, in seconds.
const OVERLAP: i64 = DAY;
/// Tolerated difference of clocks, in seconds.
const SKEW: i64 = 3600;

/// Validity period of a certificate, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Validity {
    /// Time from which its end is near: two weeks, or a sixth of a shorter lifetime.
    pub(crate) fn warns(self) -> i64 {
        self.to - (14 * DAY).min((self.to - self.from) / 6)
    }

    /// Returns true if the certificate has to be renewed.
    fn due(self, now: i64) -> bool {
        now >= self.from + (self.to - self.from) / 3 * 2
    }
}

/// Existing entries of both Secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// The Secret of the CA: `ca.crt`, `ca.key`, and those of the next CA.
    pub(crate) authority: BTreeMap<String, String>,
    /// The Secret of the certificate.
    pub(crate) leaf: BTreeMap<String, String>,
}

/// Desired entries of both Secrets, and the CA certificates that clients trust.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) authority: BTreeMap<String, String>,
    pub(crate) leaf: BTreeMap<String, String>,
    pub(crate) bundle: String,
    pub(crate) leaf_ends: i64,
}

/// Next step for the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    /// Create one: none is valid.
    Create,
    /// Create the next one and publish it beside the current one, which is due.
    CreateNext,
    /// Sign with the next one, which has been published long enough.
    Switch,
    Keep,
}

fn authority(current: Option<Validity>, next: Option<Validity>, now: i64) -> Authority {
    match (current, next) {
        (None, _) => Authority::Create,
        (Some(current), None) if now >= current.to => Authority::Create,
        (Some(current), None) if current.due(now) => Authority::CreateNext,
        (Some(current), Some(next)) if now >= next.from + SKEW + OVERLAP || now >= current.to => {
            Authority::Switch
        }
        _ => Authority::Keep,
    }
}

/// The desired certificates at a time.
pub(crate) fn wanted(cluster: &Cluster, held: &Held, now: i64) -> Result<Wanted, Error> {
    let authority = next_authority(cluster, &held.authority, now)?;
    let text = |name: &str| authority.get(name).cloned().unwrap_or_default();
    let ca = Pair { certificate: text("ca.crt"), key: text("ca.key") };
    let bundle = [text("ca.crt"), text("next.crt"), text("old.crt")].concat();
    let mut leaf = held.leaf.clone();
    if !good_leaf(cluster, &leaf, &ca.certificate, now) {
        leaf = new_leaf(cluster, &ca, now)?.entries("tls").into();
    }
    leaf.insert("ca.crt".to_owned(), bundle.clone());
    let leaf_ends = entry_validity(&leaf, "tls.crt").map_or(0, |validity| validity.to);
    Ok(Wanted { authority, leaf, bundle, leaf_ends })
}

type Entries = BTreeMap<String, String>;

/// Entries of the CA's Secret after the next step.
fn next_authority(cluster: &Cluster, held: &Entries, now: i64) -> Result<Entries, Error> {
    let mut ca = held.clone();
    match authority(entry_validity(&ca, "ca.crt"), entry_validity(&ca, "next.crt"), now) {
        Authority::Create => ca = new_authority(cluster, now)?.entries("ca").into(),
        Authority::CreateNext => ca.extend(new_authority(cluster, now)?.entries("next")),
        Authority::Switch => switch(&mut ca),
        Authority::Keep => {}
    }
    if entry_validity(&ca, "old.crt").is_some_and(|old| now >= old.to) {
        ca.remove("old.crt");
    }
    Ok(ca)
}

/// Replaces the CA with the next one, and keeps the certificate of the old one.
fn switch(ca: &mut Entries) {
    let next = |ca: &Entries, name: &str| ca.get(name).cloned().unwrap_or_default();
    let old = ca.insert("ca.crt".to_owned(), next(ca, "next.crt")).unwrap_or_default();
    ca.insert("ca.key".to_owned(), next(ca, "next.key"));
    ca.retain(|name, _| !name.starts_with("next."));
    ca.insert("old.crt".to_owned(), old);
}

/// A certificate and its private key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn entries(self, name: &str) -> [(String, String); 2] {
        [(format!("{name}.crt"), self.certificate), (format!("{name}.key"), self.key)]
    }
}

fn entry_validity(entries: &Entries, name: &str) -> Option<Validity> {
    validity(entries.get(name)?)
}

/// Validity of a certificate in PEM. None if the text is not such a certificate.
pub(crate) fn validity(pem: &str) -> Option<Validity> {
    let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    let validity = pem.parse_x509().ok()?.validity().clone();
    Some(Validity { from: validity.not_before.timestamp(), to: validity.not_after.timestamp() })
}

/// Returns true if a certificate contains all names, was signed by the CA, and is not due.
fn good_leaf(cluster: &Cluster, leaf: &Entries, ca: &str, now: i64) -> bool {
    let (Some(text), Some(_)) = (leaf.get("tls.crt"), leaf.get("tls.key")) else { return false };
    let valid = validity(text).is_some_and(|validity| !validity.due(now));
    let (Some(leaf), Some(ca)) = (first(text), first(ca)) else { return false };
    let (Ok(leaf), Ok(ca)) = (leaf.parse_x509(), ca.parse_x509()) else { return false };
    let contained = contained_names(&leaf);
    // The key ID distinguishes two CAs with the same name.
    let signed = issuer_key_id(&leaf) == key_id(&ca);
    valid && signed && names(cluster).iter().all(|name| contained.contains(name))
}

/// The first certificate of a PEM text.
pub(crate) fn first(pem: &str) -> Option<Pem> {
    Pem::iter_from_buffer(pem.as_bytes()).find_map(Result::ok)
}

fn issuer_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    })
}

fn key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

pub(crate) fn contained_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(name_text).collect()
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// All names and addresses of the nodes.
pub(crate) fn names(cluster: &Cluster) -> Vec<String> {
    let (name, namespace) = (&cluster.name.name, &cluster.name.namespace);
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let standby = cluster.spec.standby_reads.then_some(STANDBY);
    for service in ["", "-active"].into_iter().chain(standby) {
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
        Error::Invalid(format!("tls.extraNames must contain only DNS names and IP addresses: {error}"))
    })?;
    parameters.not_before = date(now - SKEW);
    parameters.not_after = date(now + life);
    Ok(parameters)
}

/// A time in the type that certificates use.
fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds)
}

fn new_authority(cluster: &Cluster, now: i64) -> Result<Pair, Error> {
    let mut parameters = parameters(CA_LIFE, Vec::new(), now)?;
    let name = format!("OpenBao {}/{}", cluster.name.namespace, cluster.name.name);
    parameters.distinguished_name.push(DnType::CommonName, name.chars().take(60).collect::<String>());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn new_leaf(cluster: &Cluster, ca: &Pair, now: i64) -> Result<Pair, Error> {
    let mut parameters = parameters(LEAF_LIFE, names(cluster), now)?;
    parameters.distinguished_name.push(DnType::CommonName, "openbao");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    let ca_key = KeyPair::from_pem(&ca.key).map_err(failed)?;
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, ca_key).map_err(failed)?;
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = parameters.signed_by(&key, &issuer).map_err(failed)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn failed(error: rcgen::Error) -> Error {
    Error::Waiting(format!("cannot create a certificate: {error}"))
}

/// Now, in seconds since the epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

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
    fn a_valid_certificate_is_kept() {
        let (first, held) = after(&Held::default(), T0);
        assert_eq!(after(&held, T0 + 30 * DAY).0, first);
        assert_eq!(first.leaf_ends, T0 + LEAF_LIFE);
    }

    #[rstest]
    #[case::long(365 * DAY, 14 * DAY)]
    #[case::short(DAY, 4 * 3600)]
    fn a_user_is_warned_before_the_end(#[case] life: i64, #[case] expected: i64) {
        let validity = Validity { from: T0, to: T0 + life };
        assert_eq!(validity.to - validity.warns(), expected);
    }

    #[test]
    fn the_name_of_the_standbys_is_contained_if_they_have_a_service() {
        let reading = crate::tests::cluster_with(serde_json::json!({"standbyReads": true}));
        let contained = |cluster: &Cluster| names(cluster).contains(&"main-standby.openbao.svc".to_owned());
        assert_eq!((contained(&reading), contained(&cluster())), (true, false));
    }

    #[test]
    fn a_certificate_is_renewed_before_it_expires_by_the_same_ca() {
        let (first, held) = after(&Held::default(), T0);
        let (second, _) = after(&held, T0 + 61 * DAY);
        assert_ne!(second.leaf["tls.crt"], first.leaf["tls.crt"]);
        assert_eq!(second.bundle, first.bundle);
    }

    #[test]
    fn a_new_ca_is_trusted_before_it_signs_and_the_old_one_until_it_expires() {
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
    fn an_added_name_needs_a_new_certificate_and_a_lost_secret_is_recreated() {
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

    #[rstest]
    #[case(None, None, T0, Authority::Create)]
    #[case(Some((0, 90)), None, 59, Authority::Keep)]
    #[case(Some((0, 90)), None, 60, Authority::CreateNext)]
    #[case(Some((0, 90)), None, 90, Authority::Create)]
    #[case(Some((0, T0)), Some((0, 2 * T0)), SKEW + OVERLAP - 1, Authority::Keep)]
    #[case(Some((0, T0)), Some((0, 2 * T0)), SKEW + OVERLAP, Authority::Switch)]
    #[case(Some((0, 90)), Some((60, T0)), 90, Authority::Switch)]
    fn a_ca_is_replaced_in_steps(
        #[case] current: Option<(i64, i64)>,
        #[case] next: Option<(i64, i64)>,
        #[case] now: i64,
        #[case] expected: Authority,
    ) {
        let validity = |period: Option<(i64, i64)>| period.map(|(from, to)| Validity { from, to });
        assert_eq!(authority(validity(current), validity(next), now), expected);
    }
}
