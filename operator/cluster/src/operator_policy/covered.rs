//! Paths of the general kinds in a namespace, auth mount and engine, and paths that rules exclude. `general` states the order
//! of the rules.

const WRITE: &[&str] = &["create", "update"];
pub(super) const ALL: &[&str] = &["create", "read", "update", "patch", "delete", "list"];
const ROOTED: &[&str] = &["create", "read", "update", "patch", "delete", "list", "sudo"];
pub(super) const DENY: &[&str] = &["deny"];

/// Paths in a namespace.
pub(super) const SYSTEM: [(&str, &[&str]); 18] = [
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
    ("identity/entity*", &["read", "list"]),
    ("identity/*", DENY),
    ("auth/token/roles*", ALL),
    ("auth/token/renew-accessor*", &["update"]),
    ("auth/token/revoke-accessor*", &["update"]),
    ("auth/token/*", DENY),
];

/// Tokens of leases, whose accessors only Steamer knows: they outlive the process that logged in for them.
pub(super) const TOKENS: [(&str, &[&str]); 2] =
    [("auth/token/renew-accessor", &["update"]), ("auth/token/revoke-accessor", &["update"])];

/// Names of policies with so many segments that the rules of a wider scope deny paths of their length. A rule without `*` and
/// with fewer `+` has precedence over these.
pub(super) const LONG_POLICIES: [&str; 2] = ["+/combined/env/+/branch/+", "api/users/temporary/+/+"];

/// Secrets of a project: their values are written, and never read. The names of the folders are those of `layout`.
pub(super) const SECRETS: [(&str, &[&str]); 7] = [
    ("secrets/+/data/explicit/+", WRITE),
    ("secrets/+/metadata/explicit/+", &["create", "read", "update", "delete"]),
    // Finds the secrets of an object that is deleted by their marks.
    ("secrets/+/detailed-metadata/explicit", &["list"]),
    ("secrets/+/detailed-metadata/explicit/", &["list"]),
    ("secrets/+/delete/explicit/+", &["update"]),
    ("secrets/+/undelete/explicit/+", &["update"]),
    ("secrets/+/destroy/explicit/+", &["update"]),
];

/// Paths in an auth mount.
pub(super) const AUTH: [(&str, &[&str]); 11] = [
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
pub(super) const ENGINE: [(&str, &[&str]); 21] = [
    ("config/*", ALL),
    ("roles/*", ALL),
    ("static-roles/*", ALL),
    ("key/*", ALL),
    ("keys/*", ALL),
    ("rotate-root/*", WRITE),
    ("issuer/*", ALL),
    ("issuers/*", &["list"]),
    ("intermediate/set-signed*", WRITE),
    ("intermediate/generate/*", WRITE),
    ("root/generate/*", WRITE),
    ("keys/+/config", WRITE),
    ("issuer/+/sign-intermediate", WRITE),
    // Certificates, signatures, values and private keys.
    ("intermediate/generate/exported", DENY),
    ("root/generate/exported", DENY),
    ("keys/import", DENY),
    ("sign-verbatim", DENY),
    ("issuer/keys/+/config", DENY),
    ("keys/data/config", DENY),
    ("keys/hmac/config", DENY),
    ("keys/sign/config", DENY),
];

/// Configuration of an engine, for example KV version 2.
pub(super) const CONFIG: (&str, &[&str]) = ("config", &["create", "read", "update"]);

/// Folders of [`ENGINE`] with names below them.
pub(super) const FOLDERS: [&str; 8] =
    ["config", "issuer", "issuers", "key", "keys", "roles", "rotate-root", "static-roles"];

/// First segments of the paths of values in a mount, for every engine of OpenBao.
pub(super) const VALUES: [&str; 26] = [
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
pub(super) const BUILT_IN: [&str; 3] = ["auth", "identity", "sys"];
/// Of these, the folders without the configuration of an engine or auth mount.
pub(super) const CLOSED: [&str; 3] = ["auth/token", "identity", "sys"];

#[cfg(test)]
mod tests {
    use steamer_core::layout::{DATA_ROOT, engine};

    use super::*;

    #[test]
    fn secrets_are_at_the_paths_of_projects() {
        for (path, _) in SECRETS {
            let path = format!("{path}/");
            assert!(path.starts_with(&engine("+/")) && path.contains(&format!("/{DATA_ROOT}/")), "{path}");
        }
    }
}
