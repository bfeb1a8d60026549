use rstest::rstest;
use serde_json::{Value, json};
use steamer_api::{Adopt, PlannedChange};
use steamer_core::layout::{PIPELINE_MOUNT, WORKLOAD_MOUNT};
use steamer_openbao::{CelRole, JwtConfig, JwtKeys, JwtRole, NamespacePath};

use super::*;
use crate::pipelines::workload_policy_text;
use crate::project::desired::{KeyRemovals, Unusable, name_digest};
use crate::project::observed::ObservedAuth;
use crate::project::samples::{
    found, gitea, mark, mark_of, mount, policy, policy_text, project, settled, validated,
};

/// A change of the desired and the observed state.
type Change = fn(&mut Project, &mut Observed);

fn by(change: Change) -> Change {
    change
}

fn spec() -> Value {
    let app = json!({"name": "app", "serviceAccount": "app", "namespace": "web", "secrets": ["A"]});
    json!({"spec": {"workloads": [app]}})
}

/// A project that was applied before.
fn desired() -> Project {
    let mut desired = validated(&project(spec()), &found()).unwrap();
    for auth in desired.auth.values_mut() {
        auth.key_removals = auth.key_removals.map(|it| KeyRemovals { written: it.now, ..it });
    }
    desired
}

/// Writes are described with the root of the desired state.
fn planned(desired: &Project, observed: &Observed, adopt: Adopt) -> Result<Vec<PlannedChange>, Error> {
    let rights =
        Rights { mark: &mark(), root: &desired.root, adopt, exists: &|mark| mark.name.name == "existing" };
    let writes = writes(desired, observed, &rights)?;
    Ok(writes.iter().map(|write| write.described(rights.root)).collect())
}

/// The plan after a change of the settled state, without the namespace of the project.
fn after(change: Change, adopt: Adopt) -> String {
    let mut desired = desired();
    let mut observed = settled(&desired);
    change(&mut desired, &mut observed);
    let line = |change: &PlannedChange| {
        let inside = change.path.strip_prefix("org_1/group_7/project_42/");
        let path = inside.filter(|path| !path.is_empty()).unwrap_or(&change.path);
        format!("{:?} {path}: {}", change.operation, change.reason)
    };
    match planned(&desired, &observed, adopt) {
        Ok(changes) => changes.iter().map(line).collect::<Vec<_>>().join(", "),
        Err(error) => error.to_string(),
    }
}

fn auth<'a>(observed: &'a mut Observed, mount: &str) -> &'a mut ObservedAuth {
    observed.auth.get_mut(mount).unwrap()
}

fn config<'a>(observed: &'a mut Observed, mount: &str) -> &'a mut JwtConfig {
    auth(observed, mount).config.as_mut().unwrap()
}

fn removals(desired: &mut Project) -> &mut KeyRemovals {
    desired.auth.get_mut(PIPELINE_MOUNT).unwrap().key_removals.as_mut().unwrap()
}

/// Replaces the text of policy `pipelines/global`.
fn edit(observed: &mut Observed, text: &str) {
    observed.policies.get_mut("pipelines/global").unwrap().policy = text.to_owned();
}

/// A policy that differs from the desired one and carries the mark of a project.
fn marked(project: &str) -> String {
    workload_policy_text(&mark_of(project).description(), "secrets/kv", &["X".to_owned()])
}

/// A policy that a client wrote by hand.
const UNMARKED: &str = r#"path "x" { capabilities = ["read"] }"#;

#[test]
fn a_new_project_gets_its_logins_after_its_policies() {
    insta::assert_yaml_snapshot!(planned(&desired(), &Observed::default(), Adopt::Never).unwrap());
}

#[test]
fn a_disabled_project_loses_its_logins_before_its_policies_and_keeps_its_engine() {
    let observed = settled(&desired());
    let mut spec = spec();
    spec["spec"]["enabled"] = json!(false);
    let disabled = validated(&project(spec), &found()).unwrap();
    insta::assert_yaml_snapshot!(planned(&disabled, &observed, Adopt::Never).unwrap());
}

