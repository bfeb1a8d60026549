use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use reqwest::Method;
use serde_json::json;
use steamer_api::BaoStaticSecret;
use steamer_testing::wait::eventually;

use crate::cases::Case;

#[tokio::test]
async fn a_value_becomes_a_secret_and_follows_its_change() -> Result<()> {
    let case = Case::new("static-basic").await?;
    engine(&case, "static-basic").await?;
    case.admin()?.write_kv2("static-basic", "app", &json!({"password": "one", "port": 5432})).await?;
    case.object("BaoAuth", "default", auth("static-basic")).await?;
    let spec = json!({
        "mount": "static-basic", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let secrets = case.api::<Secret>();
    let secret = secrets.get("app").await?;
    let data = secret.data.unwrap_or_default();
    assert_eq!(data["password"].0, b"one");
    assert_eq!(data["port"].0, b"5432");
    case.admin()?.write_kv2("static-basic", "app", &json!({"password": "two"})).await?;
    eventually("the Secret follows", || async {
        let data = secrets.get("app").await.map_err(|error| error.to_string())?.data.unwrap_or_default();
        if data["password"].0 == b"two" && data.len() == 1 {
            Ok(())
        } else {
            Err(format!("{:?}", data.keys()))
        }
    })
    .await
}

/// A KV v2 engine, and a role that lets any ServiceAccount of the test's namespace read it.
pub async fn engine(case: &Case, mount: &str) -> Result<()> {
    let admin = case.admin()?;
    let post = |path: String, body| async move { admin.request_any(Method::POST, &path, Some(body)).await };
    post(format!("sys/mounts/{mount}"), json!({"type": "kv", "options": {"version": "2"}})).await?;
    let admin = case.admin()?;
    let policy = json!({"path": {format!("{mount}/*"): {"capabilities": ["read"]}}});
    let body = json!({"policy": policy.to_string()});
    admin.request_any(Method::POST, &format!("sys/policies/acl/{mount}"), Some(body)).await?;
    let role = json!({
        "bound_service_account_names": ["*"], "bound_service_account_namespaces": [case.namespace],
        "audience": "openbao", "token_policies": [mount], "token_ttl": "10m",
    });
    admin.request_any(Method::POST, &format!("auth/kubernetes/role/{mount}"), Some(role)).await?;
    Ok(())
}

/// A BaoAuth with that role.
pub fn auth(role: &str) -> serde_json::Value {
    json!({
        "clusterRef": {"name": "main"}, "method": "Kubernetes",
        "kubernetes": {"role": role, "serviceAccount": "default", "audiences": ["openbao"]},
    })
}
