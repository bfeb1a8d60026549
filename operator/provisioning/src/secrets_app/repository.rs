//! Roles of former bindings that CI jobs created with `rolesOwner: Repository`. The policy of the jobs gives no right to a role
//! that is no longer computed.

use reqwest::Method;
use serde_json::Value;
use steamer_api::{OwnedResources, SecretsApp};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;

use super::bindings::Login;
use super::names::{self, is_repository};
use crate::general::Found;
use crate::write::policy_path;

/// Checks that no role of a former binding exists, once the policy with which the jobs can delete it exists. Roles that the
/// object owns are removed by it.
///
/// # Errors
/// [`Error::Conflict`] for a role of a former binding. Any error of a request.
pub(super) async fn check(app: &SecretsApp, login: &Login, found: &Found<'_>) -> Result<(), Error> {
    let Some(owned) = record(app, found) else {
        return Ok(());
    };
    let mut keys = listed(found, &app.spec.runtime.mount).await?;
    keys.retain(|name| !owned.owns(&names::role_path(app, name)));
    let computed: Vec<&str> = login.roles.iter().map(|it| it.name.as_str()).collect();
    let former = former(&names::app(app), &keys, &computed);
    if former.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "roles of former bindings still give access: {}: remove them from the module of the repository and run its job, or \
         delete them in OpenBao",
        former.iter().map(|name| names::role_path(app, name)).collect::<Vec<_>>().join(", ")
    )))
}

/// The record of the object, if the jobs own the roles and the policy with which they can correct them exists.
pub(super) fn record<'a>(app: &SecretsApp, found: &Found<'a>) -> Option<&'a OwnedResources> {
    found.owned.filter(|owned| is_repository(app) && owned.owns(&policy_path(&names::ops(app))))
}

/// Names of the roles of a mount.
async fn listed(found: &Found<'_>, mount: &str) -> Result<Vec<String>, Error> {
    let method = Method::from_bytes(b"LIST").map_err(Error::internal)?;
    let answer = match found.session.request_any(method, &format!("auth/{mount}/role"), None).await {
        Ok(answer) => answer,
        Err(OpenBao::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let keys = answer.pointer("/data/keys").and_then(Value::as_array);
    Ok(keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Roles of bindings that the spec no longer contains. No other application has a name that starts like this.
fn former<'a>(app: &str, keys: &'a [String], computed: &[&str]) -> Vec<&'a str> {
    let is_own = |name: &str| name.strip_prefix(app).is_some_and(|rest| rest.starts_with('.'));
    keys.iter().map(String::as_str).filter(|name| is_own(name) && !computed.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(&["web", "webapp", "webapp.x", "web_reader"], &[])]
    #[case::computed(&["web", "web.tools"], &[])]
    #[case::former(&["web.tools", "web.old"], &["web.old"])]
    fn a_role_of_a_former_binding_is_found(#[case] keys: &[&str], #[case] expected: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(former("web", &keys, &["web", "web.tools"]), expected);
    }
}
