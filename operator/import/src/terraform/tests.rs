//! Terraform states with resources of all types.

use rstest::rstest;
use serde_json::{Value, json};

use super::terraform;
use crate::inventory::Inventory;
use crate::manifests::manifests;
use crate::resource::{Class, Resource};
use crate::settings::Settings;

const ROOT: &str = include_str!("../../../provisioning/testdata/root.pem");
const INTERMEDIATE: &str = include_str!("../../../provisioning/testdata/intermediate.pem");

fn read(resources: &[(&str, Value)]) -> Inventory {
    let resource = |(index, (kind, attributes)): (usize, &(&str, Value))| json!({"mode": "managed", "type": kind, "name": format!("r{index}"), "instances": [{"attributes": attributes}]});
    let resources: Vec<Value> = resources.iter().enumerate().map(resource).collect();
    terraform(&json!({"version": 4, "resources": resources}).to_string()).unwrap()
}

/// The only resource of a class.
fn only(inventory: &Inventory, class: Class) -> &Resource {
    let found: Vec<&Resource> = inventory.resources.iter().filter(|it| it.place.class == class).collect();
    assert_eq!(found.len(), 1, "{class:?}: {inventory:?}");
    found[0]
}

fn for_main() -> Settings {
    Settings { cluster: "main".to_owned(), ..Settings::default() }
}

#[test]
fn a_policy_a_namespace_and_a_quota_are_read() {
    let policy = json!({"id": "app", "name": "app", "policy": "path \"kv/*\" {}", "namespace": "team"});
    let quota = json!({"id": "q", "name": "q", "path": "kv/", "rate": 10.5, "interval": 1});
    let inventory = read(&[
        ("vault_policy", policy),
        ("vault_namespace", json!({"id": "team/", "path": "team", "path_fq": "team", "namespace_id": "x"})),
        ("vault_quota_rate_limit", quota),
    ]);
    let policy = only(&inventory, Class::Policy);
    assert_eq!(policy.place.to_string(), "team/sys/policies/acl/app");
    assert_eq!(json!(policy.fields), json!({"policy": "path \"kv/*\" {}"}));
    assert_eq!(only(&inventory, Class::Namespace).place.name, "team");
    let quota = only(&inventory, Class::Quota);
    assert_eq!(json!(quota.fields), json!({"path": "kv/", "rate": 10.5, "interval": 1}));
}

#[test]
fn an_engine_has_its_version_its_tune_and_the_settings_of_another_resource() {
    let mount = json!({
        "id": "apps/kv", "path": "apps/kv", "type": "kv-v2", "accessor": "kv_1", "description": "d", "options": null,
        "default_lease_ttl_seconds": 3600, "seal_wrap": false,
    });
    let inventory = read(&[
        ("vault_mount", mount),
        (
            "vault_kv_secret_backend_v2",
            json!({"id": "apps/kv/config", "mount": "apps/kv", "max_versions": 3}),
        ),
    ]);
    let engine = only(&inventory, Class::Engine);
    assert_eq!((engine.method.as_str(), engine.place.name.as_str()), ("kv-v2", "apps/kv"));
    assert_eq!(engine.fields["config"]["default_lease_ttl"], 3600);
    assert_eq!(engine.fields["config_of_engine"], json!({"max_versions": 3}));
}

#[test]
fn an_auth_method_has_its_tune_and_its_configuration() {
    let tune = json!([{"default_lease_ttl": "1h", "listing_visibility": "unauth"}]);
    let jwt = json!({"path": "jwt", "type": "jwt", "bound_issuer": "https://i", "tune": tune});
    let inventory = read(&[("vault_jwt_auth_backend", jwt)]);
    let method = only(&inventory, Class::Method);
    assert_eq!(method.fields["config"], json!({"default_lease_ttl": 3600, "listing_visibility": "unauth"}));
    assert_eq!(method.fields["config_of_method"], json!({"bound_issuer": "https://i"}));
}

#[test]
fn alias_policies_and_members_of_a_group_are_joined() {
    let method = json!({"id": "oidc", "path": "oidc", "type": "oidc", "accessor": "auth_oidc_1", "tune": []});
    let group =
        json!({"id": "g1", "name": "admins", "type": "external", "policies": ["a"], "member_entity_ids": []});
    let inventory = read(&[
        ("vault_auth_backend", method),
        ("vault_identity_group", group),
        ("vault_identity_group_policies", json!({"group_id": "g1", "policies": ["b"]})),
        ("vault_identity_group_member_entity_ids", json!({"group_id": "g1", "member_entity_ids": ["e1"]})),
        (
            "vault_identity_group_alias",
            json!({"canonical_id": "g1", "mount_accessor": "auth_oidc_1", "name": "x"}),
        ),
        ("vault_identity_entity", json!({"id": "e1", "name": "alice"})),
    ]);
    let group = only(&inventory, Class::Group);
    assert_eq!(group.fields["policies"], json!(["a", "b"]));
    assert_eq!(group.fields["member_entities"], json!(["alice"]));
    assert_eq!(group.fields["alias"], json!({"name": "x", "mount": "oidc"}));
}

