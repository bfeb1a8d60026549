//! Removal of the resources of objects that no longer exist, by kind. The family of a kind adds its remover.

use std::collections::HashMap;

use futures::future::BoxFuture;
use steamer_api::KindId;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::Locked;

use super::mark::Owner;
use super::removal::Owned;
use crate::error::Error;

/// Removes all resources of an owner from an OpenBao namespace. Can be repeated.
pub type Remover = for<'a> fn(&'a Session, &'a NamespacePath, Owned<'a>) -> BoxFuture<'a, Result<(), Error>>;

/// The removers of all kinds that create resources in OpenBao.
#[derive(Default)]
pub struct Removers(Locked<HashMap<KindId, Remover>>);

impl Removers {
    /// Adds the remover of a kind.
    pub fn add(&self, kind: KindId, remover: Remover) {
        self.0.lock().insert(kind, remover);
    }

    /// The remover of the resources of a deleted object. None for an owner that leaves no orphans, or that this version
    /// does not know.
    pub(super) fn of(&self, owner: &Owner) -> Option<Remover> {
        match owner {
            Owner::Object(kind) => self.0.lock().get(kind).copied(),
            Owner::Served(_) | Owner::Organization | Owner::Unknown(_) => None,
        }
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
        removers.add(KindId::SecretsProject, |_, _, _| Box::pin(async { Ok(()) }));
        assert_eq!(removers.of(&Owner::parse(owner)).is_some(), expected);
    }
}
