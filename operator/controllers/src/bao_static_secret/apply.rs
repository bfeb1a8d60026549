use std::collections::BTreeMap;

use kube::ResourceExt;
use steamer_api::{BaoStaticSecret, BaoStaticSecretStatus, DeletionPolicy, OnSourceDeleted};
use steamer_runtime::{Dependencies, Name};

use super::{Controller, validate};
use crate::error::Error;
use crate::sync::destination::Foreign;
use crate::sync::wanted::Wanted;

/// Makes the Secret right; whether anything was written.
pub(super) async fn put(
    controller: &Controller,
    secret: &BaoStaticSecret,
    dependencies: &Dependencies,
    wanted: &Wanted,
) -> Result<bool, Error> {
    let destination = &secret.spec.destination;
    if !destination.create {
        return controller.destinations.merge(dependencies, wanted).await;
    }
    let foreign = if destination.overwrite { Foreign::TakenOver } else { Foreign::Stays };
    controller.destinations.put(dependencies, wanted, foreign).await
}

/// After a rename: removes the Secret of the old name, if it is ours and not to be kept.
pub(super) async fn prune(controller: &Controller, secret: &BaoStaticSecret) -> Result<(), Error> {
    let last: BaoStaticSecretStatus = controller.context.last(secret);
    let Some(old) = last.destination.filter(|old| *old != secret.spec.destination.name) else {
        return Ok(());
    };
    if secret.spec.destination.deletion_policy == DeletionPolicy::Retain {
        return Ok(());
    }
    let name = Name::new(secret.namespace().unwrap_or_default(), old);
    let mark = controller.context.mark("BaoStaticSecret", Name::of(secret));
    match controller.destinations.own(&name, &mark) {
        Some(observed) => controller.destinations.delete(&name, &observed).await,
        None => Ok(()),
    }
}

/// Does what is to be done when there is no value; gives the error that says so.
pub(super) async fn source_missing(
    controller: &Controller,
    secret: &BaoStaticSecret,
    dependencies: &Dependencies,
) -> Result<Error, Error> {
    let spec = &secret.spec;
    let name = validate::destination(secret);
    let mark = controller.context.mark("BaoStaticSecret", Name::of(secret));
    let there = controller.destinations.own(&name, &mark);
    let done = match (&there, spec.on_source_deleted) {
        (None, _) => "",
        (Some(_), OnSourceDeleted::Retain) => "; the Secret is kept",
        (Some(_), OnSourceDeleted::Clear) => {
            let empty = validate::with_data(&controller.context, secret, BTreeMap::new());
            controller.destinations.put(dependencies, &empty, Foreign::Stays).await?;
            "; the Secret is emptied"
        }
        (Some(observed), OnSourceDeleted::Delete) => {
            controller.destinations.delete(&name, observed).await?;
            "; the Secret is deleted"
        }
    };
    controller.records().remove(&Name::of(secret));
    let version = spec.version.filter(|version| *version > 0).map(|version| format!(" version {version}"));
    let source = format!("{}/{}{}", spec.mount.trim_matches('/'), spec.path, version.unwrap_or_default());
    let pause = super::fetch::period(secret);
    Ok(Error::SourceMissing(format!("there is no value at {source} in OpenBao{done}"), pause))
}