#[test]
fn the_block_of_a_connection_names_its_plugin() {
    let url = "postgresql://{{username}}:{{password}}@h/db";
    let block =
        json!([{"connection_url": url, "username": "u", "max_open_connections": 7, "password": "canary"}]);
    let connection = json!({
        "backend": "database", "name": "pg", "allowed_roles": ["*"], "postgresql": block, "root_rotation_statements": ["x"],
    });
    let mysql =
        json!([{"name": "my", "connection_url": "{{username}}:{{password}}@tcp(h)/", "plugin_name": ""}]);
    let inventory = read(&[
        ("vault_database_secret_backend_connection", connection),
        ("vault_database_secrets_mount", json!({"path": "db", "mysql": mysql})),
    ]);
    let found = |name: &str| inventory.resources.iter().find(|it| it.place.name == name).unwrap();
    let details = json!({"connection_url": url, "username": "u", "max_open_connections": 7});
    let expected = json!({
        "plugin_name": "postgresql-database-plugin", "allowed_roles": ["*"], "connection_details": details,
        "root_credentials_rotate_statements": ["x"],
    });
    assert_eq!(json!(found("pg").fields), expected);
    assert_eq!(found("my").fields["plugin_name"], "mysql-database-plugin");
    assert_eq!(found("my").place.to_string(), "db/config/my");
    assert_eq!(only(&inventory, Class::Engine).place.name, "db");
}

#[test]
fn seconds_in_a_text_are_a_number_and_a_role_is_in_its_mount() {
    let pki = json!({"backend": "pki", "name": "web", "ttl": "3600", "max_ttl": "72h", "not_before_duration": "30s"});
    let inventory = read(&[
        ("vault_pki_secret_backend_role", pki),
        ("vault_token_auth_backend_role", json!({"role_name": "ci", "allowed_policies": ["p"]})),
    ]);
    let pki = only(&inventory, Class::PkiRole);
    assert_eq!(json!(pki.fields), json!({"ttl": 3600, "max_ttl": 259_200, "not_before_duration": 30}));
    assert_eq!(only(&inventory, Class::Role).place.to_string(), "auth/token/roles/ci");
}

#[rstest]
#[case::split(json!(null), json!(["1", "2"]))]
#[case::whole(json!(true), json!("1, 2"))]
fn the_values_of_a_claim_are_split_as_the_provider_splits_them(
    #[case] disabled: Value,
    #[case] expected: Value,
) {
    let role = json!({
        "backend": "jwt", "role_name": "ci", "role_type": "jwt", "user_claim": "sub",
        "bound_claims": {"project": "1, 2", "ref": "main"}, "disable_bound_claims_parsing": disabled,
    });
    let inventory = read(&[("vault_jwt_auth_backend_role", role)]);
    let role = only(&inventory, Class::Role);
    assert_eq!(role.fields["bound_claims"], json!({"project": expected, "ref": "main"}));
    assert!(!role.fields.contains_key("disable_bound_claims_parsing"));
}

#[test]
fn no_secret_value_of_a_state_is_written() {
    let secret = "canary";
    let jwt = json!({
        "path": "oidc", "type": "oidc", "oidc_client_id": "id", "oidc_client_secret": secret, "tune": [],
        "provider_config": {"provider": "gsuite", "gsuite_service_account_private_key": secret},
    });
    let kubernetes = json!({"backend": "k8s", "kubernetes_host": "https://h", "token_reviewer_jwt": secret});
    let postgres =
        json!([{"connection_url": "postgresql://u:canary@h/db", "password": secret, "username": "u"}]);
    let connection =
        json!({"backend": "database", "name": "pg", "data": {"password": secret}, "postgresql": postgres});
    let mysql = json!([{"name": "my", "connection_url": "root:canary@tcp(h)/", "password": secret}]);
    let inventory = read(&[
        ("vault_jwt_auth_backend", jwt),
        ("vault_kubernetes_auth_backend_config", kubernetes),
        ("vault_auth_backend", json!({"path": "k8s", "type": "kubernetes", "tune": []})),
        ("vault_ldap_auth_backend", json!({"path": "ldap", "bindpass": secret, "client_tls_key": secret})),
        ("vault_database_secret_backend_connection", connection),
        ("vault_database_secrets_mount", json!({"path": "db", "mysql": mysql})),
        ("vault_kv_secret_v2", json!({"name": "x", "data_json": secret, "mount": "kv"})),
        ("vault_generic_secret", json!({"path": "x", "data": {"a": secret}})),
        ("vault_token", json!({"client_token": secret})),
        ("vault_aws_secret_backend", json!({"secret_key": secret})),
    ]);
    let import = manifests(inventory, &for_main());
    let (objects, report) = (format!("{:?}", import.objects), import.report.to_string());
    assert!(!objects.contains(secret) && !report.contains(secret), "{objects}\n{report}");
    for part in
        ["oidc_client_secret", "bindpass", "token_reviewer_jwt", "connection URL", "vault_aws_secret_backend"]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
}