#[test]
fn every_removal_of_access_precedes_every_other_write() {
    let mut desired = desired();
    let mut observed = settled(&desired);
    observed.kv = None;
    for mount in [PIPELINE_MOUNT, WORKLOAD_MOUNT] {
        auth(&mut observed, mount).jwt_roles.insert("backdoor".to_owned(), JwtRole::default());
        auth(&mut observed, mount).cel_roles.insert("backdoor".to_owned(), CelRole::default());
    }
    observed.policies.insert("pipelines/old".to_owned(), policy_text(&marked("web")));
    desired.policies.insert("pipelines/new".to_owned(), "{}".to_owned());
    insta::assert_yaml_snapshot!(planned(&desired, &observed, Adopt::Never).unwrap());
}

#[rstest]
#[case::none(by(|_, _| {}), "")]
#[case::engine_settings(by(|_, observed| observed.kv.as_mut().unwrap().max_versions = 3), "Update secrets/kv/config: differs from the spec")]
#[case::go_duration(by(|desired, observed| {
    desired.kv.delete_version_after = "90s".to_owned();
    observed.kv.as_mut().unwrap().delete_version_after = "1m30s".to_owned();
}), "")]
#[case::engine(by(|_, observed| { observed.engine = None; observed.kv = None; }), "Create sys/mounts/secrets/kv: does not exist, Update secrets/kv/config: differs from the spec")]
#[case::auth_mount(by(|_, observed| { observed.auth.remove(WORKLOAD_MOUNT); }), "Create sys/auth/workload_jwt: does not exist, Create auth/workload_jwt/config: does not exist, Create auth/workload_jwt/role/app: does not exist")]
#[case::config(by(|_, observed| config(observed, PIPELINE_MOUNT).bound_issuer = "evil".to_owned()), "Update auth/pipeline_jwt/config: differs from the spec")]
#[case::white_space(by(|_, observed| config(observed, WORKLOAD_MOUNT).keys = JwtKeys::Static(vec!["key\n".to_owned()])), "")]
#[case::no_config(by(|_, observed| auth(observed, PIPELINE_MOUNT).config = None), "Create auth/pipeline_jwt/config: does not exist")]
#[case::cel_role(by(|_, observed| { auth(observed, PIPELINE_MOUNT).cel_roles.insert("all_pipelines".to_owned(), CelRole::default()); }), "Update auth/pipeline_jwt/cel/role/all_pipelines: differs from the spec")]
#[case::jwt_role(by(|_, observed| { auth(observed, WORKLOAD_MOUNT).jwt_roles.clear(); }), "Create auth/workload_jwt/role/app: does not exist")]
#[case::policy(by(|_, observed| { observed.policies.remove("pipelines/global"); }), "Create sys/policies/acl/pipelines/global: does not exist")]
#[case::policy_text(by(|_, observed| edit(observed, &marked("web"))), "Update sys/policies/acl/pipelines/global: differs from the spec")]
fn drift_is_repaired(#[case] drift: Change, #[case] expected: &str) {
    assert_eq!(after(drift, Adopt::Never), expected);
}

#[rstest]
#[case::discovered(by(|desired, _| removals(desired).now += 1), "Update auth/pipeline_jwt/config: the issuer removed a key that OpenBao still accepts")]
#[case::never_written(by(|desired, _| removals(desired).written = -1), "Update auth/pipeline_jwt/config: the issuer removed a key that OpenBao still accepts")]
#[case::discovered_with_another_difference(by(|desired, observed| {
    removals(desired).now += 1;
    config(observed, PIPELINE_MOUNT).bound_issuer = "evil".to_owned();
}), "Update auth/pipeline_jwt/config: the issuer removed a key that OpenBao still accepts")]
#[case::stated(by(|desired, observed| {
    removals(desired).now += 1;
    let keys = JwtKeys::Static(vec!["key".to_owned()]);
    desired.auth.get_mut(PIPELINE_MOUNT).unwrap().config.keys = keys.clone();
    config(observed, PIPELINE_MOUNT).keys = keys;
}), "")]
fn a_removed_key_of_the_issuer_is_removed_from_openbao(#[case] removal: Change, #[case] expected: &str) {
    assert_eq!(after(removal, Adopt::Never), expected);
}

