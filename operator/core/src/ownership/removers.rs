//! Removal of the resources of objects that no longer exist, by kind. The family of a kind adds its remover.

use std::collections::HashMap;

use futures::future::BoxFuture;
use steamer_api::{KindId, OwnedResource};
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::{Locked, ObjectName};

use super::mark::Owner;
use super::removal::Owned;
use crate::error::Error;
use crate::stores::Stores;

/// Removes all resources of an owner from an OpenBao namespace. Can be repeated.
pub type Remover = for<'a> fn(&'a Session, &'a NamespacePath, Owned<'a>) -> BoxFuture<'a, Result<(), Error>>;

/// Resources that an existing object records in its status.
pub struct Record {
    /// Cluster that contains them.
    pub cluster: ObjectName,
    /// OpenBao namespace that contains them.
    pub namespace: NamespacePath,
    /// The resources.
    pub resources: Vec<OwnedResource>,
}

/// The records of all existing objects of a kind.
pub type Records = fn(&Stores) -> Vec<Record>;

/// The removers of all kinds that create resources in OpenBao.
#[derive(Default)]
pub struct Removers(Locked<HashMap<KindId, (Remover, Records)>>);

impl Removers {
    /// Adds the remover of a kind, and the records of its objects.
    pub fn add(&self, kind: KindId, remover: Remover, records: Records) {
        self.0.lock().insert(kind, (remover, records));
    }

    /// The remover of the resources of a deleted object. None for an owner that leaves no orphans, or that this version does not
    /// know.
    pub(super) fn of(&self, owner: &Owner) -> Option<Remover> {
        match owner {
            Owner::Object(kind) => self.0.lock().get(kind).map(|(remover, _)| *remover),
            Owner::Served(_) | Owner::Organization | Owner::Unknown(_) => None,
        }
    }

    /// The records of the existing objects of all kinds: another kind can have adopted a resource of a deleted object.
    pub(super) fn records(&self, stores: &Stores) -> Vec<Record> {
        let of_kinds: Vec<Records> = self.0.lock().values().map(|(_, records)| *records).collect();
        of_kinds.into_iter().flat_map(|of_kind| of_kind(stores)).collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::added("SecretsProject", true)]
    #[case::not_added("SecretsTenant", false)]
    #[case::no_resources("JWTIssuer", false)]
    #[case::organization("Organization", false)]
    #[case::unknown_kind("BaoFuture", false)]
    fn only_resources_of_a_kind_with_a_remover_can_be_removed(#[case] owner: &str, #[case] expected: bool) {
        let removers = Removers::default();
        removers.add(KindId::SecretsProject, |_, _, _| Box::pin(async { Ok(()) }), |_| Vec::new());
        assert_eq!(removers.of(&Owner::parse(owner)).is_some(), expected);
    }

    fn record(_: &Stores) -> Vec<Record> {
        let (cluster, namespace) = (ObjectName::new("ns", "main"), NamespacePath::new("team"));
        vec![Record { cluster, namespace, resources: Vec::new() }]
    }

    #[test]
    fn the_objects_of_every_kind_have_records() {
        let removers = Removers::default();
        for kind in [KindId::BaoPolicy, KindId::SecretsApp] {
            removers.add(kind, |_, _, _| Box::pin(async { Ok(()) }), record);
        }
        assert_eq!(removers.records(&Stores::default()).len(), 2);
    }
}
