//! Rules for fields of the kinds of mounts. Each is a CEL rule for the admission, with its message. Rules for paths are
//! also functions, because the default path is the name of the object.

use super::places::is_no_segment;
use super::rule::Rule;

/// Path of a mount, without slashes at its ends.
pub(crate) const MOUNT_PATH: Rule = (
    r"!self.matches(r'^/|/$|(^|/)[.][.]?(/|$)|//|\p{Cc}|^ | $')",
    "path must be a path such as secrets/kv, without / at its start or end, empty segments, . or .. as a segment, and control \
     characters",
);

/// Path at which OpenBao mounts a secrets engine.
pub(crate) const ENGINE_PATH: Rule = (
    "!self.matches('^(auth|sys|identity|cubbyhole)(/|$)')",
    "path must not be auth, sys, identity, cubbyhole or below one of them: OpenBao mounts no secrets engine there; for an auth \
     mount, create an AuthMethod",
);

/// Path of an auth mount.
pub(crate) const AUTH_PATH: Rule = (
    "!self.matches('^((auth|sys)(/|$)|token/)')",
    "path must not be auth, sys, or below auth, token or sys: write it without auth/; with an auth mount sys, OpenBao refuses \
     every further auth mount",
);

/// Path and type of the built-in auth mount.
pub(crate) const TOKEN_MOUNT: Rule = (
    "(self.type == 'token') == (has(self.path) && self.path == 'token')",
    "every namespace contains the one mount of type token, at the path token: write both type: token and path: token, or another \
     type and path",
);

/// Type of the tokens of the built-in auth mount.
pub(crate) const TOKEN_MOUNT_TYPE: Rule = (
    "self.type != 'token' || !has(self.tune) || !has(self.tune.tokenType)",
    "OpenBao does not change the type of the tokens of type token: remove tune.tokenType",
);

/// Name of a plugin.
pub(crate) const PLUGIN_NAME: Rule = (
    "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$')",
    "type must be a type of OpenBao such as pki, or the name of a plugin: letters, digits, -, _ and .",
);

/// Version of a plugin. OpenBao returns `v1.2.0` for `1.2`, and the two are not compared.
pub(crate) const PLUGIN_VERSION: Rule = (
    "self.matches('^(latest|v[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]+)?([+][0-9A-Za-z.-]+)?)$')",
    "pluginVersion must be a version as OpenBao lists it, such as v1.2.3, or latest",
);

/// Type of a KV engine, with its version.
pub(crate) const KV_TYPE: Rule = (
    "!(self in ['kv', 'generic', 'system', 'cubbyhole', 'identity'])",
    "write type: kv-v1 or type: kv-v2 for a KV engine; OpenBao mounts system, cubbyhole and identity itself",
);

/// Description that is no mark of an owner.
pub(crate) const MOUNT_DESCRIPTION: Rule = (
    "!self.startsWith('managed by Steamer:')",
    "description must not start with `managed by Steamer:`: Steamer marks the mounts of tenants and projects with it",
);

/// Path below the configuration of an engine.
pub(crate) const CONFIG_PATH: Rule = (
    "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(/[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)*$')",
    "path of configs must be a path below config/, such as urls, of letters, digits, -, _ and .",
);

/// Lifetimes of a mount.
pub(crate) const LEASE_TTL: Rule = (
    "!has(self.defaultLeaseTTL) || !has(self.maxLeaseTTL) || duration(self.maxLeaseTTL) == duration('0s') || duration(self.defaultLeaseTTL) <= duration(self.maxLeaseTTL)",
    "defaultLeaseTTL must be at most maxLeaseTTL",
);

/// Public keys in PEM.
pub(crate) const PUBLIC_KEYS: Rule = (
    "self.all(key, key.startsWith('-----BEGIN PUBLIC KEY-----') || key.startsWith('-----BEGIN CERTIFICATE-----'))",
    "publicKeys must be PEM blocks that start with -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----: a private key is \
     not allowed",
);