const NAMESPACE: &str = "namespace org_1/group_7/project_42 in OpenBao belongs to another owner";
const ENGINE: &str =
    "mount org_1/group_7/project_42/secrets/kv in OpenBao belongs to SecretsProject ns/deleted";
const LOGIN: &str =
    "auth mount org_1/group_7/project_42/auth/pipeline_jwt in OpenBao belongs to SecretsProject ns/deleted";
const POLICY: &str = "policy org_1/group_7/project_42/pipelines/global in OpenBao belongs to";
const ADVICE: &str = ": remove it, or set adopt: IfUnowned to adopt a resource without an owner";

#[rstest]
#[case::namespace(by(|_, observed| observed.namespace.as_mut().unwrap().custom_metadata.clear()), NAMESPACE, "Update org_1/group_7/project_42/: is adopted")]
#[case::engine(by(|_, observed| observed.engine = Some(mount("kv", &mark_of("deleted")))), ENGINE, "Update sys/mounts/secrets/kv: is adopted")]
#[case::login(by(|_, observed| auth(observed, PIPELINE_MOUNT).mount = mount("jwt", &mark_of("deleted"))), LOGIN, "Update sys/auth/pipeline_jwt: is adopted")]
#[case::policy(by(|_, observed| edit(observed, &marked("deleted"))), "SecretsProject ns/deleted", "Update sys/policies/acl/pipelines/global: differs from the spec")]
#[case::unmarked_policy(by(|_, observed| edit(observed, UNMARKED)), "another owner", "Update sys/policies/acl/pipelines/global: differs from the spec")]
fn a_foreign_resource_is_a_conflict_unless_it_is_adopted(
    #[case] replace: Change,
    #[case] owner: &str,
    #[case] adopted: &str,
) {
    let owner = if owner.contains("org_1") { owner.to_owned() } else { format!("{POLICY} {owner}") };
    assert_eq!(after(replace, Adopt::Never), format!("{owner}{ADVICE}"));
    assert_eq!(after(replace, Adopt::IfUnowned), adopted);
}

#[rstest]
#[case::change(by(|_, observed| observed.engine = None), "teams/a/org_1/group_7/project_42/sys/mounts/secrets/kv")]
#[case::namespace(by(|_, observed| observed.namespace.as_mut().unwrap().custom_metadata.clear()), "namespace teams/a/org_1/group_7/project_42 in")]
#[case::deletion(by(|_, observed| observed.namespace.as_mut().unwrap().tainted = true), "deleting namespace teams/a/org_1/group_7/project_42")]
#[case::engine(by(|_, observed| observed.engine = Some(mount("kv", &mark_of("deleted")))), "mount teams/a/org_1/group_7/project_42/secrets/kv in")]
#[case::engine_of_another_type(by(|_, observed| observed.engine = Some(mount("transit", &mark()))), "mount teams/a/org_1/group_7/project_42/secrets/kv in")]
#[case::login(by(|_, observed| auth(observed, PIPELINE_MOUNT).mount = mount("jwt", &mark_of("deleted"))), "auth mount teams/a/org_1/group_7/project_42/auth/pipeline_jwt in")]
#[case::login_of_another_type(by(|_, observed| auth(observed, PIPELINE_MOUNT).mount = mount("userpass", &mark())), "auth mount teams/a/org_1/group_7/project_42/auth/pipeline_jwt in")]
#[case::policy(by(|_, observed| edit(observed, UNMARKED)), "policy teams/a/org_1/group_7/project_42/pipelines/global in")]
fn every_published_path_contains_the_namespace_of_an_external_cluster(
    #[case] change: Change,
    #[case] expected: &str,
) {
    let mut desired = Project { root: NamespacePath::new("teams/a"), ..desired() };
    let mut observed = settled(&desired);
    change(&mut desired, &mut observed);
    let published = match planned(&desired, &observed, Adopt::Never) {
        Ok(changes) => changes.into_iter().map(|change| change.path).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    };
    assert!(published.contains(expected), "{published}");
}

