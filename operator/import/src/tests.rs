//! Objects for resources as OpenBao 2.7 returns them.

use rstest::rstest;
use serde_json::{Value, json};

use crate::inventory::Inventory;
use crate::manifests::{Import, manifests};
use crate::resource::{Class, Fields, Place, Resource};
use crate::settings::Settings;

fn resource(place: Place, method: &str, fields: &Value) -> Resource {
    let fields: Fields = fields.as_object().cloned().unwrap_or_default();
    Resource { place, method: method.to_owned(), fields }
}

fn imported(resources: Vec<Resource>) -> Import {
    let mut inventory = Inventory::default();
    resources.into_iter().for_each(|resource| inventory.add(resource));
    manifests(inventory, &Settings { cluster: "main".to_owned(), ..Settings::default() })
}

/// The only object, without the fields that all objects have.
fn object(resource: Resource) -> (String, Value) {
    let import = imported(vec![resource]);
    assert_eq!(import.objects.len(), 1);
    let mut object = import.objects[0].clone();
    let spec = object["spec"].as_object_mut().unwrap();
    assert_eq!(spec.remove("clusterRef"), Some(json!({"name": "main"})));
    assert_eq!(spec.remove("adopt"), Some(json!("IfUnowned")));
    (object["kind"].as_str().unwrap().to_owned(), object["spec"].clone())
}

fn mount(type_: &str, more: &Value) -> Value {
    let mut mount = json!({
        "accessor": "a_1", "config": {"default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0},
        "deprecation_status": "supported", "description": "", "external_entropy_access": false, "local": false,
        "options": {}, "plugin_version": "", "running_plugin_version": "v2.7.2+builtin.bao", "running_sha256": "",
        "seal_wrap": false, "type": type_, "uuid": "0",
    });
    for (field, value) in more.as_object().unwrap() {
        mount[field] = value.clone();
    }
    mount
}

#[test]
fn a_mount_with_defaults_has_only_its_path_and_type() {
    let place = Place::new(Class::Engine, "", "pki");
    let (kind, spec) = object(resource(place, "pki", &mount("pki", &json!({}))));
    assert_eq!((kind.as_str(), spec), ("SecretEngine", json!({"path": "pki", "type": "pki"})));
}

#[test]
fn a_mount_of_a_plugin_has_the_version_that_openbao_recorded() {
    let config = json!({"default_lease_ttl": 0, "force_no_cache": true, "max_lease_ttl": 0});
    let recorded = json!({"plugin_version": "v1.1.0", "running_plugin_version": "v1.0.0", "config": config});
    let place = Place::new(Class::Engine, "", "plugin");
    let (_, spec) = object(resource(place, "my-plugin", &mount("my-plugin", &recorded)));
    let expected =
        json!({"path": "plugin", "type": "my-plugin", "pluginVersion": "v1.1.0", "forceNoCache": true});
    assert_eq!(spec, expected);
    let recorded = json!({"plugin_version": "latest", "running_plugin_version": "v1.0.0"});
    let place = Place::new(Class::Method, "", "plugin");
    let (_, spec) = object(resource(place, "my-plugin", &mount("my-plugin", &recorded)));
    assert_eq!(spec, json!({"path": "plugin", "type": "my-plugin", "pluginVersion": "latest"}));
}

#[test]
fn what_openbao_creates_and_what_steamer_owns_is_left_out() {
    let marked = json!({"description": "managed by Steamer: i/SecretEngine/ns/kv"});
    let owned = json!({"path": {"kv/*": {"capabilities": ["read"], "comment": "managed by Steamer: i/BaoPolicy/ns/a"}}});
    let metadata = json!({"custom_metadata": {"managed-by": "steamer", "owner": "i/SecretsTenant/ns/a"}});
    let import = imported(vec![
        resource(Place::new(Class::Policy, "", "root"), "", &json!({"policy": ""})),
        resource(Place::new(Class::Policy, "team", "default"), "", &json!({"policy": ""})),
        resource(Place::new(Class::Policy, "", "steamer"), "", &json!({"policy": ""})),
        resource(Place::new(Class::Policy, "", "a"), "", &json!({"policy": owned.to_string()})),
        resource(Place::new(Class::Engine, "", "sys/"), "", &mount("system", &json!({}))),
        resource(Place::new(Class::Engine, "", "kv/"), "kv-v2", &mount("kv", &marked)),
        resource(Place::new(Class::Method, "", "token/"), "token", &mount("token", &json!({}))),
        resource(
            Place::new(Class::Role, "", "steamer").inside("kubernetes", "role"),
            "kubernetes",
            &json!({}),
        ),
        resource(Place::new(Class::Namespace, "", "org_1"), "", &metadata),
    ]);
    assert_eq!((import.objects, import.report.objects), (Vec::new(), 0));
}

#[test]
fn a_resource_of_a_child_namespace_names_it() {
    let place = Place::new(Class::Policy, "team/a/", "app");
    let settings = Settings {
        cluster: "main".to_owned(),
        cluster_namespace: Some("openbao".to_owned()),
        kubernetes_namespace: Some("vault".to_owned()),
        observe: true,
    };
    let mut inventory = Inventory::default();
    inventory.add(resource(place, "", &json!({"policy": "path \"a\" {}"})));
    let import = manifests(inventory, &settings);
    assert_eq!(
        import.objects,
        [json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "BaoPolicy", "metadata": {"name": "team-a-app", "namespace": "vault"},
            "spec": {
                "clusterRef": {"name": "main", "namespace": "openbao"}, "adopt": "IfUnowned", "mode": "Observe",
                "namespace": "team/a", "name": "app", "policy": "path \"a\" {}",
            },
        })]
    );
}

