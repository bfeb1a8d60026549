//! Every name that Steamer uses in OpenBao: namespaces, mounts, roles, policies. The operator's own policy is built from
//! the same constants.

use std::fmt::Display;

use steamer_api::{OpenBaoCluster, Scope, SecretsTenant};
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

/// Prefix of the namespace of an organization, directly below the root of the installation.
pub const ORGANIZATION: &str = "org_";
/// Prefix of the namespace of a group.
pub const GROUP: &str = "group_";
/// Prefix of the namespace of a user.
pub const USER: &str = "user_";
/// Prefix of the namespace of a project.
pub const PROJECT: &str = "project_";

/// Folder of the mounts of a project's secrets engines.
pub const ENGINES: &str = "secrets";
/// Folder of a KV engine that contains the values, as in GitLab Secrets Manager.
pub const DATA_ROOT: &str = "explicit";
/// Auth mount of CI jobs.
pub const PIPELINE_MOUNT: &str = "pipeline_jwt";
/// Prefix of the auth mounts of the CI jobs of additional issuers.
pub const ADDITIONAL_MOUNTS: &str = "pipeline_jwt_";
/// Auth mount of users who manage secrets.
pub const USER_MOUNT: &str = "user_jwt";
/// Auth mount of users who read values.
pub const API_MOUNT: &str = "api_jwt";
/// Auth mount of Kubernetes workloads.
pub const WORKLOAD_MOUNT: &str = "workload_jwt";
/// The auth mounts of a project, without those of additional issuers.
pub const AUTH_MOUNTS: [&str; 4] = [PIPELINE_MOUNT, USER_MOUNT, API_MOUNT, WORKLOAD_MOUNT];
/// Prefix of the policies of CI jobs.
pub const PIPELINE_POLICIES: &str = "pipelines";
/// Beginning of the prefixes of the policies of the CI jobs of additional issuers.
pub const ADDITIONAL_POLICIES: &str = "pipelines_";
/// Prefix of the policies of users who manage secrets.
pub const USER_POLICIES: &str = "users";
/// Prefix of the policies of users who read values.
pub const API_POLICIES: &str = "api";
/// Segment of the policies that a project writes once, below the prefixes of users.
pub const DEFAULT_ROLES: &str = "defaults";
/// Prefix of the policies of Kubernetes workloads.
pub const WORKLOAD_POLICIES: &str = "workloads";
/// The policy prefixes of a project, without those of additional issuers.
pub const POLICY_PREFIXES: [&str; 4] = [PIPELINE_POLICIES, USER_POLICIES, API_POLICIES, WORKLOAD_POLICIES];

/// Auth mount for ServiceAccounts in a managed cluster. Self-initialization creates it.
pub const OPERATOR_MOUNT: &str = "kubernetes";
/// Role and policy of the operator in a managed cluster.
pub const OPERATOR_ROLE: &str = "steamer";
/// Policy without holders in a managed cluster, whose text shows whether a standby follows the leader.
pub const STANDBY_MARK_POLICY: &str = "steamer-mark";
/// Auth mount of type `kubernetes` for applications in a managed cluster. Self-initialization creates it.
pub const TOKEN_REVIEW_MOUNT: &str = "token_review";

/// Mounts that every namespace contains.
pub const BUILT_IN_MOUNTS: [&str; 5] = ["cubbyhole/", "identity/", "sys/", "token/", "ns_cubbyhole/"];

/// Default audience of the tokens for a managed cluster. No other server has it, so no other server can use the tokens.
#[must_use]
pub fn default_audience(cluster: &ObjectName) -> String {
    format!("openbao:{cluster}")
}

/// Policies of the root namespace that only Steamer, OpenBao and administrators write.
#[must_use]
pub const fn reserved_policies() -> [&'static str; 3] {
    ["root", OPERATOR_ROLE, STANDBY_MARK_POLICY]
}

/// The OpenBao namespace that Steamer uses as its root in a cluster.
#[must_use]
pub fn root(cluster: &OpenBaoCluster) -> NamespacePath {
    let external = cluster.spec.external.as_ref();
    NamespacePath::new(external.and_then(|external| external.namespace.as_deref()).unwrap_or_default())
}

/// The namespace of a tenant, relative to the root of the installation.
#[must_use]
pub fn tenant(tenant: &SecretsTenant) -> NamespacePath {
    let organization = NamespacePath::new(&format!("{ORGANIZATION}{}", tenant.spec.organization_id));
    match (tenant.spec.group_id, tenant.spec.user_id) {
        (Some(group), _) => organization.join(&format!("{GROUP}{group}")),
        (None, Some(user)) => organization.join(&format!("{USER}{user}")),
        (None, None) => organization,
    }
}

/// Returns true if the path is that of the namespace of an organization, which can contain several tenants.
#[must_use]
pub fn is_organization(path: &NamespacePath) -> bool {
    path.split().is_some_and(|(parent, name)| parent.is_root() && name.starts_with(ORGANIZATION))
}

/// Returns true if the path can be that of the namespace of an organization, tenant or project.
#[must_use]
pub fn is_of_tenants(path: &NamespacePath) -> bool {
    let mut segments = path.as_str().split('/');
    let is_organization = segments.next().is_some_and(|first| first.starts_with(ORGANIZATION));
    let is_below =
        |segment: &str| [GROUP, USER, PROJECT].into_iter().any(|prefix| segment.starts_with(prefix));
    is_organization && segments.all(is_below)
}

