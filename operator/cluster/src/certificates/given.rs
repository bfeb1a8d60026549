//! Check of a certificate that the user provides.

use rcgen::KeyPair;
use steamer_core::access::managed;

use crate::certificates::issue::{contained_names, first};
use crate::cluster::Cluster;

/// Reason why the nodes cannot use a certificate with this key, in PEM.
pub(crate) fn defect(cluster: &Cluster, certificate: &str, key: &str) -> Option<String> {
    let pem = first(certificate)?;
    let certificate = pem.parse_x509().ok()?;
    // Keys in another format than PKCS#8 are left to OpenBao.
    let key = KeyPair::from_pem(key).ok();
    let public = certificate.public_key().subject_public_key.data.as_ref();
    if key.is_some_and(|key| key.public_key_raw() != public) {
        return Some(
            "does not belong to its `tls.key`: write the certificate and the key of one request".to_owned(),
        );
    }
    let contained = contained_names(&certificate);
    let missing =
        hosts(cluster).into_iter().find(|host| !contained.iter().any(|name| matches(name, host)))?;
    let (name, namespace) = (cluster.name(), &cluster.name.namespace);
    Some(format!(
        "lacks the name {missing}: add *.{name}-internal.{namespace}.svc, with which the nodes are reached, and \
         {name}.{namespace}.svc, {name}-active.{namespace}.svc for clients"
    ))
}

/// Stable names of the nodes.
fn hosts(cluster: &Cluster) -> Vec<String> {
    let host = |ordinal| managed::host(&cluster.name, &managed::pod(&cluster.name, ordinal));
    (0..cluster.spec.replicas).map(host).collect()
}

/// Returns true if a name of a certificate, possibly with a wildcard as its first label, covers a host.
fn matches(name: &str, host: &str) -> bool {
    let below = |name: &str| host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(name));
    name.eq_ignore_ascii_case(host) || name.strip_prefix("*.").is_some_and(below)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;

    const HOSTS: [&str; 3] = [
        "main-0.main-internal.openbao.svc",
        "main-1.main-internal.openbao.svc",
        "main-2.main-internal.openbao.svc",
    ];

    #[rstest]
    #[case(&["*.main-internal.openbao.svc"], "")]
    #[case(&["*.MAIN-internal.openbao.svc", "main.openbao.svc"], "")]
    #[case(&HOSTS, "")]
    #[case(&HOSTS[..2], "lacks the name main-2.main-internal.openbao.svc")]
    #[case(&["bao.corp.example"], "lacks the name main-0.main-internal.openbao.svc")]
    #[case(&["*.openbao.svc"], "lacks the name main-0.main-internal.openbao.svc")]
    #[case(&[], "lacks the name")]
    fn a_certificate_contains_the_names_of_the_nodes(#[case] names: &[&str], #[case] expected: &str) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let said = defect(&cluster(), &certificate.pem(), &key.serialize_pem()).unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }

    #[test]
    fn a_certificate_belongs_to_its_key() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let names = vec!["*.main-internal.openbao.svc".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
        assert_eq!(defect(&cluster(), &certificate, &key.serialize_pem()), None);
        assert_eq!(defect(&cluster(), &certificate, "a key in another format"), None);
        let said = defect(&cluster(), &certificate, &other.serialize_pem()).unwrap();
        assert!(said.contains("does not belong to its `tls.key`"), "{said}");
    }
}