#[rstest]
#[case::engine(by(|_, observed| observed.engine = Some(mount("kv", &mark_of("existing")))))]
#[case::login(by(|_, observed| auth(observed, PIPELINE_MOUNT).mount = mount("jwt", &mark_of("existing"))))]
#[case::policy(by(|_, observed| edit(observed, &marked("existing"))))]
fn a_resource_of_an_existing_object_is_never_adopted(#[case] replace: Change) {
    let plan = after(replace, Adopt::IfUnowned);
    assert!(plan.contains("belongs to SecretsProject ns/existing"), "{plan}");
}

#[rstest]
#[case::engine(by(|_, observed| observed.engine = Some(mount("transit", &mark()))), "mount org_1/group_7/project_42/secrets/kv in OpenBao is not a KV version 2 engine: remove it")]
#[case::version(by(|_, observed| observed.engine.as_mut().unwrap().options.clear()), "mount org_1/group_7/project_42/secrets/kv in OpenBao is not a KV version 2 engine: remove it")]
#[case::login(by(|_, observed| auth(observed, PIPELINE_MOUNT).mount = mount("userpass", &mark())), "auth mount org_1/group_7/project_42/auth/pipeline_jwt in OpenBao is not of type jwt: remove it")]
fn a_mount_of_another_type_is_a_conflict(#[case] replace: Change, #[case] expected: &str) {
    assert_eq!(after(replace, Adopt::IfUnowned), expected);
}

#[rstest]
#[case::own_policy(by(|_, observed| { observed.policies.insert("pipelines/old".to_owned(), policy_text(&marked("web"))); }), "Delete sys/policies/acl/pipelines/old: is not desired")]
#[case::policy_of_another_object(by(|_, observed| { observed.policies.insert("pipelines/old".to_owned(), policy_text(&marked("deleted"))); }), "")]
#[case::unmarked_policy(by(|_, observed| { observed.policies.insert("pipelines/old".to_owned(), policy_text(UNMARKED)); }), "")]
#[case::own_policy_without_its_mark(by(|desired, observed| {
    desired.policies_written.push(name_digest("pipelines/old"));
    observed.policies.insert("pipelines/old".to_owned(), policy_text(UNMARKED));
}), "Delete sys/policies/acl/pipelines/old: is not desired")]
#[case::own_login(by(|desired, _| { desired.auth.remove(WORKLOAD_MOUNT); }), "Delete sys/auth/workload_jwt: is not desired")]
#[case::foreign_login(by(|desired, observed| {
    desired.auth.remove(WORKLOAD_MOUNT);
    auth(observed, WORKLOAD_MOUNT).mount.description.clear();
}), "")]
fn only_own_resources_are_deleted(#[case] change: Change, #[case] expected: &str) {
    assert_eq!(after(change, Adopt::Never), expected);
    assert_eq!(after(change, Adopt::IfUnowned), expected);
}

#[test]
fn an_edited_policy_without_its_mark_is_restored() {
    let edited: Change = |desired, observed| {
        desired.policies_written.push(name_digest("pipelines/global"));
        edit(observed, UNMARKED);
    };
    let expected = "Update sys/policies/acl/pipelines/global: differs from the spec";
    assert_eq!(after(edited, Adopt::Never), expected);
}

fn with_roles(roles: Value, entitlement: &str) -> Project {
    let mut found = found();
    let mut tenant = (*found.references.tenant).clone();
    tenant.spec.entitlement = serde_json::from_value(json!(entitlement)).unwrap();
    found.references.tenant = tenant.into();
    validated(&project(json!({"spec": {"defaultRoles": roles}})), &found).unwrap()
}

/// Writes to policies of users and their logins.
fn of_users(desired: &Project, observed: &Observed) -> Vec<String> {
    let changes = planned(desired, observed, Adopt::Never).unwrap();
    let lines = changes.iter().map(|change| {
        let path = change.path.strip_prefix("org_1/group_7/project_42/").unwrap_or_default();
        format!("{:?} {}", change.operation, path.trim_start_matches("sys/policies/acl/"))
    });
    lines.filter(|line| line.contains("user")).collect()
}