/// Returns true if the path can be that of the namespace of a SecretsProject.
#[must_use]
pub fn is_project(path: &NamespacePath) -> bool {
    let segments: Vec<&str> = path.as_str().split('/').collect();
    let [organization, .., last] = segments[..] else {
        return false;
    };
    let is_child = last.starts_with(PROJECT) || last.starts_with(GROUP);
    organization.starts_with(ORGANIZATION) && is_child && segments.len() <= 3
}

/// The last segment of the namespace of a project or group.
#[must_use]
pub fn project(scope: Scope, id: i64) -> String {
    let prefix = match scope {
        Scope::Project => PROJECT,
        Scope::Group => GROUP,
    };
    format!("{prefix}{id}")
}

/// The mount of a secrets engine of a project.
pub fn engine(name: impl Display) -> String {
    format!("{ENGINES}/{name}")
}

/// The auth mount of the CI jobs of an additional issuer.
#[must_use]
pub fn additional_mount(issuer: &str) -> String {
    format!("{ADDITIONAL_MOUNTS}{issuer}")
}

/// Prefix of the policies of the CI jobs of an additional issuer.
#[must_use]
pub fn additional_policies(issuer: &str) -> String {
    format!("{ADDITIONAL_POLICIES}{issuer}")
}

/// The additional issuers among the paths of auth mounts, which end with a slash.
pub fn additional_issuers<'a>(mounts: impl Iterator<Item = &'a String>) -> impl Iterator<Item = &'a str> {
    mounts.filter_map(|path| path.trim_end_matches('/').strip_prefix(ADDITIONAL_MOUNTS))
}

/// Returns true if the path is that of an auth mount of a project.
#[must_use]
pub fn is_login_mount(path: &str) -> bool {
    AUTH_MOUNTS.contains(&path) || path.starts_with(ADDITIONAL_MOUNTS)
}

/// Returns true if the policy is one of the access to a project.
#[must_use]
pub fn is_access_policy(name: &str) -> bool {
    let is_below = |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('/'));
    POLICY_PREFIXES.iter().any(is_below) || name.starts_with(ADDITIONAL_POLICIES)
}

/// Returns true if a project writes the policy once.
#[must_use]
pub fn is_default_policy(name: &str) -> bool {
    let of_users = name.strip_prefix(API_POLICIES).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    let rest = of_users.strip_prefix(USER_POLICIES).and_then(|rest| rest.strip_prefix('/'));
    let rest = rest.and_then(|rest| rest.strip_prefix(DEFAULT_ROLES));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// The policy of a workload.
pub fn workload_policy(workload: impl Display) -> String {
    format!("{WORKLOAD_POLICIES}/{workload}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#""organizationId":5"#, "org_5")]
    #[case(r#""organizationId":1,"groupId":7"#, "org_1/group_7")]
    #[case(r#""organizationId":1,"userId":9"#, "org_1/user_9")]
    fn a_tenant_is_below_its_organization(#[case] ids: &str, #[case] expected: &str) {
        let text = format!(r#"{{"clusterRef":{{"name":"main"}},"issuerRef":{{"name":"i"}},{ids}}}"#);
        let spec = serde_json::from_str(&text).unwrap();
        assert_eq!(tenant(&SecretsTenant::new("acme", spec)).as_str(), expected);
    }

    #[rstest]
    #[case("org_1", true)]
    #[case("org_1/group_7", false)]
    #[case("group_7", false)]
    #[case("", false)]
    fn an_organization_is_directly_below_the_root(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_organization(&NamespacePath::new(path)), expected);
    }

    #[rstest]
    #[case::organization("org_1", true)]
    #[case::group("org_1/group_7", true)]
    #[case::user("org_1/user_9", true)]
    #[case::project("org_1/group_7/project_42", true)]
    #[case::of_a_project("org_1/group_7/project_42/apps", false)]
    #[case::elsewhere("teams/org_1", false)]
    #[case::similar("organization", false)]
    #[case::root("", false)]
    fn paths_of_tenants_are_below_an_organization(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_of_tenants(&NamespacePath::new(path)), expected);
    }

    #[rstest]
    #[case("org_1/group_7/project_42", true)]
    #[case("org_1/project_42", true)]
    #[case("org_1/group_7", true)]
    #[case("org_1/user_9", false)]
    #[case("org_1/group_7/project_42/below", false)]
    #[case("org_1", false)]
    #[case("project_42", false)]
    #[case("", false)]
    fn a_project_is_below_an_organization_or_its_tenant(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_project(&NamespacePath::new(path)), expected);
    }

    #[rstest]
    #[case("users/defaults/50", true)]
    #[case("api/users/defaults/50", true)]
    #[case("users/roles/50", false)]
    #[case("pipelines/defaults/50", false)]
    fn default_policies_are_recognized(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_default_policy(name), expected);
    }

    #[test]
    fn projects_engines_and_policies_have_their_prefixes() {
        assert_eq!(project(Scope::Project, 42), "project_42");
        assert_eq!(project(Scope::Group, 7), "group_7");
        assert_eq!(engine("kv"), "secrets/kv");
        assert_eq!(workload_policy("api"), "workloads/api");
    }
}
