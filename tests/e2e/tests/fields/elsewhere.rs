//! Fields that OpenBao does not return, or whose behavior needs a scene of its own: kind (`*`: all), fields, and the test that
//! shows their behavior.

/// Kind, fields, file and test.
pub const ELSEWHERE: &[(&str, &[&str], &str)] = &[
    // Every kind: the lifecycle of the object, and the place of its resources.
    ("*", &["suspend"], "tests/e2e/tests/general.rs suspends"),
    ("*", &["mode"], "tests/e2e/tests/general.rs observes"),
    ("*", &["adopt"], "tests/e2e/tests/general.rs adopts"),
    (
        "*",
        &["deletionPolicy"],
        "tests/e2e/tests/secret_engines.rs a_deletion_keeps_values_unless_the_policy_is_delete",
    ),
    (
        "*",
        &["deletionDeadline"],
        "tests/e2e/tests/openbao_outage.rs a_deletion_during_an_outage_ends_at_its_deadline_and_is_completed_afterwards",
    ),
    (
        "*",
        &["clusterRef.name", "clusterRef.namespace"],
        "tests/e2e/tests/general_rights.rs a_namespace_needs_the_permission_of_the_cluster",
    ),
    ("*", &["namespace"], "tests/e2e/tests/bao_policies.rs placement_determines_the_namespace"),
    (
        "*",
        &["projectRef.name"],
        "tests/e2e/tests/general_rights.rs a_project_contains_the_policies_that_refer_to_it",
    ),
    (
        "SecretEngine",
        &["pluginVersion", "tune.parameters"],
        "tests/e2e/tests/secret_engines.rs the_version_of_a_plugin_and_free_settings_of_an_engine_settle",
    ),
    // No two versions of a plugin are built in, and OpenBao returns no parameter of a mount that has no field.
    (
        "AuthMethod",
        &["pluginVersion", "tune.parameters"],
        "tests/e2e/tests/auth_mounts.rs the_version_of_a_plugin_and_free_settings_of_an_auth_mount_settle",
    ),
    (
        "SecretEngine",
        &["config.casRequired"],
        "tests/e2e/tests/secret_engines.rs a_deletion_keeps_values_unless_the_policy_is_delete",
    ),
    (
        "AuthMethod",
        &["jwt.caSecretRef.name", "jwt.caSecretRef.key", "jwt.jwksURL"],
        "tests/e2e/tests/auth_mounts.rs an_issuer_is_configured_with_the_secret_of_its_client",
    ),
    (
        "AuthMethod",
        &["jwt.oidcClientSecretRef.name", "jwt.oidcClientSecretRef.key"],
        "tests/e2e/tests/auth_mounts.rs the_provider_receives_the_secret_of_the_client",
    ),
    // OpenBao 2.7 has the method LDAP as a plugin only: the test uses OpenBao 2.6.
    (
        "AuthMethod",
        &[
            "ldap.url",
            "ldap.startTLS",
            "ldap.bindDN",
            "ldap.userDN",
            "ldap.userAttr",
            "ldap.userFilter",
            "ldap.groupDN",
            "ldap.groupAttr",
            "ldap.groupFilter",
            "ldap.caSecretRef.name",
            "ldap.caSecretRef.key",
            // OpenBao does not return the password.
            "ldap.bindPasswordSecretRef.name",
            "ldap.bindPasswordSecretRef.key",
        ],
        "tests/e2e/tests/nodes/ldap.rs a_directory_is_configured_and_repaired",
    ),
    ("AuthMethod", &["ldap.allowPlaintext"], "tests/e2e/tests/admission_mounts.rs mistakes"),
    (
        "BaoNamespace",
        &["seal.pgpKeys", "seal.recoverySecretName"],
        "tests/e2e/tests/namespaces_keys_quotas.rs sealed_namespaces_keep_their_shares",
    ),
    (
        "PKIIssuer",
        &[
            "allowedNamespaces.from",
            "allowedNamespaces.selector.matchLabels",
            "intermediate.parentRef.namespace",
        ],
        "tests/e2e/tests/grants/references.rs certificates",
    ),
    (
        "PKIIssuer",
        &["default", "renewBefore"],
        "tests/e2e/tests/pki_issuers.rs authorities_sign_each_other_and_rotate_while_their_certificates_stay_valid",
    ),
    (
        "DatabaseConnection",
        &["allowedNamespaces.from", "allowedNamespaces.selector.matchLabels"],
        "tests/e2e/tests/grants/references.rs credentials",
    ),
    ("DatabaseConnection", &["rotateRoot"], "tests/e2e/tests/database_roles.rs rotation"),
    ("DatabaseConnection", &["verify"], "tests/e2e/tests/database_roles.rs forms"),
    ("DatabaseRole", &["connectionRef.namespace"], "tests/e2e/tests/grants/references.rs credentials"),
    ("DatabaseRole", &["parameters"], "tests/e2e/tests/database_roles.rs forms"),
    ("SecretsApp", &["database.connectionRef.namespace"], "tests/e2e/tests/grants/references.rs credentials"),
    (
        "SecretsApp",
        &["database.createOwnerRole"],
        "tests/e2e/tests/homelab_gotchas.rs the_postgres_dynamic_role_depends_on_the_owner_role",
    ),
];
