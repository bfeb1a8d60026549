//! The policy of the CI jobs: everything that they may do, path by path and parameter by parameter.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steamer_api::{PathVerb, SecretsApp};
use steamer_core::error::Error;

use super::bindings::RuntimeRole;
use super::database::Database;
use super::hcl::Rule;
use super::names::{self, is_repository};
use super::parts::Parts;

const ALL: &[&str] = &["create", "read", "update", "delete"];
const WRITE: &[&str] = &["create", "update"];
/// Most names or namespaces of a role whose orders a policy lists.
const MOST_ITEMS: usize = 4;

/// The rules.
///
/// # Errors
/// [`Error::Invalid`] for an extra path that has a rule already, and for roles whose parameters have too many forms.
pub(super) fn rules(app: &SecretsApp, parts: &Parts) -> Result<Vec<Rule>, Error> {
    let mut rules = secrets(app);
    if is_repository(app) {
        rules.extend(roles(app, parts)?);
    }
    if app.spec.ops.terraform_compat {
        rules.extend(terraform());
    }
    for extra in &app.spec.ops.extra_paths {
        let verbs: BTreeSet<PathVerb> = extra.verbs.iter().copied().collect();
        let rule = Rule::new(&extra.path, &verbs.into_iter().map(capability).collect::<Vec<_>>());
        if let Some(other) = rules.iter().find(|it| overlap(&it.path, &rule.path)) {
            return Err(Error::Invalid(format!(
                "ops.extraPaths: the policy has a rule for {} already, which overlaps with {}: remove the path",
                other.path, rule.path
            )));
        }
        rules.push(rule);
    }
    Ok(rules)
}

/// The rules for the roles of the pods and of the database.
///
/// # Errors
/// As [`rules`].
pub(super) fn roles(app: &SecretsApp, parts: &Parts) -> Result<Vec<Rule>, Error> {
    let pods = parts.login.roles.iter().map(|role| kubernetes_role(app, role));
    pods.chain(parts.database.iter().map(database_role)).collect()
}

/// Returns true if one of two paths of rules contains the other.
fn overlap(first: &str, second: &str) -> bool {
    let contains = |outer: &str, inner: &str| {
        outer == inner || outer.strip_suffix('*').is_some_and(|folder| inner.starts_with(folder))
    };
    contains(first, second) || contains(second, first)
}

/// All operations on the secrets of the application.
fn secrets(app: &SecretsApp) -> Vec<Rule> {
    let (mount, prefix) = (&app.spec.kv.mount, names::prefix(app));
    let rule = |part: &str, capabilities: &[&'static str]| {
        Rule::new(format!("{mount}/{part}/{prefix}/*"), capabilities)
    };
    let every = ["create", "read", "update", "patch", "delete", "list"];
    vec![
        rule("data", &every),
        rule("delete", WRITE),
        rule("undelete", WRITE),
        rule("destroy", WRITE),
        rule("metadata", &every),
    ]
}

/// A role of the pods. Each parameter is listed: with `"*" = []`, the alias `policies` of `token_policies` would be accepted with
/// any value.
fn kubernetes_role(app: &SecretsApp, role: &RuntimeRole) -> Result<Rule, Error> {
    let (mount, runtime) = (&app.spec.runtime.mount, &app.spec.runtime);
    let policies = [names::app(app), "default".to_owned()];
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    let mut token_policies = orders(&policies)?;
    token_policies.push(json!([names::app(app)]));
    let allowed = vec![
        ("bound_service_account_names", orders(&role.names())?),
        ("bound_service_account_namespaces", orders(&role.namespaces())?),
        ("audience", vec![json!(runtime.audience)]),
        ("alias_name_source", vec![json!("serviceaccount_uid")]),
        ("token_policies", token_policies),
        ("token_ttl", Vec::new()),
        ("token_max_ttl", Vec::new()),
    ];
    // `required_parameters` would refuse reads, too. A role without a parameter is reported.
    Ok(Rule { allowed, ..Rule::new(format!("auth/{mount}/role/{}", role.name), ALL) })
}

/// The role of the database. Other statements would give the rights of other owner roles, and of the user of the connection.
///
/// # Errors
/// [`Error::Internal`] without the name of the connection: an empty list of values would accept every connection.
fn database_role(database: &Database) -> Result<Rule, Error> {
    let Some(name) = database.parameters.get("db_name").cloned() else {
        return Err(Error::internal(std::io::Error::other("the role of the database names no connection")));
    };
    let statements = |name: &str| vec![database.parameters.get(name).cloned().unwrap_or_else(|| json!([]))];
    let allowed = vec![
        ("db_name", vec![name]),
        ("creation_statements", statements("creation_statements")),
        ("revocation_statements", statements("revocation_statements")),
        ("renew_statements", statements("renew_statements")),
        ("rollback_statements", statements("rollback_statements")),
        ("credential_type", vec![json!("password")]),
        ("default_ttl", Vec::new()),
        ("max_ttl", Vec::new()),
    ];
    Ok(Rule { allowed, ..Rule::new(&database.role_path, ALL) })
}

/// What the provider of Terraform for Vault needs: a child token with the same policies, and the settings of auth mounts. The
/// provider sends an empty type and alias in each request.
fn terraform() -> [Rule; 2] {
    let names = ["display_name", "ttl", "explicit_max_ttl", "num_uses", "renewable"];
    let mut allowed: Vec<_> = names.map(|name| (name, Vec::new())).into();
    allowed.extend(["type", "entity_alias"].map(|name| (name, vec![json!("")])));
    [Rule { allowed, ..Rule::new("auth/token/create", WRITE) }, Rule::new("sys/mounts/auth/*", &["read"])]
}

