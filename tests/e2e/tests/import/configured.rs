//! An OpenBao that was configured by hand: resources of all kinds, in the root namespace and two namespaces below it.

use anyhow::{Context, Result};
use serde_json::json;
use steamer_openbao::Session;
use steamer_testing::database::{CREATION, Connection, engine, url};
use steamer_testing::openbao::mount_kv;

use super::authorities::authorities;
use super::requests::{get, post};
use crate::fixture::Case;

/// Text that is part of every secret value.
pub const CANARY: &str = "canary";

/// A mount, and its type in a manifest.
pub const ENGINES: [(&str, &str); 8] = [
    ("hand-kv1", "kv-v1"),
    ("hand-kv2", "kv-v2"),
    ("hand/nested", "kv-v2"),
    ("hand-transit", "transit"),
    ("hand-db", "database"),
    ("hand-pki", "pki"),
    ("hand-intermediate", "pki"),
    ("hand-ssh", "ssh"),
];

/// Number of resources by kind, without the auth mount `kubernetes` of the test ground.
pub const COUNTS: [(&str, usize); 12] = [
    ("AuthMethod", 7),
    ("BaoAuthRole", 16),
    ("BaoNamespace", 2),
    ("BaoPolicy", 12),
    ("BaoRateLimitQuota", 2),
    ("DatabaseConnection", 1),
    ("DatabaseRole", 4),
    ("IdentityGroup", 6),
    ("PKIIssuer", 2),
    ("PKIRole", 3),
    ("SecretEngine", 10),
    ("TransitKey", 5),
];

/// Configures an OpenBao.
pub async fn configure(case: &Case) -> Result<()> {
    let root = case.admin()?;
    for (name, metadata) in [("team", json!({"owner": "platform"})), ("team/sub", json!({}))] {
        let (parent, name) = name.rsplit_once('/').unwrap_or(("", name));
        post(&root.within(parent), &format!("sys/namespaces/{name}"), json!({"custom_metadata": metadata}))
            .await?;
    }
    policies(&root).await?;
    engines(case, &root).await?;
    methods(&root).await?;
    groups(&root).await?;
    quotas(&root).await?;
    team(&root.within("team")).await?;
    sub(&root.within("team/sub")).await
}

async fn policies(root: &Session) -> Result<()> {
    let hcl = "# Read one application.\npath \"hand-kv2/data/app/*\" {\n  capabilities = [\"read\"]\n}\n";
    let json = json!({"path": {"hand-kv2/data/+/x": {"capabilities": ["read", "list"]}}}).to_string();
    let limited = "path \"auth/hand-approle/role/*\" {\n  capabilities = [\"update\"]\n  allowed_parameters = {\n    \"token_ttl\" = [\"1h\"]\n  }\n}\n";
    for (name, text) in [
        ("hand-app", hcl),
        ("hand/ops", hcl),
        ("hand_ops", hcl),
        ("hand-json", json.as_str()),
        ("hand-limited", limited),
        ("hand-wide", "path \"hand-transit/*\" { capabilities = [\"create\", \"update\"] }"),
    ] {
        post(root, &format!("sys/policies/acl/{name}"), json!({"policy": text})).await?;
    }
    let deny = json!({
        "policy": "path \"sys/*\" { capabilities = [\"deny\"] }", "expiration": "2090-01-02T03:04:05.6+02:00",
        "allow_slashes_in_identity_templates": true, "cas_required": true, "cas": -1,
    });
    post(root, "sys/policies/acl/hand-deny", deny).await.map(drop)
}