/// Source of the keys of an auth mount of type `jwt` or `oidc`.
pub(crate) const JWT_KEYS: Rule = (
    "(has(self.oidcDiscoveryURL) ? 1 : 0) + (has(self.jwksURL) ? 1 : 0) + (has(self.publicKeys) ? 1 : 0) == 1 || (has(self.providerConfig) && !has(self.oidcDiscoveryURL) && !has(self.jwksURL) && !has(self.publicKeys))",
    "set exactly one of oidcDiscoveryURL, jwksURL and publicKeys, or only providerConfig",
);

/// Consent to an issuer without TLS.
pub(crate) const PLAINTEXT_JWT: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !((has(self.oidcDiscoveryURL) && self.oidcDiscoveryURL.startsWith('http:')) || (has(self.jwksURL) && self.jwksURL.startsWith('http:')))",
    "oidcDiscoveryURL and jwksURL must be https:// URLs: with http:// everyone in the network can replace the keys of the issuer. \
     Set allowPlaintext: true to accept this",
);

/// Consent to a directory without TLS.
pub(crate) const PLAINTEXT_LDAP: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || (has(self.startTLS) && self.startTLS) || !self.url.matches('(^|, *)ldap://')",
    "write ldaps:// URLs, or set startTLS: true: otherwise everyone in the network can read the passwords of logins. Set \
     allowPlaintext: true to accept this",
);

/// URLs of a directory.
pub(crate) const LDAP_URLS: Rule = (
    "self.matches('^ldaps?://([[][0-9a-fA-F:.]+[]]|[A-Za-z0-9._-]+)(:[0-9]+)?(, *ldaps?://([[][0-9a-fA-F:.]+[]]|[A-Za-z0-9._-]+)(:[0-9]+)?)*$')",
    "url must consist of URLs such as ldaps://ldap.example.com:636, separated by commas",
);

/// Returns true for the path of a secrets engine that [`MOUNT_PATH`] or [`ENGINE_PATH`] refuses.
#[must_use]
pub fn is_no_engine_path(path: &str) -> bool {
    is_no_path(path) || is_below(path, &["auth", "sys", "identity", "cubbyhole"])
}

/// Returns true for the path of an auth mount that [`MOUNT_PATH`], [`AUTH_PATH`] or [`TOKEN_MOUNT`] refuses for every type except
/// `token`.
#[must_use]
pub fn is_no_auth_path(path: &str) -> bool {
    is_no_path(path) || is_below(path, &["auth", "token", "sys"])
}

fn is_below(path: &str, reserved: &[&str]) -> bool {
    path.split('/').next().is_some_and(|first| reserved.contains(&first))
}

fn is_no_path(path: &str) -> bool {
    path.split('/').any(is_no_segment) || path.starts_with(' ') || path.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kv", false, false)]
    #[case("secrets/kv", false, false)]
    #[case("apps/auth", false, false)]
    #[case("authentik", false, false)]
    #[case("auth", true, true)]
    #[case("auth/kubernetes", true, true)]
    #[case("sys", true, true)]
    #[case("sys/mounts", true, true)]
    #[case("identity/oidc", true, false)]
    #[case("cubbyhole", true, false)]
    #[case("token", false, true)]
    #[case("token/x", false, true)]
    #[case("/kv", true, true)]
    #[case("kv/", true, true)]
    #[case("a//b", true, true)]
    #[case("a/../b", true, true)]
    #[case("a\n", true, true)]
    #[case(" a", true, true)]
    #[case("", true, true)]
    fn a_path_at_which_nothing_can_be_mounted_is_refused(
        #[case] path: &str,
        #[case] engine: bool,
        #[case] auth: bool,
    ) {
        assert_eq!((is_no_engine_path(path), is_no_auth_path(path)), (engine, auth));
    }
}
