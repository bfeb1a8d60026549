//! Names in OpenBao that are derived from the name of an application. `.` separates parts, because no name of an application
//! contains it: the names of two applications never meet.

use kube::ResourceExt;
use steamer_api::rules::is_no_app_name;
use steamer_api::{RolesOwner, SecretsApp};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

/// Name of the application. In lower case, because it identifies the object among those of a location.
pub(crate) fn app(object: &SecretsApp) -> String {
    object.spec.app.clone().unwrap_or_else(|| object.name_any())
}

/// Checks the name, which no rule of the schema checks if it is that of the object.
///
/// # Errors
/// [`Error::Invalid`]
pub(super) fn check(object: &SecretsApp) -> Result<(), Error> {
    let app = app(object);
    if is_no_app_name(&app) {
        return Err(Error::Invalid(format!(
            "{app} cannot be the name of an application: set app to at most 58 lower-case letters, digits and -, without the end -ops, \
             and not root, default, steamer or steamer-mark"
        )));
    }
    Ok(())
}

/// Name of the policy, and of the group, of the CI jobs.
pub(super) fn ops(object: &SecretsApp) -> String {
    format!("{}-ops", app(object))
}

/// Name of the role of the CI jobs.
pub(super) fn ci_role(object: &SecretsApp) -> Option<String> {
    let ci = object.spec.ci.as_ref()?;
    Some(ci.role.clone().unwrap_or_else(|| format!("gitea_cicd_{}", app(object))))
}

/// Path of the role of the CI jobs.
pub(super) fn ci_role_path(object: &SecretsApp) -> Option<String> {
    let ci = object.spec.ci.as_ref()?;
    ci_role(object).map(|role| format!("auth/{}/role/{role}", ci.mount))
}

/// Path of a role of pods or readers.
pub(super) fn role_path(object: &SecretsApp, role: &str) -> String {
    format!("auth/{}/role/{role}", object.spec.runtime.mount)
}

/// Path of the group of people with the rights of the CI jobs.
pub(super) fn group_path(object: &SecretsApp) -> Option<String> {
    object.spec.identity_group.enabled.then(|| format!("identity/group/name/{}", ops(object)))
}

/// Mount and folder of the secrets.
pub(super) fn folder(object: &SecretsApp) -> String {
    format!("{}/{}", object.spec.kv.mount, prefix(object))
}

/// Folder of the secrets.
pub(super) fn prefix(object: &SecretsApp) -> String {
    object.spec.kv.prefix.clone().unwrap_or_else(|| app(object))
}

/// Role in PostgreSQL that owns everything that users create.
pub(super) fn owner_role(object: &SecretsApp) -> String {
    let named = object.spec.database.as_ref().and_then(|it| it.owner_role.clone());
    named.unwrap_or_else(|| format!("{}_role", app(object)))
}

/// Name of the database.
pub(super) fn database(object: &SecretsApp) -> String {
    let named = object.spec.database.as_ref().and_then(|it| it.database.clone());
    named.unwrap_or_else(|| app(object))
}

/// Name of the static role that checks the owner role.
pub(crate) fn owner_check(app: &str) -> String {
    format!("{app}.owner")
}

/// Returns true if the CI jobs of the repository create the roles.
pub(super) fn is_repository(app: &SecretsApp) -> bool {
    app.spec.roles_owner == RolesOwner::Repository
}

/// The SecretsApp as messages name it.
pub(super) fn own(app: &SecretsApp) -> ObjectName {
    ObjectName::of(app)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::fixture::app as object;

    #[rstest]
    #[case::defaults(json!({}), ["web", "web-ops", "web", "web_role", "web"])]
    #[case::overrides(
        json!({"app": "shop", "kv": {"prefix": "teams/shop"}, "database": {"connectionRef": {"name": "db"}, "ownerRole": "o", "database": "d"}}),
        ["shop", "shop-ops", "teams/shop", "o", "d"],
    )]
    fn one_name_determines_all_names(#[case] spec: Value, #[case] expected: [&str; 5]) {
        let object = object(spec);
        let names = [app(&object), ops(&object), prefix(&object), owner_role(&object), database(&object)];
        assert_eq!(names, expected);
    }

    #[rstest]
    #[case::default(json!({"ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}}), Some("gitea_cicd_web"))]
    #[case::named(json!({"ci": {"role": "deploy", "audiences": ["a"], "boundClaims": {"r": ["x"]}}}), Some("deploy"))]
    #[case::none(json!({}), None)]
    fn the_role_of_the_ci_jobs_has_the_name_of_the_guide(
        #[case] spec: Value,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(ci_role(&object(spec)).as_deref(), expected);
    }

    #[rstest]
    #[case("web", true)]
    #[case("web-ops", false)]
    #[case("web.api", false)]
    #[case("default", false)]
    fn the_name_of_the_object_must_be_the_name_of_an_application(#[case] name: &str, #[case] accepted: bool) {
        let mut object = object(json!({}));
        object.metadata.name = Some(name.to_owned());
        assert_eq!(check(&object).is_ok(), accepted);
    }
}
