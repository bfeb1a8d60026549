//! Trouble between the operator and its servers: no object stays stuck, nothing is asked for in a storm.

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

use crate::outage::gone;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

/// A rig with engine `trouble`, value `app` and the operator running.
async fn rig(name: &'static str, arguments: &[&str]) -> Result<Rig> {
    let mut rig = Rig::new(name).await?;
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
    eventually("the Secret is there", || async {
        secrets.get(name).await.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// The operator's memory in KiB.
fn memory(rig: &Rig) -> Result<u64> {
    rig.running.as_ref().context("no operator runs")?.process.memory()
}

/// Kills the API server, lets `meanwhile` happen, starts it again.
async fn restart(rig: &Rig, meanwhile: impl Future<Output = Result<()>>) -> Result<()> {
    rig.case.ground.plane.stop_apiserver();
    meanwhile.await?;
    let ground = rig.case.ground.clone();
    rig.case.ground.at_home(async move { ground.plane.start_apiserver().await }).await
}

#[tokio::test]
async fn a_restart_of_the_api_server_and_expired_versions_are_seen_through() -> Result<()> {
    let rig = rig("trouble-restart", &[]).await?;
    ask_for(&rig, "before").await?;
    ready(&rig, "before").await?;
    restart(&rig, std::future::ready(Ok(()))).await?;
    ask_for(&rig, "after").await?;
    ready(&rig, "after").await?;

    // Things happen while the operator hears nothing, and what it would resume from is forgotten meanwhile.
    rig.kubernetes.set(Traffic::Hangs);
    ask_for(&rig, "unheard").await?;
    rig.case.api::<BaoStaticSecret>().delete("before", &DeleteParams::default()).await?;
    rig.case.api::<Secret>().delete("after", &DeleteParams::default()).await?;
    let plane = &rig.case.ground.plane;
    let answer = plane.ask_etcd("kv/range", &json!({"key": "AA=="})).await?;
    let revision = answer.pointer("/header/revision").cloned().context("etcd tells its revision")?;
    plane.ask_etcd("kv/compaction", &json!({"revision": revision, "physical": true})).await?;
    restart(&rig, std::future::ready(Ok(()))).await?;
    rig.kubernetes.forget();
    let before = memory(&rig)?;
    rig.kubernetes.set(Traffic::Passes);
    ready(&rig, "unheard").await?;
    ready(&rig, "after").await?;
    gone(&rig.case.api::<Secret>(), "before").await?;

    // The lists were read anew, once or twice each, and not in a loop.
    let lists = || {
        rig.kubernetes.count(|asked| {
            let list =
                asked.method == "GET" && !asked.query.contains("watch=true") && !asked.path.contains("lease");
            list.then(|| asked.path.clone())
        })
    };
    eventually("the objects are listed anew", || async {
        let lists = lists();
        let listed = lists.contains_key("/apis/steamer.dev/v1alpha1/baostaticsecrets");
        if listed { Ok(()) } else { Err(format!("{lists:?}")) }
    })
    .await?;
    let lists = lists();
    println!("lists after expired versions: {lists:?}");
    assert!(lists.values().all(|count| *count <= 5), "a storm: {lists:?}");
    let after = memory(&rig)?;
    assert!(after < before + 64 * 1024, "memory grew from {before} to {after} KiB");
    Ok(())
}

#[tokio::test]
async fn a_definition_that_is_deleted_and_put_back_stops_nothing() -> Result<()> {
    let rig = rig("trouble-definition", &[]).await?;
    ask_for(&rig, "app").await?;
    ready(&rig, "app").await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(rig.case.client.clone());
    let name = "pipelinepolicies.steamer.dev";
    definitions.delete(name, &DeleteParams::default()).await?;
    eventually("the definition is gone", || async {
        match definitions.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(drop))),
        }
    })
    .await?;
    // Meanwhile everything else works, and what was asked for is asked for patiently.
    rig.kubernetes.forget();
    ask_for(&rig, "meanwhile").await?;
    ready(&rig, "meanwhile").await?;
    let asked =
        rig.kubernetes.count(|asked| asked.path.contains("pipelinepolicies").then(|| asked.path.clone()));
    assert!(asked.values().all(|count| *count < 20), "a storm: {asked:?}");
    install(&rig.case.client).await?;
    let project = json!({"projectRef": {"name": "nowhere"}, "secrets": [{"name": "A"}]});
    rig.case.object("PipelinePolicy", "new", project).await?;
    rig.case.ready::<PipelinePolicy>("new", "False/ReferenceNotFound").await.map(drop)
}

#[tokio::test]
async fn half_open_connections_are_given_up_and_made_anew() -> Result<()> {
    let rig = rig("trouble-half-open", &["--api-silence=5s"]).await?;
    ask_for(&rig, "before").await?;
    ready(&rig, "before").await?;
    // What hangs stays hung; new connections pass.
    rig.kubernetes.hang_what_is_open();
    ask_for(&rig, "after").await?;
    ready(&rig, "after").await?;
    rig.openbao.hang_what_is_open();
    rig.case.admin()?.write_kv2("trouble", "app", &json!({"a": "2"})).await?;
    eventually("the changed value arrives", || async {
        let secret = rig.case.api::<Secret>().get("after").await.map_err(|error| error.to_string())?;
        let data = secret.data.unwrap_or_default();
        if data["a"].0 == b"2" { Ok(()) } else { Err("the old value".to_owned()) }
    })
    .await
}

#[tokio::test]
async fn a_slow_openbao_delays_only_what_needs_it() -> Result<()> {
    let rig = rig("trouble-slow", &[]).await?;
    let case = &rig.case;
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url})).await?;
    let spec = json!({
        "clusterRef": {"name": "main"}, "organizationId": 1101, "groupId": 7, "issuerRef": {"name": "gitlab"},
    });
    case.object("SecretsTenant", "acme", spec).await?;
    case.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    // Another way to the same server, which is as fast as ever.
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
