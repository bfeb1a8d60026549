//! The auth mount of a role.

use steamer_api::RoleMethod;
use steamer_core::error::Error;

use crate::auth_mounts;
use crate::general::Found;

/// Path and type of the mount that every namespace contains.
const TOKEN: &str = "token";
/// Types of mounts that are built into OpenBao. A plugin of another type can have any roles.
const BUILT_IN: [&str; 10] =
    ["kubernetes", "jwt", "oidc", "approle", "cert", "userpass", "ldap", "kerberos", "radius", TOKEN];

/// Checks that the mount exists and is of the type that the role needs.
///
/// # Errors
/// [`Error::SourceMissing`] for a mount that does not exist. [`Error::Invalid`] for one of another type.
pub(super) async fn check(found: &Found<'_>, mount: &str, method: RoleMethod) -> Result<(), Error> {
    let type_ = match mount {
        TOKEN => TOKEN.to_owned(),
        _ => auth_mounts::existing(found, mount).await?.kind,
    };
    match of_type(type_, method) {
        Ok(()) => Ok(()),
        Err(other) => Err(Error::Invalid(format!(
            "auth/{mount} in namespace {} is of type {other}: choose the block or method of this type, or correct mount",
            found.session.namespace()
        ))),
    }
}

/// Fails with the type of a mount whose roles are not those of the method.
fn of_type(found: String, method: RoleMethod) -> Result<(), String> {
    let expected: &[&str] = match method {
        RoleMethod::Kubernetes => &["kubernetes"],
        RoleMethod::JWT => &["jwt", "oidc"],
        RoleMethod::AppRole => &["approle"],
        RoleMethod::Cert => &["cert"],
        RoleMethod::UserPass => &["userpass"],
        RoleMethod::LDAPGroup | RoleMethod::LDAPUser => &["ldap"],
        RoleMethod::KerberosGroup => &["kerberos"],
        RoleMethod::RADIUSUser => &["radius"],
        RoleMethod::Token => &[TOKEN],
        RoleMethod::Plugin => &[],
    };
    let is_plugin = !BUILT_IN.contains(&found.as_str());
    if is_plugin || expected.contains(&found.as_str()) { Ok(()) } else { Err(found) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same("kubernetes", RoleMethod::Kubernetes, true)]
    #[case::other("jwt", RoleMethod::Kubernetes, false)]
    #[case::oidc("oidc", RoleMethod::JWT, true)]
    #[case::plugin("my-plugin", RoleMethod::Kubernetes, true)]
    #[case::plugin_with_its_roles("my-plugin", RoleMethod::Plugin, true)]
    #[case::built_in_as_a_plugin("jwt", RoleMethod::Plugin, false)]
    #[case::tokens("token", RoleMethod::Token, true)]
    #[case::role_of_another_method("token", RoleMethod::Kubernetes, false)]
    #[case::plugin_of_the_mount_token("token", RoleMethod::Plugin, false)]
    #[case::tokens_of_another_mount("jwt", RoleMethod::Token, false)]
    fn a_role_needs_a_mount_of_its_type(
        #[case] found: &str,
        #[case] method: RoleMethod,
        #[case] accepted: bool,
    ) {
        assert_eq!(of_type(found.to_owned(), method).is_ok(), accepted);
    }
}
