//! Names and paths in OpenBao.

use super::immutable::immutable;
use super::rule::Rule;

/// Path of an OpenBao namespace.
pub(crate) const NAMESPACE: Rule = (
    r"!self.matches(r'(^|/)[.][.]?(/|$)|//|\p{Cc}|^ | $')",
    "namespace must be a path such as org_1/group_7, without empty segments, . or .. as a segment, and control characters",
);

/// Location of resources in OpenBao. Added to the spec of every kind with a placement.
pub(crate) const PLACEMENT: [Rule; 4] = [
    ("has(self.clusterRef) != has(self.projectRef)", "set exactly one of clusterRef and projectRef"),
    immutable!("clusterRef", "clusterRef is immutable: create another object"),
    immutable!("projectRef", "projectRef is immutable: create another object"),
    immutable!("__namespace__", "namespace is immutable: create another object"),
];

/// Name of an ACL policy. OpenBao changes names to lower case.
pub(crate) const POLICY_NAME: Rule = (
    "self.matches('^[a-z0-9_]([a-z0-9_./-]*[a-z0-9_])?$') && !self.contains('//') && !self.contains('..') && self != 'root'",
    "the name of a policy consists of lower-case letters, digits, -, _, . and /, starts and ends with a letter, a digit or _, \
     and is not root",
);

/// Paths of OpenBao namespaces that a policy contains: [`NAMESPACE`] for each, without the characters that have a meaning
/// in the path of a rule.
pub(crate) const OPERATOR_NAMESPACES: Rule = (
    r"self.all(path, !path.matches(r'(^|/)[.][.]?(/|$)|//|\p{Cc}|^ | $|^/|/$|[+*{}]'))",
    "each entry of operatorNamespaces must be a path such as team-a/apps, without / at its start or end, empty segments, . \
     or .. as a segment, control characters and +*{}; for the root namespace, set operatorScope: Root instead",
);

/// Names that OpenBao refuses for namespaces: as the start of a rule, they would be another path of the parent.
pub(crate) const UNRESERVED_NAMESPACES: Rule = (
    "self.all(path, !path.matches('(^|/)(root|sys|audit|auth|cubbyhole|identity)(/|$)'))",
    "no OpenBao namespace has the name root, sys, audit, auth, cubbyhole or identity: list other namespaces in \
     operatorNamespaces",
);

/// Path of an auth mount.
pub(crate) const AUTH_MOUNT: Rule = (
    r"!self.matches(r'^/|/$|^auth/|(^|/)[.][.]?(/|$)|//|\p{Cc}|^ | $')",
    "mount must be the path of an auth mount without auth/, such as kubernetes, and without / at its start or end, empty \
     segments, . or .. as a segment, and control characters",
);

/// Name of a role, user or group.
pub(crate) const ROLE_NAME: Rule = (
    "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_.@-]*[A-Za-z0-9_])?$')",
    "a name consists of letters, digits, _, ., @ and -, and starts and ends with a letter, a digit or _",
);

/// Names of groups or entities, or IDs.
pub(crate) const ROLE_NAMES: Rule = (
    "self.all(name, name.matches('^[A-Za-z0-9_]([A-Za-z0-9_.@-]*[A-Za-z0-9_])?$'))",
    "a name consists of letters, digits, _, ., @ and -, and starts and ends with a letter, a digit or _",
);

/// Policies that a login gives. OpenBao changes their names to lower case.
pub(crate) const GRANTED_POLICIES: Rule = (
    r"self.all(name, name != 'root' && name.matches('^[a-z0-9_]([a-z0-9_./-]*[a-z0-9_])?$'))",
    "a policy is a name of lower-case letters, digits, -, _, . and /, and is not root: no login may give the rights of \
     the root token; write a BaoPolicy with the paths that are needed",
);

/// Addresses and networks.
pub(crate) const NETWORKS: Rule = (
    "self.all(network, network.matches('^([0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(/[0-9]{1,3})?$'))",
    "each entry must be an IP address or a network, such as 10.0.0.0/8",
);

