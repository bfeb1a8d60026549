//! Converts spec and references of a managed cluster to a valid [`Cluster`].

use std::time::Duration;

use kube::ResourceExt;
use steamer_api::{Fencing, ManagedServer, OpenBaoCluster};
use steamer_core::error::Error;
use steamer_core::windows::{Schedule, Windows};

use crate::cluster::{Cluster, FENCE, Helper, Mode, RESTART, RESTORE, RESTORING, STEP_DOWN, name, version};
use crate::managed::fetch::{Catalog, Found, spec};
use crate::objects::audit_volume::has_volumes;
use crate::operator_policy::PolicyScope;

/// Shortest time limit of a failover: a leader renews its lock every 5 s.
const SHORTEST_DETECTION: Duration = Duration::from_secs(6);
/// Limits of the lifetime of a pod's token, as in the API server.
const SHORTEST_TOKEN: Duration = Duration::from_secs(600);
const LONGEST_TOKEN: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn validate(object: &OpenBaoCluster, found: &Found) -> Result<Cluster, Error> {
    let spec = spec(object)?;
    check_detection(spec)?;
    let annotations = object.annotations();
    let cluster = Cluster {
        name: name(object)?,
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation,
        spec: spec.clone(),
        administrators: object.spec.administrators.clone(),
        scope: PolicyScope::from(&object.spec),
        fencing: fencing(spec, found)?,
        version: version(spec, found.last.highest_version_led.as_deref())?,
        owner: found.owner.clone(),
        admin: found.admin.clone(),
        restart: annotations.get(RESTART).cloned(),
        step_down: annotations.get(STEP_DOWN).cloned(),
        fence: annotations.get(FENCE).cloned(),
        mode: mode(object),
        openbao_id: found.last.cluster_id.clone(),
        takes_over: annotations.contains_key(RESTORE),
        catalog_image: catalog_image(spec, found)?,
        relay: relay(spec, found)?,
        rotator: rotator(spec, found)?,
    };
    check_token(spec)?;
    Windows::parse(&spec.upgrade.windows, "spec.managed.upgrade.windows")?;
    check_drill(spec, found)?;
    check_audit(spec, found)?;
    check_rotation(spec, found)?;
    Ok(cluster)
}

/// Extent to which the cluster is reconciled, whether or not its spec is valid.
pub(crate) fn mode(object: &OpenBaoCluster) -> Mode {
    if object.spec.suspend {
        Mode::Suspended
    } else if object.annotations().contains_key(RESTORING) {
        Mode::Restoring
    } else if object.spec.managed.as_ref().is_some_and(|managed| managed.hibernation) {
        Mode::Hibernating
    } else {
        Mode::Active
    }
}

fn check_detection(spec: &ManagedServer) -> Result<(), Error> {
    if spec.failover.detection.get() < SHORTEST_DETECTION {
        return Err(Error::Invalid(
            "failover.detection is 6s or more: a leader renews its lock every 5 s".to_owned(),
        ));
    }
    Ok(())
}

fn fencing(spec: &ManagedServer, found: &Found) -> Result<Fencing, Error> {
    match (spec.failover.fencing, &found.admin) {
        (Some(Fencing::Database), None) => Err(Error::Invalid(
            "failover.fencing Database needs storage.postgresql.adminSecretRef: a login that can create roles"
                .to_owned(),
        )),
        (Some(fencing), _) => Ok(fencing),
        (None, Some(_)) => Ok(Fencing::Database),
        (None, None) => Ok(Fencing::ProcessEnd),
    }
}

/// The image of the version in the image catalog, if the spec refers to one.
fn catalog_image(spec: &ManagedServer, found: &Found) -> Result<Option<String>, Error> {
    let Some(Catalog { name, images }) = &found.catalog else { return Ok(None) };
    let version = &spec.version;
    let Some(image) = images.get(version) else {
        let others: Vec<&str> = images.keys().map(String::as_str).collect();
        return Err(Error::Invalid(format!(
            "ConfigMap {name} has no image for version {version}: add the key `{version}`, or set version to one that it has \
             ({})",
            others.join(", ")
        )));
    };
    if has_digest(image) {
        return Ok(Some(image.clone()));
    }
    Err(Error::Invalid(format!(
        "the image for version {version} in ConfigMap {name} has no digest: append @sha256: and its 64 digits"
    )))
}

fn has_digest(image: &str) -> bool {
    let is_digest = |digest: &str| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    image.rsplit_once("@sha256:").is_some_and(|(name, digest)| !name.is_empty() && is_digest(digest))
}

