//! Requests, and what their responses add to the inventory.

use serde_json::{Map, Value};
use steamer_convert::Finding;
use steamer_openbao::{Error, Session};

use crate::findings::{denied, note, review};
use crate::inventory::Inventory;
use crate::resource::{Class, Fields, Place, Resource};

/// Reads one namespace.
pub(super) struct Reader<'a> {
    pub(super) session: Session,
    /// Relative to the root of the cluster.
    pub(super) namespace: &'a str,
    inventory: &'a mut Inventory,
}

impl<'a> Reader<'a> {
    pub(super) fn new(session: Session, namespace: &'a str, inventory: &'a mut Inventory) -> Self {
        Self { session, namespace, inventory }
    }

    /// The names below a path at any depth. Empty if the path does not exist.
    pub(super) async fn names(&mut self, path: &str) -> Result<Vec<String>, Error> {
        let (mut names, mut folders) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = folders.pop() {
            let listed = self.session.listing(format!("{path}/{folder}").trim_end_matches('/')).await;
            for name in self.permitted(listed)?.unwrap_or_default() {
                let name = format!("{folder}{name}");
                let found = if name.ends_with('/') { &mut folders } else { &mut names };
                found.push(name);
            }
        }
        Ok(names)
    }

    /// The configuration at a path.
    pub(super) async fn fields(&mut self, path: &str) -> Result<Option<Fields>, Error> {
        let result = self.session.configuration(path).await;
        Ok(self.permitted(result)?.flatten())
    }

    /// The objects at a path, by name.
    pub(super) async fn objects(&mut self, path: &str) -> Result<Vec<(String, Fields)>, Error> {
        let found = self.fields(path).await?.unwrap_or_default();
        let object = |(name, value)| match value {
            Value::Object(fields) => Some((name, fields)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(object).collect())
    }

    /// Turns a request that fails for its path into a finding.
    pub(super) fn permitted<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                self.inventory.findings.push(unread(error)?);
                Ok(None)
            }
        }
    }

    pub(super) fn place(&self, class: Class, name: &str) -> Place {
        Place::new(class, self.namespace, name)
    }

    /// Adds a resource, unless OpenBao created it or Steamer owns it.
    pub(super) fn add(&mut self, place: Place, method: &str, fields: Map<String, Value>) {
        self.inventory.add(Resource { place, method: method.to_owned(), fields });
    }

    pub(super) fn note(&mut self, place: &Place, action: String) {
        self.inventory.findings.push(note(place.to_string(), action));
    }

    pub(super) fn review(&mut self, place: &Place, action: &str) {
        self.inventory.findings.push(review(place.to_string(), "", action));
    }
}

/// The finding about a path that cannot be read.
///
/// # Errors
/// An error that concerns the server or the namespace, which other paths would return, too.
fn unread(error: Error) -> Result<Finding, Error> {
    let path = match &error {
        Error::Denied { method, path } => return Ok(denied(method, path)),
        Error::NotFound { path, .. }
        | Error::InUse { path }
        | Error::CheckAndSet { path }
        | Error::Invalid { path, .. }
        | Error::Server { path, .. }
        | Error::Answer { path, .. } => path.clone(),
        Error::Mount { mount, .. } => mount.clone(),
        _ => return Err(error),
    };
    let action = format!("{error}. Its resources are missing: correct the cause, and import again");
    Ok(review(path, "", &action))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn path() -> String {
        "kv/config".to_owned()
    }

    #[rstest]
    #[case::denied(Error::Denied { method: "GET".to_owned(), path: path() }, true)]
    #[case::server(Error::Server { status: 500, path: path(), message: "m".to_owned() }, true)]
    #[case::invalid(Error::Invalid { path: path(), message: "m".to_owned() }, true)]
    #[case::sealed(Error::Sealed, false)]
    #[case::sealed_namespace(Error::NamespaceSealed { path: path() }, false)]
    #[case::no_leader(Error::NoLeader, false)]
    #[case::other_server(Error::Foreign { path: path(), status: 404 }, false)]
    fn only_an_error_of_a_path_is_a_finding(#[case] error: Error, #[case] expected: bool) {
        let found = unread(error).ok();
        assert_eq!(found.is_some(), expected);
        assert!(found.is_none_or(|finding| finding.object == path() && finding.action.contains("missing")));
    }
}
