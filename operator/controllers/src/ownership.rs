//! Whose a thing in OpenBao or a Secret is: the mark that everything made by Steamer carries.

use std::collections::BTreeMap;
use std::fmt;

use steamer_api::Adopt;
use steamer_runtime::Name;

/// Who made a thing: an installation of Steamer, for an object. The same name made again finds its things again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) installation: String,
    pub(crate) kind: String,
    pub(crate) name: Name,
}

const PREFIX: &str = "managed by Steamer: ";

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.installation, self.kind, self.name)
    }
}

impl Mark {
    pub(crate) fn new(installation: &str, kind: &str, name: Name) -> Self {
        Self { installation: installation.to_owned(), kind: kind.to_owned(), name }
    }

    /// As the description of a mount or the comment of a policy path.
    pub(crate) fn description(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// Reads what [`Self::description`] wrote; anything after it on the line is no part of it.
    pub(crate) fn read(description: &str) -> Option<Self> {
        let text = description.strip_prefix(PREFIX)?;
        Self::parse(text.split([' ', ';', '\n']).next()?)
    }

    /// Reads what `to_string` wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (installation, kind, namespace, name) = (next()?, next()?, next()?, next()?);
        Some(Self { installation, kind, name: Name { namespace, name } })
    }

    /// As the custom metadata of a namespace.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("managed-by".to_owned(), "steamer".to_owned()),
            ("owner".to_owned(), self.to_string()),
        ])
    }

    /// Reads what [`Self::metadata`] wrote.
    pub(crate) fn of_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Self::parse(
            metadata.get("owner").filter(|_| metadata.get("managed-by").is_some_and(|by| by == "steamer"))?,
        )
    }
}

/// What to do with a thing that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is ours.
    Ours,
    /// It is to be marked as ours.
    Adopt,
    /// It stays as it is.
    Foreign,
}

/// Decides about a thing that carries `found`. `living` tells whether the object of another mark exists.
pub(crate) fn claim(
    ours: &Mark,
    found: Option<&Mark>,
    adopt: Adopt,
    living: impl Fn(&Mark) -> bool,
) -> Claim {
    match (found, adopt) {
        (Some(found), _) if found == ours => Claim::Ours,
        (_, Adopt::Never) => Claim::Foreign,
        (None, Adopt::IfUnowned) => Claim::Adopt,
        (Some(found), Adopt::IfUnowned) if found.installation == ours.installation && !living(found) => {
            Claim::Adopt
        }
        (Some(_), Adopt::IfUnowned) => Claim::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mark(installation: &str, name: &str) -> Mark {
        Mark::new(installation, "SecretsProject", Name::new("ns", name))
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = mark("i", "web");
        assert_eq!(Mark::read(&mark.description()), Some(mark.clone()));
        assert_eq!(Mark::read(&format!("{}; from a/b", mark.description())), Some(mark.clone()));
        assert_eq!(Mark::of_metadata(&mark.metadata()), Some(mark));
        assert_eq!(Mark::read("a mount of mine"), None);
        assert_eq!(Mark::read("managed by Steamer: i/SecretsProject"), None);
    }

    #[rstest]
    #[case(Some(mark("i", "web")), Adopt::Never, Claim::Ours)]
    #[case(None, Adopt::Never, Claim::Foreign)]
    #[case(None, Adopt::IfUnowned, Claim::Adopt)]
    #[case(Some(mark("i", "dead")), Adopt::Never, Claim::Foreign)]
    #[case(Some(mark("i", "dead")), Adopt::IfUnowned, Claim::Adopt)]
    #[case(Some(mark("i", "living")), Adopt::IfUnowned, Claim::Foreign)]
    #[case(Some(mark("other", "dead")), Adopt::IfUnowned, Claim::Foreign)]
    fn foreign_things_stay(#[case] found: Option<Mark>, #[case] adopt: Adopt, #[case] expected: Claim) {
        let decided = claim(&mark("i", "web"), found.as_ref(), adopt, |other| other.name.name == "living");
        assert_eq!(decided, expected);
    }
}