async fn engines(case: &Case, root: &Session) -> Result<()> {
    mount_kv(root, "hand-kv2").await?;
    mount_kv(root, "hand/nested").await?;
    for (path, body) in [
        ("hand-kv1", json!({"type": "kv", "description": "first"})),
        ("hand-transit", json!({"type": "transit"})),
        (
            "hand-pki",
            json!({"type": "pki", "config": {"max_lease_ttl": "2160h", "default_lease_ttl": "72h"}}),
        ),
        (
            "hand-intermediate",
            json!({"type": "pki", "config": {"max_lease_ttl": "2160h", "force_no_cache": true}}),
        ),
        ("hand-ssh", json!({"type": "ssh"})),
    ] {
        post(root, &format!("sys/mounts/{path}"), body).await?;
    }
    let tune = json!({
        "description": "second", "listing_visibility": "unauth", "max_lease_ttl": "48h",
        "passthrough_request_headers": ["X-Hand"], "allowed_response_headers": ["X-Hand"],
        "audit_non_hmac_request_keys": ["path"], "audit_non_hmac_response_keys": ["version"],
    });
    post(root, "sys/mounts/hand-kv2/tune", tune).await?;
    post(root, "hand-kv2/config", json!({"max_versions": 5, "cas_required": false})).await?;
    post(root, "hand-kv2/data/app", json!({"data": {"password": "canary-kv2"}})).await?;
    post(root, "hand-kv1/roles/app", json!({"password": "canary-kv1"})).await?;
    for (name, body) in [
        ("plain", json!({})),
        ("rotated", json!({"auto_rotate_period": "720h", "exportable": true})),
        ("signing", json!({"type": "ed25519"})),
        ("rsa", json!({"type": "rsa-2048"})),
    ] {
        post(root, &format!("hand-transit/keys/{name}"), body).await?;
    }
    for (name, body) in [
        ("web", json!({"allowed_domains": ["example.com"], "allow_subdomains": true, "max_ttl": "720h"})),
        (
            "client",
            json!({
                "allow_any_name": true, "server_flag": false, "key_type": "ec", "key_bits": 256, "enforce_hostnames": false,
                "key_usage": [], "ext_key_usage": ["CodeSigning"], "allow_ip_sans": false, "issuer_ref": "other",
            }),
        ),
        ("plain", json!({})),
    ] {
        post(root, &format!("hand-pki/roles/{name}"), body).await?;
    }
    authorities(root).await?;
    post(root, "hand-ssh/roles/ops", json!({"key_type": "ca", "allow_user_certificates": true})).await?;
    post(root, "hand-ssh/config/zeroaddress", json!({"roles": ["ops"]})).await?;
    post(root, "hand-transit/config/keys", json!({"disable_upsert": true})).await?;
    databases(case, root).await
}

async fn databases(case: &Case, root: &Session) -> Result<()> {
    case.ground
        .postgres
        .run("postgres", "DROP ROLE IF EXISTS import_static; CREATE ROLE import_static LOGIN")?;
    let url = url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    // PostgreSQL of the tests accepts every password.
    engine(root, "hand-db", Connection { url: &url, user: "postgres", password: "canary-database" }).await?;
    for (name, body) in [
        ("app", json!({"default_ttl": "1h", "max_ttl": "24h"})),
        ("read_only", json!({"revocation_statements": ["DROP ROLE IF EXISTS \"{{name}}\";"]})),
        ("plain", json!({})),
    ] {
        let mut role = json!({"db_name": "postgres", "creation_statements": [CREATION]});
        role.as_object_mut().context("a role")?.extend(body.as_object().cloned().unwrap_or_default());
        post(root, &format!("hand-db/roles/{name}"), role).await?;
    }
    let role = json!({"db_name": "postgres", "username": "import_static", "rotation_period": "24h"});
    post(root, "hand-db/static-roles/app-static", role).await.map(drop)
}

async fn methods(root: &Session) -> Result<()> {
    let key = public_key();
    for (path, type_) in [
        ("hand-jwt", "jwt"),
        ("hand-approle", "approle"),
        ("hand-cert", "cert"),
        ("hand-userpass", "userpass"),
        ("hand-kubernetes", "kubernetes"),
    ] {
        let config = json!({"default_lease_ttl": "2h"});
        post(
            root,
            &format!("sys/auth/{path}"),
            json!({"type": type_, "description": "by hand", "config": config}),
        )
        .await?;
    }
    let jwt = json!({"jwt_validation_pubkeys": [key], "bound_issuer": "https://issuer.example.com"});
    post(root, "auth/hand-jwt/config", jwt).await?;
    let kubernetes = json!({
        "kubernetes_host": "https://kubernetes.example.com", "token_reviewer_jwt": "canary-reviewer",
        "kubernetes_ca_cert": certificate()?, "disable_local_ca_jwt": true,
    });
    post(root, "auth/hand-kubernetes/config", kubernetes).await?;
    roles(root).await
}

