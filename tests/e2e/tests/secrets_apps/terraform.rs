//! Adoption of what the Terraform modules of the guide create.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use steamer_testing::wait::eventually;

use super::scene::{Apps, account, app, log_in};

const CREATION: [&str; 2] = [
    "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
    "GRANT erp_role TO \"{{name}}\";",
];
const REVOCATION: [&str; 2] =
    ["REASSIGN OWNED BY \"{{name}}\" TO erp_role;", "REVOKE ALL ON DATABASE shared FROM \"{{name}}\";"];

/// The resources of the application `erp`, as the modules write them. Returns the ID of a member of the group.
async fn created(apps: &Apps) -> Result<Value> {
    let scene = &apps.scene;
    let runtime = "path \"kvv2/data/erp/*\" { capabilities = [\"read\", \"list\"] }\n\
                   path \"postgres/creds/erp*\" { capabilities = [\"read\"] }";
    scene.post("sys/policies/acl/erp", json!({"policy": runtime})).await?;
    let ops = "path \"kvv2/data/erp/*\" { capabilities = [\"create\"] }";
    scene.post("sys/policies/acl/erp-ops", json!({"policy": ops})).await?;
    let pods = json!({
        "bound_service_account_names": ["erp"], "bound_service_account_namespaces": ["erp"], "token_ttl": 3600,
        "token_policies": ["erp", "default"], "audience": "vault",
    });
    scene.post("auth/kubernetes/role/erp", pods).await?;
    let database =
        json!({"db_name": "db", "creation_statements": CREATION, "revocation_statements": REVOCATION});
    scene.post("postgres/roles/erp", database).await?;
    let jobs = json!({
        "role_type": "jwt", "user_claim": "email", "bound_audiences": ["gitea"], "token_policies": ["default", "erp-ops"],
    });
    scene.post("auth/gitea_jwt/role/gitea_cicd_erp", jobs).await?;
    let entity = scene.post("identity/entity", json!({"name": "jane"})).await?["data"]["id"].take();
    let group = json!({"name": "erp-ops", "type": "internal", "policies": ["erp-ops"], "member_entity_ids": [entity]});
    scene.post("identity/group", group).await?;
    Ok(entity)
}

/// Only what differs is written: the policies, the claims of the jobs, and the check of the owner role.
pub async fn is_adopted(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let member = created(apps).await?;
    apps.owner_role("erp_role")?;
    account(scene, ("erp", "erp")).await?;
    let database = json!({
        "connectionRef": {"name": "db"}, "database": "shared", "creationStatements": CREATION, "revocationStatements": REVOCATION,
    });
    let ci = json!({"audiences": ["gitea"], "boundClaims": {"repository": ["example/erp"]}});
    scene.apply("SecretsApp", "erp", app(json!({"database": database, "ci": ci, "mode": "Observe"}))).await?;
    scene.ready("SecretsApp", "erp", "False/Conflict").await?;
    scene.change("SecretsApp", "erp", json!({"spec": {"adopt": "IfUnowned"}})).await?;
    let object = scene.ready("SecretsApp", "erp", "True/Drifted").await?;
    let plan = object.pointer("/status/plan").and_then(Value::as_array).context("no plan")?;
    let planned: Vec<_> =
        plan.iter().map(|it| format!("{} {}", it["operation"], it["path"]).replace('"', "")).collect();
    let expected = [
        "Update sys/policies/acl/erp",
        "Update sys/policies/acl/erp-ops",
        "Update auth/gitea_jwt/role/gitea_cicd_erp",
        "Create postgres/static-roles/erp.owner",
    ];
    ensure!(planned == expected, "{planned:?}");
    let before = scene.writes()?;
    scene.change("SecretsApp", "erp", json!({"spec": {"mode": "Enforce"}})).await?;
    scene.ready("SecretsApp", "erp", "True/Applied").await?;
    assert_eq!(scene.writes()?, before + expected.len(), "the adoption made other writes");
    let group = scene.state("identity/group/name/erp-ops").await?.context("no group")?;
    ensure!(group["member_entity_ids"] == json!([member]), "{group}");
    // The audience alone does not admit a job any more.
    let token = apps.token("repo:example/web", "gitea")?;
    ensure!(log_in(scene, ("gitea_jwt", "gitea_cicd_erp"), &token).await.is_err());
    scene.delete("SecretsApp", "erp").await?;
    scene.becomes("auth/kubernetes/role/erp", None).await?;
    eventually("the connection allows the roles of the other applications only", || async {
        let config = scene.state("postgres/config/db").await.map_err(|error| format!("{error:#}"))?;
        let seen = config.unwrap_or_default()["allowed_roles"].take();
        if seen == json!(["web", "web.owner", "webapp", "webapp.owner"]) {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await
}
