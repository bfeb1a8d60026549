//! Fields that OpenBao does not return, or whose behavior needs a scene of its own: kind (`*`: all), fields, and the test that
//! shows their behavior.

/// Kind, fields, file and test.
pub const ELSEWHERE: &[(&str, &[&str], &str)] = &[
    // Every kind: the lifecycle of the object, and the place of its resources.
    (
        "*",
        &["suspend"],
        "tests/e2e/tests/general_rights.rs a_right_decides_where_an_object_creates_deletes_and_claims",
    ),
    ("*", &["mode", "adopt", "deletionPolicy"], "tests/e2e/tests/general.rs check"),
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
        &["jwt.caSecretRef.name", "jwt.caSecretRef.key", "jwt.providerConfig"],
        "tests/e2e/tests/auth_mounts.rs an_issuer_is_configured_with_the_secret_of_its_client",
    ),
    (
        "AuthMethod",
        &["jwt.jwksURL"],
        "operator/provisioning/src/auth_method/configuration.rs typed_fields_become_parameters",
    ),
    // OpenBao 2.7 has the method LDAP as a plugin only.
    (
        "AuthMethod",
        &[
            "ldap.url",
            "ldap.startTLS",
            "ldap.bindDN",
            "ldap.bindPasswordSecretRef.name",
            "ldap.bindPasswordSecretRef.key",
            "ldap.caSecretRef.name",
            "ldap.caSecretRef.key",
            "ldap.userDN",
            "ldap.userAttr",
            "ldap.userFilter",
            "ldap.groupDN",
            "ldap.groupAttr",
            "ldap.groupFilter",
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
        &["cert.certificateSecretRef.name", "cert.certificateSecretRef.key"],
        "tests/e2e/tests/auth_mounts.rs a_private_key_is_refused",
    ),
    (
        "BaoAuthRole",
        &["userPass.passwordSecretRef.name", "userPass.passwordSecretRef.key"],
        "tests/e2e/tests/bao_auth_roles.rs a_changed_password_is_in_force",
    ),
    (
        "BaoNamespace",
        &["seal.pgpKeys", "seal.recoverySecretName", "seal.shares", "seal.threshold"],
        "tests/e2e/tests/namespaces_keys_quotas.rs sealed_namespaces_keep_their_shares",
    ),
    (
        "TransitKey",
        &["parameters"],
        "operator/provisioning/src/transit_key.rs a_key_is_created_at_its_path_and_changed_at_its_configuration",
    ),
    (
        "PKIIssuer",
        &["allowedNamespaces.from", "allowedNamespaces.selector.matchLabels"],
        "tests/e2e/tests/pki_issuers.rs authorities_sign_each_other_and_rotate_while_their_certificates_stay_valid",
    ),
    (
        "PKIIssuer",
        &["default", "renewBefore", "intermediate.parentRef.name", "intermediate.parentRef.namespace"],
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
        "operator/provisioning/src/database_connection/allowed.rs only_roles_that_may_refer_to_the_connection_use_it",
    ),
    ("DatabaseConnection", &["rotateRoot"], "tests/e2e/tests/database_roles.rs rotation"),
    ("DatabaseConnection", &["verify"], "tests/e2e/tests/database_roles.rs forms"),
    (
        "DatabaseConnection",
        &["tls.caSecretRef.name", "tls.caSecretRef.key", "tls.clientCertSecretRef.name", "tls.serverName"],
        "operator/provisioning/src/database_connection/tls.rs each_plugin_has_its_own_names",
    ),
    (
        "DatabaseRole",
        &["connectionRef.namespace"],
        "operator/provisioning/src/database_connection/allowed.rs only_roles_that_may_refer_to_the_connection_use_it",
    ),
    ("DatabaseRole", &["parameters"], "tests/e2e/tests/database_roles.rs forms"),
    (
        "SecretsApp",
        &["database.connectionRef.namespace"],
        "operator/provisioning/src/secrets_app/parts.rs a_denied_connection_withholds_the_database_only",
    ),
    (
        "SecretsApp",
        &["database.createOwnerRole"],
        "tests/e2e/tests/homelab_gotchas.rs the_postgres_dynamic_role_depends_on_the_owner_role",
    ),
];
