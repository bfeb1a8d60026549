//! Faults of the API server, of OpenBao and of the connections to them: no object stays stuck, and no request storm
//! follows.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use steamer_api::{BaoStaticSecret, PipelinePolicy, SecretsProject};
use steamer_testing::installation::install;
use steamer_testing::proxy::Traffic;
use steamer_testing::wait::eventually;

use crate::kinds::Kinds;
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

/// Creates engine `trouble` and value `app`, and starts the operator.
async fn started(mut rig: Rig, arguments: &[&str]) -> Result<Rig> {
    engine(&rig.case, "trouble").await?;
    rig.case.admin()?.write_kv2("trouble", "app", &json!({"a": "1"})).await?;
    rig.case.object("BaoAuth", "default", auth("trouble")).await?;
    rig.operator.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    rig.start().await?;
    Ok(rig)
}

async fn ask_for(rig: &Rig, name: &str) -> Result<()> {
    let spec = json!({
        "mount": "trouble", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": name, "create": true},
    });
    rig.case.object("BaoStaticSecret", name, spec).await.map(drop)
}

async fn ready(rig: &Rig, name: &str) -> Result<()> {
    rig.case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    let secrets: Api<Secret> = rig.case.api();
    eventually("the Secret exists", || async {
        secrets.get(name).await.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// Returns the operator's memory in KiB.
fn memory(rig: &Rig) -> Result<u64> {
    rig.running.as_ref().context("the operator is not running")?.process.memory()
}

/// Kills the API server, runs `meanwhile`, and restarts the API server.
async fn restart(rig: &Rig, meanwhile: impl Future<Output = Result<()>>) -> Result<()> {
    rig.case.ground.plane.stop_apiserver();
    meanwhile.await?;
    let ground = rig.case.ground.clone();
    rig.case.ground.at_home(async move { ground.plane.start_apiserver().await }).await
}

#[tokio::test]
async fn the_operator_recovers_from_api_server_restarts_and_from_a_recreated_crd() -> Result<()> {
    let rig = started(Rig::alone("trouble-restart").await?, &[]).await?;
    restarts_and_expired_resource_versions(&rig).await?;
    a_deleted_and_recreated_crd_does_not_stop_other_controllers(&rig).await
}

async fn restarts_and_expired_resource_versions(rig: &Rig) -> Result<()> {
    ask_for(rig, "before").await?;
    ready(rig, "before").await?;
    let kinds = Kinds::new(&rig.case, &rig.case.ground.openbao, "main").await?;
    let delivered = kinds.delivered().await?;
    restart(rig, std::future::ready(Ok(()))).await?;
    ask_for(rig, "after").await?;
    ready(rig, "after").await?;

    // Objects change while the watches hang, and the resource versions from which they would resume expire.
    rig.kubernetes.set(Traffic::Hangs);
    ask_for(rig, "unheard").await?;
    rig.case.api::<BaoStaticSecret>().delete("before", &DeleteParams::default()).await?;
    rig.case.api::<Secret>().delete("after", &DeleteParams::default()).await?;
    let plane = &rig.case.ground.plane;
    let answer = plane.ask_etcd("kv/range", &json!({"key": "AA=="})).await?;
    let revision = answer.pointer("/header/revision").cloned().context("etcd returned no revision")?;
    plane.ask_etcd("kv/compaction", &json!({"revision": revision, "physical": true})).await?;
    restart(rig, std::future::ready(Ok(()))).await?;
    rig.kubernetes.forget();
    let before = memory(rig)?;
    rig.kubernetes.set(Traffic::Passes);
    ready(rig, "unheard").await?;
    ready(rig, "after").await?;
    gone(&rig.case.api::<Secret>(), "before").await?;

    // Each resource was listed again a few times, and not in a loop.
    let lists = || {
        rig.kubernetes.count(|asked| {
            let list =
                asked.method == "GET" && !asked.query.contains("watch=true") && !asked.path.contains("lease");
            list.then(|| asked.path.clone())
        })
    };
    eventually("the objects are listed again", || async {
        let lists = lists();
        let listed = lists.contains_key("/apis/steamer.dev/v1alpha1/baostaticsecrets");
        if listed { Ok(()) } else { Err(format!("{lists:?}")) }
    })
    .await?;
    kinds.ready().await?;
    assert!(kinds.delivered().await? == delivered, "a restart of the API server issued a value");
    let lists = lists();
    println!("lists after expired resource versions: {lists:?}");
    assert!(lists.values().all(|count| *count <= 5), "a request storm: {lists:?}");
    let after = memory(rig)?;
    assert!(after < before + 64 * 1024, "memory grew from {before} to {after} KiB");
    Ok(())
}

async fn a_deleted_and_recreated_crd_does_not_stop_other_controllers(rig: &Rig) -> Result<()> {
    ask_for(rig, "app").await?;
    ready(rig, "app").await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(rig.case.client.clone());
    let name = "pipelinepolicies.steamer.dev";
    definitions.delete(name, &DeleteParams::default()).await?;
    eventually("the CustomResourceDefinition is deleted", || async {
        match definitions.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(drop))),
        }
    })
    .await?;
    // All other kinds are still reconciled, and requests for the missing kind are retried with backoff.
    rig.kubernetes.forget();
    ask_for(rig, "meanwhile").await?;
    ready(rig, "meanwhile").await?;
    let asked =
        rig.kubernetes.count(|asked| asked.path.contains("pipelinepolicies").then(|| asked.path.clone()));
    assert!(asked.values().all(|count| *count < 20), "a request storm: {asked:?}");
    install(&rig.case.client).await?;
    let project = json!({"projectRef": {"name": "nowhere"}, "secrets": [{"name": "A"}]});
    rig.case.object("PipelinePolicy", "new", project).await?;
    rig.case.ready::<PipelinePolicy>("new", "False/ReferenceNotFound").await.map(drop)
}

