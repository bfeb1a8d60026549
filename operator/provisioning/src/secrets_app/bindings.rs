//! Login of the pods: roles that admit exactly the listed pairs of ServiceAccount and namespace.

use std::collections::{BTreeMap, BTreeSet};

use steamer_api::{AppBinding, RolesOwner, SecretsApp};
use steamer_core::error::Error;

use super::names;
use crate::auth_mounts;
use crate::general::Found;

/// Names of ServiceAccounts by namespace.
type Accounts = BTreeMap<String, BTreeSet<String>>;

/// Type of the mount at which pods log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A role has a list of names and one of namespaces.
    Kubernetes,
    /// A role has a list of subjects.
    Jwt,
}

/// Login of the pods.
pub(super) struct Login {
    pub(super) method: Method,
    pub(super) roles: Vec<RuntimeRole>,
}

/// A role that admits every listed name in every listed namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuntimeRole {
    /// Name of the role.
    pub(super) name: String,
    /// ServiceAccounts that it admits.
    pub(super) bindings: Vec<AppBinding>,
}

impl RuntimeRole {
    /// Names of the ServiceAccounts, each once.
    pub(super) fn names(&self) -> Vec<&str> {
        distinct(self.bindings.iter().map(|it| it.service_account.as_str()))
    }

    /// Namespaces of the ServiceAccounts, each once.
    pub(super) fn namespaces(&self) -> Vec<&str> {
        distinct(self.bindings.iter().map(|it| it.namespace.as_str()))
    }
}

fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    items.collect::<BTreeSet<_>>().into_iter().collect()
}

impl Login {
    /// Finds the mount and computes the roles.
    ///
    /// # Errors
    /// [`Error::SourceMissing`] for a mount that does not exist, [`Error::Invalid`] for one of another type.
    pub(super) async fn of(app: &SecretsApp, found: &Found<'_>) -> Result<Self, Error> {
        let mount = &app.spec.runtime.mount;
        let method = match auth_mounts::existing(found, mount).await?.kind.as_str() {
            "kubernetes" => Method::Kubernetes,
            "jwt" => Method::Jwt,
            other => {
                return Err(Error::Invalid(format!(
                    "runtime.mount: auth/{mount} is of type {other}: name an auth mount of type kubernetes or jwt"
                )));
            }
        };
        Ok(Self { method, roles: roles(app, method) })
    }

