//! Connections to a server, and logins.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use steamer_api::{BaoAuth, BaoConnection, BaoStaticSecret, JWTIssuer, SecretsProject};
use steamer_testing::ground::{account_token, apply};

use crate::fixture::Case;
use crate::static_secrets::{auth, engine};

fn secret(case: &Case, name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": case.namespace}, "stringData": data})
}

#[tokio::test]
async fn a_connection_by_address_is_verified_with_its_ca_and_server_name() -> Result<()> {
    let case = Case::new("connections-address").await?;
    engine(&case, "connections-address").await?;
    case.admin()?.write_kv2("connections-address", "app", &json!({"a": "1"})).await?;
    let openbao = &case.ground.openbao;
    let other = steamer_testing::certificates::Authority::new("someone else")?;
    apply(&case.client, secret(&case, "wrong-ca", &json!({"ca.crt": other.pem}))).await?;
    apply(&case.client, secret(&case, "empty-ca", &json!({"other": "x"}))).await?;
    let spec = |changes: Value| {
        let mut spec = json!({"address": openbao.url, "caCertSecretRef": "main-ca", "timeout": "5s"});
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    };
    let cases = [
        ("plain", json!({}), "True/Applied"),
        ("named", json!({"tlsServerName": "localhost"}), "True/Applied"),
        ("misnamed", json!({"tlsServerName": "bao.example.com"}), "False/Unreachable"),
        ("wrong-ca", json!({"caCertSecretRef": "wrong-ca"}), "False/Unreachable"),
        ("empty-ca", json!({"caCertSecretRef": "empty-ca"}), "False/Waiting"),
        ("missing-ca", json!({"caCertSecretRef": "missing-ca"}), "False/ReferenceNotFound"),
        ("insecure", json!({"caCertSecretRef": "wrong-ca", "skipTLSVerify": true}), "True/Applied"),
        ("closed-port", json!({"address": "https://127.0.0.1:1"}), "False/Unreachable"),
    ];
    for (name, changes, _) in &cases {
        case.object("BaoConnection", name, spec(changes.clone())).await?;
    }
    for (name, _, expected) in &cases {
        case.ready::<BaoConnection>(name, expected).await?;
    }
    // Creating the Secret requeues the objects that wait for it.
    apply(&case.client, secret(&case, "missing-ca", &json!({"ca.crt": openbao.ca}))).await?;
    case.ready::<BaoConnection>("missing-ca", "True/Applied").await?;

    let mut by_connection = auth("connections-address");
    by_connection["connectionRef"] = json!({"name": "named"});
    by_connection.as_object_mut().map(|spec| spec.remove("clusterRef"));
    case.object("BaoAuth", "default", by_connection).await?;
    case.ready::<BaoAuth>("default", "True/Applied").await?;
    let spec = json!({
        "mount": "connections-address", "path": "app", "type": "kv-v2", "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn keys_from_a_url_or_the_spec_and_a_jwt_from_a_secret_allow_logins() -> Result<()> {
    let case = Case::new("connections-keys").await?;
    case.tenant(901).await?;
    let issuer = &case.ground.issuer;
    let by_url =
        json!({"jwksUrl": format!("{}/keys", issuer.url), "boundIssuer": issuer.url, "allowPlaintext": true});
    let by_hand = json!({"publicKeys": [issuer.public_pem("key-1")?], "boundIssuer": issuer.url});
    for (name, spec, id) in [("by-url", by_url, 51), ("by-hand", by_hand, 52)] {
        case.object("JWTIssuer", name, spec).await?;
        case.ready::<JWTIssuer>(name, "True/Applied").await?;
        let workloads = json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
        let spec = json!({"tenantRef": {"name": "acme"}, "id": id, "issuerRef": {"name": name}, "workloads": workloads});
        case.object("SecretsProject", name, spec).await?;
        case.ready::<SecretsProject>(name, "True/Applied").await?;
        let mut claims = case.claims();
        claims["project_id"] = json!(id.to_string());
        let namespace = format!("org_901/group_7/project_{id}");
        case.login(&namespace, "all_pipelines", &issuer.sign("key-1", &claims)?).await?;
        assert!(
            case.login(&namespace, "all_pipelines", &issuer.sign("key-1", &case.claims())?).await.is_err()
        );
    }
    case.values("org_901/group_7/project_51", &["A"]).await?;
    let jwt = account_token(&case.client, &case.namespace, "default", &["openbao"]).await?;
    let mut stored = secret(&case, "jwt", &json!({"jwt": jwt}));
    apply(&case.client, stored.clone()).await?;
    let spec = json!({
        "clusterRef": {"name": "main"}, "namespace": "org_901/group_7/project_51", "mount": "workload_jwt", "method": "JWT",
        "jwt": {"role": "app", "secretRef": "jwt"}, "inline": "Never",
    });
    case.object("BaoAuth", "default", spec).await?;
    let spec = json!({
        "mount": "secrets/kv", "path": "explicit/A", "type": "kv-v2", "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    // The owner of the Secret decides that it can be used for logins.
    case.ready::<BaoStaticSecret>("app", "False/ReferenceDenied: Secret connections-keys/jwt does not allow")
        .await?;
    stored["metadata"]["labels"] = json!({"steamer.dev/jwt": "true"});
    apply(&case.client, stored).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let data = case.api::<Secret>().get("app").await?.data.unwrap_or_default();
    assert_eq!(data["value"].0, b"of A");
    Ok(())
}

#[tokio::test]
async fn a_disabled_project_rejects_logins_and_keeps_its_values() -> Result<()> {
    let case = Case::new("connections-disabled").await?;
    let namespace = case.project(902).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    assert_eq!(case.readable(&namespace, &case.claims(), &["A"]).await?, ["A"]);
    let projects: kube::Api<SecretsProject> = case.api();
    let enabled = |value: bool| kube::api::Patch::Merge(json!({"spec": {"enabled": value}}));
    let parameters = kube::api::PatchParams::default();
    projects.patch("web", &parameters, &enabled(false)).await?;
    case.ready::<SecretsProject>("web", "True/Disabled").await?;
    case.ready::<steamer_api::PipelinePolicy>("all", "False/Waiting").await?;
    assert!(case.readable(&namespace, &case.claims(), &["A"]).await.is_err());
    projects.patch("web", &parameters, &enabled(true)).await?;
    case.ready::<steamer_api::PipelinePolicy>("all", "True/Applied").await?;
    assert_eq!(case.readable(&namespace, &case.claims(), &["A"]).await?, ["A"]);
    Ok(())
}

#[tokio::test]
async fn a_throttled_request_is_reported_as_throttled_and_retried() -> Result<()> {
    let case = Case::new("connections-throttled").await?;
    engine(&case, "connections-throttled").await?;
    let admin = case.admin()?;
    let quota = json!({"path": "connections-throttled/", "rate": 1, "interval": "1h"});
    admin
        .request_any(reqwest::Method::POST, "sys/quotas/rate-limit/connections-throttled", Some(quota))
        .await?;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(admin.read_kv2("connections-throttled", "app", None).await);
    }
    assert!(matches!(answers.remove(0), Ok(steamer_openbao::Kv::Absent)));
    let throttled = |answer: &Result<_, _>| matches!(answer, Err(steamer_openbao::Error::Throttled { .. }));
    assert!(answers.iter().all(throttled), "{answers:?}");
    // An object that reads there reports it, and retries after the time that OpenBao names.
    case.object("BaoAuth", "default", auth("connections-throttled")).await?;
    let spec = json!({
        "mount": "connections-throttled", "path": "app", "type": "kv-v2", "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    case.ready::<BaoStaticSecret>("app", "False/Throttled").await?;
    admin.request_any(reqwest::Method::DELETE, "sys/quotas/rate-limit/connections-throttled", None).await?;
    admin.write_kv2("connections-throttled", "app", &json!({"a": "1"})).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await.map(drop)
}
