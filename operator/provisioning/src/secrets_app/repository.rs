//! Roles that CI jobs create with `rolesOwner: Repository`. The policy of the jobs limits the values of parameters. It cannot
//! require a parameter, because OpenBao would refuse reads, too, and it gives no right to a role that is no longer computed.

use reqwest::Method;
use serde_json::{Map, Value};
use steamer_api::{OwnedResources, SecretsApp};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;

use super::bindings::Login;
use super::names::{self, is_repository};
use crate::general::{Found, Resource};
use crate::write::policy_path;

/// Checks the roles of the jobs, once the policy with which the jobs can correct them exists. Roles that the object owns are
/// removed by it.
///
/// # Errors
/// [`Error::Conflict`] for a role without an audience, and for a role of a former binding. Any error of a request.
pub(super) async fn check(app: &SecretsApp, login: &Login, found: &Found<'_>) -> Result<(), Error> {
    let Some(owned) = found.owned.filter(|owned| is_repository(app) && owns(owned, &ops_path(app))) else {
        return Ok(());
    };
    let mut keys = listed(found, &app.spec.runtime.mount).await?;
    keys.retain(|name| !owns(owned, &path(app, name)));
    let computed: Vec<&str> = login.roles.iter().map(|it| it.name.as_str()).collect();
    let former = former(&names::app(app), &keys, &computed);
    if !former.is_empty() {
        return Err(Error::Conflict(format!(
            "roles of former bindings still give access: {}: remove them from the module of the repository and run its job, or \
             delete them in OpenBao",
            former.iter().map(|name| path(app, name)).collect::<Vec<_>>().join(", ")
        )));
    }
    for name in keys.iter().filter(|name| computed.contains(&name.as_str())) {
        let role = Resource::at(format!("role {name}"), path(app, name), Map::new());
        if found.read(role).await?.found().is_some_and(has_no_audience) {
            return Err(Error::Conflict(format!(
                "{} has no audience, so tokens that the ServiceAccount gives to other services can log in: set audience: {} in the \
                 module of the repository and run its job, or delete the role",
                path(app, name),
                app.spec.runtime.audience
            )));
        }
    }
    Ok(())
}

fn path(app: &SecretsApp, name: &str) -> String {
    format!("auth/{}/role/{name}", app.spec.runtime.mount)
}

fn ops_path(app: &SecretsApp) -> String {
    policy_path(&names::ops(app))
}

fn owns(owned: &OwnedResources, path: &str) -> bool {
    owned.resources.iter().any(|it| it.path == path && !it.pending)
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

fn has_no_audience(role: &Map<String, Value>) -> bool {
    role.get("audience").and_then(Value::as_str).unwrap_or_default().is_empty()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::none(&["web", "webapp", "webapp.x", "web_reader"], &[])]
    #[case::computed(&["web", "web.tools"], &[])]
    #[case::former(&["web.tools", "web.old"], &["web.old"])]
    fn a_role_of_a_former_binding_is_found(#[case] keys: &[&str], #[case] expected: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(former("web", &keys, &["web", "web.tools"]), expected);
    }

    #[rstest]
    #[case::set(json!({"audience": "vault"}), false)]
    #[case::empty(json!({"audience": ""}), true)]
    #[case::absent(json!({}), true)]
    fn a_role_without_an_audience_is_found(#[case] role: Value, #[case] expected: bool) {
        assert_eq!(has_no_audience(role.as_object().unwrap()), expected);
    }
}
