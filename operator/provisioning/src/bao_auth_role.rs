//! BaoAuthRole: a role, user or group of an auth mount.

mod limits;
mod mount;
mod parameters;

use kube::ResourceExt;
use secrecy::SecretString;
use serde_json::{Map, Value};
use steamer_api::{AppRole, BaoAuthRole, BaoAuthRoleSpec, CertRole, RoleMethod, UserPassRole};
use steamer_core::error::Error;
use steamer_core::layout::{AUTH_MOUNTS, OPERATOR_MOUNT, OPERATOR_ROLE, is_project};
use steamer_runtime::ObjectName;

use crate::general::{Found, General, Home, Resource, Site};

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
        refuse_reserved(&self.spec.mount, &name(self), found.home)?;
        let parameters = parameters::of(&self.spec)?;
        let method = method(&self.spec);
        limits::check(method, &parameters, found.home.namespace.is_root())?;
        mount::check(found, &self.spec.mount, method).await?;
        let path = format!("auth/{}/{}/{}", self.spec.mount, collection(method), name(self));
        let role = Resource {
            fixed: vec!["local_secret_ids"],
            ..Resource::at(self.title(), path.as_str(), parameters)
        };
        let role = with_references(self, role, found).await?;
        let role_id = self.spec.app_role.as_ref().and_then(|it| role_id(it, &path, &self.title()));
        Ok([Some(role), role_id].into_iter().flatten().collect())
    }
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

/// The roles of the operator, of administrators, and of the access to projects are not those of a BaoAuthRole.
fn refuse_reserved(mount: &str, name: &str, home: &Home) -> Result<(), Error> {
    let is_of_operator = home.namespace.is_root() && mount == OPERATOR_MOUNT && name == OPERATOR_ROLE;
    let is_of_project = is_project(&home.namespace) && AUTH_MOUNTS.contains(&mount);
    if is_of_operator || is_of_project {
        return Err(Error::Invalid(format!(
            "role {name} of auth/{mount} belongs to Steamer: choose another name or mount"
        )));
    }
    Ok(())
}

/// Adds what the spec refers to in Secrets.
async fn with_references(
    role: &BaoAuthRole,
    resource: Resource,
    found: &Found<'_>,
) -> Result<Resource, Error> {
    if let Some(cert) = &role.spec.cert {
        return with_certificate(cert, role, resource, found).await;
    }
    match &role.spec.user_pass {
        Some(user) => with_password(user, role, resource, found).await,
        None => Ok(resource),
    }
}

async fn with_certificate(
    cert: &CertRole,
    role: &BaoAuthRole,
    mut resource: Resource,
    found: &Found<'_>,
) -> Result<Resource, Error> {
    let Some(reference) = &cert.certificate_secret_ref else {
        return Ok(resource);
    };
    let name = ObjectName::new(role.namespace().unwrap_or_default(), &reference.name);
    let secrets = &found.pass.context.secrets;
    let pem = secrets.certificates(found.pass.dependencies, &name, &reference.key).await?;
    let pem = public(pem, &name, &reference.key)?;
    resource.body.parameters.insert("certificate".to_owned(), Value::from(pem));
    Ok(resource)
}

/// The certificates, without anything that must not be readable in OpenBao.
fn public(pem: Vec<u8>, name: &ObjectName, key: &str) -> Result<String, Error> {
    let is_public = |text: &String| {
        text.lines()
            .all(|line| !line.starts_with("-----BEGIN ") || line.starts_with("-----BEGIN CERTIFICATE"))
    };
    String::from_utf8(pem).ok().filter(is_public).ok_or_else(|| {
        Error::Invalid(format!(
            "Secret {name}, key `{key}`, contains more than certificates: refer to a key without private keys, such as tls.crt"
        ))
    })
}

async fn with_password(
    user: &UserPassRole,
    role: &BaoAuthRole,
    resource: Resource,
    found: &Found<'_>,
) -> Result<Resource, Error> {
    let reference = &user.password_secret_ref;
    let name = ObjectName::new(role.namespace().unwrap_or_default(), &reference.name);
    let secrets = &found.pass.context.secrets;
    let password = secrets.value(found.pass.dependencies, &name, &reference.key).await?;
    let password = String::from_utf8(password).ok().filter(|text| !text.is_empty()).ok_or_else(|| {
        Error::Invalid(format!("Secret {name}, key `{}`, is not a password: it must be text", reference.key))
    })?;
    Ok(resource.with_secret("password", SecretString::from(password)))
}

/// The role ID is a part of the role, at a path of its own.
fn role_id(role: &AppRole, path: &str, title: &str) -> Option<Resource> {
    let parameters = Map::from_iter([("role_id".to_owned(), Value::from(role.role_id.clone()?))]);
    let resource = Resource::at(format!("role ID of {title}"), format!("{path}/role-id"), parameters);
    Some(Resource { deleted_at: None, ..resource })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::json;
    use steamer_api::OpenBaoCluster;
    use steamer_openbao::NamespacePath;

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

    #[rstest]
    #[case::operator("kubernetes", "steamer", "", true)]
    #[case::other_role_of_its_mount("kubernetes", "web", "", false)]
    #[case::same_name_in_a_namespace("kubernetes", "steamer", "team-a", false)]
    #[case::pipelines("pipeline_jwt", "web", "org_1/group_7/project_42", true)]
    #[case::other_mount_of_a_project("jwt", "web", "org_1/group_7/project_42", false)]
    #[case::same_mount_elsewhere("pipeline_jwt", "web", "team-a", false)]
    fn roles_of_steamer_are_refused(
        #[case] mount: &str,
        #[case] name: &str,
        #[case] namespace: &str,
        #[case] refused: bool,
    ) {
        let spec = json!({"external": {"address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "a"}}}});
        let cluster = Arc::new(OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap()));
        let home = Home { cluster, namespace: NamespacePath::new(namespace) };
        assert_eq!(refuse_reserved(mount, name, &home).is_err(), refused);
    }

    #[rstest]
    #[case::certificate("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", true)]
    #[case::private_key("-----BEGIN CERTIFICATE-----\nx\n-----BEGIN EC PRIVATE KEY-----\n", false)]
    #[case::plain_key("-----BEGIN PRIVATE KEY-----\n", false)]
    fn a_private_key_is_not_copied_to_openbao(#[case] pem: &str, #[case] accepted: bool) {
        let name = ObjectName::new("ns", "s");
        assert_eq!(public(pem.as_bytes().to_vec(), &name, "k").is_ok(), accepted);
    }
}
