//! Logins of the operator, of administrators, and of the projects: their auth mounts and roles belong to Steamer.

use std::collections::BTreeSet;

use steamer_api::{Administrator, ManagementAuth, OpenBaoCluster};
use steamer_core::error::Error;
use steamer_core::layout::{OPERATOR_MOUNT, OPERATOR_ROLE, TOKEN_REVIEW_MOUNT, is_login_mount, is_project};

use crate::general::Home;

/// The roles of an auth mount that belong to Steamer.
struct Login {
    mount: String,
    /// Name of the role. None for every role of the mount.
    role: Option<String>,
}

impl Login {
    fn new(mount: impl Into<String>, role: Option<&str>) -> Self {
        Self { mount: mount.into(), role: role.map(str::to_owned) }
    }

    fn has(&self, mount: &str, role: &str) -> bool {
        // OpenBao ignores the case of the names of roles.
        self.mount == mount && self.role.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(role))
    }
}

/// Refuses a reserved mount: its deletion or change would end logins that the object does not own.
///
/// # Errors
/// [`Error::Invalid`]
pub(crate) fn refuse_mount(path: &str, home: &Home) -> Result<(), Error> {
    if mounts(home).contains(path) || is_login_of_project(path, home) {
        return Err(Error::Invalid(format!(
            "the auth mount {path} belongs to the logins of Steamer: create an AuthMethod with another path"
        )));
    }
    Ok(())
}

/// Refuses a reserved role: a change of it would admit others to the login of the operator, an administrator or a project.
///
/// # Errors
/// [`Error::Invalid`]
pub(crate) fn refuse_role(mount: &str, name: &str, home: &Home) -> Result<(), Error> {
    if logins(home).iter().any(|login| login.has(mount, name)) || is_login_of_project(mount, home) {
        return Err(Error::Invalid(format!(
            "role {name} of auth/{mount} belongs to Steamer: choose another name or mount"
        )));
    }
    Ok(())
}

/// The reserved mounts of a namespace.
fn mounts(home: &Home) -> BTreeSet<String> {
    let is_managed = home.namespace.is_root() && home.cluster.spec.external.is_none();
    let review = is_managed.then(|| TOKEN_REVIEW_MOUNT.to_owned());
    logins(home).into_iter().map(|login| login.mount).chain(review).collect()
}

/// Returns true if the path is that of an auth mount of a project in its namespace.
fn is_login_of_project(path: &str, home: &Home) -> bool {
    is_project(&home.namespace) && is_login_mount(path)
}

/// The logins of the root namespace.
fn logins(home: &Home) -> Vec<Login> {
    if home.namespace.is_root() { of_cluster(&home.cluster) } else { Vec::new() }
}

/// The logins of the operator and the administrators of a cluster, in its root namespace.
fn of_cluster(cluster: &OpenBaoCluster) -> Vec<Login> {
    match &cluster.spec.external {
        Some(external) => of_operator(&external.management_auth),
        None => {
            let operator = Login::new(OPERATOR_MOUNT, Some(OPERATOR_ROLE));
            let administrators = cluster.spec.administrators.iter().flat_map(of_administrator);
            [operator].into_iter().chain(administrators).collect()
        }
    }
}

/// The login of the operator in an external cluster.
fn of_operator(auth: &ManagementAuth) -> Vec<Login> {
    let logins = [("kubernetes", &auth.kubernetes), ("jwt", &auth.jwt)].into_iter();
    let logins = logins.filter_map(|(default, login)| Some((default, login.as_ref()?)));
    let named = logins.map(|(default, login)| {
        let mount = login.mount.as_deref().unwrap_or(default).trim_matches('/');
        Login::new(mount, Some(&login.role))
    });
    named.collect()
}

