//! Converts spec and references of a managed cluster to a valid [`Cluster`].

use std::time::Duration;

use kube::ResourceExt;
use steamer_api::{Fencing, ManagedServer, OpenBaoCluster};
use steamer_core::error::Error;

use crate::cluster::{Cluster, Mode, RESTART, RESTORE, RESTORING, STEP_DOWN, name, version};
use crate::managed::fetch::{Found, spec};

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
        spec: spec.clone(),
        administrators: object.spec.administrators.clone(),
        fencing: fencing(spec, found)?,
        version: version(spec, found.last.highest_version_led.as_deref())?,
        owner: found.owner.clone(),
        admin: found.admin.clone(),
        restart: annotations.get(RESTART).cloned(),
        step_down: annotations.get(STEP_DOWN).cloned(),
        mode: mode(object),
        takes_over: annotations.contains_key(RESTORE),
    };
    check_token(spec)?;
    check_audit(spec, found)?;
    check_rotation(spec, found)?;
    Ok(cluster)
}

fn mode(object: &OpenBaoCluster) -> Mode {
    if object.spec.suspend {
        Mode::Suspended
    } else if object.annotations().contains_key(RESTORING) {
        Mode::Restoring
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

fn check_token(spec: &ManagedServer) -> Result<(), Error> {
    let lifetime = spec.service_account.token.as_ref().map(|token| token.lifetime.get());
    match lifetime.filter(|lifetime| !(SHORTEST_TOKEN..=LONGEST_TOKEN).contains(lifetime)) {
        Some(_) => Err(Error::Invalid("serviceAccount.token.lifetime is 10m to 24h".to_owned())),
        None => Ok(()),
    }
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
