//! The writes that lead to the desired state.

use serde_json::{Map, Value};
use steamer_api::{Adopt, DeletionPolicy, OwnedResource};
use steamer_core::error::Error;
use steamer_openbao::NamespacePath;

use super::compare::{Difference, differences, equal, reordered, without_additions};
use super::desired::{Desired, DesiredResource};
use super::existing::Existing;
use super::resource::{FollowUp, Resource};
use crate::engine::Rights;
use crate::write::{Call, DIFFERS, Write};

/// The writes, in their order: resources that the spec no longer contains are deleted last.
pub(super) fn writes(
    desired: &Desired,
    observed: &[Option<Existing>],
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for (resource, found) in desired.resources.iter().zip(observed) {
        let planner = Planner { desired, resource, rights };
        writes.extend(match found {
            None => planner.creation(),
            Some(found) => planner.change(found)?.into_iter().collect(),
        });
    }
    writes.extend(undesired(desired));
    writes.extend(follow_ups(desired));
    Ok(writes)
}

/// The requests that follow the writes of this pass.
fn follow_ups(desired: &Desired) -> impl Iterator<Item = Write> {
    let due = desired.follow_ups().filter(|it| it.is_due);
    due.map(|FollowUp { path, reason, .. }| {
        let call = Call::Send {
            method: reqwest::Method::POST,
            path: path.clone(),
            body: super::Body::default(),
            receipt: None,
        };
        Write::update(&desired.home.namespace, call, reason)
    })
}

struct Planner<'a> {
    desired: &'a Desired,
    resource: &'a DesiredResource,
    rights: &'a Rights<'a>,
}

impl Planner<'_> {
    fn creation(&self) -> Vec<Write> {
        let resource = &self.resource.resource;
        let create = |path: &String| {
            let (method, body) = (resource.method.clone(), resource.creation_body());
            let call = Call::Send { method, path: path.clone(), body, receipt: resource.receipt.clone() };
            self.written(Write::create(&self.desired.home.namespace, call))
        };
        resource.created_at().map(create).into_iter().chain(self.completion()).collect()
    }

    /// The change that follows the creation, with the parameters that the creation does not accept.
    fn completion(&self) -> Option<Write> {
        let resource = &self.resource.resource;
        let created = resource.creation_body().parameters;
        let is_created =
            |(name, value): (&String, &Value)| equal(value, created.get(name).unwrap_or(&Value::Null));
        let body = resource.change_body();
        let is_complete = !resource.is_completed_by_change || body.parameters.iter().all(is_created);
        let path = resource.changed_at.clone().filter(|_| !is_complete)?;
        Some(self.update(path, body))
    }

    fn change(&self, found: &Existing) -> Result<Option<Write>, Error> {
        let (resource, namespace) = (&self.resource.resource, &self.desired.home.namespace);
        if let Some(discard) = resource.interrupted {
            return Ok(Some(Write::discard(namespace, resource.path.clone(), discard)));
        }
        // A part of another resource exists because of that resource.
        if resource.deleted_at.is_some() {
            self.check_owner(found)?;
        }
        let differences = self.differences(found);
        if differences.is_empty() && !self.has_new_secret() && !self.has_changed_secret(found) {
            return Ok(None);
        }
        refuse_fixed(resource, &differences, &self.rights.published(namespace))?;
        if self.recorded().is_none_or(|it| it.pending) {
            refuse_widened(resource, &differences, &self.rights.published(namespace))?;
        }
        Ok(resource.changed_at.as_ref().map(|path| self.update(path.clone(), resource.change_body())))
    }

    fn update(&self, path: String, body: super::Body) -> Write {
        let method = self.resource.resource.method.clone();
        let call = Call::Send { method, path, body, receipt: None };
        self.written(Write::update(&self.desired.home.namespace, call, DIFFERS))
    }

    fn written(&self, write: Write) -> Write {
        write.leading_to(&self.resource.digest).of_resource(&self.resource.resource.path)
    }

    fn recorded(&self) -> Option<&OwnedResource> {
        self.desired.recorded(&self.resource.resource.path)
    }

    /// Returns true if the last request of the object was the desired one.
    fn is_sent(&self) -> bool {
        self.recorded().is_some_and(|it| !it.pending && self.has_digest(it))
    }

    fn has_digest(&self, recorded: &OwnedResource) -> bool {
        recorded.digest.as_ref() == Some(&self.resource.digest)
    }

    /// OpenBao does not return every parameter. A request that was sent before is in force.
    fn differences(&self, found: &Existing) -> Vec<Difference> {
        let resource = &self.resource.resource;
        let mut differences = different(resource, &resource.body.parameters, found);
        differences.retain(|it| !it.is_absent || resource.is_complete || !self.is_sent());
        differences
    }

    /// Returns true for a secret that OpenBao does not have yet. An adopted resource has it: the pass that adopts a resource
    /// finds no record, and announces the resource with its digest. A record without it is of a resource that the object itself
    /// has created, in a pass that did not end.
    fn has_new_secret(&self) -> bool {
        let has_secret = !self.resource.resource.change_body().secrets.is_empty();
        has_secret && self.recorded().is_some_and(|it| !self.has_digest(it))
    }

    /// Returns true for a secret that OpenBao returns with another value than after the last write: another client changed it.
    fn has_changed_secret(&self, found: &Existing) -> bool {
        let digest = found.secrets.digest.as_ref();
        let written = self.recorded().filter(|_| self.is_sent()).and_then(|it| it.returned.as_ref());
        digest.is_some() && digest != written
    }

    /// Checks that the object may change an existing resource.
    fn check_owner(&self, found: &Existing) -> Result<(), Error> {
        let name = &self.resource.resource.name;
        let namespace = self.rights.published(&self.desired.home.namespace);
        let is_unmarked = found.mark.is_none();
        match self.recorded().filter(|_| is_unmarked) {
            Some(recorded) if !recorded.pending || self.is_as_announced(found) => Ok(()),
            Some(_) if self.rights.adopt == Adopt::Never => Err(Error::Conflict(format!(
                "{name} in namespace {namespace} exists and differs from the spec, and Steamer cannot tell who created it: remove \
                 it, or set adopt: IfUnowned to adopt it"
            ))),
            _ => self.rights.hold(&format!("{name} in namespace {namespace}"), found.mark.as_ref()).map(drop),
        }
    }

    fn is_as_announced(&self, found: &Existing) -> bool {
        is_as_announced(&self.resource.resource, found)
    }
}

