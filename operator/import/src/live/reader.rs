//! Requests, and what their responses add to the inventory.

use serde_json::{Map, Value};
use steamer_openbao::{Error, Session};

use crate::findings::{denied, note};
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

    /// Turns a denied request into a finding.
    pub(super) fn permitted<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Error::Denied { method, path }) => {
                self.inventory.findings.push(denied(&method, &path));
                Ok(None)
            }
            Err(error) => Err(error),
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
}
