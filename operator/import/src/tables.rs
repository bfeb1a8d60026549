//! Paths of OpenBao's API from which the resources of mounts are read. None of them returns values.

use crate::resource::Class;

/// Resources of one class in a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) class: Class,
    /// Path of the list, relative to the mount.
    pub(crate) list: &'static str,
    /// Path before the name of each resource, relative to the mount.
    pub(crate) folder: &'static str,
}

const fn of(class: Class, list: &'static str, folder: &'static str) -> Collection {
    Collection { class, list, folder }
}

const ROLE: &[Collection] = &[of(Class::Role, "role", "role")];
const USERS: &[Collection] = &[of(Class::Role, "users", "users")];
const USERS_AND_GROUPS: &[Collection] =
    &[of(Class::Role, "users", "users"), of(Class::Role, "groups", "groups")];

/// An auth method, what its mount contains, and the path of its configuration.
type Method = (&'static str, &'static [Collection], Option<&'static str>);

const METHODS: &[Method] = &[
    ("approle", ROLE, None),
    ("aws", &[of(Class::Role, "roles", "role")], Some("config/client")),
    ("azure", ROLE, Some("config")),
    ("cert", &[of(Class::Role, "certs", "certs")], Some("config")),
    ("gcp", &[of(Class::Role, "roles", "role")], Some("config")),
    ("jwt", ROLE, Some("config")),
    ("kerberos", &[of(Class::Role, "groups", "groups")], None),
    ("kubernetes", ROLE, Some("config")),
    ("ldap", USERS_AND_GROUPS, Some("config")),
    ("oidc", ROLE, Some("config")),
    ("okta", USERS_AND_GROUPS, Some("config")),
    ("radius", USERS, Some("config")),
    ("token", &[of(Class::Role, "roles", "roles")], None),
    ("userpass", USERS, None),
];

const ENGINES: &[(&str, &[Collection])] = &[
    (
        "database",
        &[
            of(Class::Connection, "config", "config"),
            of(Class::DynamicRole, "roles", "roles"),
            of(Class::StaticRole, "static-roles", "static-roles"),
        ],
    ),
    ("pki", &[of(Class::PkiRole, "roles", "roles")]),
    ("transit", &[of(Class::TransitKey, "keys", "keys")]),
];

/// What the mount of an auth method contains, or `None` for an unknown method.
pub(crate) fn roles(method: &str) -> Option<&'static [Collection]> {
    METHODS.iter().find(|(name, ..)| *name == method).map(|(_, roles, _)| *roles)
}

/// Path of the configuration of an auth method, relative to its mount.
pub(crate) fn configuration(method: &str) -> Option<&'static str> {
    METHODS.iter().find(|(name, ..)| *name == method).and_then(|(.., path)| *path)
}

/// What the mount of a secrets engine contains that has a kind.
pub(crate) fn contents(engine: &str) -> &'static [Collection] {
    ENGINES.iter().find(|(name, _)| *name == engine).map_or(&[], |(_, contents)| *contents)
}

/// Parts of a secrets engine that have no kind, in words. Empty: none.
pub(crate) fn without_kind(engine: &str) -> &'static str {
    match engine {
        "kv" | "transit" | "pki" | "cubbyhole" | "identity" => "",
        "database" => "libraries",
        "kubernetes" => "roles",
        "rabbitmq" => "connection and roles",
        "ssh" => "roles and the CA",
        "totp" => "keys",
        _ => "configuration and roles",
    }
}

/// Type of a KV engine by its version.
pub(crate) fn engine_type(plugin: &str, version: Option<&str>) -> String {
    match (plugin, version) {
        ("kv", Some("2")) => "kv-v2".to_owned(),
        ("kv" | "generic", _) => "kv-v1".to_owned(),
        (plugin, _) => plugin.to_owned(),
    }
}