/// Path of a mount.
pub(crate) const MOUNT: Rule = (
    r"!self.matches(r'(^|/)[.][.]?(/|$)|//|\p{Cc}|^ | $|^/$')",
    "mount must be a path such as secrets/kv, without empty segments, . or .. as a segment, and control characters",
);

/// Mount that can be a KV engine.
pub(crate) const KV_MOUNT: Rule = (
    "!self.matches('^/?(auth|sys|identity|cubbyhole)(/|$)')",
    "mount must be the path of a KV engine: nothing below auth, sys, identity and cubbyhole is one",
);

/// Mount that can be an engine of credentials.
pub(crate) const ENGINE_MOUNT: Rule = (
    "!self.matches('^/?(auth|sys|identity|cubbyhole)(/|$)')",
    "mount must be the path of a secrets engine: nothing below auth, sys, identity and cubbyhole is one",
);

/// Role or issuer of a PKI engine.
pub(crate) const PKI_NAME: Rule = (
    "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$')",
    "a role or issuer consists of letters, digits, _, . and -, and starts and ends with a letter, a digit or _",
);

/// Name of a key of a Transit engine, or of a quota.
pub(crate) const ENTRY_NAME: Rule = (
    "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$')",
    "name consists of letters, digits, _, . and -, and starts and ends with a letter, a digit or _",
);

/// Last segment of the path of an OpenBao namespace.
pub(crate) const NAMESPACE_NAME: Rule = (
    r"!self.matches(r'[/+*\s\p{Cc}]') && !(self in ['.', '..', 'root', 'sys', 'audit', 'auth', 'cubbyhole', 'identity'])",
    "path must be one segment, such as apps, without /, +, *, blanks and control characters, and other than root, sys, audit, \
     auth, cubbyhole and identity: set namespace to the parent",
);

/// What a rate limit quota applies to.
pub(crate) const QUOTA_PATH: Rule = (
    r"!self.matches(r'^/|/$|(^|/)[.][.]?(/|$)|//|[\s\p{Cc}]|[*].')",
    "path must be a namespace, a mount, or a path below a mount, such as team-a/kv, without / at its start or end, empty \
     segments, . or .. as a segment, blanks, and * before its end",
);

/// Duration that OpenBao stores in seconds.
pub(crate) const WHOLE_SECONDS: Rule = (
    "duration(self).getMilliseconds() % 1000 == 0",
    "must be a number of whole seconds, because OpenBao stores seconds",
);

/// Name of an issuer that Steamer creates.
pub(crate) const ISSUER_NAME: Rule = (
    "self != 'default' && !self.endsWith('-next')",
    "issuerName must not be default, which OpenBao reserves, and must not end with -next, which Steamer adds during a rotation",
);

/// Time that can be longer than a year.
pub(crate) const LONG_TIME: Rule = (
    "self.matches('^(([0-9]{1,8}[hms])+|[0-9]{1,5}d)$')",
    "must be a duration with its unit, such as 30m, 87600h or 365d",
);

/// URLs in certificates.
pub(crate) const CERTIFICATE_URLS: Rule = (
    "self.all(url, url.matches('^(https?|ldap)://[^ ,]+$'))",
    "each URL in certificates starts with http://, https:// or ldap://, and contains no blank and no comma",
);

/// Connection or role of a database engine.
pub(crate) const DATABASE_NAME: Rule = (
    "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$')",
    "the name of a connection or role consists of letters, digits, _, . and -, and starts and ends with a letter, a digit or _",
);

/// URL of a database whose password is a placeholder.
pub(crate) const NO_PASSWORD_IN_URL: Rule = (
    r"!self.replace(':{{password}}@', '@').matches(r'^([A-Za-z][A-Za-z0-9+.-]*://[^/@:]*:[^@]*@|[^/@:]*:[^/@][^@]*@)')",
    "connectionURL must not contain a password: write {{username}}:{{password}}@ in its place, and the user and password to the \
     Secret of rootSecretRef",
);

