//! Nothing changed, nothing written: a settled system makes no writes, also after a restart of the operator.

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_testing::openbao::OpenBao;
use steamer_testing::wait::eventually;

use crate::cases::Case;

/// Writes of the operator to objects of a namespace, from the API server's audit log. Tokens asked for are no writes
/// to anything stored, and Events are told apart.
fn writes(case: &Case) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(&case.ground.plane.audit)?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let written = lines.filter(|line| {
        let verb = line["verb"].as_str().unwrap_or_default();
        let resource = line["objectRef"]["resource"].as_str().unwrap_or_default();
        let subresource = line["objectRef"]["subresource"].as_str().unwrap_or_default();
        line["user"]["username"] == "system:serviceaccount:steamer-system:steamer"
            && line["objectRef"]["namespace"] == case.namespace.as_str()
            && ["create", "update", "patch", "delete"].contains(&verb)
            && (resource, subresource) != ("serviceaccounts", "token")
    });
    Ok(written.map(|line| format!("{} {}", line["verb"], line["requestURI"])).collect())
}

#[tokio::test]
async fn a_settled_system_writes_nothing_also_after_a_restart() -> Result<()> {
    let case = Case::new("settled").await?;
    let own = case.ground.own_openbao("settled").await?;
    case.cluster("own", &own).await?;
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "refreshAfter": "1s"})).await?;
    let spec = json!({"clusterRef": {"name": "own"}, "organizationId": 801, "groupId": 7, "issuerRef": {"name": "gitlab"}});
    case.object("SecretsTenant", "acme", spec).await?;
    let workloads =
        json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
    case.object(
        "SecretsProject",
        "web",
        json!({"tenantRef": {"name": "acme"}, "id": 42, "workloads": workloads}),
    )
    .await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.policy("all", json!({"branches": ["main"], "secrets": [{"name": "A"}]})).await?;
    let inside = own.admin()?.within("org_801/group_7/project_42");
    inside.write_kv2("secrets/kv", "explicit/A", &json!({"value": "x"})).await?;
    case.object("BaoAuth", "default", json!({"projectRef": {"name": "web"}, "workload": "app"})).await?;
    case.object(
        "BaoStaticSecret",
        "app",
        json!({
            "mount": "secrets/kv", "path": "explicit/A", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "app", "create": true, "labels": {"a": "b"}},
        }),
    )
    .await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let reads = || reads(&own);
    let rows = || case.ground.postgres.run("settled", CHANGED);
    several_passes(&reads).await?;
    let (before, rows_before) = (writes(&case)?, rows()?);
    several_passes(&reads).await?;
    assert_eq!(writes(&case)?, before, "a settled system wrote to Kubernetes");
    assert_eq!(rows()?, rows_before, "a settled system wrote to OpenBao");

    // The new process looks at everything and finds nothing to do.
    let ground = case.ground.clone();
    let leases: Api<Lease> =
        Api::namespaced(case.client.clone(), steamer_testing::ground::OPERATOR_NAMESPACE);
    case.ground
        .at_home(async move {
            let mut running = ground.running.lock().await;
            if let Some(mut old) = running.take() {
                anyhow::ensure!(old.process.terminate()?, "the operator did not end well");
            }
            let lease = leases.get("steamer").await?.spec.unwrap_or_default();
            anyhow::ensure!(
                lease.holder_identity.as_deref() == Some(""),
                "the lease was not given back: {lease:?}"
            );
            let mut new = ground.operator.start()?;
            new.ready().await?;
            *running = Some(new);
            Ok(())
        })
        .await?;
    several_passes(&reads).await?;
    case.ready::<SecretsTenant>("acme", "True/Applied").await?;
    case.ready::<PipelinePolicy>("all", "True/Applied").await?;
    assert_eq!(writes(&case)?, before, "a restart wrote to Kubernetes");
    assert_eq!(rows()?, rows_before, "a restart wrote to OpenBao");
    Ok(())
}

/// Rows of what Steamer provisions. What OpenBao itself keeps by the clock (leases, tokens, counters) is left out, and
/// the operator's logins with it.
const CHANGED: &str = "SELECT count(*), md5(string_agg(md5(value), '' ORDER BY path, key)) FROM openbao_kv_store \
    WHERE path LIKE '/namespaces/%' AND path NOT LIKE '%/sys/%expire/%' AND path NOT LIKE '%/sys/token/%' \
    AND path NOT LIKE '%counters%'";

/// How often the value was read, by OpenBao's audit log.
fn reads(own: &OpenBao) -> Result<usize> {
    let log = std::fs::read_to_string(&own.audit)?;
    let answered =
        |line: &&str| line.contains(r#""type":"response""#) && line.contains("secrets/kv/data/explicit/A");
    Ok(log.lines().filter(answered).count())
}

/// Returns when the value has been read several times more: so often the object was looked at.
async fn several_passes(reads: &impl Fn() -> Result<usize>) -> Result<()> {
    let start = reads()?;
    eventually("the value was read again", || async {
        let now = reads().map_err(|error| error.to_string())?;
        if now >= start + 3 { Ok(()) } else { Err(format!("{start} -> {now}")) }
    })
    .await
}