/// The relay, if the spec enables instant delivery.
fn relay(spec: &ManagedServer, found: &Found) -> Result<Option<Helper>, Error> {
    let delivery = spec.instant_delivery.as_ref().filter(|delivery| delivery.enabled);
    // The rotation of the logs shares the process namespace of OpenBao: the relay could read the files of its process.
    if delivery.is_some() && has_volumes(&spec.audit) {
        return Err(Error::Invalid(
            "instantDelivery.enabled and file.volume of an audit device exclude each other: remove one of them".to_owned(),
        ));
    }
    delivery.map(|_| helper(spec, found, "instantDelivery")).transpose()
}

/// The rotation of audit logs, if a device has a volume.
fn rotator(spec: &ManagedServer, found: &Found) -> Result<Option<Helper>, Error> {
    has_volumes(&spec.audit).then(|| helper(spec, found, "file.volume of an audit device")).transpose()
}

/// A container with the image of Steamer, for a field of the spec.
pub(crate) fn helper(spec: &ManagedServer, found: &Found, field: &str) -> Result<Helper, Error> {
    let chosen = spec.instant_delivery.as_ref().and_then(|delivery| delivery.image.as_ref());
    let helper = |image: &String, is_chosen| Helper { image: image.clone(), is_chosen };
    let own = || found.image.as_ref().map(|image| helper(image, false));
    chosen.map(|image| helper(image, true)).or_else(own).ok_or_else(|| {
        Error::Invalid(format!(
            "{field} needs the image of Steamer: set instantDelivery.image, or the argument --image of the operator"
        ))
    })
}

fn check_token(spec: &ManagedServer) -> Result<(), Error> {
    let lifetime = spec.service_account.token.as_ref().map(|token| token.lifetime.get());
    match lifetime.filter(|lifetime| !(SHORTEST_TOKEN..=LONGEST_TOKEN).contains(lifetime)) {
        Some(_) => Err(Error::Invalid("serviceAccount.token.lifetime is 10m to 24h".to_owned())),
        None => Ok(()),
    }
}

fn check_drill(spec: &ManagedServer, found: &Found) -> Result<(), Error> {
    let Some(drill) = &spec.restore_drill else { return Ok(()) };
    if let Some(schedule) = &drill.schedule {
        Schedule::parse(schedule, drill.time_zone.as_deref(), "spec.managed.restoreDrill.schedule")?;
    }
    helper(spec, found, "restoreDrill").map(drop)
}

