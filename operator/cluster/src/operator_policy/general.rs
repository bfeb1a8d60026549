//! Rules for `operatorScope: Namespaces` and `Root`: everything that the general kinds create, in each OpenBao namespace
//! of the scope.
//!
//! `+` matches one segment, and `*` matches any text, only at the end of a path. Neither matches a mount or namespace
//! with an unknown number of segments, so each number of segments has rules of its own: [`ROOT_LEVELS`] levels of
//! namespaces below the root namespace, [`LISTED_LEVELS`] below a listed namespace, and mounts of [`MOUNT_SEGMENTS`]
//! segments.
//!
//! Such a rule also matches other paths of the same form: `+/+/config/*` is a mount `a/b`, and `data/config/x` in the KV
//! engine `a`; `+/config/*` is a mount `a`, and `data/x` in the mount `a/config`. Rules with `deny` exclude these paths. They
//! depend on OpenBao's order of rules that match a path: the rule whose first wildcard comes later applies, then the one
//! without `*`, then the one with fewer `+`, then the longer one. From this follows:
//!
//! * A rule that allows something below a wildcard ends with `*`.
//! * A folder of values before an allowed folder, as in `a/data/config/x`: [`VALUES`] with `deny` have fewer `+`.
//! * An allowed folder in the path of a mount or namespace, as in `a/config/data/x`: what is deeper below one of
//!   [`FOLDERS`] than a resource has a `deny` without `*` for each depth. [`DEEPEST`] segments are covered.
//! * Three rules that allow something have no `*`, because what they allow is below such a `deny`, or is the name of a
//!   folder: `keys/+/config`, `issuer/+/sign-intermediate` (both only to write), and `config` alone, with a `deny` for each
//!   folder of values before it.
//!
//! KV version 1 has no paths of its own for values: `config`, `config/…` and the like in such an engine are in reach.

use std::iter::once;

use steamer_core::layout::is_of_tenants;
use steamer_openbao::NamespacePath;

use super::covered::{
    ALL, AUTH, BUILT_IN, CLOSED, CONFIG, DENY, ENGINE, FOLDERS, LONG_POLICIES, SECRETS, SYSTEM, VALUES,
};
use super::rule::Rule;
use super::scope::PolicyScope;

/// Levels of namespaces below the root namespace that rules cover.
pub(super) const ROOT_LEVELS: usize = 4;
/// Levels of namespaces below a listed namespace that rules cover.
pub(super) const LISTED_LEVELS: usize = 2;
/// Most segments in the path of a mount that rules cover.
pub(super) const MOUNT_SEGMENTS: usize = 3;
/// Most segments of namespaces and mount together that `Root` covers.
pub(super) const ROOT_SEGMENTS: usize = 5;
/// Most segments of namespaces and mount together that rules cover below a listed namespace.
pub(super) const LISTED_SEGMENTS: usize = 4;
/// Segments of the longest path of a resource below its namespace and mount, and of the path of a policy or mount.
const RESOURCE_SEGMENTS: usize = 5;
/// Segments of the longest path that is denied if an allowed folder is in the path of its mount or namespace.
const DEEPEST: usize = 24;

/// The rules of a scope.
pub(super) fn rules(scope: &PolicyScope) -> Vec<Rule> {
    match scope {
        PolicyScope::Tenants => Vec::new(),
        PolicyScope::Namespaces(listed) => {
            outermost(listed).into_iter().flat_map(|root| Area::listed(root).rules()).collect()
        }
        PolicyScope::Root => Area::everything().rules(),
    }
}