/// The logins of an administrator. Only administrators have roles in the mount of an issuer.
fn of_administrator(administrator: &Administrator) -> Vec<Login> {
    let account = administrator.service_account.as_ref();
    let account = account.map(|_| Login::new(OPERATOR_MOUNT, Some(&administrator.name)));
    let jwt = administrator.jwt.as_ref();
    let jwt = jwt.map(|it| Login::new(format!("jwt_{}", it.issuer_ref.name), None));
    account.into_iter().chain(jwt).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_openbao::NamespacePath;

    use super::*;

    const PROJECT: &str = "org_1/group_7/project_42";

    fn managed() -> Value {
        json!({
            "managed": {
                "version": "2.7.2", "seal": {"static": {}}, "storage": {"postgresql": {"secretRef": {"name": "pg"}}},
            },
            "administrators": [
                {"name": "alice", "jwt": {"issuerRef": {"name": "gitlab"}, "subject": "s"}},
                {"name": "ops", "serviceAccount": {"name": "ops"}},
            ],
        })
    }

    fn external(login: Value) -> Value {
        json!({"external": {"address": "https://bao:8200", "managementAuth": login}})
    }

    fn jwt() -> Value {
        external(json!({"jwt": {"audience": "a", "mount": "/k8s/", "role": "Vault-Operator"}}))
    }

    fn home(cluster: Value, namespace: &str) -> Home {
        let cluster = OpenBaoCluster::new("main", serde_json::from_value(cluster).unwrap());
        Home { cluster: Arc::new(cluster), namespace: NamespacePath::new(namespace) }
    }

    #[rstest]
    #[case::managed(managed(), "", &["jwt_gitlab", "kubernetes", "token_review"])]
    #[case::namespace_of_managed(managed(), "team", &[])]
    #[case::external(external(json!({"kubernetes": {"audience": "a"}})), "", &["kubernetes"])]
    #[case::other_mount(jwt(), "", &["k8s"])]
    #[case::namespace_of_external(jwt(), "team", &[])]
    #[case::below_a_project(managed(), "org_1/group_7/project_42/x", &[])]
    fn the_mounts_of_logins_are_reserved(
        #[case] cluster: Value,
        #[case] namespace: &str,
        #[case] expected: &[&str],
    ) {
        let home = home(cluster, namespace);
        assert_eq!(mounts(&home).iter().map(String::as_str).collect::<Vec<_>>(), expected);
        assert!(expected.iter().all(|path| refuse_mount(path, &home).is_err()));
        assert!(refuse_mount("applications", &home).is_ok());
    }

    #[rstest]
    #[case::pipelines("pipeline_jwt", true)]
    #[case::additional_issuer("pipeline_jwt_gitea", true)]
    #[case::users("user_jwt", true)]
    #[case::api("api_jwt", true)]
    #[case::workloads("workload_jwt", true)]
    #[case::other("jwt", false)]
    fn the_mounts_of_a_project_are_reserved_in_its_namespace(#[case] mount: &str, #[case] expected: bool) {
        for cluster in [managed(), jwt()] {
            let inside = home(cluster.clone(), PROJECT);
            assert_eq!(refuse_mount(mount, &inside).is_err(), expected);
            assert_eq!(refuse_role(mount, "web", &inside).is_err(), expected);
            assert!(refuse_mount(mount, &home(cluster, "team-a")).is_ok());
        }
    }

    #[rstest]
    #[case::operator(managed(), "", "kubernetes", "steamer", true)]
    #[case::administrator(managed(), "", "kubernetes", "ops", true)]
    #[case::administrator_in_other_case(managed(), "", "kubernetes", "Ops", true)]
    #[case::issuer_of_administrators(managed(), "", "jwt_gitlab", "anything", true)]
    #[case::name_of_a_jwt_administrator(managed(), "", "kubernetes", "alice", false)]
    #[case::other_role_of_its_mount(managed(), "", "kubernetes", "web", false)]
    #[case::applications(managed(), "", "token_review", "web", false)]
    #[case::same_name_in_a_namespace(managed(), "team-a", "kubernetes", "steamer", false)]
    #[case::external_operator(jwt(), "", "k8s", "vault-operator", true)]
    #[case::other_role_of_external(jwt(), "", "k8s", "steamer", false)]
    #[case::default_role(external(json!({"kubernetes": {"audience": "a"}})), "", "kubernetes", "steamer", true)]
    #[case::pipelines(managed(), PROJECT, "pipeline_jwt", "web", true)]
    #[case::workloads_of_external(jwt(), PROJECT, "workload_jwt", "web", true)]
    #[case::other_mount_of_a_project(managed(), PROJECT, "jwt", "web", false)]
    #[case::same_mount_elsewhere(managed(), "team-a", "pipeline_jwt", "web", false)]
    fn the_roles_of_logins_are_reserved(
        #[case] cluster: Value,
        #[case] namespace: &str,
        #[case] mount: &str,
        #[case] name: &str,
        #[case] refused: bool,
    ) {
        assert_eq!(refuse_role(mount, name, &home(cluster, namespace)).is_err(), refused);
    }
}
