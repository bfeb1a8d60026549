//! Rules that fields of several kinds share. Each is a CEL rule for the admission, with its message. Rules that protect
//! other users are also functions, for objects that were admitted before the rule existed.

use std::collections::BTreeMap;

/// CEL expression and message.
type Rule = (&'static str, &'static str);

/// Regular expression for URLs: scheme, host and port without user and password, and the rest.
macro_rules! url {
    ($start:literal, $rest:literal, $end:literal) => {
        concat!(
            $start,
            r".matches(r'^https?://([[][0-9a-fA-F:.]+[]]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)",
            r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
            $rest,
            "$')",
            $end
        )
    };
}

/// Address of a server.
pub(crate) const ADDRESS: Rule = (
    url!("self", "", ""),
    "address must be a URL of scheme, host and port, without user and path, such as https://openbao.openbao.svc:8200",
);

/// Address that receives credentials.
pub(crate) const ENCRYPTED: Rule = (
    "self.startsWith('https:')",
    "the endpoint must be an https:// URL: it receives a token of the ServiceAccount",
);

/// Addresses of servers.
pub(crate) const ADDRESSES: Rule = (
    url!("self.all(address, address", "", ")"),
    "each address must be a URL of scheme, host and port, without user and path, such as https://openbao.openbao.svc:8200",
);

/// Message for an `http://` address without consent.
macro_rules! plaintext {
    ($field:literal) => {
        concat!(
            $field,
            " must be an https:// URL: with http:// everyone in the network can read and change all requests and values. \
             Set allowPlaintext: true to accept this"
        )
    };
}

/// Consent to an address without TLS.
pub(crate) const PLAINTEXT_ADDRESS: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !has(self.address) || !self.address.startsWith('http:')",
    plaintext!("address"),
);

/// Consent to addresses without TLS.
pub(crate) const PLAINTEXT_ADDRESSES: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !(self.address.startsWith('http:') || (has(self.additionalAddresses) && self.additionalAddresses.exists(address, address.startsWith('http:'))))",
    plaintext!("each address"),
);

/// Consent to an issuer without TLS.
pub(crate) const PLAINTEXT_ISSUER: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !((has(self.oidcDiscoveryUrl) && self.oidcDiscoveryUrl.startsWith('http:')) || (has(self.jwksUrl) && self.jwksUrl.startsWith('http:')))",
    "oidcDiscoveryUrl and jwksUrl must be https:// URLs: with http:// everyone in the network can replace the keys of the \
     issuer. Set allowPlaintext: true to accept this",
);

/// URL with an optional path.
pub(crate) const URL: Rule = (
    url!("self", r"(/[A-Za-z0-9._~!$&()*+,;=:@%/-]*)?", ""),
    "must be a URL such as https://gitlab.example.com, without user, query, fragment and blanks",
);

/// URL with an optional path and query.
pub(crate) const URL_WITH_QUERY: Rule = (
    url!("self", r"(/[A-Za-z0-9._~!$&()*+,;=:@%/?-]*)?", ""),
    "must be a URL such as https://gitlab.example.com/oauth/discovery/keys, without user, fragment and blanks",
);

/// Names of HTTP headers.
pub(crate) const HEADER_NAMES: Rule = (
    "self.all(name, name.matches(r'^[!#$%&*+.^_|~0-9A-Za-z-]{1,256}$'))",
    "a header name consists of letters, digits, - and _",
);

/// Names of HTTP headers that a user may set.
pub(crate) const RESERVED_HEADERS: Rule = (
    "self.all(name, !name.lowerAscii().matches('^(x-vault-.*|x-forwarded-.*|proxy-.*|authorization|host|connection|content-length|content-type|transfer-encoding|te|trailer|upgrade|cookie|forwarded)$'))",
    "the headers X-Vault-*, X-Forwarded-*, Proxy-*, Authorization, Host, Cookie and those of the connection are reserved: to \
     select a namespace, set namespace on the BaoAuth instead",
);

/// Values of HTTP headers.
pub(crate) const HEADER_VALUES: Rule = (
    r"self.all(name, size(self[name]) <= 4096 && self[name].matches(r'^([!-~]([ -~]*[!-~])?)?$'))",
    "a header value has at most 4096 visible ASCII characters, and no line break and no blank at its start or end",
);

/// Path of an OpenBao namespace.
pub(crate) const NAMESPACE: Rule = (
    r"!self.matches(r'(^|/)[.][.]?(/|$)|//|\p{Cc}|^ | $')",
    "namespace must be a path such as org_1/group_7, without empty segments, . or .. as a segment, and control characters",
);

