//! Nothing changed, nothing written: a settled system makes no writes, also after a restart of the operator.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_testing::ground::{apply, yaml};
use steamer_testing::kstatus::kstatus;
use steamer_testing::kubectl::Kubectl;
use steamer_testing::openbao::OpenBao;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::cases::{Case, ready_of};
use crate::rig::Rig;

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
    let mut running = ground.running.lock().await;
    if let Some(mut old) = running.take() {
        anyhow::ensure!(old.process.terminate()?, "the operator did not end well");
    }
    let lease = leases.get("steamer").await?.spec.unwrap_or_default();
    anyhow::ensure!(lease.holder_identity.as_deref() == Some(""), "the lease was not given back: {lease:?}");
    *running = Some(ground.run(&ground.operator).await?);
    drop(running);
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

/// The samples as they are, but for where OpenBao and the issuer are, and refreshed often.
async fn samples(rig: &Rig) -> Result<()> {
    let case = &rig.case;
    let addresses = [
        ("https://main.openbao.svc:8200", rig.openbao_url()),
        ("http://gitlab.openbao.svc:8080", case.ground.issuer.url.as_str()),
    ];
    let role = json!({
        "bound_service_account_names": ["web"], "bound_service_account_namespaces": ["web"],
        "audience": "openbao", "token_policies": ["default"], "token_ttl": "10m",
    });
    case.admin()?.request_any(reqwest::Method::POST, "auth/kubernetes/role/web", Some(role)).await?;
    let cluster = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster",
        "metadata": {"name": "main", "namespace": "openbao"},
        "spec": {
            "external": {
                "address": rig.openbao_url(), "caSecretRef": {"name": "openbao-ca"},
                "managementAuth": {"kubernetes": {"role": "steamer"}},
            },
            "externalUrl": "https://bao.example.com", "jwtAudience": "https://bao.example.com",
            "allowedNamespaces": {"from": "All"},
        },
    });
    let others = |path: &std::path::Path| !path.ends_with("openbaocluster.yaml");
    for (path, mut text) in steamer_testing::demo::samples()?.into_iter().filter(|(path, _)| others(path)) {
        for (sample, here) in addresses {
            text = text.replace(sample, here);
        }
        for mut object in yaml(&text)? {
            if object["kind"] == "BaoStaticSecret" {
                object["spec"]["refreshAfter"] = json!("2s");
            }
            apply(&case.client, object).await.with_context(|| path.display().to_string())?;
        }
    }
    apply(&case.client, cluster).await?;
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "openbao-ca", "namespace": "openbao"},
        "stringData": {"ca.crt": case.ground.openbao.ca},
    });
    apply(&case.client, ca.clone()).await?;
    let mut of_connection = ca;
    of_connection["metadata"]["name"] = json!("main-tls");
    apply(&case.client, of_connection).await.map(drop)
}

/// What is not Ready yet, of all kinds.
fn waiting(kubectl: &Kubectl) -> Result<(), String> {
    let text = kubectl.run(&["get", "steamer", "-A", "-o", "json"]).map_err(|error| error.to_string())?;
    let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let states =
        items.iter().map(|item| format!("{} {}: {}", item["kind"], item["metadata"]["name"], ready_of(item)));
    let mut waiting: Vec<String> = states.filter(|state| !state.contains(": True/")).collect();
    // Flux and Argo CD have to come to the same end.
    let words = kstatus(&items).map_err(|error| error.to_string())?;
    waiting.extend(words.into_iter().filter(|word| !word.starts_with("Current")));
    if waiting.is_empty() && items.len() >= 15 { Ok(()) } else { Err(waiting.join("; ")) }
}

#[tokio::test]
async fn with_all_samples_ready_three_refreshes_and_a_restart_write_nothing() -> Result<()> {
    let mut rig = Rig::new("settled-samples").await?;
    samples(&rig).await?;
    rig.start().await?;
    let project = rig.case.admin()?.within("org_1/group_7/project_42");
    eventually("the project has its engine", || async {
        match project.mount("secrets/kv").await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    for name in ["DB_PASSWORD", "API_KEY"] {
        // A new engine is not at once what it will be.
        eventually("the engine takes a value", || async {
            let path = format!("explicit/{name}");
            let written = project.write_kv2("secrets/kv", &path, &json!({"value": name})).await;
            written.map_err(|error| error.to_string())
        })
        .await?;
    }
    let kubectl = Kubectl::new(&rig.case.ground.plane.kubeconfig)?;
    eventually("all samples are Ready", || std::future::ready(waiting(&kubectl))).await?;

    let (kubernetes, openbao, ground) =
        (rig.kubernetes.clone(), rig.openbao.clone(), rig.case.ground.clone());
    let reads = || openbao.count(|asked| asked.path.contains("/data/").then(|| asked.path.clone()));
    let refreshed = || async {
        eventually("every value was read three times", || async {
            let reads = reads();
            if reads.len() == 2 && reads.values().all(|count| *count >= 3) {
                Ok(())
            } else {
                Err(format!("{reads:?}"))
            }
        })
        .await
    };
    let rows = || anyhow::Ok(ground.postgres.run("settled-samples", ROWS_WRITTEN)?.trim().to_owned());
    // Logins store a token, and tokens are asked for; what a token may do is asked for by POST. Nothing else is written.
    let written = |asked: &Asked| {
        let asks = asked.path.ends_with("/capabilities-self");
        let login = asked.path.ends_with("/login")
            || asked.path.contains("auth/token/")
            || asked.path.ends_with("/token");
        (asked.writes() && !login && !asks).then(|| format!("{} {}", asked.method, asked.path))
    };
    let logins = || openbao.count(|asked| asked.writes().then(|| asked.path.clone()));
    refreshed().await?;
    kubernetes.forget();
    openbao.forget();
    let before = rows()?;
    refreshed().await?;
    println!("three refreshes of all samples: rows written {before} -> {}, logins {:?}", rows()?, logins());
    assert_eq!(kubernetes.count(written), BTreeMap::new());
    assert_eq!(openbao.count(written), BTreeMap::new());
    assert!(!logins().is_empty() || before == rows()?, "rows were written without a login");
    assert!(reads().values().all(|count| *count <= 4), "more than one read a refresh: {:?}", reads());

    rig.kill().await?;
    kubernetes.forget();
    openbao.forget();
    rig.start().await?;
    refreshed().await?;
    eventually("all samples are Ready", || std::future::ready(waiting(&kubectl))).await?;
    assert_eq!(kubernetes.count(written), BTreeMap::new(), "a restart wrote to Kubernetes");
    assert_eq!(openbao.count(written), BTreeMap::new(), "a restart wrote to OpenBao");
    Ok(())
}

/// Rows of OpenBao's storage that were written since PostgreSQL started, whoever wrote them.
const ROWS_WRITTEN: &str = "SELECT pg_stat_force_next_flush(); \
    SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'openbao_kv_store'";
