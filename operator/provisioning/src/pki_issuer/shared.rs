//! Settings that all issuers of a mount share: the default issuer and the revocation lists. One object determines each.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{HasPlacement, Kind, PKIIssuer, SecretEngine};
use steamer_core::error::Error;
use steamer_core::references::seniority;
use steamer_runtime::{Key, ObjectName};

use super::names::mount;
use crate::engine::Lookup;
use crate::general::{Home, Site};

/// The key under which the issuers of mounts of that path wait for each other.
pub(super) fn key(issuer: &PKIIssuer) -> Key {
    Key::new("settings of a PKI mount", ObjectName::new("", mount(issuer)))
}

/// Fails with [`Error::Conflict`] if another object determines a setting that the spec contains.
pub(super) fn claim(issuer: &PKIIssuer, home: &Home, lookup: &Lookup<'_>) -> Result<(), Error> {
    let rivals = lookup.list(key(issuer), |other: &PKIIssuer| setting(issuer, other).is_some());
    let rivals: Vec<_> = rivals.into_iter().filter(|other| is_at(home, &**other, lookup)).collect();
    let at = format!("mount {} in namespace {}", mount(issuer), home.namespace);
    if let Some((first, setting)) = preceding(issuer, &rivals) {
        return Err(Error::Conflict(format!(
            "PKIIssuer {} already sets {setting} of {at}: remove it from one of the two objects",
            ObjectName::of(first)
        )));
    }
    match issuer.spec.crl.as_ref().and_then(|_| engine(issuer, home, lookup)) {
        Some(engine) => Err(Error::Conflict(format!(
            "SecretEngine {engine} already sets crl of {at} in its configs: remove it from one of the two objects"
        ))),
        None => Ok(()),
    }
}

/// The setting that both objects contain.
fn setting(issuer: &PKIIssuer, other: &PKIIssuer) -> Option<&'static str> {
    if mount(other) != mount(issuer) || ObjectName::of(other) == ObjectName::of(issuer) {
        return None;
    }
    match (&issuer.spec, &other.spec) {
        (own, other) if own.default && other.default => Some("default"),
        (own, other) if own.crl.is_some() && other.crl.is_some() => Some("crl"),
        _ => None,
    }
}

/// The first object that precedes `issuer`, and the setting. An object that owns its issuer comes first, then the oldest.
fn preceding<'a>(issuer: &PKIIssuer, rivals: &'a [Arc<PKIIssuer>]) -> Option<(&'a PKIIssuer, &'static str)> {
    let is_established = |object: &PKIIssuer| object.status.as_ref().is_some_and(|it| it.owned.is_some());
    let rank = |object: &PKIIssuer| (!is_established(object), seniority(object, true));
    let first: &PKIIssuer = rivals.iter().min_by_key(|rival| rank(rival))?;
    if rank(first) >= rank(issuer) {
        return None;
    }
    Some((first, setting(issuer, first)?))
}

/// The SecretEngine of the mount that sets its revocation lists.
fn engine(issuer: &PKIIssuer, home: &Home, lookup: &Lookup<'_>) -> Option<ObjectName> {
    let sets_crl = |engine: &SecretEngine| {
        let path = engine.spec.path.clone().unwrap_or_else(|| engine.name_any());
        path == mount(issuer) && engine.spec.configs.iter().any(|config| config.path == "crl")
    };
    let engines = lookup.list(key(issuer), sets_crl);
    let found = engines.iter().find(|it| is_at(home, &***it, lookup))?;
    let name = ObjectName::of(&**found);
    lookup.dependencies.on(Key::new(SecretEngine::KIND, name.clone()));
    Some(name)
}

/// Returns true if the object has its resources in the same namespace. Without the right to it, the object determines nothing.
fn is_at(home: &Home, object: &impl HasPlacement, lookup: &Lookup<'_>) -> bool {
    let other = Home::of(object, &Site::Placed(object.placement()), lookup);
    other.is_ok_and(|other| {
        ObjectName::of(&*other.cluster) == ObjectName::of(&*home.cluster) && other.namespace == home.namespace
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::Resource;
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::{OwnedResources, PKIIssuerStatus};

    use super::*;

    /// An issuer that was created in that second.
    fn issuer(name: &str, second: i64, changes: Value) -> PKIIssuer {
        let root = json!({"commonName": "CA", "ttl": "2h"});
        let mut spec = json!({"clusterRef": {"name": "main"}, "mount": "pki", "root": root});
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut issuer = PKIIssuer::new(name, serde_json::from_value(spec).unwrap());
        let meta = issuer.meta_mut();
        meta.namespace = Some("ns".to_owned());
        meta.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
        issuer
    }

    fn established(issuer: PKIIssuer) -> PKIIssuer {
        let owned = Some(OwnedResources::default());
        PKIIssuer { status: Some(PKIIssuerStatus { owned, ..PKIIssuerStatus::default() }), ..issuer }
    }

    #[rstest]
    #[case::none(json!({}), None)]
    #[case::default(json!({"default": true}), Some("default"))]
    #[case::lists(json!({"crl": {"expiry": "24h"}}), Some("crl"))]
    #[case::of_another_mount(json!({"default": true, "mount": "pki2"}), None)]
    #[case::of_the_same_mount(json!({"default": true, "mount": "/pki/"}), Some("default"))]
    fn objects_of_one_mount_share_settings(#[case] other: Value, #[case] expected: Option<&str>) {
        let own = issuer("own", 10, json!({"default": true, "crl": {"expiry": "48h"}}));
        assert_eq!(setting(&own, &issuer("other", 1, other)), expected);
        assert_eq!(setting(&own, &own.clone()), None);
    }

    #[test]
    fn exactly_one_of_two_objects_determines_a_setting() {
        let make = |name: &str, second, is_established| {
            let made = issuer(name, second, json!({"default": true}));
            if is_established { established(made) } else { made }
        };
        for (a, b, expected) in
            [(false, false, "b"), (true, true, "b"), (true, false, "a"), (false, true, "b")]
        {
            let (a, b) = (make("a", 10, a), make("b", 9, b));
            let (against_a, against_b) = ([Arc::new(b.clone())], [Arc::new(a.clone())]);
            let refused = [preceding(&a, &against_a), preceding(&b, &against_b)];
            let winners: Vec<_> = refused.iter().flatten().map(|(first, _)| first.name_any()).collect();
            assert_eq!(winners, [expected]);
        }
    }
}
