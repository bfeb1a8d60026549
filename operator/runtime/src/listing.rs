//! Lists of a watch: one list of all namespaces, or one for each namespace.

use std::collections::BTreeMap;

use kube::api::Api;
use kube::runtime::watcher;

/// A list and watch of one namespace, or of all.
#[derive(Clone)]
pub struct Part<K> {
    /// `None`: all namespaces, or a kind without namespaces.
    pub namespace: Option<String>,
    /// API of the objects.
    pub api: Api<K>,
}

impl<K> Part<K> {
    /// The only part of a watch of all objects.
    #[must_use]
    pub fn of_all(api: Api<K>) -> Self {
        Self { namespace: None, api }
    }
}

/// Progress of one list.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Number of owners that the last complete list considered.
    listed: Option<u64>,
    /// The API server refused the last list: the operator lacks the permission in this namespace.
    refused: bool,
}

impl Progress {
    /// Returns whether an object that the list does not contain is absent.
    fn is_known(&self) -> bool {
        self.listed.is_some() && !self.refused
    }
}

/// Progress of the lists of a watch. A user can remove a permission in one namespace and must not stop the others: a refused
/// list is not waited for, and the objects of its namespace are unknown, not absent, also those of an earlier list.
#[derive(Clone, Debug, Default)]
pub struct Listings(BTreeMap<Option<String>, Progress>);

impl Listings {
    /// Lists of these parts, none of them complete.
    #[must_use]
    pub fn of<K>(parts: &[Part<K>]) -> Self {
        Self(parts.iter().map(|part| (part.namespace.clone(), Progress::default())).collect())
    }

    /// Records a complete list that considered that many owners.
    pub fn listed(&mut self, namespace: Option<&str>, owners: u64) {
        let done = Progress { listed: Some(owners), refused: false };
        self.0.insert(namespace.map(str::to_owned), done);
    }

    /// Records an error. Returns whether it is the refusal of a list.
    pub fn failed(&mut self, namespace: Option<&str>, error: &watcher::Error) -> bool {
        let refused = namespace.is_some() && is_refusal(error);
        if refused {
            self.0.entry(namespace.map(str::to_owned)).or_default().refused = true;
        }
        refused
    }

    /// Returns whether each list is complete or refused.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.0.is_empty() && self.0.values().all(|part| part.refused || part.listed.is_some())
    }

    /// Returns the number of owners that every permitted list considered.
    pub(crate) fn owners(&self) -> u64 {
        let permitted = self.0.values().filter(|part| !part.refused);
        permitted.map(|part| part.listed.unwrap_or_default()).min().unwrap_or(u64::MAX)
    }

    /// Returns whether an object of that namespace is absent if no list contains it.
    #[must_use]
    pub fn knows(&self, namespace: &str) -> bool {
        self.0.is_empty()
            || self.0.contains_key(&None)
            || self.0.get(&Some(namespace.to_owned())).is_some_and(Progress::is_known)
    }

    /// Returns the namespaces of the lists that are refused or not complete.
    pub(crate) fn unlisted(&self) -> Vec<String> {
        let unlisted = self.0.iter().filter(|(_, part)| !part.is_known());
        unlisted.filter_map(|(namespace, _)| namespace.clone()).collect()
    }
}

fn is_refusal(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.code == 403,
        _ => false,
    }
}

/// Returns whether the API server refuses to continue a watch. It does not tell whether it also refuses a list.
pub(crate) fn is_refused_watch(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 403,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listings(namespaces: &[Option<&str>]) -> Listings {
        let parts = namespaces.iter().map(|name| (name.map(str::to_owned), Progress::default()));
        Listings(parts.collect())
    }

    fn error(code: u16) -> watcher::Error {
        let status = kube::core::Status { code, ..kube::core::Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_watch_is_complete_when_every_namespace_is_listed_or_refused() {
        let mut lists = listings(&[Some("a"), Some("b"), Some("c")]);
        lists.listed(Some("a"), 4);
        assert!(!lists.is_complete());
        assert!(!lists.failed(Some("b"), &error(500)), "an outage is waited for");
        lists.listed(Some("c"), 3);
        assert!(!lists.is_complete() && lists.owners() == 0);
        assert!(lists.failed(Some("b"), &error(403)));
        assert!(lists.is_complete() && lists.owners() == 3);
        lists.listed(Some("b"), 2);
        assert!(lists.is_complete() && lists.owners() == 2);
    }

    #[test]
    fn objects_of_a_namespace_without_a_list_are_unknown() {
        let mut lists = listings(&[Some("a"), Some("b")]);
        lists.listed(Some("a"), 0);
        assert_eq!(lists.unlisted(), ["b"]);
        lists.failed(Some("b"), &error(403));
        assert!(lists.knows("a") && !lists.knows("b") && !lists.knows("outside"));
        assert_eq!(lists.unlisted(), ["b"]);
        lists.listed(Some("b"), 0);
        assert!(lists.knows("b") && lists.unlisted().is_empty());
        lists.failed(Some("b"), &error(403));
        assert!(lists.knows("a") && !lists.knows("b"), "the objects of the last list may have changed");
        lists.listed(Some("b"), 0);
        assert!(lists.knows("b"));
    }

    #[test]
    fn a_list_of_all_namespaces_must_not_be_refused() {
        let mut lists = listings(&[None]);
        assert!(lists.unlisted().is_empty());
        assert!(!lists.failed(None, &error(403)) && !lists.is_complete());
        lists.listed(None, 0);
        assert!(lists.is_complete() && lists.knows("any"));
    }
}