/// Location of resources in OpenBao. Added to the spec of every kind with a placement.
pub(crate) const PLACEMENT: [Rule; 4] = [
    ("has(self.clusterRef) != has(self.projectRef)", "set exactly one of clusterRef and projectRef"),
    (
        "has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)",
        "clusterRef is immutable: create another object",
    ),
    (
        "has(self.projectRef) == has(oldSelf.projectRef) && (!has(self.projectRef) || self.projectRef == oldSelf.projectRef)",
        "projectRef is immutable: create another object",
    ),
    (
        "has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",
        "namespace is immutable: create another object",
    ),
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

/// Symbols of a generated password.
pub(crate) const SYMBOLS: Rule = (
    r"self.matches('^[!-/:-@\\[-`{-~]+$')",
    "symbols must be ASCII characters other than letters, digits and blanks",
);

/// Name of a password policy.
pub(crate) const PASSWORD_POLICY: Rule = (
    "self.matches('^[A-Za-z0-9_.-]+$') && self != '.' && self != '..'",
    "the name of a password policy consists of letters, digits, -, _ and .",
);

/// Comment of an SSH key.
pub(crate) const SSH_COMMENT: Rule =
    ("self.matches('^[ -~]*$')", "comment must consist of visible ASCII characters and blanks");

/// Type of a Secret on which nothing acts.
pub(crate) const SECRET_TYPE: Rule = (
    "!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']) && !self.startsWith('helm.sh/')",
    "destination.type must not be kubernetes.io/service-account-token, bootstrap.kubernetes.io/token or helm.sh/*: \
     Kubernetes and Helm act on such Secrets",
);

/// Keys of a Secret that contain the results of templates.
pub(crate) const TEMPLATE_KEYS: Rule = (
    "self.all(key, key.matches('^[-._a-zA-Z0-9]{1,253}$') && key != '.' && !key.startsWith('..'))",
    "a key of templates is a key of the Secret: it consists of letters, digits, -, _ and ., has at most 253 characters, and \
     does not start with ..",
);

/// Key of a Secret that contains the result of a template.
pub(crate) const KEY_OVERRIDE: Rule = (
    "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
    "keyOverride must be a key of a Secret: it consists of letters, digits, -, _ and ., and does not start with ..",
);

/// Keys of labels and annotations.
pub(crate) const KEYS: Rule = (
    "self.all(key, !format.qualifiedName().validate(key).hasValue())",
    "keys of labels and annotations consist of an optional prefix (a DNS name and /) and a name of at most 63 letters, \
     digits, -, _ and .",
);

/// Values of labels.
pub(crate) const LABEL_VALUES: Rule = (
    "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
    "a value of a label has at most 63 letters, digits, -, _ and ., and starts and ends with a letter or digit",
);

/// Labels and annotations of a Secret: the keys of Kubernetes and of Steamer are reserved, because controllers act on them.
pub(crate) const SECRET_KEYS: Rule = (
    "self.all(key, !key.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|steamer[.]dev)/') || (key.startsWith('app.kubernetes.io/') && key != 'app.kubernetes.io/managed-by'))",
    "keys with the prefixes kubernetes.io, k8s.io, steamer.dev and their subdomains are reserved; of app.kubernetes.io, \
     only managed-by is",
);

/// Labels and annotations of objects of a managed cluster: controllers of Kubernetes read theirs, and Steamer sets its own.
pub(crate) const CLUSTER_KEYS: Rule = (
    "self.all(key, !key.matches('^([^/]*[.])?steamer[.]dev/') && !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'openbao-active']))",
    "Steamer sets steamer.dev/*, app.kubernetes.io/name, app.kubernetes.io/instance and openbao-active itself: remove them",
);

/// Returns true if Kubernetes accepts a text as the value of a label.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && is_end(bytes.first())
        && is_end(bytes.last())
}

/// Returns the first key of labels or annotations that [`SECRET_KEYS`] reserves.
#[must_use]
pub fn reserved_key(labels_or_annotations: &BTreeMap<String, String>) -> Option<&str> {
    labels_or_annotations.keys().map(String::as_str).find(|key| is_reserved(key))
}

fn is_reserved(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else {
        return false;
    };
    let below = |domain: &str| {
        prefix.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let reserved = ["kubernetes.io", "k8s.io", "steamer.dev"].into_iter().any(below);
    reserved && (prefix != "app.kubernetes.io" || name == "managed-by")
}

/// Returns the first address that [`PLAINTEXT_ADDRESSES`] refuses without consent.
#[must_use]
pub fn plaintext_address<'a>(mut addresses: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    addresses.find(|address| !address.starts_with("https:"))
}

/// Returns true for a type that [`SECRET_TYPE`] refuses.
#[must_use]
pub fn is_reserved_type(secret_type: &str) -> bool {
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"].contains(&secret_type)
        || secret_type.starts_with("helm.sh/")
}

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

fn is_no_segment(segment: &str) -> bool {
    ["", ".", ".."].contains(&segment) || segment.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("app", false)]
    #[case("example.com/app", false)]
    #[case("app.kubernetes.io/name", false)]
    #[case("app.kubernetes.io/managed-by", true)]
    #[case("kubernetes.io/service-account.name", true)]
    #[case("x.app.kubernetes.io/name", true)]
    #[case("k8s.io/x", true)]
    #[case("a.b.k8s.io/x", true)]
    #[case("notk8s.io/x", false)]
    #[case("k8s.io.example.com/x", false)]
    #[case("steamer.dev/cluster", true)]
    #[case("steamer.dev/owner", true)]
    #[case("x.steamer.dev/y", true)]
    fn keys_of_kubernetes_and_steamer_are_reserved(#[case] key: &str, #[case] reserved: bool) {
        let found = BTreeMap::from([("a".to_owned(), String::new()), (key.to_owned(), String::new())]);
        assert_eq!(reserved_key(&found), reserved.then_some(key));
    }

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
