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
        "operator/core/src/ownership/finalizer.rs a_deletion_is_tried_until_its_deadline",
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
        &["parameters"],
        "operator/provisioning/src/secret_engine.rs typed_and_free_parameters_are_one_configuration",
    ),
    (
        "SecretEngine",
        &["secretParameters"],
        "tests/e2e/tests/secret_engines.rs a_secret_parameter_is_written_again_when_its_secret_changes",
    ),
    (
        "SecretEngine",
        &["config.casRequired"],
        "tests/e2e/tests/secret_engines.rs a_deletion_keeps_values_unless_the_policy_is_delete",
    ),
    (
        "AuthMethod",
        &["secretParameters"],
        "operator/provisioning/src/auth_method/configuration.rs a_reviewer_among_the_secret_parameters_is_expected",
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
        ],
        "tests/e2e/tests/nodes/ldap.rs a_directory_is_configured_and_repaired",
    ),
    (
        "AuthMethod",
        &[
            "ldap.bindPasswordSecretRef.name",
            "ldap.bindPasswordSecretRef.key",
            "ldap.caSecretRef.name",
            "ldap.caSecretRef.key",
        ],
        "operator/provisioning/src/auth_method/configuration.rs typed_fields_become_parameters",
    ),
    (
        "AuthMethod",
        &["jwt.allowPlaintext", "ldap.allowPlaintext"],
        "tests/e2e/tests/admission_mounts.rs mistakes",
    ),
    (
        "BaoAuthRole",
        &["method"],
        "operator/provisioning/src/bao_auth_role.rs the_method_determines_path_and_title",
    ),
    (
        "BaoAuthRole",
        &["userPass.passwordSecretRef.name", "userPass.passwordSecretRef.key"],
        "tests/e2e/tests/bao_auth_roles.rs a_changed_password_is_in_force",
    ),
    (
        "BaoNamespace",
        &["seal.pgpKeys", "seal.recoverySecretName"],
        "tests/e2e/tests/namespaces_keys_quotas.rs sealed_namespaces_keep_their_shares",
    ),
    (
        "BaoNamespace",
        &["seal.shares", "seal.threshold"],
        "operator/provisioning/src/bao_namespace.rs the_seal_is_a_part_of_the_creation_only",
    ),
    (
        "TransitKey",
        &["parameters"],
        "operator/provisioning/src/transit_key.rs a_key_is_created_at_its_path_and_changed_at_its_configuration",
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
        &["default", "renewBefore", "intermediate.parentRef.name"],
        "tests/e2e/tests/pki_issuers.rs authorities_sign_each_other_and_rotate_while_their_certificates_stay_valid",
    ),
    (
        "PKIIssuer",
        &[
            "root.commonName",
            "root.country",
            "root.keyBits",
            "root.keyType",
            "root.maxPathLength",
            "root.organization",
            "root.organizationalUnit",
            "root.parameters",
            "root.ttl",
            "intermediate.commonName",
            "intermediate.country",
            "intermediate.keyBits",
            "intermediate.keyType",
            "intermediate.maxPathLength",
            "intermediate.organization",
            "intermediate.organizationalUnit",
            "intermediate.parameters",
            "intermediate.ttl",
        ],
        "operator/provisioning/src/pki_issuer/request.rs every_field_of_a_certificate_is_a_parameter",
    ),
    (
        "DatabaseConnection",
        &["allowedNamespaces.from", "allowedNamespaces.selector.matchLabels"],
        "tests/e2e/tests/grants/references.rs credentials",
    ),
    ("DatabaseConnection", &["rotateRoot"], "tests/e2e/tests/database_roles.rs rotation"),
    ("DatabaseConnection", &["verify"], "tests/e2e/tests/database_roles.rs forms"),
    (
        "DatabaseConnection",
        &["tls.clientCertSecretRef.name"],
        "operator/provisioning/src/database_connection/tls.rs each_plugin_has_its_own_names",
    ),
    ("DatabaseRole", &["connectionRef.namespace"], "tests/e2e/tests/grants/references.rs credentials"),
    ("DatabaseRole", &["parameters"], "tests/e2e/tests/database_roles.rs forms"),
    ("SecretsApp", &["database.connectionRef.namespace"], "tests/e2e/tests/grants/references.rs credentials"),
    (
        "SecretsApp",
        &["database.createOwnerRole"],
        "tests/e2e/tests/homelab_gotchas.rs the_postgres_dynamic_role_depends_on_the_owner_role",
    ),
];
