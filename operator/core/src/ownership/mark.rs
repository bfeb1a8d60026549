//! The mark that every resource of Steamer carries: it names the installation and the object that own the resource.

use std::collections::BTreeMap;
use std::fmt;

use steamer_api::{Adopt, KindId};
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

use crate::error::Error;
use crate::served;

/// Owner of a resource in OpenBao or of a Secret. An object that is recreated with the same name owns it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// ID of the installation.
    pub installation: String,
    /// Kind of the owner.
    pub owner: Owner,
    /// Namespace and name of the owner.
    pub name: ObjectName,
}

/// Kind of an owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// An object of the API.
    Object(KindId),
    /// An object of Vault Secrets Operator that is served as an object of this kind.
    Served(KindId),
    /// An organization: several tenants share its namespace, so it belongs to the installation.
    Organization,
    /// A kind that this version does not know.
    Unknown(String),
}

const ORGANIZATION: &str = "Organization";
const PREFIX: &str = "managed by Steamer: ";

impl Owner {
    /// The owner of that kind.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match (KindId::parse(text), served::parse(text)) {
            (Some(kind), _) => Self::Object(kind),
            (None, Some(kind)) => Self::Served(kind),
            (None, None) if text == ORGANIZATION => Self::Organization,
            (None, None) => Self::Unknown(text.to_owned()),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object(kind) => kind.as_str(),
            Self::Served(kind) => served::kind(*kind).unwrap_or(kind.as_str()),
            Self::Organization => ORGANIZATION,
            Self::Unknown(text) => text,
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.installation, self.owner, self.name)
    }
}

impl Mark {
    /// The mark of the namespace of an organization, in the same installation.
    #[must_use]
    pub fn organization(&self, path: &NamespacePath) -> Self {
        Self {
            installation: self.installation.clone(),
            owner: Owner::Organization,
            name: ObjectName::new("-", path.as_str()),
        }
    }

    /// The description of a mount, or the comment of a path in a policy.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// Reads what [`Self::description`] wrote. Text after the mark on the same line is ignored.
    #[must_use]
    pub fn read(description: &str) -> Option<Self> {
        let text = description.strip_prefix(PREFIX)?;
        Self::parse(text.split([' ', ';', '\n']).next()?)
    }

    /// Reads what `to_string` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (installation, kind, namespace, name) = (next()?, next()?, next()?, next()?);
        Some(Self { installation, owner: Owner::parse(&kind), name: ObjectName { namespace, name } })
    }

    /// The custom metadata of a namespace.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("managed-by".to_owned(), "steamer".to_owned()),
            ("owner".to_owned(), self.to_string()),
        ])
    }

    /// Reads what [`Self::metadata`] wrote.
    #[must_use]
    pub fn of_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Self::parse(
            metadata.get("owner").filter(|_| metadata.get("managed-by").is_some_and(|by| by == "steamer"))?,
        )
    }

    /// The owner of a policy, from the comment of any of its paths.
    #[must_use]
    pub fn of_policy(text: &str) -> Option<Self> {
        let policy: serde_json::Value = serde_json::from_str(text).ok()?;
        let mut rules = policy.get("path")?.as_object()?.values();
        rules.find_map(|rule| Self::read(rule.get("comment")?.as_str()?))
    }
}

/// Right of an object to an existing resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The object owns the resource.
    Ours,
    /// The object may mark the resource as its own.
    Adopt,
    /// The resource belongs to another owner, or to none, and must stay unchanged.
    Foreign,
}

/// Decides about a resource that carries the mark `found`. `exists` returns true if the object of another mark exists.
pub fn claim(ours: &Mark, found: Option<&Mark>, adopt: Adopt, exists: impl Fn(&Mark) -> bool) -> Claim {
    match (found, adopt) {
        (Some(found), _) if found == ours => Claim::Ours,
        (_, Adopt::Never) => Claim::Foreign,
        (None, Adopt::IfUnowned) => Claim::Adopt,
        (Some(found), Adopt::IfUnowned) if found.installation == ours.installation && !exists(found) => {
            Claim::Adopt
        }
        (Some(_), Adopt::IfUnowned) => Claim::Foreign,
    }
}

/// The error for a resource in OpenBao that belongs to another owner.
#[must_use]
pub fn foreign(resource: &str, owner: Option<&Mark>) -> Error {
    Error::Conflict(format!(
        "{resource} in OpenBao belongs to {}: remove it, or set adopt: IfUnowned to adopt a resource without an owner",
        described(owner)
    ))
}

/// The owner as messages name it.
#[must_use]
pub fn described(owner: Option<&Mark>) -> String {
    owner.map_or_else(|| "another owner".to_owned(), |owner| format!("{} {}", owner.owner, owner.name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mark(installation: &str, name: &str) -> Mark {
        Mark {
            installation: installation.to_owned(),
            owner: Owner::Object(KindId::SecretsProject),
            name: ObjectName::new("ns", name),
        }
    }

    #[test]
    fn a_mark_survives_writing_and_reading() {
        let mark = mark("i", "web");
        assert_eq!(Mark::read(&mark.description()), Some(mark.clone()));
        assert_eq!(Mark::read(&format!("{}; from a/b", mark.description())), Some(mark.clone()));
        assert_eq!(Mark::of_metadata(&mark.metadata()), Some(mark));
        assert_eq!(Mark::read("my mount"), None);
        assert_eq!(Mark::read("managed by Steamer: i/SecretsProject"), None);
    }

    #[test]
    fn a_served_object_is_another_owner_than_an_object_of_the_same_name() {
        let native = Mark { owner: Owner::Object(KindId::BaoStaticSecret), ..mark("i", "web") };
        let served = Mark { owner: Owner::Served(KindId::BaoStaticSecret), ..mark("i", "web") };
        assert_eq!(served.to_string(), "i/VaultStaticSecret/ns/web");
        assert_eq!(Mark::parse(&served.to_string()), Some(served.clone()));
        assert_eq!(claim(&native, Some(&served), Adopt::IfUnowned, |_| true), Claim::Foreign);
        assert_eq!(claim(&native, Some(&served), Adopt::IfUnowned, |_| false), Claim::Adopt);
    }

    #[test]
    fn an_organization_belongs_to_the_installation() {
        let organization = mark("i", "web").organization(&NamespacePath::new("org_1"));
        assert_eq!(organization.to_string(), "i/Organization/-/org_1");
        assert_eq!(Mark::of_metadata(&organization.metadata()), Some(organization));
    }

    #[rstest]
    #[case(Some(mark("i", "web")), Adopt::Never, Claim::Ours)]
    #[case(None, Adopt::Never, Claim::Foreign)]
    #[case(None, Adopt::IfUnowned, Claim::Adopt)]
    #[case(Some(mark("i", "deleted")), Adopt::Never, Claim::Foreign)]
    #[case(Some(mark("i", "deleted")), Adopt::IfUnowned, Claim::Adopt)]
    #[case(Some(mark("i", "existing")), Adopt::IfUnowned, Claim::Foreign)]
    #[case(Some(mark("other", "deleted")), Adopt::IfUnowned, Claim::Foreign)]
    fn a_resource_of_another_owner_is_not_taken_over(
        #[case] found: Option<Mark>,
        #[case] adopt: Adopt,
        #[case] expected: Claim,
    ) {
        let decided = claim(&mark("i", "web"), found.as_ref(), adopt, |other| other.name.name == "existing");
        assert_eq!(decided, expected);
    }
}
