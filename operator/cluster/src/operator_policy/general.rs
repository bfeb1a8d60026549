//! Rules for `operatorScope: Namespaces` and `Root`: everything that the general kinds create, in each OpenBao namespace
//! of the scope.
//!
//! `+` matches one segment, and `*` matches any text, only at the end of a path. Neither matches a mount or namespace
//! with an unknown number of segments, so each number of segments has rules of its own: [`ROOT_LEVELS`] levels of
//! namespaces below the root namespace, [`LISTED_LEVELS`] below a listed namespace, and mounts of [`MOUNT_SEGMENTS`]
//! segments.
//!
//! Such a rule also matches a value whose path has the same form: `+/+/config*` is a mount `a/b`, and `data/config-x` in
//! the KV engine `a`. Rules with `deny` exclude these paths. They depend on OpenBao's order of rules that match a path:
//! the rule whose first wildcard comes later applies, then the one without `*`, then the one with fewer `+`, then the
//! longer one. Therefore every rule that allows something below a wildcard ends with `*`, `deny` for the paths of values
//! has fewer `+`, and `deny` for single paths below an allowed one has no `*`.
//!
//! KV version 1 has no paths of its own for values: `config*` and the like in such an engine are in reach.

use std::iter::once;

use super::rule::Rule;
use super::scope::PolicyScope;

/// Levels of namespaces below the root namespace that rules cover.
pub(super) const ROOT_LEVELS: usize = 4;
/// Levels of namespaces below a listed namespace that rules cover.
pub(super) const LISTED_LEVELS: usize = 2;
/// Most segments in the path of a mount that rules cover.
pub(super) const MOUNT_SEGMENTS: usize = 3;

const WRITE: &[&str] = &["create", "update"];
const ALL: &[&str] = &["create", "read", "update", "patch", "delete", "list"];
const ROOTED: &[&str] = &["create", "read", "update", "patch", "delete", "list", "sudo"];
pub(super) const DENY: &[&str] = &["deny"];

/// Paths in a namespace.
const SYSTEM: [(&str, &[&str]); 17] = [
    ("sys/mounts*", ALL),
    ("sys/auth*", ROOTED),
    ("sys/policies/acl*", ALL),
    ("sys/policies/detailed/acl*", &["read", "list"]),
    ("sys/namespaces*", ALL),
    ("sys/quotas/rate-limit*", ALL),
    ("sys/namespaces/+/seal", DENY),
    ("sys/namespaces/+/unseal", DENY),
    ("sys/namespaces/+/delete-sealed", DENY),
    ("sys/namespaces/api-lock/*", DENY),
    ("sys/*", DENY),
    ("identity/group*", ALL),
    ("identity/lookup/*", WRITE),
    ("identity/entity*", &["read", "list"]),
    ("identity/*", DENY),
    ("auth/token/roles*", ALL),
    ("auth/token/*", DENY),
];

/// Paths in an auth mount.
const AUTH: [(&str, &[&str]); 11] = [
    ("config*", ALL),
    ("role*", ALL),
    ("cel/role*", ALL),
    ("certs*", ALL),
    ("crls*", ALL),
    ("users*", ALL),
    ("groups*", ALL),
    // Secret IDs of AppRole.
    ("role/+/secret-id", DENY),
    ("role/+/custom-secret-id", DENY),
    ("role/+/local-secret-ids", DENY),
    ("role/+/+/+", DENY),
];

/// Paths in the mount of a secrets engine.
const ENGINE: [(&str, &[&str]); 22] = [
    ("config*", ALL),
    ("roles*", ALL),
    ("static-roles*", ALL),
    ("key/*", ALL),
    ("keys*", ALL),
    ("rotate-root/*", WRITE),
    ("issuer/*", ALL),
    ("issuers*", &["create", "update", "list"]),
    ("intermediate/*", WRITE),
    ("root/generate/*", WRITE),
    ("root/rotate/*", WRITE),
    ("root/replace*", WRITE),
    // Certificates, signatures and private keys.
    ("issuer/+/+/+", DENY),
    ("issuer/+/sign-verbatim", DENY),
    ("issuer/+/sign-self-issued", DENY),
    ("issuer/+/sign-revocation-list", DENY),
    ("issuers/generate/+/exported", DENY),
    ("intermediate/generate/exported", DENY),
    ("root/generate/exported", DENY),
    ("root/rotate/exported", DENY),
    ("keys/generate/exported", DENY),
    ("roles/+/acme/new-eab", DENY),
];