#[test]
fn issuers_have_the_names_and_settings_of_the_resources_that_manage_them() {
    let root = json!({
        "backend": "pki/", "type": "internal", "common_name": "Example CA", "issuer_id": "r-1", "issuer_name": "",
        "certificate": ROOT, "issuing_ca": ROOT, "serial_number": "1:2", "key_id": "k",
    });
    let settings = json!({
        "backend": "pki", "issuer_ref": "r-1", "issuer_id": "r-1", "issuer_name": "root", "usage": "read-only",
        "manual_chain": null, "leaf_not_after_behavior": "",
    });
    let signed = json!({"backend": "int", "certificate": format!("{INTERMEDIATE}{ROOT}"), "imported_issuers": ["i-1", "i-2"]});
    let inventory = read(&[
        ("vault_pki_secret_backend_root_cert", root),
        ("vault_pki_secret_backend_issuer", settings),
        ("vault_pki_secret_backend_config_issuers", json!({"backend": "pki", "default": "r-1"})),
        ("vault_pki_secret_backend_intermediate_cert_request", json!({"backend": "int", "csr": "c"})),
        ("vault_pki_secret_backend_root_sign_intermediate", json!({"backend": "pki", "csr": "c"})),
        ("vault_pki_secret_backend_intermediate_set_signed", signed),
        (
            "vault_pki_secret_backend_issuer",
            json!({"backend": "int", "issuer_ref": "i-1", "issuer_name": "web"}),
        ),
    ]);
    let import = manifests(inventory, &for_main());
    assert!(import.report.findings.is_empty(), "{}", import.report);
    let (web, root) = (&import.objects[0]["spec"], &import.objects[1]["spec"]);
    assert_eq!(
        (&root["mount"], &root["issuerName"], &root["default"]),
        (&json!("pki"), &json!("root"), &json!(true))
    );
    assert_eq!(root["parameters"], json!({"usage": "read-only"}));
    assert_eq!(
        (&web["issuerName"], &web["intermediate"]["parentRef"]["name"]),
        (&json!("web"), &json!("pki-root"))
    );
}

#[test]
fn an_issuer_without_a_name_in_the_state_is_reported() {
    let root = json!({"backend": "pki", "issuer_id": "r-1", "certificate": ROOT});
    let import = manifests(read(&[("vault_pki_secret_backend_root_cert", root)]), &Settings::default());
    assert!(import.objects.is_empty() && import.report.needs_review(), "{}", import.report);
    assert!(import.report.to_string().contains("pki/issuer/r-1"), "{}", import.report);
}

#[test]
fn a_secrets_engine_has_the_configurations_of_other_resources() {
    let crl = json!({
        "id": "pki/config/crl", "backend": "pki", "expiry": "48h", "disable": false, "ocsp_expiry": "", "auto_rebuild": true,
        "unified_crl": false, "max_crl_entries": 100_000,
    });
    let urls =
        json!({"backend": "pki", "issuing_certificates": ["http://ca.example.com"], "ocsp_servers": []});
    let inventory = read(&[
        ("vault_mount", json!({"path": "pki", "type": "pki"})),
        ("vault_pki_secret_backend_crl_config", crl),
        ("vault_pki_secret_backend_config_urls", urls),
        (
            "vault_pki_secret_backend_config_cluster",
            json!({"backend": "pki", "path": "https://bao", "aia_path": ""}),
        ),
    ]);
    let import = manifests(inventory, &for_main());
    let expected = json!([
        {"path": "cluster", "parameters": {"path": "https://bao"}},
        {"path": "crl", "parameters": {"expiry": "48h", "auto_rebuild": true}},
        {"path": "urls", "parameters": {"issuing_certificates": ["http://ca.example.com"]}},
    ]);
    assert_eq!(import.objects[0]["spec"]["configs"], expected);
    assert!(!import.report.needs_review(), "{}", import.report);
}
