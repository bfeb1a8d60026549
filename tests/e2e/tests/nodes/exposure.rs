//! Exposure of a cluster: routes, monitors, and nodes that serve plain HTTP.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_testing::objects::{apply, yaml};
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, condition, whole};
use crate::registers::Registers;

fn stalled(object: &OpenBaoCluster) -> Option<String> {
    condition(object, "Stalled").map(|(_, _, message)| message.to_owned())
}

impl Bao {
    /// Returns the object named after the cluster, or null if it does not exist.
    fn named_main(&self, kind: &str) -> Result<Value> {
        let arguments = ["-n", &self.namespace, "get", kind, "main", "--ignore-not-found", "-o", "json"];
        let text = self.fleet.kubectl()?.run(&arguments)?;
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    async fn eventually_main(&self, kind: &str, met: impl Fn(&Value) -> bool) -> Result<()> {
        eventually(&format!("{kind} has the desired state"), || async {
            let found = self.named_main(kind).map_err(|error| error.to_string())?;
            if met(&found) { Ok(()) } else { Err(found.to_string()) }
        })
        .await
    }
}

#[tokio::test]
async fn routes_and_monitors_are_created_and_deleted_with_the_spec() -> Result<()> {
    let bao = Bao::serving("exposed", |spec| spec["managed"]["replicas"] = json!(1)).await?;
    let with = async |fields: Value| {
        bao.apply(|spec| {
            spec["managed"]["replicas"] = json!(1);
            for (field, value) in fields.as_object().into_iter().flatten() {
                spec["managed"][field] = value.clone();
            }
        })
        .await
    };
    let gateway = json!({"host": "bao.example.com", "parentRef": {"name": "edge", "namespace": "gateways"}});
    let ingress = json!({
        "host": "bao.example.com", "className": "nginx", "pathPrefix": "/v1", "tls": {"secretRef": {"name": "bao-example"}},
        "annotations": {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"},
    });
    let metrics = json!({"serviceMonitor": true, "serviceMonitorLabels": {"release": "prometheus"}});
    // A kind that the API server does not know is reported, and the cluster keeps serving.
    with(json!({"metrics": metrics})).await?;
    let object = bao.until("the missing kind is reported", |object| stalled(object).is_some()).await?;
    let message = stalled(&object).context("the cluster is not stalled")?;
    ensure!(message.contains("install the Prometheus operator"), "{message}");
    ensure!(condition(&object, "Available").is_some_and(|(status, ..)| status == "True"));
    for file in tools::route_definitions()? {
        for definition in yaml(&std::fs::read_to_string(file)?)? {
            apply(&bao.kube, definition).await?;
        }
    }
    // The cluster recovers without a change once the kind exists.
    bao.ready().await?;
    with(json!({"metrics": metrics, "ingress": ingress, "gateway": gateway})).await?;
    bao.ready().await?;
    let found = bao.named_main("ingress")?;
    assert_eq!(found.pointer("/spec/rules/0/host"), Some(&json!("bao.example.com")));
    assert_eq!(found.pointer("/spec/rules/0/http/paths/0/path"), Some(&json!("/v1")));
    assert_eq!(found.pointer("/spec/tls/0/secretName"), Some(&json!("bao-example")));
    let found = bao.named_main("httproute")?;
    assert_eq!(found.pointer("/spec/parentRefs/0/name"), Some(&json!("edge")));
    assert_eq!(found.pointer("/spec/rules/0/backendRefs/0/name"), Some(&json!("main")));
    let found = bao.named_main("backendtlspolicy")?;
    assert_eq!(found.pointer("/spec/validation/hostname"), Some(&json!("main.exposed.svc")));
    assert_eq!(found.pointer("/spec/validation/caCertificateRefs/0/name"), Some(&json!("main-ca")));
    let found = bao.named_main("servicemonitor")?;
    assert_eq!(found.pointer("/metadata/labels/release"), Some(&json!("prometheus")));
    // Its selector matches the Service with the metrics port.
    let chosen =
        bao.fleet.kubectl()?.run(&["-n", "exposed", "get", "service", "main-metrics", "-o", "json"])?;
    let chosen: Value = serde_json::from_str(&chosen)?;
    for (label, value) in found
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object)
        .context("the ServiceMonitor has no selector")?
    {
        assert_eq!(chosen.pointer("/metadata/labels").and_then(|labels| labels.get(label)), Some(value));
    }
    assert_eq!(found.pointer("/spec/endpoints/0/port"), chosen.pointer("/spec/ports/0/name"));
    // Manual edits are reverted.
    let other = r#"{"spec":{"rules":[{"host":"other.example.com"}]}}"#;
    bao.fleet.kubectl()?.run(&["-n", "exposed", "patch", "ingress", "main", "--type=merge", "-p", other])?;
    let host = |found: &Value| found.pointer("/spec/rules/0/host") == Some(&json!("bao.example.com"));
    bao.eventually_main("ingress", host).await?;
    // Removed from the spec.
    with(json!({})).await?;
    bao.ready().await?;
    for kind in ["ingress", "httproute", "backendtlspolicy", "servicemonitor"] {
        bao.eventually_main(kind, Value::is_null).await?;
    }
    // A foreign object of the same name is kept and reported.
    let foreign = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "main", "namespace": "exposed"},
        "spec": {"defaultBackend": {"service": {"name": "mine", "port": {"number": 80}}}},
    });
    apply(&bao.kube, foreign).await?;
    with(json!({"ingress": ingress})).await?;
    let object = bao.until("the foreign Ingress is reported", |object| stalled(object).is_some()).await?;
    let message = stalled(&object).context("the cluster is not stalled")?;
    ensure!(message.contains("Ingress main already exists"), "{message}");
    let found = bao.named_main("ingress")?;
    assert_eq!(found.pointer("/spec/defaultBackend/service/name"), Some(&json!("mine")));
    Ok(())
}

#[tokio::test]
async fn nodes_can_serve_plain_http_and_mount_a_workload_identity_token() -> Result<()> {
    let plain = |spec: &mut Value| {
        spec["managed"]["tls"] = json!({"mode": "Disabled"});
        spec["managed"]["serviceAccount"] = json!({"token": {"audience": "sts.example.com"}});
    };
    let bao = Bao::serving("plain-http", plain).await?;
    let status = bao.object().await?.status.context("the object has no status")?;
    assert_eq!(status.endpoint.as_deref(), Some("http://main.plain-http.svc:8200"));
    assert_eq!(status.ca_config_map, None);
    ensure!(status.common.conditions.iter().all(|condition| condition.type_ != "CertificatesValid"));
    let token = bao.file_in("main-0", "/openbao/identity/token")?;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).context("not a JWT")?)?;
    let claims: Value = serde_json::from_slice(&claims)?;
    assert_eq!(claims["aud"], json!(["sts.example.com"]));
    assert_eq!(claims["sub"], json!("system:serviceaccount:plain-http:main"));
    // A lost leader is replaced as with TLS.
    let registers = Registers::start(&bao).await?;
    let leader = bao.leader().await?;
    bao.fleet.cluster.signal(&bao.namespace, &leader, "KILL")?;
    bao.leads_after(&leader).await?;
    bao.until("all three nodes are Ready", whole).await?;
    println!("leader without TLS killed: {}", registers.check(&bao).await?);
    let refused = bao.apply(|_| {}).await;
    let message = format!("{:?}", refused.err().context("enabling TLS must be rejected")?);
    ensure!(message.contains("cannot mix nodes with and without TLS"), "{message}");
    Ok(())
}