/// First segments of the paths of values in a mount, for every engine of OpenBao.
const VALUES: [&str; 26] = [
    "backup",
    "byok-export",
    "cel",
    "code",
    "creds",
    "data",
    "datakey",
    "decrypt",
    "delete",
    "derive-key",
    "destroy",
    "detailed-metadata",
    "encrypt",
    "export",
    "hmac",
    "issue",
    "metadata",
    "random",
    "restore",
    "rewrap",
    "sign",
    "sign-verbatim",
    "static-creds",
    "subkeys",
    "undelete",
    "verify",
];

/// First segments of the paths that every namespace contains.
const BUILT_IN: [&str; 3] = ["auth", "identity", "sys"];

/// The rules of a scope.
pub(super) fn rules(scope: &PolicyScope) -> Vec<Rule> {
    let below = |root: &str, levels| Area { root: root.to_owned(), levels }.rules();
    match scope {
        PolicyScope::Tenants => Vec::new(),
        PolicyScope::Namespaces(listed) => {
            outermost(listed).into_iter().flat_map(|root| below(root, LISTED_LEVELS)).collect()
        }
        PolicyScope::Root => below("", ROOT_LEVELS),
    }
}

/// Rules that show whether a policy was written for a scope. OpenBao compiles the policy for each path that is checked,
/// so these are each form of rule once, and four rules for each further namespace.
pub(super) fn samples(scope: &PolicyScope) -> Vec<Rule> {
    let area = |root: &str| Area { root: root.to_owned(), levels: 0 };
    match scope {
        PolicyScope::Tenants => Vec::new(),
        PolicyScope::Root => area("").forms(),
        PolicyScope::Namespaces(listed) => {
            let mut roots = outermost(listed).into_iter();
            let first = roots.next().map(|root| area(root).forms()).unwrap_or_default();
            first.into_iter().chain(roots.flat_map(|root| area(root).few())).collect()
        }
    }
}