#[test]
fn a_policy_keeps_its_parameters() {
    let fields = json!({
        "name": "app", "policy": "path \"a\" {}", "version": 3, "modified": "2026-01-02T03:04:05Z", "cas_required": true,
        "allow_slashes_in_identity_templates": false, "expiration": "2090-01-02T03:04:05Z",
    });
    let (_, spec) = object(resource(Place::new(Class::Policy, "", "app"), "", &fields));
    let parameters = json!({"cas_required": true, "expiration": "2090-01-02T03:04:05Z"});
    assert_eq!(spec, json!({"name": "app", "policy": "path \"a\" {}", "parameters": parameters}));
}

#[test]
fn a_role_of_a_database_refers_to_the_object_of_its_connection() {
    let details = json!({"connection_url": "postgresql://{{username}}:{{password}}@h/db", "username": "u"});
    let connection = json!({"plugin_name": "postgresql-database-plugin", "allowed_roles": ["*"], "connection_details": details});
    let role = json!({
        "db_name": "My_DB", "creation_statements": ["CREATE"], "credential_type": "password", "default_ttl": 3600, "max_ttl": 0,
    });
    let import = imported(vec![
        resource(Place::new(Class::DynamicRole, "", "app").inside("database", "roles"), "database", &role),
        resource(
            Place::new(Class::Connection, "", "My_DB").inside("database/", "config"),
            "database",
            &connection,
        ),
    ]);
    let spec = |kind: &str| import.objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
    assert_eq!(spec("DatabaseConnection")["metadata"]["name"], "database-my-db");
    assert_eq!(spec("DatabaseRole")["spec"]["connectionRef"]["name"], "database-my-db");
    assert!(!import.report.needs_review(), "{}", import.report);
}

#[test]
fn no_password_of_a_connection_is_written() {
    let connection = |name: &str, plugin: &str| {
        let details = json!({"connection_url": "postgresql://u:canary@h/db", "password": "canary", "tls_certificate_key": "canary"});
        let connection = json!({"plugin_name": plugin, "connection_details": details});
        resource(
            Place::new(Class::Connection, "", name).inside("database", "config"),
            "database",
            &connection,
        )
    };
    let import = imported(vec![connection("a", "postgresql-database-plugin"), connection("b", "custom")]);
    // PostgreSQL needs the URL, so the object of the first one would be refused.
    assert_eq!((import.objects.len(), import.report.objects), (1, 2), "{}", import.report);
    assert_eq!(import.objects[0]["spec"]["allowedRoles"], json!([]));
    assert!(import.report.needs_review());
    let everything = format!("{:?} {}", import.objects, import.report);
    assert!(!everything.contains("canary"), "{everything}");
}