/// Rules that show whether a policy was written for a scope. OpenBao compiles the policy for each path that is checked,
/// so these are each form of rule once, some rules for each further level, and a few rules for each further namespace.
pub(super) fn samples(scope: &PolicyScope) -> Vec<Rule> {
    match scope {
        PolicyScope::Tenants => Vec::new(),
        PolicyScope::Root => Area::everything().samples(),
        PolicyScope::Namespaces(listed) => {
            let mut roots = outermost(listed).into_iter().map(Area::listed);
            let first = roots.next().map(|area| area.samples()).unwrap_or_default();
            first.into_iter().chain(roots.flat_map(|area| area.few())).collect()
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

/// A namespace, and what rules cover below it.
struct Area {
    root: String,
    /// Levels of namespaces.
    levels: usize,
    /// Segments of namespaces and mount together.
    segments: usize,
}

impl Area {
    fn everything() -> Self {
        Self { root: String::new(), levels: ROOT_LEVELS, segments: ROOT_SEGMENTS }
    }

    fn listed(root: &str) -> Self {
        Self { root: root.to_owned(), levels: LISTED_LEVELS, segments: LISTED_SEGMENTS }
    }

    fn rules(&self) -> Vec<Rule> {
        let namespaces = (0..=self.levels).flat_map(|level| self.namespace(level));
        let engines = (1..=self.segments).flat_map(|segments| self.engine(segments));
        let values = (self.first_value()..self.segments).flat_map(|segments| self.values(segments));
        let deeper = (self.levels + 1..self.segments).flat_map(|level| self.denied(level, &BUILT_IN));
        let configs = (1..self.segments).flat_map(|segments| self.config(segments));
        namespaces.chain(engines).chain(values).chain(deeper).chain(configs).chain(self.deepest()).collect()
    }

    /// Each form of rule for the fewest segments, and for the others those that older policies lack.
    fn samples(&self) -> Vec<Rule> {
        let folders = FOLDERS.iter().flat_map(|folder| self.folder(1, folder).into_iter().take(1));
        let forms = self.below(0, &SYSTEM).into_iter().chain(self.auth(0, 1)).chain(self.below(1, &ENGINE));
        let levels = (1..=self.levels).flat_map(|level| self.below(level, &SYSTEM[..1]));
        let engines = (2..=self.segments).flat_map(|segments| {
            let allowed = self.below(segments, &ENGINE[..1]);
            allowed.into_iter().chain(self.folder(segments, FOLDERS[0]).into_iter().take(1))
        });
        forms
            .chain(folders)
            .chain(self.values(1))
            .chain(self.config(1))
            .chain(levels)
            .chain(engines)
            .chain(self.secrets(0).into_iter().take(1))
            .collect()
    }

    /// One rule of each kind.
    fn few(&self) -> Vec<Rule> {
        let [system, auth, engine] =
            [self.below(0, &SYSTEM[..1]), self.auth(0, 1), self.below(1, &ENGINE[..1])];
        let firsts = [system, auth, engine, self.values(1), self.secrets(0)].into_iter();
        firsts.filter_map(|rules| rules.into_iter().next()).collect()
    }

    /// A listed namespace can also be read as a mount of its parent.
    fn first_value(&self) -> usize {
        usize::from(self.root.is_empty())
    }

    fn namespace(&self, level: usize) -> Vec<Rule> {
        let most = MOUNT_SEGMENTS.min(self.segments - level);
        let auth = (1..=most).flat_map(|segments| self.auth(level, segments));
        let of_projects = self.long_policies(level).into_iter().chain(self.secrets(level));
        self.below(level, &SYSTEM).into_iter().chain(auth).chain(of_projects).collect()
    }

    /// Policies of projects that are as deep as what [`Self::deepest`] denies. Below the root namespace, those of the rules for
    /// tenants have precedence.
    fn long_policies(&self, level: usize) -> Vec<Rule> {
        let names = LONG_POLICIES.iter().filter(|_| !self.root.is_empty());
        names.map(|name| (self.at(level, &format!("sys/policies/acl/{name}")), ALL)).collect()
    }

    /// Secrets of projects, whose folders [`Self::values`] denies in a listed namespace. Below the root namespace, the rules for
    /// tenants have precedence.
    fn secrets(&self, level: usize) -> Vec<Rule> {
        let is_of_tenants = !self.root.is_empty() && is_of_tenants(&NamespacePath::new(&self.root));
        if is_of_tenants { self.below(level, &SECRETS) } else { Vec::new() }
    }

    fn auth(&self, level: usize, segments: usize) -> Vec<Rule> {
        let mount = format!("auth{}", "/+".repeat(segments));
        AUTH.map(|(path, capabilities)| (self.at(level, &format!("{mount}/{path}")), capabilities)).to_vec()
    }

    fn engine(&self, segments: usize) -> Vec<Rule> {
        let folders = FOLDERS.iter().flat_map(|folder| self.folder(segments, folder));
        self.below(segments, &ENGINE).into_iter().chain(folders).collect()
    }

    /// Denies what is deeper below a folder than a resource.
    fn folder(&self, segments: usize, folder: &str) -> Vec<Rule> {
        let deeper = 2..self.segments + RESOURCE_SEGMENTS - segments;
        let path = |below: usize| self.at(segments, &format!("{folder}{}", "/+".repeat(below)));
        deeper.map(|below| (path(below), DENY)).collect()
    }

    /// Denies what is deeper than each resource.
    fn deepest(&self) -> Vec<Rule> {
        let deeper = self.segments + RESOURCE_SEGMENTS..DEEPEST;
        deeper.map(|segments| (self.at(segments, "+"), DENY)).collect()
    }

    /// The configuration of an engine without a name below it, and what has the same form.
    fn config(&self, segments: usize) -> Vec<Rule> {
        let allowed = (self.at(segments, CONFIG.0), CONFIG.1);
        let denied = (self.first_value()..segments).flat_map(|before| {
            let words = VALUES.iter().chain(&CLOSED);
            words.filter_map(move |word| self.config_below(before, word, segments))
        });
        once(allowed).chain(denied).collect()
    }

    fn config_below(&self, before: usize, word: &str, segments: usize) -> Option<Rule> {
        let between = (segments - before).checked_sub(word.split('/').count())?;
        let path = format!("{word}/{}{}", "+/".repeat(between), CONFIG.0);
        Some((self.at(before, &path), DENY))
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
    use steamer_api::{KindId, Property};

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
    const NAMES: [&str; 12] = [
        "x",
        "config",
        "configx",
        "roles",
        "role",
        "static-roles",
        "keys",
        "key",
        "issuer",
        "sys",
        "auth",
        "identity",
    ];
    /// Mounts, some with a folder of a rule in their path or that of their namespace.
    const MOUNTS: [&str; 18] = [
        "m",
        "t/m",
        "m/n/o",
        "config",
        "configx",
        "t/config",
        "t/configx",
        "t/keys",
        "t/roles",
        "t/role",
        "t/issuer",
        "t/key",
        "keys/config",
        "t/config/kv",
        "t/configx/kv",
        "t/keys/kv",
        "t/role/kv",
        "t/issuer/n/o",
    ];
    /// Ends of paths that a rule without `*` allows. A value that has such a path can be written and not read.
    const WRITABLE: [&str; 2] = ["keys/code/config", "issuer/root/sign-intermediate"];
    /// Paths in the mount of an engine that return or change values. `N` is any name.
    const SECRETS: [&str; 49] = [
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
        "root/rotate/internal",
        "root/replace",
        "keys/N/rotate",
        "keys/N/trim",
        "keys/N/import",
        "keys/import",
    ];
    /// Paths in a namespace that return tokens, credentials or values, or stop the server. `M` is an auth mount.
    const SYSTEMS: [&str; 36] = [
        "auth/M/role/N/secret-id",
        "auth/M/role/N/custom-secret-id",
        "auth/M/role/N/secret-id/lookup",
        "auth/token/create",
        "auth/token/create/N",
        "auth/token/create-orphan",
        "auth/token/lookup-accessor",
        "auth/token/accessors/",
        "auth/token/renew",
        "auth/token/revoke",
        "auth/token/revoke-orphan",
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

    /// Replaces each `N` by every name, and the others by `x`.
    fn named(path: &str) -> Vec<String> {
        let segments: Vec<&str> = path.split('/').collect();
        let with = |position: usize, name: &'static str| {
            let replaced = segments.iter().enumerate().map(|(at, segment)| match *segment {
                "N" if at == position => name,
                "N" => "x",
                other => other,
            });
            replaced.collect::<Vec<_>>().join("/")
        };
        let is_open = |position: &usize| segments[*position] == "N";
        let open: Vec<usize> = (0..segments.len()).filter(is_open).collect();
        if open.is_empty() {
            return vec![path.to_owned()];
        }
        open.iter().flat_map(|&position| NAMES.map(|name| with(position, name))).collect()
    }

    fn join(parent: &str, path: &str) -> String {
        if parent.is_empty() { path.to_owned() } else { format!("{parent}/{path}") }
    }

    /// OpenBao requires `sudo` for `<mount>/root`, which no rule for engines has.
    fn reaches(rules: &Rules, path: &str) -> bool {
        if path.ends_with("/root") {
            has(rules, "sudo", path)
        } else if WRITABLE.iter().any(|end| path.ends_with(end)) {
            ["read", "list", "delete", "patch"].iter().any(|capability| has(rules, capability, path))
        } else {
            permits(rules, path)
        }
    }

    #[rstest]
    #[case::root(PolicyScope::Root, "")]
    #[case::listed(listed(&["t"]), "t")]
    #[case::listed_deep(listed(&["t/u", "v"]), "t/u")]
    fn no_rule_reaches_values(#[case] scope: PolicyScope, #[case] root: &str) {
        let rules = general(&scope);
        for mount in MOUNTS {
            for path in SECRETS.iter().flat_map(|path| named(path)) {
                let path = join(root, &format!("{mount}/{path}"));
                assert!(!reaches(&rules, &path), "{path}: {:?}", applicable(&rules, &path));
            }
        }
    }

    #[rstest]
    #[case::root(PolicyScope::Root, "")]
    #[case::listed(listed(&["t"]), "t")]
    #[case::listed_deep(listed(&["t/u", "v"]), "t/u")]
    fn no_rule_reaches_tokens_or_the_server(#[case] scope: PolicyScope, #[case] root: &str) {
        let rules = general(&scope);
        for namespace in ["", "a", "a/b", "a/config", "a/configx", "a/keys", "a/issuer", "config"] {
            for mount in ["m", "m/n/o", "m/role", "config"] {
                let paths = SYSTEMS.iter().map(|path| path.replace('M', mount));
                for path in paths.flat_map(|path| named(&path)) {
                    let path = join(root, join(namespace, &path).trim_start_matches('/'));
                    assert!(!permits(&rules, &path), "{path}: {:?}", applicable(&rules, &path));
                }
            }
        }
    }

    #[rstest]
    #[case("team/config/data/a/b/c/d/e/f/g/h/i/j/k/l")]
    #[case("team/keys/export/encryption-key/x")]
    #[case("team/roles/creds/web")]
    #[case("org_1/group_7/project_42/secrets/keys/data/explicit/A")]
    #[case("org_1/group_7/project_42/secrets/config/data/explicit/A")]
    fn a_folder_of_a_rule_in_the_path_of_a_mount_opens_no_value(#[case] path: &str) {
        let rules = general(&PolicyScope::Root);
        assert!(!permits(&rules, path), "{path}: {:?}", applicable(&rules, path));
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
    #[case("read", "identity/entity/name/jane")]
    #[case("update", "auth/jwt/config")]
    #[case("list", "auth/approle/role/")]
    #[case("create", "auth/teams/approle/role/web")]
    #[case("patch", "auth/jwt/cel/role/web")]
    #[case("update", "auth/cert/certs/web")]
    #[case("update", "auth/userpass/users/jane")]
    #[case("update", "auth/ldap/groups/ops")]
    #[case("update", "auth/token/roles/ci")]
    #[case("list", "auth/token/roles")]
    #[case("update", "auth/token/renew-accessor")]
    #[case("update", "auth/token/revoke-accessor")]
    #[case("update", "database/config/main")]
    #[case("create", "teams/database/roles/web")]
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
    #[case("read", "auth/approle/role/web/role-id")]
    #[case("read", "sys/namespaces/web/seal-status")]
    #[case("list", "pki/issuers/")]
    #[case("update", "transit/keys/web")]
    #[case("update", "transit/keys/web/config")]
    #[case("delete", "transit/keys/web")]
    #[case("list", "pki/keys/")]
    #[case("update", "identity/group-alias/id/1")]
    #[case("update", "identity/group/name/ops")]
    #[case("read", "identity/entity/id/1")]
    #[case("read", "sys/auth/approle")]
    #[case("update", "auth/approle/role/web/role-id")]
    #[case("update", "auth/radius/users/jane/policies")]
    #[case("update", "pki/intermediate/generate/internal")]
    #[case("update", "pki/config/crl")]
    #[case("read", "pki/config/issuers")]
    fn general_kinds_have_their_paths(#[case] capability: &str, #[case] path: &str) {
        let [root, team] = [PolicyScope::Root, listed(&["team", "x/y"])].map(|scope| policy(&scope));
        for namespace in ["", "a", "a/b", "a/b/c"] {
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

    /// Otherwise a complete policy is reported as incomplete.
    #[rstest]
    #[case(PolicyScope::Root)]
    #[case(listed(&["team", "x/y"]))]
    fn the_policy_has_its_samples(#[case] scope: PolicyScope) {
        let rules = with(crate::operator_policy::rules(), rules(&scope));
        for (rule, needed) in samples(&scope) {
            let path = crate::operator_policy::missing::example(&rule, needed);
            let missing = needed.iter().find(|capability| !has(&rules, capability, &path));
            assert_eq!(missing, None, "{rule} {path}: {:?}", applicable(&rules, &path));
        }
    }

    /// The rules of an earlier version, without the rules for folders in the path of a mount.
    #[test]
    fn an_earlier_policy_is_missing_lines_at_each_level() {
        let samples = samples(&PolicyScope::Root);
        for segments in 2..=ROOT_SEGMENTS {
            let wildcards = "+/".repeat(segments);
            for rule in [format!("{wildcards}config/*"), format!("{wildcards}config/+/+")] {
                assert!(samples.iter().any(|(path, _)| *path == rule), "{rule}");
            }
        }
        for level in 1..=ROOT_LEVELS {
            let rule = format!("{}sys/mounts*", "+/".repeat(level));
            assert!(samples.iter().any(|(path, _)| *path == rule), "{rule}");
        }
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

    /// Names of kinds in the second column of the tables, without text in backticks.
    fn named_kinds(page: &str) -> Vec<&str> {
        let cells =
            page.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(2));
        let words = cells
            .flat_map(|cell| cell.split('`').step_by(2))
            .flat_map(|text| text.split(|character: char| !character.is_ascii_alphanumeric()));
        let is_name = |word: &&str| {
            let capitals = word.chars().filter(char::is_ascii_uppercase).count();
            capitals > 1 && capitals < word.len() && !["OpenBao", "URLs"].contains(word)
        };
        words.filter(is_name).collect()
    }

    #[test]
    fn the_page_about_coverage_names_kinds_that_exist_and_every_general_kind() {
        let names = named_kinds(include_str!("../../../../docs/coverage.md"));
        for name in &names {
            assert!(KindId::parse(name).is_some(), "{name} is no kind");
        }
        for kind in KindId::ALL.iter().filter(|kind| kind.is(Property::Owning)) {
            assert!(names.contains(&kind.as_str()), "{kind} is not on the page");
        }
    }
}
