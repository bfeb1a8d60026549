//! The writes that lead to the desired state.

use serde_json::Value;
use steamer_api::{DeletionPolicy, OwnedResource};
use steamer_core::error::Error;

use super::compare::{Difference, differences, equal, reordered};
use super::desired::{Desired, DesiredResource};
use super::existing::Existing;
use super::resource::{FollowUp, Resource};
use crate::engine::Rights;
use crate::write::{Call, DIFFERS, UNDESIRED, Write};

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
        let path = match &resource.creation {
            Some((path, _)) => Some(path),
            None => resource.changed_at.as_ref(),
        };
        let create = |path: &String| {
            let (method, body) = (resource.method.clone(), resource.creation_body());
            let call = Call::Send { method, path: path.clone(), body, receipt: resource.receipt.clone() };
            Write::create(&self.desired.home.namespace, call)
        };
        path.map(create).into_iter().chain(self.completion()).collect()
    }

    /// The change that follows the creation, with the parameters that the creation does not accept.
    fn completion(&self) -> Option<Write> {
        let resource = &self.resource.resource;
        let created = resource.creation_body().parameters;
        let is_created = |(name, value): (&String, &Value)| {
            created.get(name).map_or_else(|| equal(value, &Value::Null), |it| equal(value, it))
        };
        let body = resource.change_body();
        let is_complete = !resource.is_completed_by_change || body.parameters.iter().all(is_created);
        let path = resource.changed_at.clone().filter(|_| !is_complete)?;
        Some(Write::update(&self.desired.home.namespace, send(resource, path, body), DIFFERS))
    }

    fn change(&self, found: &Existing) -> Result<Option<Write>, Error> {
        let DesiredResource { resource, digest } = self.resource;
        let recorded = self.desired.recorded(&resource.path);
        // A part of another resource exists because of that resource.
        if resource.deleted_at.is_some() {
            self.check_owner(resource, found, recorded)?;
        }
        // OpenBao does not return every parameter. A request that was sent before is in force.
        let is_sent = recorded.and_then(|it| it.digest.as_ref()) == Some(digest);
        let mut differences = different(resource, found);
        differences.retain(|it| !it.is_absent || resource.is_complete || !is_sent);
        let is_adopted = recorded.is_none_or(|it| it.digest.is_none());
        let has_new_secret = !resource.change_body().secrets.is_empty() && !is_sent && !is_adopted;
        if differences.is_empty() && !has_new_secret {
            return Ok(None);
        }
        refuse_fixed(
            resource,
            &differences,
            &self.rights.published(&self.desired.home.namespace).to_string(),
        )?;
        let namespace = &self.desired.home.namespace;
        let write = |path: &String| {
            Write::update(namespace, send(resource, path.clone(), resource.change_body()), DIFFERS)
        };
        Ok(resource.changed_at.as_ref().map(write))
    }

    /// Checks that the object may change an existing resource.
    fn check_owner(
        &self,
        resource: &Resource,
        found: &Existing,
        recorded: Option<&OwnedResource>,
    ) -> Result<(), Error> {
        if recorded.is_some() && found.mark.is_none() {
            return Ok(());
        }
        let namespace = self.rights.published(&self.desired.home.namespace);
        self.rights
            .hold(&format!("{} in namespace {namespace}", resource.name), found.mark.as_ref())
            .map(drop)
    }
}

fn different(resource: &Resource, found: &Existing) -> Vec<Difference> {
    let (desired, found) = (&resource.body.parameters, &found.parameters);
    let mut all = differences(desired, found);
    all.extend(reordered(&resource.ordered, desired, found));
    all
}

fn refuse_fixed(resource: &Resource, differences: &[Difference], namespace: &str) -> Result<(), Error> {
    let is_fixed = |it: &&Difference| resource.fixed.contains(&it.name.as_str()) && !it.is_absent;
    let Some(difference) = differences.iter().find(is_fixed) else {
        return Ok(());
    };
    Err(Error::Conflict(format!(
        "{} in namespace {namespace} has another {}, and OpenBao cannot change it: correct the spec, or delete the resource in \
         OpenBao",
        resource.name, difference.name
    )))
}

fn send(resource: &Resource, path: String, body: super::Body) -> Call {
    Call::Send { method: resource.method.clone(), path, body, receipt: None }
}

/// Deletes owned resources that the spec no longer contains. Values need `deletionPolicy: Delete`.
fn undesired(desired: &Desired) -> Vec<Write> {
    let owned = desired.owned.iter().flat_map(|owned| &owned.resources).rev();
    let is_undesired =
        |it: &&OwnedResource| desired.resources.iter().all(|other| other.resource.path != it.path);
    let is_kept = |it: &OwnedResource| it.holds_values && desired.deletion_policy == DeletionPolicy::Retain;
    let delete = |it: &OwnedResource| {
        let path = it.deletion_path().filter(|_| !is_kept(it))?;
        Some(Write::delete(&desired.home.namespace, path.to_owned(), UNDESIRED))
    };
    owned.filter(is_undesired).filter_map(delete).collect()
}

#[cfg(test)]
mod tests;
