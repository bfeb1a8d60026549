//! Withdrawal of access while a mount, policy, connection or entity that the spec refers to is missing. What exists is reduced to
//! what the spec still grants. Nothing is added: no resource is created, and no policy or list gets another entry. A change by hand
//! of what the spec has not changed is repaired.

use serde_json::Value;
use steamer_api::{Mode, SecretsApp, SecretsAppStatus};
use steamer_core::error::Error;

use super::bindings::{self, Login, Method};
use super::database::Database;
use super::kept::Kept;
use super::parts::Parts;
use super::{ci, hcl, policies, reduction, roles};
use crate::auth_mounts::withdrawal::{certain, is_certain, withdrawn};
use crate::bao_policy::policy;
use crate::database_names::owns;
use crate::general::{Found, Resource};
use crate::write::policy_path;

/// The resources while something is missing. `problem` is the result if OpenBao already has this state, and under
/// `mode: Observe`.
///
/// # Errors
/// The problem. Any error of a request.
pub(super) async fn without_missing(
    app: &SecretsApp,
    problem: Error,
    found: &Found<'_>,
) -> Result<Vec<Resource>, Error> {
    let is_observed = app.spec.lifecycle.mode == Mode::Observe;
    if is_observed || found.owned.is_none() || !is_certain(&problem) {
        return Err(problem);
    }
    match certain(remaining(app, found).await)? {
        Some(resources) => withdrawn(resources, problem, found.owned),
        // The spec itself is wrong.
        None => Err(problem),
    }
}

/// Returns true for a resource of a pass that only withdraws access.
pub(super) const fn is_withdrawn(resource: &Resource) -> bool {
    resource.follow_up.is_some()
}

/// The owned resources that remain, each as it may be.
async fn remaining(app: &SecretsApp, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
    let (parts, kept) = parts(app, found)?;
    let mut resources = reduced_policies(app, &parts, kept.as_ref(), found).await?;
    let mut others: Vec<Resource> = Vec::new();
    others.extend(ci::group_of_existing(app, found).await?.map(|(group, _)| group));
    if let Some(login) = certain(Login::of(app, found).await)? {
        others.extend(roles::all(app, &login, found.home)?);
    }
    others.extend(ci::role(app, found).await?);
    if let Some(database) = &parts.database {
        others.extend(granted(database.check(app, found).await)?.flatten());
        others.extend(granted(database.role(app, found).await)?.flatten());
    }
    others.extend(kept.iter().flat_map(Kept::resources));
    resources.extend(reduced(others, found).await?);
    Ok(resources)
}

/// What the policies are computed from without the auth mounts, and what is kept of a database whose connection is missing.
fn parts(app: &SecretsApp, found: &Found<'_>) -> Result<(Parts, Option<Kept>), Error> {
    let (database, kept) = match Database::of(app, found) {
        Err(problem) if is_certain(&problem) => {
            let last: SecretsAppStatus = found.pass.context.status(app);
            (None, Kept::of(app, last.database.as_ref()))
        }
        database => (granted(database)?.flatten(), None),
    };
    let known = database.as_ref().map(|it| &it.credentials);
    let credentials = known.or_else(|| kept.as_ref().map(|it| &it.credentials)).cloned();
    let login = Login { method: Method::Kubernetes, roles: bindings::roles(app, Method::Kubernetes) };
    Ok((Parts { login, database, credentials, denied: None }, kept))
}

/// The result, or None if something is certainly missing or wrong, or denied.
fn granted<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(Error::Denied { .. } | Error::NotAllowed(_)) => Ok(None),
        result => certain(result),
    }
}

/// The policies that the object owns, each reduced to the rules that it has already.
async fn reduced_policies(
    app: &SecretsApp,
    parts: &Parts,
    kept: Option<&Kept>,
    found: &Found<'_>,
) -> Result<Vec<Resource>, Error> {
    let kept = kept.map(|it| it.roles.as_slice()).unwrap_or_default();
    let mut resources = Vec::new();
    for (name, rules) in policies::rules(app, parts)? {
        if !owns(found.owned, &policy_path(&name)) {
            continue;
        }
        let mut resource = policy(&name, hcl::text(&rules), found).await?;
        if !is_applied(&resource, found) {
            let existing = resource.found().and_then(|it| it.get("policy")?.as_str()).unwrap_or_default();
            let text = hcl::reduced(existing, &rules, kept);
            resource.body.parameters.insert("policy".to_owned(), Value::from(text));
        }
        if resource.found().is_none() {
            // It stays in the record, and is not created.
            resource.changed_at = None;
        }
        resources.push(resource);
    }
    Ok(resources)
}

/// The resources that the object owns and that exist, each reduced to what the spec and OpenBao have in common.
async fn reduced(resources: Vec<Resource>, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
    let mut remaining = Vec::new();
    for resource in resources.into_iter().filter(|it| owns(found.owned, &it.path)) {
        let is_applied = is_applied(&resource, found);
        // Nothing exists in a mount that is missing.
        let Some(mut resource) = certain(found.read(resource).await)? else { continue };
        let Some(existing) = resource.found() else { continue };
        if !is_applied {
            let Some(parameters) = reduction::parameters(&resource.body.parameters, existing) else {
                continue;
            };
            resource.body.parameters = parameters;
        }
        remaining.push(resource);
    }
    Ok(remaining)
}

/// Returns true if the last request of the object was this state: a difference is a change by hand.
fn is_applied(resource: &Resource, found: &Found<'_>) -> bool {
    let digest = resource.body.digest(&found.pass.context.mac, &resource.path);
    found.recorded(&resource.path).is_some_and(|it| it.digest.as_ref() == Some(&digest))
}
