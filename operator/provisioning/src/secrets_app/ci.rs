//! Identities that have the rights of the CI jobs: the role of the jobs, and the group of people.

use serde_json::Value;
use steamer_api::{
    BaoAuthRole, BaoAuthRoleSpec, GroupType, IdentityGroup, IdentityGroupSpec, Lifecycle, Placement,
    SecretsApp,
};
use steamer_core::error::Error;

use super::{names, roles};
use crate::auth_mounts::{self, ABSENT, policies as granted};
use crate::bao_auth_role;
use crate::general::{Found, Resource};
use crate::identity_group;
use crate::write::policy_path;

/// Checks the auth mount of the CI jobs and their further policies.
///
/// # Errors
/// [`Error::SourceMissing`] for a mount or policy that does not exist, [`Error::Invalid`] for a mount of another type and for a
/// policy that no login may give.
pub(super) async fn check(app: &SecretsApp, found: &Found<'_>) -> Result<(), Error> {
    if let Some(ci) = &app.spec.ci {
        let mount = auth_mounts::existing(found, &ci.mount).await?;
        if mount.kind != "jwt" {
            return Err(Error::Invalid(format!(
                "ci.mount: auth/{} is of type {}: name an auth mount of type jwt",
                ci.mount, mount.kind
            )));
        }
    }
    for policy in &app.spec.ops.extra_policies {
        granted::refuse(policy, true, "ops.extraPolicies")?;
        exists(policy, found).await?;
    }
    Ok(())
}

/// OpenBao ignores a policy that does not exist: the jobs would lack its rights without any report.
async fn exists(policy: &str, found: &Found<'_>) -> Result<(), Error> {
    let resource = Resource::at(format!("policy {policy}"), policy_path(policy), serde_json::Map::new());
    match found.read(resource).await?.found() {
        Some(_) => Ok(()),
        None => Err(Error::SourceMissing(
            format!(
                "ops.extraPolicies: policy {policy} does not exist: create it, such as with a BaoPolicy, or correct its name"
            ),
            ABSENT,
        )),
    }
}

/// The role of the CI jobs.
pub(super) async fn role(app: &SecretsApp, found: &Found<'_>) -> Result<Option<Resource>, Error> {
    let Some((ci, name)) = app.spec.ci.as_ref().zip(names::ci_role(app)) else {
        return Ok(None);
    };
    let mut policies = vec!["default".to_owned(), names::ops(app)];
    policies.extend(app.spec.ops.extra_policies.clone());
    let jwt = roles::jwt_role(&ci.user_claim, ci.audiences.clone(), ci.bound_claims.clone());
    let spec = BaoAuthRoleSpec { jwt: Some(jwt), ..roles::spec(&ci.mount, policies, ci.token_ttl.as_ref()) };
    bao_auth_role::role(&BaoAuthRole::new(&name, spec), found.home).map(Some)
}

/// The group of people who have the rights of the CI jobs.
pub(super) async fn group(app: &SecretsApp, found: &Found<'_>) -> Result<Option<Resource>, Error> {
    match group_of_existing(app, found).await? {
        Some((_, Some(problem))) => Err(problem),
        group => Ok(group.map(|(group, _)| group)),
    }
}

/// The group with the members that exist, and the problem of the first one that does not exist.
pub(super) async fn group_of_existing(
    app: &SecretsApp,
    found: &Found<'_>,
) -> Result<Option<(Resource, Option<Error>)>, Error> {
    if !app.spec.identity_group.enabled {
        return Ok(None);
    }
    let mut group = identity_group::group(&object(app));
    let Some(members) = &app.spec.identity_group.member_entities else {
        return Ok(Some((group, None)));
    };
    let (ids, missing) = identity_group::ids(members, "entity", found).await?;
    group.body.parameters.insert("member_entity_ids".to_owned(), Value::Array(ids));
    Ok(Some((group, missing)))
}

fn object(app: &SecretsApp) -> IdentityGroup {
    let spec = IdentityGroupSpec {
        placement: Placement::default(),
        name: None,
        type_: GroupType::Internal,
        policies: vec![names::ops(app)],
        metadata: std::collections::BTreeMap::new(),
        member_groups: Vec::new(),
        member_entities: Vec::new(),
        alias: None,
        lifecycle: Lifecycle::default(),
    };
    IdentityGroup::new(&names::ops(app), spec)
}
