//! Issuers and keys that an object owns, as recorded in `status.owned`.

use steamer_api::{OwnedResource, OwnedResources, Reference};
use steamer_runtime::ObjectName;

use super::desired::Desired;
use super::snapshot::{Issuer, Snapshot};
use super::stage::{Stage, next};

/// Former issuers and their keys that are recorded: the others are left to the tidy operation of OpenBao.
const LONGEST: usize = 100;

/// Path of an issuer.
pub(super) fn issuer_path(mount: &str, name: &str) -> String {
    format!("{mount}/issuer/{name}")
}

/// Path of a key.
pub(super) fn key_path(mount: &str, name: &str) -> String {
    format!("{mount}/key/{name}")
}

/// The record before the first write: everything that is owned, and everything that will be created, renamed or adopted.
pub(super) fn before_writes(desired: &Desired) -> OwnedResources {
    let Desired { mount, name, facts, .. } = desired;
    let mut paths = recorded(desired);
    add(&mut paths, own(desired));
    let stage = desired.stage();
    let successor = next(name);
    let is_rotating = match &stage {
        Stage::Missing { name, .. } | Stage::Unnamed { name, .. } => *name == successor,
        Stage::Next(_) => true,
        Stage::Exists(_) => false,
    };
    if is_rotating {
        let retired =
            facts.snapshot.current.as_ref().map(|current| retired(name, &current.certificate.short_serial()));
        for name in [Some(successor), retired].into_iter().flatten() {
            add(&mut paths, vec![key_path(mount, &name), issuer_path(mount, &name)]);
        }
    }
    located(desired, paths)
}

/// The record of a settled object: the issuer, and former ones that still exist.
pub(super) fn after_writes(desired: &Desired) -> OwnedResources {
    let own = own(desired);
    let is_former = |path: &String| exists(desired, path) && !own.contains(path);
    let mut former: Vec<String> = recorded(desired).into_iter().filter(is_former).collect();
    former.drain(..former.len().saturating_sub(LONGEST));
    former.extend(own);
    located(desired, former)
}

/// Name of an issuer that was replaced.
pub(super) fn retired(name: &str, serial: &str) -> String {
    format!("{name}-{serial}")
}

fn recorded(desired: &Desired) -> Vec<String> {
    let owned = desired.facts.owned.iter().flat_map(|owned| &owned.resources);
    owned.map(|resource| resource.path.clone()).collect()
}

fn own(desired: &Desired) -> Vec<String> {
    let Desired { mount, name, facts, .. } = desired;
    let key = facts.snapshot.issuer(name).and_then(|issuer| key_name(&facts.snapshot, issuer));
    vec![key_path(mount, key.unwrap_or(name)), issuer_path(mount, name)]
}

/// Name of the key of an issuer, or its ID if it has no name.
fn key_name<'a>(snapshot: &'a Snapshot, issuer: &Issuer) -> Option<&'a str> {
    let key = snapshot.key_of(issuer)?;
    Some(if key.name.is_empty() { &key.id } else { &key.name })
}

fn exists(desired: &Desired, path: &str) -> bool {
    let (mount, snapshot) = (&desired.mount, &desired.facts.snapshot);
    let is_issuer = |it: &Issuer| path == issuer_path(mount, &it.name);
    let is_key =
        |it: &super::snapshot::Key| [&it.name, &it.id].iter().any(|name| path == key_path(mount, name));
    snapshot.issuers.iter().any(is_issuer) || snapshot.keys.iter().any(is_key)
}

fn add(paths: &mut Vec<String>, further: Vec<String>) {
    for path in further {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
}

/// Keys come first: a deletion starts with the last one, and OpenBao deletes no key that an issuer uses.
fn located(desired: &Desired, mut paths: Vec<String>) -> OwnedResources {
    let is_issuer = |path: &String| path.starts_with(&issuer_path(&desired.mount, ""));
    paths.sort_by_key(is_issuer);
    let ObjectName { namespace, name } = ObjectName::of(&*desired.facts.home.cluster);
    let resource = |path| OwnedResource { path, holds_values: true, ..OwnedResource::default() };
    OwnedResources {
        cluster_ref: Reference { name, namespace: Some(namespace) },
        namespace: desired.facts.home.namespace.as_str().to_owned(),
        resources: paths.into_iter().map(resource).collect(),
    }
}