#[tokio::test]
async fn half_open_connections_are_closed_and_replaced() -> Result<()> {
    let rig = started(Rig::new("trouble-half-open").await?, &["--api-silence=5s"]).await?;
    ask_for(&rig, "before").await?;
    ready(&rig, "before").await?;
    // Existing connections keep hanging; new ones work.
    rig.kubernetes.hang_what_is_open();
    ask_for(&rig, "after").await?;
    ready(&rig, "after").await?;
    rig.openbao.hang_what_is_open();
    rig.case.admin()?.write_kv2("trouble", "app", &json!({"a": "2"})).await?;
    eventually("the Secret has the changed value", || async {
        let secret = rig.case.api::<Secret>().get("after").await.map_err(|error| error.to_string())?;
        let data = secret.data.unwrap_or_default();
        if data["a"].0 == b"2" { Ok(()) } else { Err("the old value".to_owned()) }
    })
    .await
}

#[tokio::test]
async fn a_slow_openbao_delays_only_the_objects_that_use_it() -> Result<()> {
    let rig = started(Rig::new("trouble-slow").await?, &[]).await?;
    let case = &rig.case;
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})).await?;
    let spec = json!({
        "clusterRef": {"name": "main"}, "organizationId": 1101, "groupId": 7, "issuerRef": {"name": "gitlab"},
    });
    case.object("SecretsTenant", "acme", spec).await?;
    case.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    // A second cluster object for the same server, without the slow proxy.
    case.cluster("fast", &case.ground.openbao).await?;
    let mut quick = auth("trouble");
    quick["clusterRef"]["name"] = json!("fast");
    case.object("BaoAuth", "fast", quick).await?;
    rig.openbao.set(Traffic::Slow(Duration::from_secs(5)));
    rig.openbao.forget();
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    for number in 0..40 {
        ask_for(&rig, &format!("slow{number}")).await?;
    }
    let spec = json!({
        "authRef": {"name": "fast"}, "mount": "trouble", "path": "app", "type": "kv-v2",
        "destination": {"name": "quick", "create": true},
    });
    case.object("BaoStaticSecret", "quick", spec).await?;
    ready(&rig, "quick").await?;
    for number in 0..40 {
        ready(&rig, &format!("slow{number}")).await?;
    }
    let reads = rig.openbao.count(|asked| asked.path.contains("trouble/data").then(|| "reads".to_owned()));
    println!("requests to a slow OpenBao: {}, reads of the value {reads:?}", rig.openbao.seen().len());
    Ok(())
}
