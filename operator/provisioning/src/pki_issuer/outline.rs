//! Requests that an issuer needs from its creation to its deletion, for a message about missing rights. A pass computes those of
//! one stage only.

use reqwest::Method;
use steamer_api::{DeletionPolicy, PKIIssuer};

use super::names::{mount, name};
use super::owned::{issuer_path, key_path};
use super::parent::Parent;
use crate::general::Home;
use crate::write::Request;

/// Any issuer or key of a mount: OpenBao chooses their IDs.
const ANY: &str = "+";

/// The requests, from the root namespace of the cluster.
pub(super) fn requests(issuer: &PKIIssuer, home: &Home, parent: Option<&Parent>) -> Vec<Request> {
    let mut requests = on_mount(issuer);
    for reference in [ANY, &name(issuer)] {
        requests.extend(on_issuer(issuer, reference));
    }
    let signing = parent.and_then(|parent| parent.request(home));
    requests.into_iter().map(|it| it.inside(&home.namespace)).chain(signing).collect()
}

/// The requests of the mount as a whole.
fn on_mount(issuer: &PKIIssuer) -> Vec<Request> {
    let (mount, spec) = (mount(issuer), &issuer.spec);
    let get = |path: &str| Request::new(&Method::GET, format!("{mount}/{path}"));
    let post = |path: &str| Request::new(&Method::POST, format!("{mount}/{path}"));
    let lists = ["issuers", "keys"].map(|path| Request::list(format!("{mount}/{path}")));
    let mut requests = Vec::from(lists);
    requests.push(get("config/issuers"));
    if spec.root.is_some() {
        requests.extend(["root/generate/internal", "root/generate/existing"].map(post));
    } else {
        let generated = ["intermediate/generate/internal", "intermediate/generate/existing"];
        requests.extend(generated.map(post));
        requests.push(post("intermediate/set-signed"));
    }
    // A rotation keeps the default issuer of the mount.
    if spec.default || spec.renew_before.is_some() {
        requests.push(post("config/issuers"));
    }
    if spec.crl.is_some() {
        requests.extend([get("config/crl"), post("config/crl")]);
    }
    requests
}

/// The requests of an issuer and its key. OpenBao uses only the most specific line, so both lines need all rights.
fn on_issuer(issuer: &PKIIssuer, reference: &str) -> Vec<Request> {
    let (mount, spec) = (mount(issuer), &issuer.spec);
    let of_issuer = |method: Method| Request::new(&method, issuer_path(mount, reference));
    let of_key = |method: Method| Request::new(&method, key_path(mount, reference));
    let mut requests = vec![of_issuer(Method::GET), of_issuer(Method::PATCH)];
    if spec.renew_before.is_some() {
        requests.push(of_key(Method::POST));
    }
    // A rotation deletes former issuers that have expired, also with the deletion policy `Retain`.
    if spec.lifecycle.deletion_policy == DeletionPolicy::Delete || spec.renew_before.is_some() {
        requests.extend([of_issuer(Method::DELETE), of_key(Method::DELETE)]);
    }
    requests
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::pki_issuer::fixture;

    #[rstest]
    #[case::root(
        json!({"root": {"commonName": "CA", "ttl": "2h"}}),
        "LIST pki/issuers, LIST pki/keys, GET pki/config/issuers, POST pki/root/generate/internal, \
         POST pki/root/generate/existing, GET pki/issuer/+, PATCH pki/issuer/+, GET pki/issuer/ca, PATCH pki/issuer/ca"
    )]
    #[case::intermediate(
        json!({
            "intermediate": {"commonName": "CA", "ttl": "2h", "parentRef": {"name": "root"}}, "crl": {"expiry": "24h"},
            "deletionPolicy": "Delete",
        }),
        "LIST pki/issuers, LIST pki/keys, GET pki/config/issuers, POST pki/intermediate/generate/internal, \
         POST pki/intermediate/generate/existing, POST pki/intermediate/set-signed, GET pki/config/crl, POST pki/config/crl, \
         GET pki/issuer/+, PATCH pki/issuer/+, DELETE pki/issuer/+, DELETE pki/key/+, GET pki/issuer/ca, PATCH pki/issuer/ca, \
         DELETE pki/issuer/ca, DELETE pki/key/ca"
    )]
    #[case::rotated(
        json!({"root": {"commonName": "CA", "ttl": "9h"}, "renewBefore": "2h"}),
        "LIST pki/issuers, LIST pki/keys, GET pki/config/issuers, POST pki/root/generate/internal, \
         POST pki/root/generate/existing, POST pki/config/issuers, GET pki/issuer/+, PATCH pki/issuer/+, POST pki/key/+, \
         DELETE pki/issuer/+, DELETE pki/key/+, GET pki/issuer/ca, PATCH pki/issuer/ca, POST pki/key/ca, DELETE pki/issuer/ca, \
         DELETE pki/key/ca"
    )]
    fn every_request_of_an_issuer_is_named(#[case] mut spec: Value, #[case] expected: &str) {
        spec["clusterRef"] = json!({"name": "main"});
        spec["mount"] = json!("pki");
        let issuer = PKIIssuer::new("ca", serde_json::from_value(spec).unwrap());
        let home = fixture::desired(fixture::mount::<&str>(&[]), &[], &json!({})).facts.home;
        let shown: Vec<_> =
            requests(&issuer, &home, None).iter().map(|it| format!("{} {}", it.method, it.path)).collect();
        assert_eq!(shown.join(", "), expected);
    }
}
