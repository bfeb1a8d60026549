//! Paths of OpenBao namespaces.

use std::fmt;

/// Path of an OpenBao namespace from the root, such as `org_1/group_7`. The root namespace is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacePath(String);

impl NamespacePath {
    /// Returns the root namespace.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses a path. Leading and trailing slashes are ignored, and `root` is the root namespace.
    #[must_use]
    pub fn new(path: &str) -> Self {
        match path.trim_matches('/') {
            "root" => Self::root(),
            path => Self(path.to_owned()),
        }
    }

    /// Returns the namespace at the relative path `below`.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        let below = below.trim_matches('/');
        match (self.0.is_empty(), below.is_empty()) {
            (true, _) => Self(below.to_owned()),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{below}", self.0)),
        }
    }

    /// Returns the parent namespace and the last segment of the path. `None` for the root namespace.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &str)> {
        match self.0.rsplit_once('/') {
            Some((parent, name)) => Some((Self(parent.to_owned()), name)),
            None if self.0.is_empty() => None,
            None => Some((Self::root(), &self.0)),
        }
    }

    /// Returns `path` of this namespace from the root namespace, such as `org_1/group_7/auth/jwt`.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        if self.0.is_empty() { path.to_owned() } else { format!("{}/{path}", self.0) }
    }

    /// Returns the path without leading and trailing slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the root namespace.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for NamespacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "root" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_join_and_split() {
        let group = NamespacePath::root().join("org_1").join("/group_7/");
        assert_eq!(group.as_str(), "org_1/group_7");
        assert_eq!(group.split(), Some((NamespacePath::new("org_1"), "group_7")));
        assert_eq!(NamespacePath::new("org_1").split(), Some((NamespacePath::root(), "org_1")));
        assert_eq!(NamespacePath::new("root").split(), None);
        assert_eq!(group.path("auth/jwt"), "org_1/group_7/auth/jwt");
        assert_eq!(NamespacePath::root().path("auth/jwt"), "auth/jwt");
    }
}