#[test]
fn default_roles_are_written_once_and_never_restored() {
    let roles = json!([{"accessLevel": "Owner", "verbs": ["ReadMetadata", "Write"]}]);
    let mut desired = with_roles(roles.clone(), "Active");
    let created = [
        "Create users/defaults/50",
        "Create users/defaults/50/write",
        "Create sys/auth/user_jwt",
        "Create auth/user_jwt/config",
        "Create auth/user_jwt/cel/role/all_users",
    ];
    assert_eq!(of_users(&desired, &Observed::default()), created);
    // The owner narrows one of them and deletes the other one.
    let mut observed = settled(&desired);
    observed.policies.insert("users/defaults/50".to_owned(), policy_text(&marked("web")));
    desired.defaults.clear();
    desired.auth.values_mut().for_each(|auth| auth.key_removals = None);
    assert!(of_users(&desired, &observed).is_empty());
    // Without an entitlement, the part that writes ends.
    let text = policy_text(&marked("web"));
    observed.policies.insert("users/defaults/50/write".to_owned(), text);
    let mut read_only = with_roles(roles, "ReadOnly");
    read_only.defaults.clear();
    read_only.auth.values_mut().for_each(|auth| auth.key_removals = None);
    assert_eq!(of_users(&read_only, &observed), ["Delete users/defaults/50/write"]);
    let blocked = with_roles(json!([]), "Blocked");
    assert_eq!(
        of_users(&blocked, &observed),
        ["Delete sys/auth/user_jwt", "Delete users/defaults/50", "Delete users/defaults/50/write"]
    );
}

#[test]
fn the_mount_of_an_additional_issuer_is_deleted_after_its_policies() {
    let mut desired = desired();
    let mut observed = settled(&desired);
    let mount = ObservedAuth { mount: mount("jwt", &mark()), ..ObservedAuth::default() };
    observed.auth.insert("pipeline_jwt_gitea".to_owned(), mount);
    observed.policies.insert("pipelines_gitea/global".to_owned(), policy_text(&marked("web")));
    desired.auth.remove(WORKLOAD_MOUNT);
    let changes = planned(&desired, &observed, Adopt::Never).unwrap();
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    let expected = [
        "org_1/group_7/project_42/sys/auth/workload_jwt",
        "org_1/group_7/project_42/sys/policies/acl/pipelines_gitea/global",
        "org_1/group_7/project_42/sys/auth/pipeline_jwt_gitea",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn the_mount_of_an_additional_issuer_is_created_before_its_policies() {
    let mut found = found();
    found.references.additional.push(gitea());
    found.additional_cas.push(Some(String::new()));
    found.policies.push(policy("gitea", json!({"issuer": "gitea", "branches": ["main"]})));
    let desired = validated(&project(json!({})), &found).unwrap();
    let changes = planned(&desired, &Observed::default(), Adopt::Never).unwrap();
    let at = |part: &str| changes.iter().position(|change| change.path.contains(part)).unwrap();
    assert!(at("sys/auth/pipeline_jwt_gitea") < at("acl/pipelines_gitea/"));
    assert!(at("acl/pipelines_gitea/") < at("pipeline_jwt_gitea/config"));
}

#[test]
fn the_mount_of_an_additional_issuer_with_a_mistake_stays() {
    let mut desired = desired();
    let mut observed = settled(&desired);
    let mount = ObservedAuth { mount: mount("jwt", &mark()), ..ObservedAuth::default() };
    observed.auth.insert("pipeline_jwt_gitea".to_owned(), mount);
    let error = Error::Invalid("mistake".to_owned());
    desired.unusable.push(Unusable::new("gitea", &error, true));
    assert!(planned(&desired, &observed, Adopt::Never).unwrap().is_empty());
    desired.unusable = vec![Unusable::new("gitea", &error, false)];
    assert_eq!(planned(&desired, &observed, Adopt::Never).unwrap().len(), 1);
}