#[test]
fn the_auth_method_of_the_operator_is_left_out_and_named() {
    let role = |mount: &str, name: &str| {
        let fields = json!({"bound_service_account_names": ["a"], "bound_service_account_namespaces": ["b"]});
        resource(Place::new(Class::Role, "", name).inside(mount, "role"), "kubernetes", &fields)
    };
    let method = |path: &str| {
        resource(Place::new(Class::Method, "", path), "kubernetes", &mount("kubernetes", &json!({})))
    };
    let import = imported(vec![
        method("kubernetes"),
        method("apps"),
        role("kubernetes", "steamer"),
        role("kubernetes", "web"),
        role("apps", "web"),
    ]);
    let names: Vec<&Value> = import.objects.iter().map(|object| &object["metadata"]["name"]).collect();
    assert_eq!(names, ["apps", "apps-web", "kubernetes-web"]);
    assert!(
        import.report.to_string().contains("sys/auth/kubernetes\n  note: the operator logs in"),
        "{}",
        import.report
    );
}

#[test]
fn a_kubernetes_role_is_stated_in_its_block() {
    let fields = json!({
        "bound_service_account_names": ["a"], "bound_service_account_namespaces": ["b"],
        "alias_name_source": "serviceaccount_uid", "token_type": "default",
    });
    let place = Place::new(Class::Role, "", "web").inside("kubernetes", "role");
    let (kind, spec) = object(resource(place, "kubernetes", &fields));
    assert_eq!(kind, "BaoAuthRole");
    assert!(spec["kubernetes"].is_object() && spec["method"].is_null(), "{spec}");
}

#[test]
fn a_role_of_a_database_is_not_written_without_its_connection() {
    let role = json!({"db_name": "pg", "creation_statements": ["CREATE"]});
    let details = json!({"connection_url": "postgresql://u:canary@h/db"});
    let connection = json!({"plugin_name": "postgresql-database-plugin", "connection_details": details});
    let place =
        |class: Class, name: &str, folder: &str| Place::new(class, "", name).inside("database", folder);
    let import = imported(vec![
        resource(place(Class::DynamicRole, "app", "roles"), "database", &role),
        resource(place(Class::Connection, "pg", "config"), "database", &connection),
    ]);
    assert!(import.objects.is_empty(), "{:?}", import.objects);
    let report = import.report.to_string();
    assert!(report.contains("database/roles/app\n  review: its connection is not imported"), "{report}");
}

#[test]
fn a_statement_with_a_password_is_not_written() {
    let details = json!({"connection_url": "postgresql://{{username}}:{{password}}@h/db", "username": "u"});
    let connection = json!({"plugin_name": "postgresql-database-plugin", "connection_details": details});
    let role = json!({"db_name": "pg", "creation_statements": ["CREATE ROLE a PASSWORD 'canary'"]});
    let place =
        |class: Class, name: &str, folder: &str| Place::new(class, "", name).inside("database", folder);
    let import = imported(vec![
        resource(place(Class::DynamicRole, "app", "roles"), "database", &role),
        resource(place(Class::Connection, "pg", "config"), "database", &connection),
    ]);
    let kinds: Vec<&Value> = import.objects.iter().map(|object| &object["kind"]).collect();
    assert_eq!(kinds, ["DatabaseConnection"]);
    let everything = format!("{:?} {}", import.objects, import.report);
    assert!(!everything.contains("canary") && import.report.needs_review(), "{everything}");
}

#[test]
fn a_role_keeps_claims_with_the_names_of_secret_parameters() {
    let fields = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_claims": {"token": "deploy"}, "bound_subject": "user:a@example.com",
        "claim_mappings": {"key": "key"},
    });
    let place = Place::new(Class::Role, "", "ci").inside("jwt", "role");
    let import = imported(vec![resource(place, "jwt", &fields)]);
    assert!(!import.report.needs_review(), "{}", import.report);
    let spec = import.objects[0]["spec"].to_string();
    for kept in [r#""token":["deploy"]"#, "user:a@example.com", r#""key":"key""#] {
        assert!(spec.contains(kept), "{kept}: {spec}");
    }
}

#[test]
fn a_secret_that_a_change_removes_has_to_be_reviewed() {
    let config = json!({"kubernetes_host": "https://h", "token_reviewer_jwt_set": true});
    let fields = mount("kubernetes", &json!({"config_of_method": config}));
    let import = imported(vec![resource(Place::new(Class::Method, "", "apps"), "kubernetes", &fields)]);
    assert_eq!(import.objects.len(), 1);
    assert!(import.report.needs_review(), "{}", import.report);
    assert!(import.report.to_string().contains("token_reviewer_jwt"), "{}", import.report);
}

