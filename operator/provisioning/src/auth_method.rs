//! AuthMethod: an auth mount.

mod configuration;

use kube::ResourceExt;
use serde_json::json;
use steamer_api::{AuthMethod, AuthTune, OwnedResource, OwnedResources, UserLockout, is_no_auth_path};
use steamer_core::error::Error;
use steamer_openbao::Session;
use steamer_runtime::ObjectName;

use crate::auth_mounts::logins;
use crate::general::{self, Found, General, Resource, Site, stated};
use crate::mounts::tuning::{OF_METHODS, tuning};
use crate::mounts::{AUTH, Mount, auth_settings, lockout, lockout_path};

/// Path and type of the auth mount that every namespace contains. OpenBao neither creates nor deletes it.
const BUILT_IN: &str = "token";

impl General for AuthMethod {
    const NAME: &'static str = "authmethod";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("auth mount {}", path(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let path = path(self);
        if is_no_auth_path(&path) && !is_built_in(self, &path) {
            return Err(Error::Invalid(format!(
                "OpenBao creates no auth mount at {path}: create an AuthMethod whose path is not auth, token, sys or below one \
                 of them"
            )));
        }
        logins::refuse_mount(&path, found.home)?;
        let mut resources = mounted(self, &path)?;
        resources.extend(user_lockout(self, &path, found.owned).map(|it| lockout(&path, &it)));
        let configuration = configuration::of(self, found).await?;
        if !configuration.is_empty() {
            let path = format!("auth/{path}/config");
            let resource = configuration.resource(path, &ObjectName::of(self), found).await?;
            resources.push(Resource { write: configuration::request, ..resource });
        }
        Ok(resources)
    }

    /// The built-in mount keeps its settings.
    async fn delete(session: &Session, path: &str) -> Result<(), Error> {
        if path == format!("{AUTH}/{BUILT_IN}") {
            return Ok(());
        }
        general::delete(session, path).await
    }
}

/// Returns true for the auth mount that every namespace contains.
fn is_built_in(method: &AuthMethod, path: &str) -> bool {
    method.spec.type_ == BUILT_IN && path == BUILT_IN
}

/// The lockout of users that the spec states. One that the spec no longer states is enabled again.
fn user_lockout(method: &AuthMethod, path: &str, owned: Option<&OwnedResources>) -> Option<UserLockout> {
    let stated = method.spec.tune.as_ref().and_then(|tune| tune.user_lockout.clone());
    let is_lockout = |it: &OwnedResource| it.path == lockout_path(path);
    let is_owned = owned.is_some_and(|owned| owned.resources.iter().any(is_lockout));
    stated.or_else(|| is_owned.then(UserLockout::default))
}

/// Path of the mount in OpenBao, without `auth/`.
fn path(method: &AuthMethod) -> String {
    method.spec.path.clone().unwrap_or_else(|| method.name_any())
}

/// The mount and its settings that have no field.
fn mounted(method: &AuthMethod, path: &str) -> Result<Vec<Resource>, Error> {
    let mount = mount(method, path);
    let tuning = match &method.spec.tune {
        Some(tune) => tuning(&mount, &tune.mount.parameters, OF_METHODS)?,
        None => None,
    };
    Ok([mount].into_iter().chain(tuning).collect())
}

fn mount(method: &AuthMethod, path: &str) -> Resource {
    let spec = &method.spec;
    let mut tune = auth_settings(spec.tune.as_ref().unwrap_or(&AuthTune::default()));
    tune.extend(stated([("plugin_version", spec.plugin_version.as_ref().map(|it| json!(it)))]));
    let mount = Mount {
        title: method.title(),
        family: AUTH,
        path,
        type_: &spec.type_,
        description: spec.description.as_deref(),
        options: &spec.options,
        tune,
        seal_wrap: spec.seal_wrap,
        local: spec.local,
    };
    mount.resource()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case::built_in("token", "token", true)]
    #[case::other_type("token", "jwt", false)]
    #[case::other_path("tokens", "token", false)]
    fn the_built_in_mount_has_its_path_and_type(
        #[case] path: &str,
        #[case] type_: &str,
        #[case] expected: bool,
    ) {
        let method = AuthMethod::new("web", serde_json::from_value(json!({"type": type_})).unwrap());
        assert_eq!(is_built_in(&method, path), expected);
    }

    #[rstest]
    #[case::stated(json!({"userLockout": {"disable": true}}), None, Some(true))]
    #[case::removed(json!({}), Some("sys/auth/ci/tune"), Some(false))]
    #[case::never_stated(json!({}), Some("sys/auth/ci"), None)]
    fn a_lockout_that_the_spec_no_longer_states_is_enabled_again(
        #[case] tune: Value,
        #[case] owned: Option<&str>,
        #[case] disabled: Option<bool>,
    ) {
        let spec = json!({"type": "userpass", "tune": tune});
        let method = AuthMethod::new("ci", serde_json::from_value(spec).unwrap());
        let entry = |path: &str| OwnedResource { path: path.to_owned(), ..OwnedResource::default() };
        let owned =
            OwnedResources { resources: owned.map(entry).into_iter().collect(), ..OwnedResources::default() };
        let lockout = user_lockout(&method, "ci", Some(&owned));
        assert_eq!(lockout.map(|it| it.disable.unwrap_or_default()), disabled);
    }

    #[test]
    fn an_auth_mount_is_access_and_no_deletion_policy_keeps_it() {
        let tune = json!({"tokenType": "default-batch", "maxLeaseTTL": "1h"});
        let spec = json!({"type": "jwt", "pluginVersion": "v1.2.3", "tune": tune});
        let method = AuthMethod::new("ci", serde_json::from_value(spec).unwrap());
        let resource = mount(&method, "ci");
        assert!(!resource.holds_values);
        assert_eq!(resource.deleted_at.as_deref(), Some("sys/auth/ci"));
        let (_, creation) = resource.creation.unwrap();
        let config =
            json!({"token_type": "default-batch", "max_lease_ttl": "3600s", "plugin_version": "v1.2.3"});
        assert_eq!(Value::Object(creation), json!({"type": "jwt", "config": config}));
    }
}