/// Every order of the items, because OpenBao compares lists with their order and clients send sets.
fn orders(items: &[&str]) -> Result<Vec<Value>, Error> {
    if items.len() > MOST_ITEMS {
        return Err(Error::Invalid(format!(
            "rolesOwner: Repository supports at most {MOST_ITEMS} ServiceAccounts and namespaces of a role, because the policy lists \
             every order of them: list fewer, or set rolesOwner: Steamer"
        )));
    }
    Ok(permutations(items).into_iter().map(|order| json!(order)).collect())
}

fn permutations<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
    let Some((first, rest)) = items.split_first() else {
        return vec![Vec::new()];
    };
    let insert = |order: Vec<&'a str>| {
        (0..=order.len()).map(move |at| {
            let mut longer = order.clone();
            longer.insert(at, first);
            longer
        })
    };
    permutations(rest).into_iter().flat_map(insert).collect()
}

const fn capability(verb: PathVerb) -> &'static str {
    match verb {
        PathVerb::Create => "create",
        PathVerb::Read => "read",
        PathVerb::Update => "update",
        PathVerb::Patch => "patch",
        PathVerb::Delete => "delete",
        PathVerb::List => "list",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Map;

    use super::*;
    use crate::secrets_app::fixture::{app as object, parts};

    fn allowed(rule: &Rule) -> Map<String, Value> {
        rule.allowed.iter().map(|(name, values)| ((*name).to_owned(), Value::from(values.clone()))).collect()
    }

    fn repository(runtime: Value) -> SecretsApp {
        object(json!({
            "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}, "rolesOwner": "Repository", "runtime": runtime,
            "database": {"connectionRef": {"name": "db"}},
        }))
    }

    #[rstest]
    #[case(&["a"], json!([["a"]]))]
    #[case(&["a", "b"], json!([["a", "b"], ["b", "a"]]))]
    #[case(&[], json!([[]]))]
    fn a_list_is_accepted_in_every_order(#[case] items: &[&str], #[case] expected: Value) {
        assert_eq!(Value::from(orders(items).unwrap()), expected);
    }

    #[test]
    fn a_list_with_too_many_orders_is_refused() {
        assert_eq!(orders(&["a", "b", "c", "d"]).unwrap().len(), 24);
        assert!(orders(&["a", "b", "c", "d", "e"]).unwrap_err().to_string().contains("at most 4"));
    }

    #[test]
    fn no_rule_allows_further_parameters_of_a_role() {
        let object = repository(json!({}));
        let rules = rules(&object, &parts(&object)).unwrap();
        let roles: Vec<&Rule> = rules.iter().filter(|it| it.path.contains("/role")).collect();
        assert_eq!(roles.len(), 2);
        for rule in roles {
            let allowed = allowed(rule);
            for name in [
                "*",
                "policies",
                "token_period",
                "token_no_default_policy",
                "bound_service_account_namespace_selector",
            ] {
                assert!(!allowed.contains_key(name), "{}: {name}", rule.path);
            }
        }
    }

    #[test]
    fn the_parameters_of_the_roles_of_steamer_are_accepted() {
        let object = repository(json!({"serviceAccounts": ["web", "job"]}));
        let parts = parts(&object);
        let rules = rules(&object, &parts).unwrap();
        let home = crate::secrets_app::fixture::home();
        let roles = crate::secrets_app::roles::runtime(&object, &parts.login, &home).unwrap();
        let rule = rules.iter().find(|it| it.path == roles[0].path).unwrap();
        for (name, values) in rule.allowed.iter().filter(|(_, values)| !values.is_empty()) {
            let own = roles[0].body.parameters.get(*name).unwrap();
            assert!(values.contains(own), "{name}: {own}");
        }
        let database = parts.database.unwrap();
        let rule = rules.iter().find(|it| it.path == database.role_path).unwrap();
        for (name, value) in &database.parameters {
            assert!(allowed(rule).contains_key(name), "{name}: {value}");
        }
    }

    #[rstest]
    #[case::role("postgres/roles/web", "postgres/roles/web already")]
    #[case::folder("kvv2/data/*", "kvv2/data/web/* already")]
    #[case::same("kvv2/data/web/*", "kvv2/data/web/* already")]
    #[case::narrower("kvv2/metadata/web/x", "kvv2/metadata/web/* already")]
    fn an_extra_path_does_not_change_a_rule(#[case] path: &str, #[case] problem: &str) {
        let mut object = repository(json!({}));
        object.spec.ops.extra_paths =
            serde_json::from_value(json!([{"path": path, "verbs": ["update"]}])).unwrap();
        let message = rules(&object, &parts(&object)).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }

    #[rstest]
    #[case("kvv2/data/web/*", "kvv2/data/webapp/*", false)]
    #[case("kvv2/data/web/*", "kvv2/data/web", false)]
    #[case("kvv2/data/*", "kvv2/data/web/*", true)]
    #[case("kvv2/data/web/*", "kvv2/data/web/x", true)]
    #[case("kvv1/a", "kvv1/a", true)]
    fn paths_overlap_if_one_contains_the_other(
        #[case] first: &str,
        #[case] second: &str,
        #[case] expected: bool,
    ) {
        assert_eq!((overlap(first, second), overlap(second, first)), (expected, expected));
    }

    #[test]
    fn no_rule_requires_a_parameter() {
        // OpenBao would refuse each read of the path.
        let object = repository(json!({}));
        assert!(rules(&object, &parts(&object)).unwrap().iter().all(|it| it.required.is_empty()));
    }
}
