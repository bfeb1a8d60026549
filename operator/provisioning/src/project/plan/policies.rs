//! Writes of policies.

use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{Cas, Policy};

use crate::engine::Rights;
use crate::project::desired::{Project, name_digest};
use crate::project::observed::Observed;
use crate::users::{is_default, is_default_write};
use crate::write::{Call, DIFFERS, UNDESIRED, Write, policy_path};

pub(super) fn writes(
    project: &Project,
    observed: &Observed,
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let undesired = observed.policies.iter().filter(|(name, _)| !is_desired(project, name));
    let owned = undesired.filter(|(name, policy)| owns(project, name, policy, rights));
    let delete = |name: &String| Write::delete(&project.namespace, policy_path(name), UNDESIRED);
    let mut writes: Vec<Write> = owned.map(|(name, _)| delete(name)).collect();
    for (name, text) in &project.policies {
        let put = |cas| Call::PutPolicy { name: name.clone(), text: text.clone(), cas };
        match observed.policies.get(name) {
            None => writes.push(Write::create(&project.namespace, put(Cas::Absent))),
            Some(policy) if policy.policy == *text => {}
            Some(policy) => {
                check(project, name, policy, rights)?;
                let call = put(Cas::Version(policy.version));
                writes.push(Write::update(&project.namespace, call, DIFFERS));
            }
        }
    }
    let defaults = project.defaults.iter().filter(|(name, _)| !observed.policies.contains_key(*name));
    writes.extend(defaults.map(|(name, text)| {
        let call = Call::PutPolicy { name: name.clone(), text: text.clone(), cas: Cas::Absent };
        Write::create(&project.namespace, call)
    }));
    Ok(writes)
}

/// Returns true if a policy stays. A policy that is written once stays as it is, until all access is removed, or until users
/// may no longer change values.
fn is_desired(project: &Project, name: &str) -> bool {
    let is_kept = is_default(name) && project.enabled && !(project.read_only && is_default_write(name));
    is_kept || project.policies.contains_key(name)
}

/// A policy that the project has written is its own, even if a client has removed the mark. Owners may edit a policy that is
/// written once, so that its mark decides nothing.
fn owns(project: &Project, name: &str, policy: &Policy, rights: &Rights<'_>) -> bool {
    if is_default(name) {
        return true;
    }
    match Mark::of_policy(&policy.policy) {
        None => project.policies_written.contains(&name_digest(name)),
        owner => rights.owns(owner.as_ref()),
    }
}

/// Checks that the project may replace a policy.
fn check(project: &Project, name: &str, policy: &Policy, rights: &Rights<'_>) -> Result<(), Error> {
    if owns(project, name, policy, rights) {
        return Ok(());
    }
    let resource = format!("policy {}", project.published().path(name));
    rights.hold(&resource, Mark::of_policy(&policy.policy).as_ref()).map(drop)
}