/// Namespaces that are not below another one of them.
fn outermost(listed: &[String]) -> Vec<&str> {
    let is_below =
        |path: &str, other: &str| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
    let mut roots: Vec<&str> = listed.iter().map(String::as_str).collect();
    roots.retain(|path| !path.is_empty() && !listed.iter().any(|other| is_below(path, other)));
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// A namespace, and the levels below it.
struct Area {
    root: String,
    levels: usize,
}

impl Area {
    fn rules(&self) -> Vec<Rule> {
        let namespaces = (0..=self.levels).flat_map(|level| self.namespace(level));
        let engines = (1..=self.segments()).flat_map(|segments| self.below(segments, &ENGINE));
        let values = (self.first_value()..self.segments()).flat_map(|segments| self.values(segments));
        let deeper = (self.levels + 1..self.segments()).flat_map(|level| self.denied(level, &BUILT_IN));
        namespaces.chain(engines).chain(values).chain(deeper).collect()
    }

    /// Each form of rule, for the fewest segments.
    fn forms(&self) -> Vec<Rule> {
        let rules = self.below(0, &SYSTEM).into_iter().chain(self.auth(0, 1));
        rules.chain(self.below(1, &ENGINE)).chain(self.values(1)).collect()
    }

    /// One rule of each kind.
    fn few(&self) -> Vec<Rule> {
        let [system, auth, engine] =
            [self.below(0, &SYSTEM[..1]), self.auth(0, 1), self.below(1, &ENGINE[..1])];
        let firsts = [system, auth, engine, self.values(1)].into_iter();
        firsts.filter_map(|rules| rules.into_iter().next()).collect()
    }

    fn segments(&self) -> usize {
        self.levels + MOUNT_SEGMENTS
    }

    /// A listed namespace can also be read as a mount of its parent.
    fn first_value(&self) -> usize {
        usize::from(self.root.is_empty())
    }

    fn namespace(&self, level: usize) -> Vec<Rule> {
        let auth = (1..=MOUNT_SEGMENTS).flat_map(|segments| self.auth(level, segments));
        self.below(level, &SYSTEM).into_iter().chain(auth).collect()
    }

    fn auth(&self, level: usize, segments: usize) -> Vec<Rule> {
        let mount = format!("auth{}", "/+".repeat(segments));
        AUTH.map(|(path, capabilities)| (self.at(level, &format!("{mount}/{path}")), capabilities)).to_vec()
    }

    fn values(&self, segments: usize) -> Vec<Rule> {
        self.denied(segments, &VALUES)
    }

    fn denied(&self, segments: usize, folders: &[&str]) -> Vec<Rule> {
        folders.iter().map(|folder| (self.at(segments, &format!("{folder}/*")), DENY)).collect()
    }

    fn below(&self, segments: usize, paths: &[(&str, &'static [&'static str])]) -> Vec<Rule> {
        paths.iter().map(|(path, capabilities)| (self.at(segments, path), *capabilities)).collect()
    }

    /// A path below any namespaces or mounts of a number of segments.
    fn at(&self, segments: usize, path: &str) -> String {
        let root = Some(self.root.as_str()).filter(|root| !root.is_empty());
        let wildcards = std::iter::repeat_n("+", segments);
        root.into_iter().chain(wildcards).chain(once(path)).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::operator_policy::acl::{applicable, has, permits};
    use crate::operator_policy::{Rules, managed_rules, with};

    /// The rules of a scope without those for tenants.
    fn general(scope: &PolicyScope) -> Rules {
        with(Rules::new(), rules(scope))
    }

    fn listed(paths: &[&str]) -> PolicyScope {
        PolicyScope::Namespaces(paths.iter().map(|&path| path.to_owned()).collect())
    }

    fn policy(scope: &PolicyScope) -> Rules {
        with(managed_rules(), rules(scope))
    }

    /// Names that are a segment of a rule, and one that is not.
    const NAMES: [&str; 9] =
        ["x", "configx", "roles", "static-roles", "keys", "issuer", "sys", "auth", "identity"];
    /// Paths in the mount of an engine that return or change values. `N` is any name.
    const SECRETS: [&str; 43] = [
        "data/N",
        "data/N/N",
        "metadata/N",
        "metadata/N/N",
        "subkeys/N",
        "detailed-metadata/N",
        "delete/N",
        "destroy/N",
        "undelete/N",
        "creds/N",
        "static-creds/N",
        "issue/N",
        "sign/N",
        "sign/N/N",
        "sign-verbatim",
        "sign-verbatim/N",
        "cel/issue/N",
        "cel/sign/N",
        "issuer/N/issue/N",
        "issuer/N/sign/N",
        "issuer/N/sign-verbatim",
        "issuer/N/sign-verbatim/N",
        "root/sign-intermediate",
        "root/sign-self-issued",
        "root",
        "root/generate/exported",
        "root/rotate/exported",
        "intermediate/generate/exported",
        "issuers/generate/root/exported",
        "issuers/generate/intermediate/exported",
        "keys/generate/exported",
        "roles/N/acme/new-eab",
        "acme/new-eab",
        "encrypt/N",
        "decrypt/N",
        "rewrap/N",
        "datakey/plaintext/N",
        "hmac/N/N",
        "export/encryption-key/N",
        "export/encryption-key/N/N",
        "byok-export/N/N",
        "backup/N",
        "code/N",
    ];
    /// Paths in a namespace that return tokens, credentials or values, or stop the server. `M` is an auth mount.
    const SYSTEMS: [&str; 33] = [
        "auth/M/role/N/secret-id",
        "auth/M/role/N/custom-secret-id",
        "auth/M/role/N/secret-id/lookup",
        "auth/token/create",
        "auth/token/create/N",
        "auth/token/create-orphan",
        "auth/token/lookup-accessor",
        "auth/token/accessors/",
        "sys/raw/N",
        "sys/raw/core/N",
        "sys/seal",
        "sys/unseal",
        "sys/namespaces/N/seal",
        "sys/namespaces/N/unseal",
        "sys/namespaces/api-lock/lock",
        "sys/namespaces/api-lock/lock/N",
        "sys/rotate",
        "sys/rotate/root/init",
        "sys/audit/N",
        "sys/leases/lookup/N",
        "sys/plugins/catalog/N",
        "sys/config/state/sanitized",
        "sys/config/reload/N",
        "sys/policies/password/N/generate",
        "sys/remount",
        "sys/generate-root/attempt",
        "sys/storage/raft/snapshot",
        "sys/external-keys/configs/N",
        "identity/oidc/token/N",
        "identity/oidc/client/N",
        "identity/oidc/config",
        "identity/mfa/method/totp/N",
        "identity/mfa/method/totp/generate",
    ];

    /// Replaces each `N` by every name.
    fn named(path: &str) -> Vec<String> {
        let mut paths = vec![path.to_owned()];
        while paths[0].split('/').any(|segment| segment == "N") {
            let replaced = |path: &String, name| {
                let mut segments: Vec<&str> = path.split('/').collect();
                let position = segments.iter().position(|segment| *segment == "N").unwrap();
                segments[position] = name;
                segments.join("/")
            };
            paths = paths.iter().flat_map(|path| NAMES.map(|name| replaced(path, name))).collect();
        }
        paths
    }

    fn join(parent: &str, path: &str) -> String {
        if parent.is_empty() { path.to_owned() } else { format!("{parent}/{path}") }
    }

    #[rstest]
    #[case::root(PolicyScope::Root, "", 5)]
    #[case::listed(listed(&["t"]), "t", 3)]
    #[case::listed_deep(listed(&["t/u", "v"]), "t/u", 3)]
    fn no_rule_reaches_values(#[case] scope: PolicyScope, #[case] root: &str, #[case] levels: usize) {
        let rules = general(&scope);
        let deepest = &"a/b/c/d/e"[..2 * levels - 1];
        let namespaces = ["", deepest].into_iter();
        for namespace in namespaces.map(|namespace| join(root, namespace).trim_end_matches('/').to_owned()) {
            for mount in ["m", "m/n/o"] {
                let secrets = SECRETS.iter().map(|path| format!("{mount}/{path}"));
                let systems = SYSTEMS.iter().map(|path| path.replace('M', mount));
                for path in secrets.chain(systems).flat_map(|path| named(&path)) {
                    let path = join(&namespace, &path);
                    assert!(!permits(&rules, &path), "{path}: {:?}", applicable(&rules, &path));
                }
            }
        }
    }

    #[rstest]
    #[case("read", "sys/mounts")]
    #[case("create", "sys/mounts/kv")]
    #[case("update", "sys/mounts/teams/a/kv/tune")]
    #[case("sudo", "sys/auth/approle")]
    #[case("update", "sys/auth/teams/jwt/tune")]
    #[case("update", "sys/policies/acl/team/reader")]
    #[case("list", "sys/policies/acl")]
    #[case("list", "sys/policies/detailed/acl/")]
    #[case("create", "sys/namespaces/web")]
    #[case("list", "sys/namespaces")]
    #[case("delete", "sys/quotas/rate-limit/all")]
    #[case("update", "identity/group")]
    #[case("read", "identity/group/name/ops")]
    #[case("update", "identity/group-alias")]
    #[case("update", "identity/lookup/group")]
    #[case("read", "identity/entity/name/jane")]
    #[case("update", "auth/jwt/config")]
    #[case("list", "auth/approle/role")]
    #[case("create", "auth/teams/a/approle/role/web")]
    #[case("patch", "auth/jwt/cel/role/web")]
    #[case("update", "auth/cert/certs/web")]
    #[case("update", "auth/userpass/users/jane")]
    #[case("update", "auth/ldap/groups/ops")]
    #[case("update", "auth/token/roles/ci")]
    #[case("list", "auth/token/roles")]
    #[case("update", "database/config/main")]
    #[case("create", "teams/a/database/roles/web")]
    #[case("delete", "database/static-roles/web")]
    #[case("update", "database/rotate-root/main")]
    #[case("update", "kv/config")]
    #[case("patch", "pki/roles/web")]
    #[case("list", "pki/roles/")]
    #[case("update", "pki/config/urls")]
    #[case("update", "pki/root/generate/internal")]
    #[case("update", "pki/intermediate/set-signed")]
    #[case("patch", "pki/issuer/default")]
    #[case("update", "pki/issuer/default/sign-intermediate")]
    #[case("update", "pki/root/generate/existing")]
    #[case("update", "pki/key/main")]
    #[case("update", "pki/issuers/import/bundle")]
    #[case("read", "auth/approle/role/web/role-id")]
    #[case("read", "sys/namespaces/web/seal-status")]
    #[case("list", "pki/issuers")]
    #[case("update", "transit/keys/web")]
    #[case("update", "transit/keys/web/config")]
    #[case("update", "transit/keys/web/rotate")]
    fn general_kinds_have_their_paths(#[case] capability: &str, #[case] path: &str) {
        let [root, team] = [PolicyScope::Root, listed(&["team", "x/y"])].map(|scope| policy(&scope));
        for namespace in ["", "a", "a/b", "a/b/c", "a/b/c/d"] {
            let path = join(namespace, path);
            assert!(has(&root, capability, &path), "{path}: {:?}", applicable(&root, &path));
        }
        for namespace in ["team", "team/a", "team/a/b", "x/y"] {
            let path = join(namespace, path);
            assert!(has(&team, capability, &path), "{path}: {:?}", applicable(&team, &path));
        }
        let other = general(&listed(&["team", "x/y"]));
        for namespace in ["", "other", "x", "x/z", "teams"] {
            let path = join(namespace, path);
            assert!(!permits(&other, &path), "{path}: {:?}", applicable(&other, &path));
        }
    }

    #[test]
    fn the_rules_of_tenants_still_apply_in_a_wider_scope() {
        let required = crate::operator_policy::rules();
        let scopes = [PolicyScope::Root, listed(&["org_1"]), listed(&["org_1/group_7", "team"])];
        let examples = ["org_1/group_7", "org_1/group_7/project_42", "org_1/user_3/project_42"];
        for rules in scopes.iter().map(policy) {
            for (rule, capabilities) in &required {
                for example in examples {
                    let rest = rule.trim_start_matches("+/").replace('+', "kv").replace('*', "x");
                    let path = if rule.starts_with('+') { join(example, &rest) } else { rest };
                    let Some((_, needed)) = applicable(&required, &path) else { continue };
                    let missing = needed.iter().find(|capability| !has(&rules, capability, &path));
                    assert_eq!(missing, None, "{path}, {capabilities:?}: {:?}", applicable(&rules, &path));
                }
            }
        }
    }

    #[test]
    fn a_namespace_below_a_listed_one_adds_no_rules() {
        assert_eq!(outermost(&["a/b", "a", "ab", "a", ""].map(str::to_owned)), ["a", "ab"]);
        assert_eq!(rules(&listed(&["a", "a/b"])), rules(&listed(&["a"])));
    }

    #[test]
    fn samples_are_rules_of_the_policy() {
        for scope in [PolicyScope::Tenants, PolicyScope::Root, listed(&["a", "b/c"])] {
            let rules = rules(&scope);
            for sample in samples(&scope) {
                assert!(rules.contains(&sample), "{sample:?}");
            }
        }
    }

    #[test]
    fn no_path_is_both_allowed_and_denied() {
        for (path, capabilities) in policy(&PolicyScope::Root) {
            assert!(capabilities == DENY || !capabilities.contains(&"deny"), "{path}");
        }
    }
}