const ROOT: &str = include_str!("../../provisioning/testdata/root.pem");
const INTERMEDIATE: &str = include_str!("../../provisioning/testdata/intermediate.pem");

/// An issuer as OpenBao returns it. Without a name, its place has its ID.
fn issuer(name: &str, certificate: &str, more: &Value) -> Resource {
    let mut fields = json!({
        "ca_chain": [certificate], "certificate": certificate, "crl_distribution_points": [],
        "delta_crl_distribution_points": [], "issuer_id": "0-1", "issuer_name": name, "issuing_certificates": [],
        "key_id": "2-3", "leaf_not_after_behavior": "err", "manual_chain": null, "ocsp_servers": [],
        "revocation_signature_algorithm": "SHA256WithRSA", "revoked": false,
        "usage": "crl-signing,issuing-certificates,ocsp-signing,read-only",
    });
    for (field, value) in more.as_object().unwrap() {
        fields[field] = value.clone();
    }
    let shown = if name.is_empty() { "0-1" } else { name };
    resource(Place::new(Class::Issuer, "", shown).inside("pki", "issuer"), "pki", &fields)
}

#[test]
fn a_root_states_the_contents_of_its_certificate() {
    let more = json!({
        "default": true, "leaf_not_after_behavior": "truncate", "ocsp_servers": ["http://ocsp.example.com"],
    });
    let (kind, spec) = object(issuer("root", ROOT, &more));
    let expected = json!({
        "mount": "pki", "issuerName": "root", "default": true, "parameters": {"leaf_not_after_behavior": "truncate"},
        "root": {"commonName": "Example CA", "keyType": "rsa", "keyBits": 2048, "ttl": spec["root"]["ttl"]},
        "urls": {"ocspServers": ["http://ocsp.example.com"]},
    });
    assert_eq!((kind.as_str(), spec), ("PKIIssuer", expected));
}

#[test]
fn an_intermediate_names_the_object_of_its_parent() {
    let import = imported(vec![
        issuer("int", INTERMEDIATE, &json!({})),
        issuer("root", ROOT, &json!({"issuing_certificates": ["{{cluster_aia_path}}/ca"]})),
    ]);
    assert_eq!(import.objects.len(), 2, "{}", import.report);
    let block = &import.objects[0]["spec"]["intermediate"];
    assert_eq!(block["parentRef"], json!({"name": "pki-root"}));
    assert_eq!((&block["keyType"], &block["keyBits"]), (&json!("ec"), &json!(256)));
    // The fields accept no templates.
    let root = &import.objects[1]["spec"];
    assert_eq!(root["parameters"]["issuing_certificates"], json!(["{{cluster_aia_path}}/ca"]));
    assert!(root["urls"].is_null() && !import.report.needs_review(), "{root} {}", import.report);
}

#[rstest]
#[case::without_parent("int", INTERMEDIATE, json!({}), "note: the authority that signed this issuer")]
#[case::without_key("root", ROOT, json!({"key_id": ""}), "note: the key of this issuer is not in OpenBao")]
#[case::revoked("root", ROOT, json!({"revoked": true}), "note: the issuer is revoked")]
#[case::without_name("", ROOT, json!({}), "review: the issuer has no name")]
#[case::reserved("ca-next", ROOT, json!({}), "review: the name of the issuer is reserved")]
#[case::unreadable("root", "x", json!({}), "review: the certificate of the issuer cannot be read")]
fn an_issuer_that_no_object_can_adopt_is_reported(
    #[case] name: &str,
    #[case] certificate: &str,
    #[case] more: Value,
    #[case] expected: &str,
) {
    let import = imported(vec![issuer(name, certificate, &more)]);
    assert!(import.objects.is_empty(), "{:?}", import.objects);
    assert!(import.report.to_string().contains(expected), "{}", import.report);
}

#[test]
fn a_secrets_engine_lists_its_configurations() {
    let configs = json!({"keys": {"disable_upsert": true}});
    let place = Place::new(Class::Engine, "", "transit");
    let fields = mount("transit", &json!({"configs_of_engine": configs}));
    let (_, spec) = object(resource(place, "transit", &fields));
    assert_eq!(spec["configs"], json!([{"path": "keys", "parameters": {"disable_upsert": true}}]));
}
