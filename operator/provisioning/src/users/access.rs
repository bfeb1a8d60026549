//! Policies of principals, from all objects that grant access.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steamer_api::{DefaultRole, Entitlement, UserGrants, Verb};
use steamer_runtime::ObjectName;

use super::principal::{Who, default_policy, login_of};
use super::rules::{Login, login, rules, writes};

/// Rules by policy and path in the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserAccess(BTreeMap<String, BTreeMap<String, Rule>>);

/// Access to one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    /// Capabilities with their ends. None: no end.
    capabilities: BTreeMap<&'static str, Option<Timestamp>>,
    granted_by: BTreeSet<String>,
}

/// One object that grants access.
pub(crate) struct Granting<'a> {
    pub(crate) who: Who,
    pub(crate) grants: &'a UserGrants,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) name: ObjectName,
    /// Person who granted the access.
    pub(crate) by: Option<&'a str>,
}

impl UserAccess {
    /// Adds the grants of an object that the entitlement of the tenant permits.
    pub(crate) fn add(&mut self, granting: &Granting<'_>, entitlement: Entitlement) {
        let Granting { who, grants, expires_at, name, by } = granting;
        let source = by.map_or_else(|| name.to_string(), |by| format!("{name} by {by}"));
        let all = grants.all.iter().map(|verb| (*verb, None));
        let single = grants.secrets.iter();
        let single = single.flat_map(|it| it.verbs.iter().map(|verb| (*verb, Some(it.name.as_str()))));
        for (verb, secret) in all.chain(single).filter(|(verb, _)| permits(entitlement, *verb)) {
            let policy = who.policy(login(verb), expires_at.is_some());
            self.grant(policy, (verb, secret), *expires_at, &source);
        }
    }

    fn grant(
        &mut self,
        policy: String,
        (verb, secret): (Verb, Option<&str>),
        expires_at: Option<Timestamp>,
        source: &str,
    ) {
        let paths = self.0.entry(policy).or_default();
        for (path, capabilities) in rules(verb, secret) {
            let rule = paths.entry(path).or_default();
            rule.granted_by.insert(source.to_owned());
            for capability in capabilities {
                rule.add(capability, expires_at);
            }
        }
    }

    /// The policies that a project writes once.
    pub(crate) fn of_default_roles(roles: &[DefaultRole], entitlement: Entitlement) -> Self {
        let mut access = Self::default();
        for DefaultRole { access_level, verbs } in roles {
            for verb in verbs.iter().copied().filter(|verb| permits(entitlement, *verb)) {
                let policy = default_policy(*access_level, login(verb), writes(verb));
                access.grant(policy, (verb, None), None, "defaultRoles");
            }
        }
        access
    }

    /// Time at which the access changes.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.0.values().flat_map(BTreeMap::values).filter_map(Rule::expiration).min()
    }

    /// Texts by name. `owner` is the description of their owner. Keys are sorted, so that equal rules result in equal texts.
    pub(crate) fn texts(&self, owner: &str, engine: &str) -> BTreeMap<String, String> {
        let text = |paths: &BTreeMap<String, Rule>| {
            let rules = paths.iter().map(|(path, rule)| (format!("{engine}/{path}"), rule.value(owner)));
            json!({"path": rules.collect::<Map<_, _>>()}).to_string()
        };
        self.complete().iter().map(|(name, paths)| (name.clone(), text(paths))).collect()
    }

    /// The rules with copies of each rule for all secrets, one for each secret that a rule names. OpenBao applies only the most
    /// specific path of all policies of a token, so that a rule for one secret would otherwise hide the rule for all.
    fn complete(&self) -> BTreeMap<String, BTreeMap<String, Rule>> {
        let mut complete = self.0.clone();
        for (policy, paths) in &mut complete {
            let named: BTreeSet<&String> = self.named(login_of(policy)).collect();
            for path in named {
                let all =
                    path.rsplit_once('/').and_then(|(folder, _)| self.0[policy].get(&format!("{folder}/*")));
                if let Some(all) = all {
                    paths.entry(path.clone()).or_default().extend(all);
                }
            }
        }
        complete
    }

    /// Paths of single secrets in the policies of a login.
    fn named(&self, login: Login) -> impl Iterator<Item = &String> {
        let policies = self.0.iter().filter(move |(policy, _)| login_of(policy) == login);
        policies.flat_map(|(_, paths)| paths.keys()).filter(|path| !path.ends_with('*'))
    }

    /// Names of the policies.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Returns true if there is a policy of that name.
    pub(crate) fn has(&self, policy: &str) -> bool {
        self.0.contains_key(policy)
    }
}