    /// Checks that a policy can limit the parameters of the roles: OpenBao compares no maps.
    ///
    /// # Errors
    /// [`Error::Invalid`]
    pub(super) fn check_owner(&self, owner: RolesOwner) -> Result<(), Error> {
        if owner == RolesOwner::Repository && self.method == Method::Jwt {
            return Err(Error::Invalid(
                "rolesOwner: Repository needs an auth mount of type kubernetes, because a policy cannot limit the claims of a role of \
                 type jwt: set runtime.mount to one, or set rolesOwner: Steamer"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// The pairs that may log in.
pub(super) fn bindings(app: &SecretsApp) -> Vec<AppBinding> {
    let runtime = &app.spec.runtime;
    if !runtime.bindings.is_empty() {
        return runtime.bindings.clone();
    }
    let or_app = |list: &[String]| if list.is_empty() { vec![names::app(app)] } else { list.to_vec() };
    let (accounts, namespaces) = (or_app(&runtime.service_accounts), or_app(&runtime.namespaces));
    let pair = |namespace: &String, account: &String| AppBinding {
        service_account: account.clone(),
        namespace: namespace.clone(),
    };
    namespaces
        .iter()
        .flat_map(|namespace| accounts.iter().map(move |account| pair(namespace, account)))
        .collect()
}

/// The roles. Pairs that are every combination of their names and namespaces have one role, as all pairs have at a mount of type
/// `jwt`. Otherwise each namespace has a role: one role would admit combinations that are not listed.
pub(super) fn roles(app: &SecretsApp, method: Method) -> Vec<RuntimeRole> {
    let (name, bindings) = (names::app(app), bindings(app));
    let accounts = by_namespace(&bindings);
    let mut sets: Vec<&BTreeSet<String>> = accounts.values().collect();
    sets.dedup();
    if method == Method::Jwt || sets.len() <= 1 {
        return vec![RuntimeRole { name, bindings: pairs(&accounts) }];
    }
    let first = bindings.first().map(|it| it.namespace.clone()).unwrap_or_default();
    let main = if accounts.contains_key(&name) { name.clone() } else { first };
    let role = |(namespace, names): (&String, &BTreeSet<String>)| RuntimeRole {
        name: if *namespace == main { name.clone() } else { format!("{name}.{namespace}") },
        bindings: pairs(&Accounts::from([(namespace.clone(), names.clone())])),
    };
    accounts.iter().map(role).collect()
}

fn by_namespace(bindings: &[AppBinding]) -> Accounts {
    let mut accounts = Accounts::new();
    for binding in bindings {
        accounts.entry(binding.namespace.clone()).or_default().insert(binding.service_account.clone());
    }
    accounts
}

fn pairs(accounts: &Accounts) -> Vec<AppBinding> {
    let pair = |namespace: &String, name: &String| AppBinding {
        service_account: name.clone(),
        namespace: namespace.clone(),
    };
    accounts
        .iter()
        .flat_map(|(namespace, names)| names.iter().map(move |name| pair(namespace, name)))
        .collect()
}

/// The role of a reader.
pub(super) fn reader_role(reader: &steamer_api::AppReader) -> RuntimeRole {
    let steamer_api::AppReader { name, service_account, namespace, .. } = reader.clone();
    RuntimeRole { name, bindings: vec![AppBinding { service_account, namespace }] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::fixture::app as object;

    fn shown(roles: &[RuntimeRole]) -> Vec<String> {
        let pair = |it: &AppBinding| format!("{}/{}", it.namespace, it.service_account);
        let role = |it: &RuntimeRole| {
            format!("{}: {}", it.name, it.bindings.iter().map(pair).collect::<Vec<_>>().join(" "))
        };
        roles.iter().map(role).collect()
    }

    fn bound(pairs: &[(&str, &str)]) -> Value {
        let pair = |(namespace, name): &(&str, &str)| json!({"serviceAccount": name, "namespace": namespace});
        json!({"runtime": {"bindings": pairs.iter().map(pair).collect::<Vec<_>>()}})
    }

    #[rstest]
    #[case::webapp(json!({}), &["web: web/web"])]
    #[case::cms(json!({"runtime": {"serviceAccounts": ["web", "cloudflared"]}}), &["web: web/cloudflared web/web"])]
    #[case::crowdsec(json!({"runtime": {"namespaces": ["web", "tools"]}}), &["web: tools/web web/web"])]
    #[case::product(
        json!({"runtime": {"serviceAccounts": ["a", "b"], "namespaces": ["x", "y"]}}),
        &["web: x/a x/b y/a y/b"],
    )]
    #[case::pairs(bound(&[("web", "web"), ("tools", "job")]), &["web.tools: tools/job", "web: web/web"])]
    #[case::pairs_elsewhere(bound(&[("x", "a"), ("y", "b")]), &["web: x/a", "web.y: y/b"])]
    #[case::pairs_that_are_a_product(bound(&[("x", "a"), ("y", "a")]), &["web: x/a y/a"])]
    #[case::some_equal(
        bound(&[("web", "a"), ("x", "b"), ("y", "a")]),
        &["web: web/a", "web.x: x/b", "web.y: y/a"],
    )]
    fn each_role_admits_exactly_its_pairs(#[case] spec: Value, #[case] expected: &[&str]) {
        assert_eq!(shown(&roles(&object(spec), Method::Kubernetes)), expected);
    }

    #[test]
    fn a_role_of_type_jwt_has_all_pairs() {
        let spec = bound(&[("web", "web"), ("tools", "job")]);
        assert_eq!(shown(&roles(&object(spec), Method::Jwt)), ["web: tools/job web/web"]);
    }

    proptest! {
        #[test]
        fn no_role_admits_a_pair_that_is_not_listed(pairs in prop::collection::btree_set(("[xyz]", "[abc]"), 1..6)) {
            let listed: Vec<(&str, &str)> = pairs.iter().map(|(space, name)| (space.as_str(), name.as_str())).collect();
            let roles = roles(&object(bound(&listed)), Method::Kubernetes);
            let mut admitted = BTreeSet::new();
            let mut role_names = BTreeSet::new();
            for role in &roles {
                prop_assert!(role_names.insert(role.name.clone()));
                for space in role.namespaces() {
                    admitted.extend(role.names().iter().map(|name| (space.to_owned(), (*name).to_owned())));
                }
            }
            prop_assert_eq!(admitted, pairs);
        }
    }
}
