//! Resources of the Terraform provider `vault`, and the resources of OpenBao that they become.

use crate::resource::Class;

/// How a resource of the provider is read.
pub(super) struct Rule {
    /// Type, such as `vault_policy`.
    pub(super) kind: &'static str,
    pub(super) class: Class,
    /// Attribute with the path of the mount. Empty: none.
    pub(super) mount: &'static str,
    /// Path between the mount and the name.
    pub(super) folder: &'static str,
    /// Attribute with the name.
    pub(super) name: &'static str,
    /// Type of the auth method. Empty: none.
    pub(super) method: &'static str,
}

const fn rule(kind: &'static str, class: Class, name: &'static str) -> Rule {
    Rule { kind, class, mount: "", folder: "", name, method: "" }
}

impl Rule {
    const fn at(self, mount: &'static str, folder: &'static str) -> Self {
        Self { mount, folder, ..self }
    }

    const fn of(self, method: &'static str) -> Self {
        Self { method, ..self }
    }
}

/// A role of an auth method.
const fn role(kind: &'static str, name: &'static str, folder: &'static str) -> Rule {
    rule(kind, Class::Role, name).at("backend", folder)
}

pub(super) const RULES: &[Rule] = &[
    rule("vault_policy", Class::Policy, "name"),
    rule("vault_namespace", Class::Namespace, "path"),
    rule("vault_identity_group", Class::Group, "name"),
    rule("vault_quota_rate_limit", Class::Quota, "name"),
    rule("vault_mount", Class::Engine, "path"),
    rule("vault_database_secrets_mount", Class::Engine, "path").of("database"),
    rule("vault_auth_backend", Class::Method, "path"),
    rule("vault_jwt_auth_backend", Class::Method, "path").of("jwt"),
    rule("vault_ldap_auth_backend", Class::Method, "path").of("ldap"),
    role("vault_kubernetes_auth_backend_role", "role_name", "role").of("kubernetes"),
    role("vault_jwt_auth_backend_role", "role_name", "role").of("jwt"),
    role("vault_approle_auth_backend_role", "role_name", "role").of("approle"),
    role("vault_cert_auth_backend_role", "name", "certs").of("cert"),
    role("vault_ldap_auth_backend_group", "groupname", "groups").of("ldap"),
    role("vault_ldap_auth_backend_user", "username", "users").of("ldap"),
    role("vault_aws_auth_backend_role", "role", "role").of("aws"),
    role("vault_azure_auth_backend_role", "role", "role").of("azure"),
    role("vault_gcp_auth_backend_role", "role", "role").of("gcp"),
    role("vault_token_auth_backend_role", "role_name", "roles").of("token"),
    rule("vault_pki_secret_backend_root_cert", Class::Issuer, "issuer_name").at("backend", "issuer"),
    rule("vault_pki_secret_backend_intermediate_set_signed", Class::Issuer, "issuer_name")
        .at("backend", "issuer"),
    rule("vault_pki_secret_backend_role", Class::PkiRole, "name").at("backend", "roles"),
    rule("vault_transit_secret_backend_key", Class::TransitKey, "name").at("backend", "keys"),
    rule("vault_database_secret_backend_connection", Class::Connection, "name").at("backend", "config"),
    rule("vault_database_secret_backend_role", Class::DynamicRole, "name").at("backend", "roles"),
    rule("vault_database_secret_backend_static_role", Class::StaticRole, "name")
        .at("backend", "static-roles"),
];

/// Resources that add fields to another resource: type, and attribute with the path of the mount.
pub(super) const METHOD_SETTINGS: &[(&str, &str)] = &[
    ("vault_kubernetes_auth_backend_config", "backend"),
    ("vault_azure_auth_backend_config", "backend"),
    ("vault_aws_auth_backend_client", "backend"),
    ("vault_cert_auth_backend_config", "backend"),
];

/// Resources with the configuration of an engine at a path below `<mount>/config/`: type, type of the engine, and path.
pub(super) const ENGINE_CONFIGS: &[(&str, &str, &str)] = &[
    ("vault_pki_secret_backend_config_acme", "pki", "acme"),
    ("vault_pki_secret_backend_config_auto_tidy", "pki", "auto-tidy"),
    ("vault_pki_secret_backend_config_cluster", "pki", "cluster"),
    ("vault_pki_secret_backend_config_urls", "pki", "urls"),
    ("vault_pki_secret_backend_crl_config", "pki", "crl"),
];

/// Settings of an issuer in the resource that manages an existing issuer.
pub(super) const ISSUER_SETTINGS: &[&str] = &[
    "crl_distribution_points",
    "enable_aia_url_templating",
    "issuing_certificates",
    "leaf_not_after_behavior",
    "manual_chain",
    "ocsp_servers",
    "revocation_signature_algorithm",
    "usage",
];

/// Resources with values of secrets.
pub(super) const VALUES: &[&str] = &[
    "vault_kv_secret",
    "vault_kv_secret_v2",
    "vault_generic_secret",
    "vault_generic_endpoint",
    "vault_approle_auth_backend_role_secret_id",
    "vault_approle_auth_backend_login",
    "vault_token",
    "vault_pki_secret_backend_cert",
    "vault_pki_secret_backend_config_ca",
    "vault_pki_secret_backend_sign",
];

/// Attributes that identify the resource, that the provider computes, or that control the provider.
pub(super) const IGNORED: &[&str] = &[
    "accessor",
    "backend",
    "disable_remount",
    "groupname",
    "id",
    "keys",
    "latest_version",
    "min_available_version",
    "mount",
    "name",
    "namespace",
    "path",
    "role_id",
    "role_name",
    "supports_decryption",
    "supports_derivation",
    "supports_encryption",
    "supports_signing",
    "uuid",
    "verify_connection",
    "external_policies",
    "external_member_entity_ids",
    "external_member_group_ids",
    "namespace_id",
    "path_fq",
];

/// Attributes with another name than in OpenBao's API.
pub(super) const RENAMED: &[(&str, &str)] = &[
    ("default_lease_ttl_seconds", "default_lease_ttl"),
    ("max_lease_ttl_seconds", "max_lease_ttl"),
    ("root_rotation_statements", "root_credentials_rotate_statements"),
];

/// Attributes with seconds, which some resources state as text.
pub(super) const DURATIONS: &[&str] = &[
    "auto_rotate_period",
    "default_lease_ttl",
    "default_ttl",
    "max_lease_ttl",
    "max_ttl",
    "not_before_duration",
    "token_explicit_max_ttl",
    "token_max_ttl",
    "token_period",
    "token_ttl",
    "ttl",
];
