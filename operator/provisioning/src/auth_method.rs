//! AuthMethod: an auth mount.

mod configuration;

use kube::ResourceExt;
use steamer_api::{AuthMethod, AuthTune, is_no_auth_path};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::auth_mounts::logins;
use crate::general::{Found, General, Resource, Site};
use crate::mounts::{AUTH, Mount, auth_settings, lockout};

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
        if is_no_auth_path(&path) {
            return Err(Error::Invalid(format!(
                "OpenBao creates no auth mount at {path}: create an AuthMethod whose path is not auth, token, sys or below one \
                 of them"
            )));
        }
        logins::refuse_mount(&path, found.home)?;
        let mut resources = vec![mount(self, &path)];
        let user_lockout = self.spec.tune.as_ref().and_then(|tune| tune.user_lockout.as_ref());
        resources.extend(user_lockout.map(|it| lockout(&path, it)));
        let configuration = configuration::of(self, found).await?;
        if !configuration.is_empty() {
            let path = format!("auth/{path}/config");
            let resource = configuration.resource(path, &ObjectName::of(self), found).await?;
            resources.push(Resource { write: configuration::request, ..resource });
        }
        Ok(resources)
    }
}

/// Path of the mount in OpenBao, without `auth/`.
fn path(method: &AuthMethod) -> String {
    method.spec.path.clone().unwrap_or_else(|| method.name_any())
}

fn mount(method: &AuthMethod, path: &str) -> Resource {
    let spec = &method.spec;
    let mount = Mount {
        title: method.title(),
        family: AUTH,
        path,
        type_: &spec.type_,
        description: spec.description.as_deref(),
        options: &spec.options,
        tune: auth_settings(spec.tune.as_ref().unwrap_or(&AuthTune::default())),
        seal_wrap: spec.seal_wrap,
        local: spec.local,
    };
    mount.resource()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_auth_mount_is_access_and_no_deletion_policy_keeps_it() {
        let spec = json!({"type": "jwt", "tune": {"tokenType": "default-batch", "maxLeaseTTL": "1h"}});
        let method = AuthMethod::new("ci", serde_json::from_value(spec).unwrap());
        let resource = mount(&method, "ci");
        assert!(!resource.holds_values);
        assert_eq!(resource.deleted_at.as_deref(), Some("sys/auth/ci"));
        let (_, creation) = resource.creation.unwrap();
        let expected =
            json!({"type": "jwt", "config": {"token_type": "default-batch", "max_lease_ttl": "3600s"}});
        assert_eq!(serde_json::Value::Object(creation), expected);
    }
}