/// Returns true if the resource of an entry exists as the object announced to create it. Equal parameters do not show who
/// created values, so those are kept.
pub(super) fn is_created(desired: &Desired, observed: &[Option<Existing>], entry: &OwnedResource) -> bool {
    let mut resources = desired.resources.iter().map(|it| &it.resource).zip(observed);
    let found = resources.find(|(resource, _)| resource.path == entry.path);
    let is_comparable = |resource: &Resource| {
        !entry.holds_values && !resource.holds_values && !resource.body.parameters.is_empty()
    };
    let is_own = |(resource, found): (&Resource, &Existing)| {
        is_comparable(resource) && found.mark.is_none() && is_as_announced(resource, found)
    };
    found.and_then(|(resource, found)| Some((resource, found.as_ref()?))).is_some_and(is_own)
}

/// Returns true for a resource that is as the object announced to create it: after the creation, or after the change that
/// follows it.
fn is_as_announced(resource: &Resource, found: &Existing) -> bool {
    let is_like = |desired: &Map<String, Value>| {
        different(resource, desired, found).iter().all(|it| it.is_absent && !resource.is_complete)
    };
    let created = resource.creation_body().parameters;
    let mut first = resource.body.parameters.clone();
    first.retain(|name, _| created.contains_key(name));
    is_like(&resource.body.parameters)
        || (resource.is_completed_by_change && !first.is_empty() && is_like(&first))
}

fn different(resource: &Resource, desired: &Map<String, Value>, found: &Existing) -> Vec<Difference> {
    let found = without_additions(&resource.open_maps, desired, &found.parameters);
    let mut all = differences(desired, &found);
    all.extend(reordered(&resource.ordered, desired, &found));
    all
}

fn refuse_fixed(
    resource: &Resource,
    differences: &[Difference],
    namespace: &NamespacePath,
) -> Result<(), Error> {
    let is_fixed = |name: &str| resource.fixed.contains(&name) || resource.sent_fixed.contains(&name);
    let Some(difference) = differences.iter().find(|it| is_fixed(&it.name) && !it.is_absent) else {
        return Ok(());
    };
    Err(Error::Conflict(format!(
        "{} in namespace {namespace} has another {}, and OpenBao cannot change it: write the existing value in the spec, or create \
         another object",
        resource.name, difference.name
    )))
}

/// Refuses an adoption that would replace a restriction by a default.
fn refuse_widened(
    resource: &Resource,
    differences: &[Difference],
    namespace: &NamespacePath,
) -> Result<(), Error> {
    let is_widened = |it: &&Difference| resource.restricting.contains(&it.name.as_str()) && !it.is_absent;
    let Some(Difference { name: parameter, .. }) = differences.iter().find(is_widened) else {
        return Ok(());
    };
    Err(Error::Conflict(format!(
        "{} in namespace {namespace} restricts {parameter}, and the spec does not state it: write the existing value in the spec, \
         because an adoption would replace it by the default, which permits more",
        resource.name
    )))
}

/// Deletes owned resources that the spec no longer contains. Values need `deletionPolicy: Delete`.
fn undesired(desired: &Desired) -> Vec<Write> {
    let owned = desired.owned.iter().flat_map(|owned| &owned.resources).rev();
    let is_undesired =
        |it: &&OwnedResource| desired.resources.iter().all(|other| other.resource.path != it.path);
    let is_kept = |it: &OwnedResource| it.holds_values && desired.deletion_policy == DeletionPolicy::Retain;
    let delete = |it: &OwnedResource| {
        let path = it.deletion_path().filter(|_| !it.pending && !is_kept(it))?;
        let removal = Write::remove(&desired.home.namespace, path.to_owned(), desired.deletion);
        Some(removal.of_resource(&it.path))
    };
    owned.filter(is_undesired).filter_map(delete).collect()
}

#[cfg(test)]
mod tests;
