//! Issuers and keys that an object owns, as recorded in `status.owned`.

use steamer_api::{OwnedResource, OwnedResources};

use super::desired::Desired;
use super::names::{next, retired};
use super::snapshot::{Issuer, Key, Snapshot};
use super::stage::Stage;
use crate::general::{footprint, located};

/// Most former issuers, each with its key, that an object owns. The status has no space for more, and without a record,
/// `deletionPolicy: Delete` would leave their keys.
pub(super) const MOST_FORMER: usize = 120;

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
    recorded_at_home(desired, paths)
}

/// The record of a settled object: the issuer, and former ones that still exist.
pub(super) fn after_writes(desired: &Desired) -> OwnedResources {
    let mut paths = former(desired);
    paths.extend(own(desired));
    recorded_at_home(desired, paths)
}

/// Returns true if the record has no space for another former issuer.
pub(super) fn is_full(desired: &Desired) -> bool {
    former(desired).len() >= 2 * MOST_FORMER
}

/// Recorded issuers and keys that were replaced and still exist.
fn former(desired: &Desired) -> Vec<String> {
    let own = own(desired);
    let is_former = |path: &String| exists(desired, path) && !own.contains(path);
    recorded(desired).into_iter().filter(is_former).collect()
}

/// Former issuers that the object owns, except for the default issuer of the mount.
pub(super) fn former_issuers(desired: &Desired) -> impl Iterator<Item = &Issuer> {
    let (snapshot, paths) = (&desired.facts.snapshot, former(desired));
    let is_former = move |it: &&Issuer| {
        let path = issuer_path(&desired.mount, &it.name);
        paths.contains(&path) && desired.is_owned(&path)
    };
    snapshot.issuers.iter().filter(is_former).filter(|it| it.id != snapshot.default)
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
pub(super) fn key_name<'a>(snapshot: &'a Snapshot, issuer: &Issuer) -> Option<&'a str> {
    let key = snapshot.key_of(issuer)?;
    Some(if key.name.is_empty() { &key.id } else { &key.name })
}

/// Returns true for an issuer or key that the object has owned before, or that exists: the plan has checked it.
fn is_confirmed(desired: &Desired, path: &str) -> bool {
    desired.is_owned(path) || exists(desired, path)
}

pub(super) fn exists(desired: &Desired, path: &str) -> bool {
    let (mount, snapshot) = (&desired.mount, &desired.facts.snapshot);
    let is_issuer = |it: &Issuer| path == issuer_path(mount, &it.name);
    let is_key = |it: &Key| [&it.name, &it.id].iter().any(|name| path == key_path(mount, name));
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
fn recorded_at_home(desired: &Desired, mut paths: Vec<String>) -> OwnedResources {
    let is_issuer = |path: &String| path.starts_with(&issuer_path(&desired.mount, ""));
    paths.sort_by_key(is_issuer);
    let resource = |path: String| OwnedResource {
        pending: !is_confirmed(desired, &path),
        path,
        holds_values: true,
        ..OwnedResource::default()
    };
    let record = located(&desired.facts.home, paths.into_iter().map(resource).collect());
    // The reference contains the namespace of the cluster.
    let resources = desired.facts.seal.sealed(footprint(&record, "")).resources;
    OwnedResources { resources, ..record }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::pki_issuer::fixture;

    /// An issuer with that number of former ones, all of them recorded.
    fn desired(former: usize) -> Desired {
        let names: Vec<String> =
            (0..former).map(|it| format!("ca-{it:08}")).chain(["ca".to_owned()]).collect();
        let recorded: Vec<String> =
            names.iter().flat_map(|name| [key_path("pki", name), issuer_path("pki", name)]).collect();
        fixture::desired(fixture::mount(&names), &recorded, &json!({}))
    }

    #[rstest]
    #[case::new(&[], &[], &[("pki/key/ca", true), ("pki/issuer/ca", true)])]
    #[case::adopted(&["ca"], &[], &[("pki/key/ca", false), ("pki/issuer/ca", false)])]
    #[case::created_and_not_recorded(&["ca"], &["ca"], &[("pki/key/ca", false), ("pki/issuer/ca", false)])]
    fn what_does_not_exist_yet_is_pending(
        #[case] issuers: &[&str],
        #[case] announced: &[&str],
        #[case] expected: &[(&str, bool)],
    ) {
        let recorded: Vec<String> =
            announced.iter().flat_map(|name| [key_path("pki", name), issuer_path("pki", name)]).collect();
        let mut desired = fixture::desired(fixture::mount(issuers), &recorded, &json!({}));
        for entry in desired.facts.owned.iter_mut().flat_map(|owned| &mut owned.resources) {
            entry.pending = true;
        }
        let record = before_writes(&desired);
        let found: Vec<_> = record.resources.iter().map(|it| (&*it.path, it.pending)).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::none(0, false)]
    #[case::space_for_one(MOST_FORMER - 1, false)]
    #[case::full(MOST_FORMER, true)]
    fn no_key_of_a_former_issuer_is_lost_from_the_record(#[case] former: usize, #[case] expected: bool) {
        let desired = desired(former);
        let record = after_writes(&desired);
        assert_eq!(record.resources.len(), 2 * (former + 1));
        assert_eq!(is_full(&desired), expected);
        assert!(record.resources.iter().all(|it| it.holds_values && it.seal.is_some()));
        // The status has space for 256 resources, and a rotation adds four.
        assert!(is_full(&desired) || record.resources.len() + 4 <= 256);
        let (keys, issuers) = record.resources.split_at(former + 1);
        assert!(keys.iter().all(|it| it.path.starts_with("pki/key/")));
        assert!(issuers.iter().all(|it| it.path.starts_with("pki/issuer/")));
    }
}
