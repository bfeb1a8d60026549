//! BaoAuthRole: a role, user or group of an auth mount.

mod limits;
mod mount;
mod parameters;

use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use steamer_api::{
    AppRole, BaoAuthRole, BaoAuthRoleSpec, PasswordReference, RoleMethod, SecretValueReference, UserPassRole,
};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::auth_mounts::{logins, withdrawal};
use crate::engine::Lookup;
use crate::general::{Found, General, Home, Resource, Site, requests_of};
use crate::mounts::certificates;
use crate::write::Request;

impl General for BaoAuthRole {
    const NAME: &'static str = "baoauthrole";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        let noun = match method(&self.spec) {
            RoleMethod::Cert => "certificate",
            RoleMethod::UserPass | RoleMethod::LDAPUser | RoleMethod::RADIUSUser => "user",
            RoleMethod::LDAPGroup | RoleMethod::KerberosGroup => "group",
            _ => "role",
        };
        format!("{noun} {} of auth/{}", name(self), self.spec.mount)
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let role = role(self, found.home)?;
        mount::check(found, &self.spec.mount, method(&self.spec)).await?;
        let path = role.path.clone();
        let role = match with_references(self, role.clone(), found).await {
            Ok(role) => role,
            Err(problem) => return withdrawal::without_missing(role, problem, found).await,
        };
        let role_id = self.spec.app_role.as_ref().and_then(|it| role_id(it, &path, &self.title()));
        Ok([Some(role), role_id].into_iter().flatten().collect())
    }

    fn outline(&self, home: &Home, _lookup: &Lookup<'_>) -> Vec<Request> {
        let Ok(role) = role(self, home) else {
            return Vec::new();
        };
        let role_id = self.spec.app_role.as_ref().and_then(|it| role_id(it, &role.path, &self.title()));
        [Some(role), role_id].iter().flatten().flat_map(requests_of).collect()
    }

    fn claims(&self, home: &Home, _lookup: &Lookup<'_>) -> Vec<String> {
        role(self, home).into_iter().map(|role| role.path).collect()
    }
}

/// The role of a spec, without what the spec refers to.
///
/// # Errors
/// [`Error::Invalid`] for a role that belongs to Steamer, or that gives more access than any role should.
pub(crate) fn role(object: &BaoAuthRole, home: &Home) -> Result<Resource, Error> {
    logins::refuse_role(&object.spec.mount, &name(object), home)?;
    let parameters = parameters::of(&object.spec, &name(object))?;
    let method = method(&object.spec);
    limits::check(method, &parameters, home.namespace.is_root())?;
    let path = format!("auth/{}/{}/{}", object.spec.mount, collection(method), name(object));
    // OpenBao returns every field of such a role except for an empty audience, which a person can have removed.
    let is_complete = object.spec.kubernetes.is_some() && object.spec.parameters.is_empty();
    let role = Resource::at(object.title(), path, parameters);
    Ok(Resource { fixed: vec!["local_secret_ids"], is_complete, ..role })
}

/// Name of the role in OpenBao.
fn name(role: &BaoAuthRole) -> String {
    role.spec.name.clone().unwrap_or_else(|| role.name_any())
}

fn method(spec: &BaoAuthRoleSpec) -> RoleMethod {
    let blocks = [
        (spec.kubernetes.is_some(), RoleMethod::Kubernetes),
        (spec.jwt.is_some(), RoleMethod::JWT),
        (spec.app_role.is_some(), RoleMethod::AppRole),
        (spec.cert.is_some(), RoleMethod::Cert),
        (spec.user_pass.is_some(), RoleMethod::UserPass),
        (spec.token.is_some(), RoleMethod::Token),
    ];
    let block = blocks.into_iter().find_map(|(is_set, method)| is_set.then_some(method));
    block.or(spec.method).unwrap_or(RoleMethod::Plugin)
}

/// Segment of the path between the mount and the name.
fn collection(method: RoleMethod) -> &'static str {
    match method {
        RoleMethod::Kubernetes | RoleMethod::JWT | RoleMethod::AppRole | RoleMethod::Plugin => "role",
        RoleMethod::Cert => "certs",
        RoleMethod::UserPass | RoleMethod::LDAPUser | RoleMethod::RADIUSUser => "users",
        RoleMethod::LDAPGroup | RoleMethod::KerberosGroup => "groups",
        RoleMethod::Token => "roles",
    }
}

/// Adds what the spec refers to in Secrets.
async fn with_references(
    role: &BaoAuthRole,
    mut resource: Resource,
    found: &Found<'_>,
) -> Result<Resource, Error> {
    let owner = ObjectName::of(role);
    let certificate = role.spec.cert.as_ref().and_then(|cert| cert.certificate_secret_ref.as_ref());
    if let Some(reference) = certificate {
        let pem = certificates::public(found, &owner, reference).await?;
        resource.body.parameters.insert("certificate".to_owned(), Value::from(pem));
    }
    match &role.spec.user_pass {
        Some(user) => Ok(resource.with_secret("password", password(user, &owner, found).await?)),
        None => Ok(resource),
    }
}

async fn password(user: &UserPassRole, owner: &ObjectName, found: &Found<'_>) -> Result<SecretString, Error> {
    let PasswordReference { name, key } = user.password_secret_ref.clone();
    let reference = SecretValueReference { name, key };
    let password = found.secret(owner, &reference).await?;
    if password.expose_secret().is_empty() {
        let name = ObjectName::new(&owner.namespace, &reference.name);
        return Err(Error::Invalid(format!(
            "Secret {name}, key `{}`, is empty: write the password to it",
            reference.key
        )));
    }
    Ok(password)
}

/// The role ID is a part of the role, at a path of its own.
fn role_id(role: &AppRole, path: &str, title: &str) -> Option<Resource> {
    let parameters = Map::from_iter([("role_id".to_owned(), Value::from(role.role_id.clone()?))]);
    let resource = Resource::at(format!("role ID of {title}"), format!("{path}/role-id"), parameters);
    Some(Resource { deleted_at: None, ..resource })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    pub(super) fn role(spec: Value) -> BaoAuthRole {
        let mut whole = json!({"clusterRef": {"name": "main"}, "mount": "m"});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        BaoAuthRole::new("Web", serde_json::from_value(whole).unwrap())
    }

    #[rstest]
    #[case::kubernetes(json!({"kubernetes": {"serviceAccounts": []}}), "role/Web", "role Web of auth/m")]
    #[case::jwt(json!({"jwt": {"userClaim": "sub"}}), "role/Web", "role Web of auth/m")]
    #[case::approle(json!({"appRole": {}, "name": "a"}), "role/a", "role a of auth/m")]
    #[case::cert(json!({"cert": {}}), "certs/Web", "certificate Web of auth/m")]
    #[case::user(json!({"userPass": {"passwordSecretRef": {"name": "s"}}}), "users/Web", "user Web of auth/m")]
    #[case::token(json!({"token": {}}), "roles/Web", "role Web of auth/m")]
    #[case::ldap_group(json!({"method": "LDAPGroup"}), "groups/Web", "group Web of auth/m")]
    #[case::plugin(json!({"method": "Plugin"}), "role/Web", "role Web of auth/m")]
    fn the_method_determines_path_and_title(#[case] spec: Value, #[case] path: &str, #[case] title: &str) {
        let role = role(spec);
        assert_eq!(format!("{}/{}", collection(method(&role.spec)), name(&role)), path);
        assert_eq!(role.title(), title);
    }
}