impl Rule {
    /// Adds a capability. The later end applies.
    fn add(&mut self, capability: &'static str, expires_at: Option<Timestamp>) {
        let end = self.capabilities.entry(capability).or_insert(expires_at);
        *end = end.zip(expires_at).map(|(a, b)| a.max(b));
    }

    fn extend(&mut self, other: &Self) {
        for (capability, expires_at) in &other.capabilities {
            self.add(capability, *expires_at);
        }
        self.granted_by.extend(other.granted_by.iter().cloned());
    }

    /// A path has one expiration for all capabilities. If their ends differ, the first one applies, and the reconcile after it
    /// writes the others again: OpenBao itself then never permits more than is granted.
    fn expiration(&self) -> Option<Timestamp> {
        self.capabilities.values().flatten().min().copied()
    }

    fn value(&self, owner: &str) -> Value {
        let capabilities: Vec<&str> = self.capabilities.keys().copied().collect();
        let sources = self.granted_by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let comment = format!("{owner}; granted by {sources}");
        let mut value = json!({"capabilities": capabilities, "comment": comment});
        if let Some(at) = self.expiration() {
            value["expiration"] = Value::String(at.to_string());
        }
        value
    }
}

/// Returns true if the entitlement of the tenant permits a verb.
fn permits(entitlement: Entitlement, verb: Verb) -> bool {
    entitlement != Entitlement::ReadOnly || !writes(verb)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn added(objects: &[(&str, Option<i64>, Value)], entitlement: Entitlement) -> UserAccess {
        let mut access = UserAccess::default();
        for (name, end, grants) in objects {
            let grants: UserGrants = serde_json::from_value(grants.clone()).unwrap();
            let expires_at = end.map(|second| Timestamp::from_second(second).unwrap());
            let name = ObjectName::new("ns", *name);
            let granting =
                Granting { who: Who::User(5), grants: &grants, expires_at, name, by: Some("alice") };
            access.add(&granting, entitlement);
        }
        access
    }

    /// Policy, path, capabilities and end of each rule.
    fn described(access: &UserAccess) -> Vec<String> {
        let rules = access.0.iter().flat_map(|(name, paths)| paths.iter().map(move |it| (name, it)));
        let line = |(name, (path, rule)): (&String, (&String, &Rule))| {
            let can = rule.capabilities.keys().copied().collect::<Vec<_>>().join("+");
            let end = rule.expiration().map(|at| format!(" until {}", at.as_second())).unwrap_or_default();
            format!("{name} {path} {can}{end}")
        };
        rules.map(line).collect()
    }

    #[test]
    fn objects_add_up_and_values_are_read_by_another_login() {
        let objects = [
            ("a", None, json!({"all": ["ReadMetadata"]})),
            ("b", None, json!({"secrets": [{"name": "DB", "verbs": ["Delete", "ReadValue"]}]})),
        ];
        let expected = [
            "api/users/direct/user_5 data/explicit/DB read",
            "users/direct/user_5 data/explicit/DB delete",
            "users/direct/user_5 detailed-metadata/explicit/* list",
            "users/direct/user_5 metadata/explicit/* list+read+scan",
            "users/direct/user_5 metadata/explicit/DB delete",
        ];
        assert_eq!(described(&added(&objects, Entitlement::Active)), expected);
    }

    #[test]
    fn a_grant_that_expires_does_not_limit_one_that_does_not() {
        let write = json!({"secrets": [{"name": "DB", "verbs": ["Write"]}]});
        let delete = json!({"secrets": [{"name": "DB", "verbs": ["Delete"]}]});
        let objects =
            [("forever", None, write.clone()), ("long", Some(30), write), ("short", Some(10), delete)];
        let access = added(&objects, Entitlement::Active);
        let expected = [
            "users/direct/user_5 data/explicit/DB create+update",
            "users/direct/user_5 metadata/explicit/DB create+update",
            "users/temporary/direct/user_5 data/explicit/DB create+delete+update until 10",
            "users/temporary/direct/user_5 metadata/explicit/DB create+delete+update until 10",
        ];
        assert_eq!(described(&access), expected);
        assert_eq!(access.next_expiry().map(Timestamp::as_second), Some(10));
    }

    #[test]
    fn a_grant_for_one_secret_takes_nothing_from_grants_for_all() {
        let all = json!({"all": ["Delete", "ReadValue"]});
        let one = json!({"secrets": [{"name": "DB", "verbs": ["ReadMetadata"]}]});
        let mut access = added(&[("one", None, one)], Entitlement::Active);
        let grants: UserGrants = serde_json::from_value(all).unwrap();
        let name = ObjectName::new("ns", "all");
        let granting = Granting { who: Who::Role(50), grants: &grants, expires_at: None, name, by: None };
        access.add(&granting, Entitlement::Active);
        let expected = [
            "api/users/roles/50 data/explicit/* read",
            "api/users/roles/50 metadata/explicit/* list",
            "users/direct/user_5 metadata/explicit/DB read",
            "users/roles/50 data/explicit/* delete",
            "users/roles/50 metadata/explicit/* delete",
            "users/roles/50 metadata/explicit/DB delete",
        ];
        assert_eq!(described(&UserAccess(access.complete())), expected);
    }

    #[rstest]
    #[case(Entitlement::Active, "create+delete+read")]
    #[case(Entitlement::Grace, "create+delete+read")]
    #[case(Entitlement::ReadOnly, "delete+read")]
    fn without_an_entitlement_nothing_is_written(#[case] entitlement: Entitlement, #[case] expected: &str) {
        let verbs = json!({"secrets": [{"name": "DB", "verbs": ["Create", "Delete", "ReadMetadata"]}]});
        let access = added(&[("a", None, verbs)], entitlement);
        let line = format!("users/direct/user_5 metadata/explicit/DB {expected}");
        assert!(described(&access).contains(&line), "{access:?}");
    }

    #[test]
    fn default_roles_have_a_part_that_writes() {
        let roles = json!([{"accessLevel": "Developer", "verbs": ["ReadMetadata", "Create", "ReadValue"]}]);
        let roles: Vec<DefaultRole> = serde_json::from_value(roles).unwrap();
        let names = |entitlement| {
            let texts = UserAccess::of_default_roles(&roles, entitlement).texts("owner", "secrets/kv");
            texts.into_keys().collect::<Vec<_>>().join(" ")
        };
        let all = "api/users/defaults/30 users/defaults/30 users/defaults/30/write";
        assert_eq!(names(Entitlement::Active), all);
        assert_eq!(names(Entitlement::ReadOnly), "api/users/defaults/30 users/defaults/30");
    }

    #[test]
    fn a_policy_names_who_granted_the_access() {
        let objects = [("a", Some(1), json!({"secrets": [{"name": "DB", "verbs": ["ReadValue"]}]}))];
        let texts = added(&objects, Entitlement::Active).texts("owner", "secrets/kv");
        let expected = json!({"path": {"secrets/kv/data/explicit/DB": {
            "capabilities": ["read"], "comment": "owner; granted by ns/a by alice", "expiration": "1970-01-01T00:00:01Z",
        }}});
        assert_eq!(texts["api/users/temporary/direct/user_5"], expected.to_string());
    }
}
