//! A resource in OpenBao and its desired state.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value};
use steamer_runtime::Reason;

use super::body::Body;
use super::existing::Existing;
use super::readback::Returned;
use super::receipt::Receipt;
use crate::write::Deletion;

/// A resource in OpenBao: where it is, how it is created and changed, and the parameters that it must have.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// The resource as messages name it, such as `policy web`.
    pub(crate) name: String,
    /// Path that is read, relative to the OpenBao namespace. It identifies the resource in `status.owned`.
    pub(crate) path: String,
    /// Path that is read instead of `path`, for a part that OpenBao returns with another resource. The part exists if `read`
    /// returns parameters.
    pub(crate) read_at: Option<String>,
    /// Path that is deleted. None for a part of another resource, such as the configuration of a mount.
    pub(crate) deleted_at: Option<String>,
    /// Path and body of the request that creates the resource, if it is another request than the one that changes it.
    pub(crate) creation: Option<(String, Map<String, Value>)>,
    /// True if the change accepts parameters that the creation does not: the change follows the creation.
    pub(crate) is_completed_by_change: bool,
    /// Keeps the answer to the creation.
    pub(crate) receipt: Option<Arc<dyn Receipt>>,
    /// Path of the request that changes the resource. None for a resource that cannot be changed.
    pub(crate) changed_at: Option<String>,
    /// Desired parameters, and secret ones. Parameters that the spec does not set are not compared.
    pub(crate) body: Body,
    /// Parameters that OpenBao cannot change: another value is a conflict. A secret one is sent only when the resource is
    /// created.
    pub(crate) fixed: Vec<&'static str>,
    /// Parameters that are compared as those of `fixed`, and that every change must repeat.
    pub(crate) sent_fixed: Vec<&'static str>,
    /// Parameters that the spec does not state, and whose default permits the most. An adoption replaces no other value.
    pub(crate) restricting: Vec<&'static str>,
    /// Maps that OpenBao completes with entries of its own, which are not compared. In every other map, a further entry
    /// differs: it can be a claim or a scope that a person added.
    pub(crate) open_maps: Vec<&'static str>,
    /// Lists whose order matters, such as statements.
    pub(crate) ordered: Vec<&'static str>,
    /// True if the resource contains values: a deletion keeps it unless `deletionPolicy` is `Delete`.
    pub(crate) holds_values: bool,
    /// Converts an answer to the parameters under which the resource is written.
    pub(crate) read: fn(Map<String, Value>) -> Map<String, Value>,
    /// Converts parameters to the request that changes the resource.
    pub(crate) write: fn(Map<String, Value>) -> Map<String, Value>,
    /// True if an answer contains every parameter that has a value: a missing one differs.
    pub(crate) is_complete: bool,
    /// Method of the writes.
    pub(crate) method: reqwest::Method,
    /// The resource in OpenBao, if [`Found::read`](super::Found::read) has read it.
    pub(crate) existing: Option<Option<Existing>>,
    /// Deletes what an interrupted creation has left, before the resource is created again.
    pub(crate) interrupted: Option<Deletion>,
    /// A request that follows the writes and is sent once.
    pub(crate) follow_up: Option<FollowUp>,
    /// A fact for [`General::facts`](super::General::facts), such as a digest of a part of the resource.
    pub(crate) stamp: Option<String>,
    /// Reason and message of a part of the spec that is not in force, such as one that is withheld because a right is missing. The
    /// object is then `Stalled`, after everything else has its desired state.
    pub(crate) withheld: Option<(Reason, String)>,
}

/// A request that follows the writes of a resource and is sent once, such as the rotation of a password. The kind records in
/// its status that it was sent.
#[derive(Clone, Debug)]
pub(crate) struct FollowUp {
    /// Path of the request, relative to the OpenBao namespace.
    pub(crate) path: String,
    /// Reason of the request, such as `the password is rotated`.
    pub(crate) reason: &'static str,
    /// False if this pass only writes the resource, and the next pass, which follows at once, sends the request.
    pub(crate) is_due: bool,
}

impl Resource {
    /// A resource that one path reads, writes and deletes.
    pub(crate) fn at(
        name: impl Into<String>,
        path: impl Into<String>,
        parameters: Map<String, Value>,
    ) -> Self {
        let path = path.into();
        Self {
            name: name.into(),
            deleted_at: Some(path.clone()),
            changed_at: Some(path.clone()),
            path,
            body: Body { parameters, ..Body::default() },
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            name: String::new(),
            path: String::new(),
            read_at: None,
            deleted_at: None,
            creation: None,
            is_completed_by_change: false,
            receipt: None,
            changed_at: None,
            body: Body::default(),
            fixed: Vec::new(),
            sent_fixed: Vec::new(),
            restricting: Vec::new(),
            open_maps: Vec::new(),
            ordered: Vec::new(),
            holds_values: false,
            read: |answer| answer,
            write: |parameters| parameters,
            is_complete: false,
            method: reqwest::Method::POST,
            existing: None,
            interrupted: None,
            follow_up: None,
            stamp: None,
            withheld: None,
        }
    }

    /// The parameters of an existing resource that was read. None if it does not exist, or was not read.
    pub(crate) fn found(&self) -> Option<&Map<String, Value>> {
        Some(&self.existing.as_ref()?.as_ref()?.parameters)
    }

    /// The resource as if it had been read.
    #[cfg(test)]
    pub(crate) fn with_existing(self, found: Option<Map<String, Value>>) -> Self {
        let existing = found.map(|parameters| Existing { parameters, ..Existing::default() });
        Self { existing: Some(existing), ..self }
    }

    /// Adds a fact to the parameters of an existing resource that was read.
    pub(crate) fn add_fact(&mut self, name: &str, value: Value) {
        if let Some(Some(existing)) = &mut self.existing {
            existing.parameters.insert(name.to_owned(), value);
        }
    }

    /// The path of the request that creates the resource.
    pub(crate) fn created_at(&self) -> Option<&String> {
        match &self.creation {
            Some((path, _)) => Some(path),
            None => self.changed_at.as_ref(),
        }
    }

    /// The body of the request that creates the resource.
    pub(crate) fn creation_body(&self) -> Body {
        let mut body = self.body.clone();
        body.parameters = match &self.creation {
            Some((_, parameters)) => parameters.clone(),
            None => (self.write)(body.parameters),
        };
        body
    }

    /// The body of the request that changes the resource: without the parameters that cannot be changed.
    pub(crate) fn change_body(&self) -> Body {
        let mut body = self.body.clone();
        body.parameters.retain(|name, _| !self.fixed.contains(&name.as_str()));
        body.secrets.retain(|name, _| !self.fixed.contains(&name.as_str()));
        body.parameters = (self.write)(body.parameters);
        body
    }

    /// Path that is read.
    pub(super) fn read_path(&self) -> &str {
        self.read_at.as_ref().unwrap_or(&self.path)
    }

    /// The secret parameters that an answer contains with other values than a change sends.
    pub(super) fn compared(&self, answer: &Map<String, Value>) -> Returned {
        let readback = self.body.readback.as_ref();
        readback.map(|it| it.observed(&self.change_body().secrets, answer)).unwrap_or_default()
    }

    /// Adds a secret parameter. If OpenBao does not return it, a change is found by its digest in the status.
    pub(crate) fn with_secret(mut self, name: &str, secret: SecretString) -> Self {
        self.body.secrets.insert(name.to_owned(), secret);
        self
    }
}