/// Connection string of a database whose password is a placeholder.
pub(crate) const NO_PASSWORD_PARAMETER: Rule = (
    r"!self.replace('password={{password}}', '').matches(r'(?i)(password|passwd|pwd)\s*=')",
    "connectionURL must not contain a password: write password={{password}} in its place, and the user and password to the \
     Secret of rootSecretRef",
);

/// Path of a secret in a KV engine.
pub(crate) const SECRET_PATH: Rule = (
    r"!self.matches(r'^/|/$|(^|/)[.][.]?(/|$)|//|\p{Cc}')",
    "path must not start or end with / and must not contain . or .. as a segment, empty segments and control characters",
);

/// Returns true for a mount that [`MOUNT`], [`KV_MOUNT`] or [`ENGINE_MOUNT`] refuses.
#[must_use]
pub fn is_no_engine_mount(mount: &str) -> bool {
    let mount = mount.strip_prefix('/').unwrap_or(mount);
    let mut segments = mount.strip_suffix('/').unwrap_or(mount).split('/');
    let first = segments.clone().next().unwrap_or_default();
    ["auth", "sys", "identity", "cubbyhole"].contains(&first) || segments.any(is_no_segment)
}

/// Returns true for a role or issuer that [`PKI_NAME`] refuses.
#[must_use]
pub fn is_no_pki_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let ends = name.bytes().next().is_some_and(word) && name.bytes().last().is_some_and(word);
    !ends || !name.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Returns true for a path that [`SECRET_PATH`] refuses.
#[must_use]
pub fn is_no_secret_path(path: &str) -> bool {
    path.split('/').any(is_no_segment)
}

/// Returns true for a name that [`ENTRY_NAME`] refuses. The names of objects pass no rule.
#[must_use]
pub fn is_no_entry_name(name: &str) -> bool {
    is_no_pki_name(name)
}

/// Returns true for the name of a namespace that [`NAMESPACE_NAME`] refuses.
#[must_use]
pub fn is_no_namespace_name(name: &str) -> bool {
    let is_refused = |it: char| it == '/' || it == '+' || it == '*' || it.is_whitespace() || it.is_control();
    let reserved = ["", ".", "..", "root", "sys", "audit", "auth", "cubbyhole", "identity"];
    reserved.contains(&name) || name.chars().any(is_refused)
}

pub(super) fn is_no_segment(segment: &str) -> bool {
    ["", ".", ".."].contains(&segment) || segment.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kv", false)]
    #[case("/kv/", false)]
    #[case("secrets/kv", false)]
    #[case("case-kv team/deep/", false)]
    #[case("apps/auth", false)]
    #[case("auth", true)]
    #[case("auth/token", true)]
    #[case("/sys/internal", true)]
    #[case("identity/oidc/token", true)]
    #[case("cubbyhole", true)]
    #[case("kv/../sys", true)]
    #[case("./kv", true)]
    #[case("a//b", true)]
    #[case("", true)]
    #[case("/", true)]
    #[case("kv\n", true)]
    fn a_mount_outside_of_kv_engines_is_refused(#[case] mount: &str, #[case] refused: bool) {
        assert_eq!(is_no_engine_mount(mount), refused);
    }

    #[rstest]
    #[case("web", false)]
    #[case("default", false)]
    #[case("a.b-c_d", false)]
    #[case("9f2b7c1e-0000-4000-8000-000000000000", false)]
    #[case("", true)]
    #[case("-a", true)]
    #[case("a.", true)]
    #[case("a/b", true)]
    #[case("..", true)]
    #[case("a b", true)]
    fn a_role_that_is_no_single_segment_is_refused(#[case] name: &str, #[case] refused: bool) {
        assert_eq!(is_no_pki_name(name), refused);
    }

    #[rstest]
    #[case("app", false)]
    #[case("a/..b/c", false)]
    #[case("/app", true)]
    #[case("app/", true)]
    #[case("a//b", true)]
    #[case("a/../b", true)]
    #[case("a\tb", true)]
    fn a_path_without_clear_segments_is_refused(#[case] path: &str, #[case] refused: bool) {
        assert_eq!(is_no_secret_path(path), refused);
    }
}