async fn roles(root: &Session) -> Result<()> {
    let bound = json!({"bound_service_account_names": ["web"], "bound_service_account_namespaces": ["web", "web-test"]});
    let ci = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["bao"], "bound_claims": {"project": ["1", "2"]}});
    for (path, body) in [
        ("auth/hand-kubernetes/role/web", bound.clone()),
        ("auth/hand-kubernetes/role/bound", bound.clone()),
        ("auth/hand-kubernetes/role/limited", bound),
        ("auth/hand-jwt/role/ci", ci.clone()),
        ("auth/hand-jwt/role/deploy", ci),
        ("auth/hand-approle/role/app", json!({"secret_id_ttl": "1h", "secret_id_num_uses": 3})),
        ("auth/hand-approle/role/plain", json!({})),
        ("auth/hand-cert/certs/web", json!({"certificate": certificate()?, "allowed_common_names": ["web"]})),
        ("auth/hand-userpass/users/alice", json!({"password": "canary-alice"})),
        ("auth/hand-userpass/users/bob", json!({"password": "canary-bob"})),
    ] {
        let mut body = body;
        body["token_policies"] = json!(["hand-app"]);
        body["token_ttl"] = json!("30m");
        post(root, path, body).await?;
    }
    for name in ["ci", "batch"] {
        let role = json!({"allowed_policies": ["hand-app"], "orphan": name == "ci", "token_period": "24h"});
        post(root, &format!("auth/token/roles/{name}"), role).await?;
    }
    Ok(())
}

/// A public key in PEM.
fn public_key() -> &'static str {
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEITyqNTM+kciZ1df4W7Sx82DIftcl\nILmEuIKwWpb74eczK1fu8ptYxP4+n9qWSbO8tjhRgX/rdmsdFee5OgnNrA==\n-----END PUBLIC KEY-----"
}

fn certificate() -> Result<String> {
    Ok(steamer_testing::certificates::Authority::new("import")?.pem)
}

async fn groups(root: &Session) -> Result<()> {
    let entity = post(root, "identity/entity", json!({"name": "alice"})).await?;
    let internal = json!({
        "name": "Developers", "policies": ["hand-app"], "metadata": {"team": "a"},
        "member_entity_ids": [entity["data"]["id"]],
    });
    let developers = post(root, "identity/group", internal).await?;
    let nested = json!({"name": "everyone", "member_group_ids": [developers["data"]["id"]]});
    post(root, "identity/group", nested).await?;
    post(root, "identity/group", json!({"name": "plain"})).await?;
    let methods = get(root, "sys/auth").await?;
    for name in ["oncall", "auditors"] {
        let group = json!({"name": name, "type": "external", "policies": ["hand-json"]});
        let group = post(root, "identity/group", group).await?;
        let alias = json!({
            "name": format!("claims/{name}"), "mount_accessor": methods["hand-jwt/"]["accessor"],
            "canonical_id": group["data"]["id"],
        });
        post(root, "identity/group-alias", alias).await?;
    }
    Ok(())
}

async fn quotas(root: &Session) -> Result<()> {
    post(root, "sys/quotas/rate-limit/hand", json!({"rate": 100_000.5, "interval": "1m"})).await?;
    post(root, "sys/quotas/rate-limit/hand-kv", json!({"rate": 5000, "path": "hand-kv2"})).await.map(drop)
}

async fn team(team: &Session) -> Result<()> {
    for name in ["hand-app", "reader", "writer"] {
        let policy = json!({"policy": "path \"kv/*\" { capabilities = [\"read\"] }"});
        post(team, &format!("sys/policies/acl/{name}"), policy).await?;
    }
    post(team, "sys/mounts/transit", json!({"type": "transit"})).await?;
    post(team, "transit/keys/key", json!({})).await?;
    post(team, "sys/auth/approle", json!({"type": "approle"})).await?;
    for name in ["app", "ci"] {
        post(team, &format!("auth/approle/role/{name}"), json!({"token_policies": ["reader"]})).await?;
    }
    post(team, "identity/group", json!({"name": "team", "policies": ["reader"]})).await.map(drop)
}

async fn sub(sub: &Session) -> Result<()> {
    for name in ["hand-app", "reader"] {
        let policy = json!({"policy": "path \"kv/*\" { capabilities = [\"read\"] }"});
        post(sub, &format!("sys/policies/acl/{name}"), policy).await?;
    }
    mount_kv(sub, "kv").await?;
    post(sub, "sys/auth/approle", json!({"type": "approle"})).await?;
    for name in ["app", "ci"] {
        post(sub, &format!("auth/approle/role/{name}"), json!({"token_policies": ["reader"]})).await?;
    }
    Ok(())
}
