use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

use secrecy::SecretString;
use steamer_api::{BaoStaticSecret, CreationPolicy, DeletionPolicy, Destination};
use steamer_openbao::{Kv, Values};
use steamer_runtime::Name;

use crate::context::Context;
use crate::error::Error;
use crate::sync::wanted::{Wanted, data};

/// A value that is there.
pub(super) struct Found<'a> {
    pub(super) values: &'a Values,
    pub(super) version: Option<i64>,
}

pub(super) fn value(kv: &Kv) -> Option<Found<'_>> {
    match kv {
        Kv::Value { values, version } => Some(Found { values, version: *version }),
        Kv::Deleted { .. } | Kv::Absent => None,
    }
}

/// The name of the Secret.
pub(super) fn destination(secret: &BaoStaticSecret) -> Name {
    Name::new(secret.namespace().unwrap_or_default(), &secret.spec.destination.name)
}

pub(super) fn wanted(context: &Context, secret: &BaoStaticSecret, values: &Values) -> Result<Wanted, Error> {
    Ok(with_data(context, secret, data(values)?))
}

/// The Secret with that data.
pub(super) fn with_data(
    context: &Context,
    secret: &BaoStaticSecret,
    data: BTreeMap<String, SecretString>,
) -> Wanted {
    let Destination {
        name: _,
        create: _,
        overwrite: _,
        labels,
        annotations,
        type_,
        creation_policy,
        deletion_policy,
    } = &secret.spec.destination;
    let owned = *creation_policy == CreationPolicy::Owner && *deletion_policy == DeletionPolicy::Delete;
    Wanted {
        name: destination(secret),
        data,
        type_: type_.clone().unwrap_or_else(|| "Opaque".to_owned()),
        labels: labels.clone(),
        annotations: annotations.clone(),
        owner: owned.then(|| owner(secret)).flatten(),
        mark: context.mark("BaoStaticSecret", Name::of(secret)),
    }
}

fn owner(secret: &BaoStaticSecret) -> Option<OwnerReference> {
    secret.controller_owner_ref(&())
}
