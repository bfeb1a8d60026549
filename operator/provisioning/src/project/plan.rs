//! Writes of a project.

mod auth;
mod engine;
mod policies;

use steamer_api::Operation;
use steamer_core::error::Error;

use super::desired::Project;
use super::observed::Observed;
use crate::engine::Rights;
use crate::namespaces;
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
    writes.extend(namespaces::write(&project.namespace, observed.namespace.as_ref(), rights)?);
    writes.extend(engine::writes(project, observed, rights)?);
    let (first, last) = auth::divided(auth::undesired(project, observed, rights));
    writes.extend(first);
    let logins = project.auth.iter();
    let logins: Vec<Login<'_>> =
        logins.map(|(path, auth)| Login { project, path, auth, observed: observed.auth.get(path) }).collect();
    for login in logins.iter().filter(|login| login.is_additional()) {
        writes.extend(login.mount(rights)?);
    }
    writes.extend(policies::writes(project, observed, rights)?);
    writes.extend(last);
    for login in &logins {
        if !login.is_additional() {
            writes.extend(login.mount(rights)?);
        }
        writes.extend(login.contents());
    }
    // The sort is stable and keeps the order of all other writes.
    writes.sort_by_key(|write| write.operation != Operation::Delete);
    Ok(writes)
}

#[cfg(test)]
mod tests;
