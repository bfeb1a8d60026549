use std::time::Duration;

use kube::ResourceExt;
use steamer_api::{Fencing, ManagedServer, OpenBaoCluster, SealState, StaticSeal};
use steamer_core::error::Error;

use crate::cluster::{Cluster, RESTART, name, version};
use crate::managed::fetch::{Found, spec};
use crate::seal::rotation::Keys;

/// The cluster as it can be, and the static key that its storage is sealed with as far as it is known.
pub(crate) fn validate(object: &OpenBaoCluster, found: &Found) -> Result<(Cluster, Option<Keys>), Error> {
    let spec = spec(object)?;
    let detection = spec.failover.detection.get();
    if detection < Duration::from_secs(6) {
        return Err(Error::Invalid(
            "failover.detection is 6s or more: a leader renews its lock every 5 s".to_owned(),
        ));
    }
    let fencing = match (spec.failover.fencing, &found.admin) {
        (Some(Fencing::Database), None) => {
            return Err(Error::Invalid(
                "failover.fencing Database needs storage.postgresql.adminSecretRef: a login that may create roles"
                    .to_owned(),
            ));
        }
        (Some(fencing), _) => fencing,
        (None, Some(_)) => Fencing::Database,
        (None, None) => Fencing::ProcessEnd,
    };
    let cluster = Cluster {
        name: name(object)?,
        uid: object.uid().unwrap_or_default(),
        spec: spec.clone(),
        administrators: object.spec.administrators.clone(),
        version: version(spec, found.last.highest_version_led.as_deref())?,
        owner: found.owner.clone(),
        admin: found.admin.clone(),
        fencing,
        restart: object.annotations().get(RESTART).cloned(),
    };
    token_lasts(spec)?;
    kept_audit(&cluster, found)?;
    rotated_before_migrated(&cluster, found)?;
    let keys = spec.seal.r#static.as_ref().map(|seal| keys(seal, found.last.seal.as_ref()));
    Ok((cluster, keys))
}

/// The API server takes no other token of a pod.
fn token_lasts(spec: &ManagedServer) -> Result<(), Error> {
    let lifetime = spec.service_account.token.as_ref().map(|token| token.lifetime.get());
    let day = Duration::from_secs(24 * 3600);
    match lifetime.filter(|lifetime| !(Duration::from_secs(600)..=day).contains(lifetime)) {
        Some(_) => Err(Error::Invalid("serviceAccount.token.lifetime is 10m to 24h".to_owned())),
        None => Ok(()),
    }
}

/// The last audit device does not go by accident.
fn kept_audit(cluster: &Cluster, found: &Found) -> Result<(), Error> {
    let had = found.last.audited == Some(true);
    if had && cluster.spec.audit.is_empty() && !cluster.spec.allow_no_audit {
        return Err(Error::Invalid(
            "audit is empty now: nobody would see what is asked of OpenBao. Set allowNoAudit: true if that is meant"
                .to_owned(),
        ));
    }
    Ok(())
}

/// While a key is rotated, two of them open what is in storage.
fn rotated_before_migrated(cluster: &Cluster, found: &Found) -> Result<(), Error> {
    let rotating = found.last.seal.as_ref().and_then(|seal| seal.rotating.as_ref());
    match rotating.filter(|_| cluster.spec.seal.r#static.is_none()) {
        Some(rotation) => Err(Error::Invalid(format!(
            "the static key is on its way to `{}`: put seal.static back with keyId `{}` until it is there, then change \
             the seal's kind",
            rotation.to, rotation.to
        ))),
        None => Ok(()),
    }
}

fn keys(seal: &StaticSeal, last: Option<&SealState>) -> Keys {
    let in_use = last.and_then(|last| last.key_id.clone()).unwrap_or_else(|| seal.key_id.clone());
    Keys { in_use, rotating: last.and_then(|last| last.rotating.clone()) }
}