/// Prevents an accidental removal of the last audit device.
fn check_audit(spec: &ManagedServer, found: &Found) -> Result<(), Error> {
    let was_audited = found.last.audited == Some(true);
    if was_audited && spec.audit.is_empty() && !spec.allow_no_audit {
        return Err(Error::Invalid(
            "audit is now empty, so requests to OpenBao would not be recorded: set allowNoAudit: true if this is intended"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Refuses another seal type during a rotation: storage is wrapped by two keys then.
fn check_rotation(spec: &ManagedServer, found: &Found) -> Result<(), Error> {
    let rotating = found.last.seal.as_ref().and_then(|seal| seal.rotating.as_ref());
    match rotating.filter(|_| spec.seal.r#static.is_none()) {
        Some(rotation) => Err(Error::Invalid(format!(
            "the static key is being rotated to `{}`: restore seal.static with keyId `{}` until the rotation is complete, \
             then change the seal type",
            rotation.to, rotation.to
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::SealState;

    use super::*;
    use crate::tests::{admin_login, found, object};

    struct Case {
        object: OpenBaoCluster,
        found: Found,
    }

    impl Case {
        fn valid() -> Self {
            Self { object: object(), found: found() }
        }

        fn managed(&mut self) -> &mut ManagedServer {
            self.object.spec.managed.as_mut().unwrap()
        }
    }

    #[rstest]
    #[case::valid(|_: &mut Case| {}, "")]
    #[case::short_detection(
        |case: &mut Case| case.managed().failover = serde_json::from_value(json!({"detection": "5s"})).unwrap(),
        "failover.detection is 6s or more"
    )]
    #[case::fencing_without_an_admin_login(
        |case: &mut Case| case.managed().failover.fencing = Some(Fencing::Database),
        "needs storage.postgresql.adminSecretRef"
    )]
    #[case::relay(
        |case: &mut Case| {
            case.managed().instant_delivery = serde_json::from_value(json!({"enabled": true})).unwrap();
        },
        ""
    )]
    #[case::relay_without_an_image(
        |case: &mut Case| {
            case.managed().instant_delivery = serde_json::from_value(json!({"enabled": true})).unwrap();
            case.found.image = None;
        },
        "set instantDelivery.image, or the argument --image"
    )]
    #[case::image_of_the_catalog(|case: &mut Case| case.found.catalog = catalog("2.7.2", &"a".repeat(64)), "")]
    #[case::version_that_the_catalog_lacks(
        |case: &mut Case| case.found.catalog = catalog("2.7.1", &"a".repeat(64)),
        "ConfigMap images has no image for version 2.7.2: add the key `2.7.2`, or set version to one that it has (2.7.1)"
    )]
    #[case::image_without_a_digest(
        |case: &mut Case| case.found.catalog = catalog("2.7.2", "latest"),
        "has no digest: append @sha256:"
    )]
    #[case::audit_volume_without_an_image(
        |case: &mut Case| {
            let device = json!([{"name": "a", "description": "d", "file": {"volume": {"size": "1Gi"}}}]);
            case.managed().audit = serde_json::from_value(device).unwrap();
            case.found.image = None;
        },
        "file.volume of an audit device needs the image of Steamer"
    )]
    #[case::relay_beside_an_audit_volume(
        |case: &mut Case| {
            let device = json!([{"name": "a", "description": "d", "file": {"volume": {"size": "1Gi"}}}]);
            case.managed().audit = serde_json::from_value(device).unwrap();
            case.managed().instant_delivery = serde_json::from_value(json!({"enabled": true})).unwrap();
        },
        "exclude each other"
    )]
    #[case::short_token(
        |case: &mut Case| {
            let account = json!({"token": {"audience": "a", "lifetime": "5m"}});
            case.managed().service_account = serde_json::from_value(account).unwrap();
        },
        "serviceAccount.token.lifetime is 10m to 24h"
    )]
    #[case::window_without_a_schedule(
        |case: &mut Case| {
            let windows = json!({"windows": [{"kind": "Allow", "schedule": "0 2 * * XYZ", "duration": "1h"}]});
            case.managed().upgrade = serde_json::from_value(windows).unwrap();
        },
        "spec.managed.upgrade.windows: window `0 2 * * XYZ`"
    )]
    #[case::last_audit_device_removed(|case: &mut Case| case.found.last.audited = Some(true), "set allowNoAudit: true")]
    #[case::last_audit_device_removed_with_consent(
        |case: &mut Case| {
            case.found.last.audited = Some(true);
            case.managed().allow_no_audit = true;
        },
        ""
    )]
    #[case::another_seal_during_a_rotation(
        |case: &mut Case| {
            let seal = json!({"transit": {"address": "https://x", "keyName": "k", "tokenSecretRef": {"name": "t"}}});
            case.managed().seal = serde_json::from_value(seal).unwrap();
            let rotating = json!({"to": "k2", "phase": "Rewrap"});
            let rotating = serde_json::from_value(rotating).unwrap();
            case.found.last.seal = Some(SealState { rotating: Some(rotating), ..SealState::default() });
        },
        "restore seal.static with keyId `k2`"
    )]
    fn an_invalid_spec_is_refused(#[case] change: fn(&mut Case), #[case] expected: &str) {
        let mut case = Case::valid();
        change(&mut case);
        let said =
            validate(&case.object, &case.found).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }

    fn catalog(version: &str, digest: &str) -> Option<Catalog> {
        let image = format!("quay.io/openbao/openbao@sha256:{digest}");
        Some(Catalog { name: "images".to_owned(), images: [(version.to_owned(), image)].into() })
    }

    #[test]
    fn the_image_of_the_catalog_is_the_image_of_the_nodes() {
        let mut case = Case::valid();
        case.found.catalog = catalog("2.7.2", &"a".repeat(64));
        let cluster = validate(&case.object, &case.found).unwrap();
        assert_eq!(cluster.image(), format!("quay.io/openbao/openbao@sha256:{}", "a".repeat(64)));
    }

    #[rstest]
    #[case::default_without_an_admin_login(None, false, Fencing::ProcessEnd)]
    #[case::default_with_an_admin_login(None, true, Fencing::Database)]
    #[case::disabled(Some(Fencing::None), true, Fencing::None)]
    fn fencing_depends_on_the_admin_login(
        #[case] wanted: Option<Fencing>,
        #[case] has_admin: bool,
        #[case] expected: Fencing,
    ) {
        let mut case = Case::valid();
        case.managed().failover.fencing = wanted;
        case.found.admin = has_admin.then(admin_login);
        assert_eq!(validate(&case.object, &case.found).unwrap().fencing, expected);
    }

    #[rstest]
    #[case("", Mode::Active)]
    #[case("r", Mode::Restoring)]
    #[case("s", Mode::Suspended)]
    #[case("rs", Mode::Suspended)]
    #[case("h", Mode::Hibernating)]
    #[case("hr", Mode::Restoring)]
    #[case("hs", Mode::Suspended)]
    fn a_suspended_cluster_is_not_stopped(#[case] state: &str, #[case] expected: Mode) {
        let mut object = object();
        object.spec.suspend = state.contains('s');
        object.spec.managed.as_mut().unwrap().hibernation = state.contains('h');
        if state.contains('r') {
            object.annotations_mut().insert(RESTORING.to_owned(), "today".to_owned());
        }
        assert_eq!(validate(&object, &found()).unwrap().mode, expected);
    }
}
