//! Rights of an object to existing resources in OpenBao.

use steamer_api::Adopt;
use steamer_core::error::Error;
use steamer_core::ownership::mark::{described, foreign};
use steamer_core::ownership::{Claim, Mark, claim};
use steamer_openbao::NamespacePath;

/// What decides about the right of an object to a resource.
#[derive(Clone, Copy)]
pub(crate) struct Rights<'a> {
    /// Mark of the object.
    pub(crate) mark: &'a Mark,
    /// OpenBao namespace that is the root of the cluster. Published paths contain it.
    pub(crate) root: &'a NamespacePath,
    /// `spec.adopt` of the object.
    pub(crate) adopt: Adopt,
    /// Returns true if the object that a mark names exists.
    pub(crate) exists: &'a dyn Fn(&Mark) -> bool,
}

/// Right to a resource that is not foreign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The resource carries the mark of the object.
    Owned,
    /// The resource has no owner, or one that no longer exists, and must be marked first.
    Adoptable,
}

impl<'a> Rights<'a> {
    /// The same rights under another mark.
    pub(crate) fn under<'b>(&self, mark: &'b Mark) -> Rights<'b>
    where
        'a: 'b,
    {
        Rights { mark, ..*self }
    }

    /// A namespace as clients of the server address it.
    pub(crate) fn published(&self, namespace: &NamespacePath) -> NamespacePath {
        self.root.join(namespace.as_str())
    }

    /// Returns true if `found` is the mark of the object.
    pub(crate) fn owns(&self, found: Option<&Mark>) -> bool {
        found == Some(self.mark)
    }

    /// The right to a resource with the mark `found`. `resource` names it in messages.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a resource of another owner or kind, or of none without `adopt`.
    pub(crate) fn hold(&self, resource: &str, found: Option<&Mark>) -> Result<Hold, Error> {
        match claim(self.mark, found, self.adopt, self.exists) {
            Claim::Ours => Ok(Hold::Owned),
            Claim::Adopt => self.same_kind(resource, found).map(|()| Hold::Adoptable),
            Claim::Foreign => Err(foreign(resource, found)),
        }
    }

    /// Refuses what a deleted object of another kind left. A group that is a tenant and a group-scoped project have the same
    /// path, and the values of the one must not become readable to the jobs of the other.
    fn same_kind(&self, resource: &str, found: Option<&Mark>) -> Result<(), Error> {
        let Some(found) = found.filter(|found| found.owner != self.mark.owner) else {
            return Ok(());
        };
        Err(Error::Conflict(format!(
            "{resource} in OpenBao belonged to {}, and a {} does not adopt it: remove it, or create that object again",
            described(Some(found)),
            self.mark.owner
        )))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;
    use steamer_runtime::ObjectName;

    use super::*;

    fn mark(name: &str) -> Mark {
        let owner = Owner::Object(KindId::SecretsProject);
        Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", name) }
    }

    #[rstest]
    #[case::same_kind(KindId::SecretsProject, "Ok(Adoptable)")]
    #[case::group_tenant(
        KindId::SecretsTenant,
        "Err: namespace org_5/group_7 in OpenBao belonged to SecretsTenant ns/deleted, and a SecretsProject does not adopt it: remove it, or create that object again"
    )]
    fn what_an_object_of_another_kind_has_left_is_never_adopted(
        #[case] left_by: KindId,
        #[case] expected: &str,
    ) {
        let (own, root) = (mark("web"), NamespacePath::root());
        let found = Mark { owner: Owner::Object(left_by), ..mark("deleted") };
        let rights = Rights { mark: &own, root: &root, adopt: Adopt::IfUnowned, exists: &|_| false };
        let decided = match rights.hold("namespace org_5/group_7", Some(&found)) {
            Ok(hold) => format!("Ok({hold:?})"),
            Err(error) => format!("Err: {error}"),
        };
        assert_eq!(decided, expected);
    }

    #[rstest]
    #[case::own(Some("web"), Adopt::Never, "Ok(Owned)")]
    #[case::unmarked(
        None,
        Adopt::Never,
        "Err: mount m in OpenBao belongs to another owner: remove it, or set adopt: IfUnowned to adopt a resource without an owner"
    )]
    #[case::unmarked_and_adopted(None, Adopt::IfUnowned, "Ok(Adoptable)")]
    #[case::deleted_owner(Some("deleted"), Adopt::IfUnowned, "Ok(Adoptable)")]
    #[case::existing_owner(
        Some("existing"),
        Adopt::IfUnowned,
        "Err: mount m in OpenBao belongs to SecretsProject ns/existing: remove it, or set adopt: IfUnowned to adopt a resource without an owner"
    )]
    fn a_foreign_resource_is_a_conflict_that_names_its_owner(
        #[case] found: Option<&str>,
        #[case] adopt: Adopt,
        #[case] expected: &str,
    ) {
        let (own, found) = (mark("web"), found.map(mark));
        let root = NamespacePath::root();
        let rights = Rights { mark: &own, root: &root, adopt, exists: &|mark| mark.name.name == "existing" };
        let decided = match rights.hold("mount m", found.as_ref()) {
            Ok(hold) => format!("Ok({hold:?})"),
            Err(error) => format!("Err: {error}"),
        };
        assert_eq!(decided, expected);
        assert_eq!(rights.owns(found.as_ref()), decided == "Ok(Owned)");
    }
}
