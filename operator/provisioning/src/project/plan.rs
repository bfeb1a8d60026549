//! Writes of a project.

mod auth;
mod engine;
mod policies;

use steamer_api::Operation;
use steamer_core::error::Error;
use steamer_core::ownership::Mark;

use super::desired::Project;
use super::observed::Observed;
use crate::engine::{Hold, Rights};
use crate::write::Write;
use auth::Login;

/// The difference between the desired and the observed state, in the order in which it is safe: first everything that
/// removes access, and a login only after the policies and the engine that it gives access to.
pub(crate) fn writes(
    project: &Project,
    observed: &Observed,
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    writes.extend(namespace(project, observed, rights)?);
    writes.extend(engine::writes(project, observed, rights)?);
    writes.extend(auth::undesired(project, observed, rights));
    writes.extend(policies::writes(project, observed, rights)?);
    for (path, auth) in &project.auth {
        let login = Login { project, path, auth, observed: observed.auth.get(path) };
        writes.extend(login.writes(rights)?);
    }
    // The sort is stable and keeps the order of all other writes.
    writes.sort_by_key(|write| write.operation != Operation::Delete);
    Ok(writes)
}

fn namespace(project: &Project, observed: &Observed, rights: &Rights<'_>) -> Result<Option<Write>, Error> {
    let path = &project.namespace;
    let Some(namespace) = &observed.namespace else {
        return Ok(Write::create_namespace(path, rights.mark));
    };
    let owner = Mark::of_metadata(&namespace.custom_metadata);
    Ok(match rights.hold(&format!("namespace {path}"), owner.as_ref())? {
        Hold::Owned => None,
        Hold::Adoptable => Write::adopt_namespace(path, rights.mark),
    })
}

#[cfg(test)]
mod tests;
