//! A changed Secret restarts the workloads that use it: each once, whatever happens in between.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::ground::apply;
use steamer_testing::wait::eventually;

use crate::access_review::{Right, allowed_to};
use crate::fixture::Case;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

const ANNOTATION: &str = "steamer.dev/restarted-for";

/// Creates a workload. `pod` is merged into the spec of its pods.
pub async fn workload(case: &Case, kind: &str, name: &str, pod: Value) -> Result<()> {
    let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
    for (key, value) in pod.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let labels = json!({"app": name});
    let object = json!({
        "apiVersion": if kind == "Rollout" { "argoproj.io/v1alpha1" } else { "apps/v1" }, "kind": kind,
        "metadata": {"name": name, "namespace": case.namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    });
    apply(&case.client, object).await.map(drop)
}

/// Creates a value and an object that syncs it to a Secret of the same name.
async fn synced(case: &Case, name: &str, changes: Value) -> Result<()> {
    case.admin()?.write_kv2(&case.namespace, name, &json!({"v": "0"})).await?;
    let mut spec = json!({
        "mount": case.namespace, "path": name, "type": "kv-v2", "refreshAfter": "24h",
        "destination": {"name": name, "create": true},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    case.object("BaoStaticSecret", name, spec).await?;
    case.ready::<BaoStaticSecret>(name, "True/Applied").await.map(drop)
}

/// Changes values, then requests that they are read.
async fn change(case: &Case, names: &[&str], value: &str) -> Result<()> {
    for name in names {
        case.admin()?.write_kv2(&case.namespace, name, &json!({"v": value})).await?;
    }
    let nudge = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": value}}}));
    for name in names {
        case.api::<BaoStaticSecret>().patch(name, &PatchParams::default(), &nudge).await?;
    }
    Ok(())
}

/// Waits until the condition `WorkloadsRestarted` starts with `expected`, and returns the object.
async fn reported(case: &Case, name: &str, expected: &str) -> Result<Value> {
    eventually(&format!("{name} reports {expected}"), || async {
        let object = case.api::<BaoStaticSecret>().get(name).await.map_err(|error| error.to_string())?;
        let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array).cloned();
        let found =
            conditions.into_iter().flatten().find(|condition| condition["type"] == "WorkloadsRestarted");
        let text = |field: &str| found.as_ref().and_then(|it| it[field].as_str()).unwrap_or("-").to_owned();
        let seen = format!("{}/{}: {}", text("status"), text("reason"), text("message"));
        if seen.starts_with(expected) { Ok(object) } else { Err(seen) }
    })
    .await
}

/// Generation of a workload and the Secrets that it was restarted for, such as `2 a b`.
fn state(object: &impl serde::Serialize) -> Result<String> {
    let object = serde_json::to_value(object)?;
    let path = format!("/spec/template/metadata/annotations/{}", ANNOTATION.replace('/', "~1"));
    let text = object.pointer(&path).and_then(Value::as_str).unwrap_or("{}");
    let secrets: std::collections::BTreeMap<String, String> = serde_json::from_str(text)?;
    let names: String = secrets.keys().map(|name| format!(" {name}")).collect();
    Ok(format!("{}{names}", object["metadata"]["generation"]))
}

async fn deployment(case: &Case, name: &str) -> Result<String> {
    state(&case.api::<Deployment>().get(name).await?)
}

fn target(name: &str) -> Value {
    json!({"kind": "Deployment", "name": name})
}

#[tokio::test]
async fn a_batch_of_changed_secrets_restarts_each_consumer_once_and_nothing_else() -> Result<()> {
    let case = Case::new("restarts").await?;
    engine(&case, "restarts").await?;
    case.object("BaoAuth", "default", auth("restarts")).await?;
    let variable = json!({"name": "V", "valueFrom": {"secretKeyRef": {"name": "a", "key": "v"}}});
    let volumes = json!([{"name": "v", "secret": {"secretName": "b"}}]);
    let both = json!({"containers": [{"name": "c", "image": "i", "env": [variable]}], "volumes": volumes});
    let projected =
        json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "b"}}]}}]});
    workload(&case, "Deployment", "both", both).await?;
    workload(&case, "DaemonSet", "agent", projected).await?;
    workload(&case, "StatefulSet", "pulls", json!({"imagePullSecrets": [{"name": "a"}]})).await?;
    workload(&case, "StatefulSet", "selected", json!({})).await?;
    // Long enough that a loaded machine syncs both within it.
    let consumers = json!({"mode": "Consumers", "debounce": "20s"});
    let selected = json!([{"kind": "StatefulSet", "selector": {"matchLabels": {"app": "selected"}}}]);
    synced(&case, "a", json!({"rolloutRestart": consumers, "rolloutRestartTargets": selected})).await?;
    synced(&case, "b", json!({"rolloutRestart": consumers})).await?;

    change(&case, &["a", "b"], "1").await?;
    let object = reported(&case, "a", "True/Applied: 2 workloads restarted for change 1 of Secret a").await?;
    reported(&case, "b", "True/Applied: 2 workloads restarted for change 1 of Secret b").await?;
    let mut listed: Vec<&Value> = object["status"]["restarts"]["workloads"]
        .as_array()
        .context("no workloads")?
        .iter()
        .map(|workload| &workload["name"])
        .collect();
    listed.sort_by_key(ToString::to_string);
    assert_eq!(listed, ["both", "selected"]);
    assert_eq!(deployment(&case, "both").await?, "2 a b", "one restart for both Secrets");
    assert_eq!(state(&case.api::<DaemonSet>().get("agent").await?)?, "2 b");
    assert_eq!(state(&case.api::<StatefulSet>().get("selected").await?)?, "2 a");
    assert_eq!(state(&case.api::<StatefulSet>().get("pulls").await?)?, "1");

    // A paused Deployment keeps its pods until it is resumed. A client that removes the annotation causes no loop.
    let patch = async |name: &str, patch: Value| {
        case.api::<Deployment>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    };
    patch("both", json!({"spec": {"paused": true}})).await?;
    change(&case, &["b"], "2").await?;
    reported(&case, "b", "True/Applied: 2 workloads restarted for change 2 of Secret b; paused").await?;
    assert_eq!(deployment(&case, "both").await?, "4 a b");
    let removed = json!({"spec": {"template": {"metadata": {"annotations": {ANNOTATION: null}}}}});
    patch("both", removed).await?;
    change(&case, &["a"], "2").await?;
    reported(&case, "a", "True/Applied: 2 workloads restarted for change 2 of Secret a").await?;
    assert_eq!(deployment(&case, "both").await?, "6 a", "only the new change restarts it");

    // At most one workload rolls out at a time; there is no controller of Deployments here.
    workload(&case, "Deployment", "first", json!({})).await?;
    workload(&case, "Deployment", "second", json!({})).await?;
    let targets = json!([target("second"), target("first")]);
    let settings = json!({"maxConcurrent": 1, "debounce": "0s"});
    synced(&case, "c", json!({"rolloutRestartTargets": targets, "rolloutRestart": settings})).await?;
    change(&case, &["c"], "1").await?;
    reported(&case, "c", "False/RollingOut: 1 workload is restarted after the rollout of Deployment first")
        .await?;
    assert_eq!(
        (deployment(&case, "first").await?, deployment(&case, "second").await?),
        ("2 c".into(), "1".into())
    );
    let done = json!({"status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1}});
    case.api::<Deployment>().patch_status("first", &PatchParams::default(), &Patch::Merge(done)).await?;
    reported(&case, "c", "True/Applied: 2 workloads restarted for change 1 of Secret c").await?;
    assert_eq!(
        (deployment(&case, "first").await?, deployment(&case, "second").await?),
        ("2 c".into(), "2 c".into())
    );

    // A target that does not exist, and a kind without a CRD: the others are restarted, and the sync is Ready.
    let missing = json!([target("gone"), target("first"), {"kind": "argo.Rollout", "name": "x"}]);
    synced(&case, "d", json!({"rolloutRestartTargets": missing, "rolloutRestart": {"debounce": "0s"}}))
        .await?;
    change(&case, &["d"], "1").await?;
    reported(&case, "d", "False/ReferenceNotFound: Deployment gone does not exist: create it, or").await?;
    case.ready::<BaoStaticSecret>("d", "True/Applied").await?;
    assert_eq!(deployment(&case, "first").await?, "3 c d");

    // The condition no longer reports the targets after their removal from the spec, and nothing is restarted.
    let present = Patch::Merge(json!({"spec": {"rolloutRestartTargets": [target("first")]}}));
    case.api::<BaoStaticSecret>().patch("d", &PatchParams::default(), &present).await?;
    reported(&case, "d", "True/Applied: 1 workload restarted for change 1 of Secret d").await?;
    assert_eq!(deployment(&case, "first").await?, "3 c d");
    Ok(())
}

/// Installs the CRD of Argo Rollouts, without its schema.
async fn install_rollouts(case: &Case) -> Result<Api<DynamicObject>> {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version =
        json!({"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names =
        json!({"kind": "Rollout", "plural": "rollouts", "singular": "rollout", "listKind": "RolloutList"});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {"group": "argoproj.io", "names": names, "scope": "Namespaced", "versions": [version]},
    });
    apply(&case.client, definition).await?;
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
    let resource = ApiResource::from_gvk_with_plural(&kind, "rollouts");
    let api = Api::namespaced_with(case.client.clone(), &case.namespace, &resource);
    eventually("the CRD is served", || async {
        api.list(&Default::default()).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(api)
}

#[tokio::test]
async fn an_operator_killed_before_any_write_of_a_change_restarts_each_workload_once() -> Result<()> {
    let mut rig = Rig::alone("restarts-crash").await?;
    let case = &rig.case;
    engine(case, "restarts-crash").await?;
    case.object("BaoAuth", "default", auth("restarts-crash")).await?;
    let rollouts = install_rollouts(case).await?;
    workload(case, "Deployment", "web", json!({})).await?;
    workload(case, "Rollout", "canary", json!({})).await?;
    rig.start().await?;
    let case = &rig.case;
    let targets = json!([target("web"), {"kind": "argo.Rollout", "name": "canary"}]);
    let settings = json!({"debounce": "100ms"});
    synced(case, "a", json!({"rolloutRestartTargets": targets, "rolloutRestart": settings})).await?;
    ensure!(deployment(case, "web").await? == "1", "the creation of a Secret restarted a workload");

    let (mut generation, mut writes) = (1_i64, 0);
    loop {
        generation += 1;
        rig.kubernetes.cut_after(writes);
        change(&rig.case, &["a"], &format!("after {writes}")).await?;
        let number = generation - 1;
        let expected = format!("True/Applied: 2 workloads restarted for change {number} of Secret a");
        let gate = rig.kubernetes.clone();
        let killed = tokio::select! {
            biased;
            () = gate.reached() => true,
            ended = reported(&rig.case, "a", &expected) => ended.map(|_| false)?,
        };
        if killed {
            rig.kill().await?;
            rig.kubernetes.open();
            rig.start().await?;
            reported(&rig.case, "a", &expected)
                .await
                .with_context(|| format!("killed after {writes} writes"))?;
        }
        let web = deployment(&rig.case, "web").await?;
        ensure!(web == format!("{generation} a"), "{web} instead of {generation} after {writes} writes");
        let canary = rollouts.get("canary").await?;
        ensure!(
            canary.metadata.generation == Some(generation),
            "{generation} after {writes} writes: {canary:?}"
        );
        let text = canary.annotations().get(ANNOTATION).cloned().unwrap_or_default();
        ensure!(text.contains(&format!("\"a\":\"{number}/")), "{text} after {writes} writes");
        if !killed {
            break;
        }
        writes += 1;
    }
    // The Secret, its status, two workloads, and their status.
    ensure!(writes >= 5, "the operator was killed only {writes} times");
    rig.kubernetes.open();
    a_refused_restart_is_made_when_it_is_permitted(&rig.case, &rollouts, generation).await
}

/// Sets what the operator may do with Deployments, and waits until the API server decides by it.
async fn may(case: &Case, verbs: &[&str]) -> Result<()> {
    let resources = ["deployments", "statefulsets", "daemonsets"];
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "steamer-restarts"},
        "rules": [
            {"apiGroups": ["apps"], "resources": resources, "verbs": verbs},
            {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "list", "patch"]},
        ],
    });
    apply(&case.client, role).await?;
    let operator = "system:serviceaccount:steamer-system:steamer";
    let right = Right { namespace: &case.namespace, verb: "patch", group: "apps", resource: "deployments" };
    eventually("the role is in force", || async {
        let seen = allowed_to(&case.client, operator, &right).await.map_err(|error| error.to_string())?;
        if seen == verbs.contains(&"patch") { Ok(()) } else { Err(format!("patch is allowed: {seen}")) }
    })
    .await
}

/// The API server refuses the restart of one of two workloads, and permits it later: each is restarted once. `generation` is that
/// of both.
async fn a_refused_restart_is_made_when_it_is_permitted(
    case: &Case,
    rollouts: &Api<DynamicObject>,
    generation: i64,
) -> Result<()> {
    let next = generation + 1;
    may(case, &["get", "list"]).await?;
    change(case, &["a"], "refused").await?;
    let object = reported(case, "a", "False/PermissionDenied: cannot restart Deployment web: ").await?;
    let complete = object["status"]["restarts"]["change"].as_i64();
    ensure!(complete == Some(generation - 1), "the refused restart counts as made: {complete:?}");
    case.ready::<BaoStaticSecret>("a", "True/Applied").await?;
    assert_eq!(deployment(case, "web").await?, format!("{generation} a"));
    assert_eq!(rollouts.get("canary").await?.metadata.generation, Some(next), "the others are restarted");
    may(case, &["get", "list", "patch"]).await?;
    reported(case, "a", &format!("True/Applied: 2 workloads restarted for change {generation} of Secret a"))
        .await?;
    assert_eq!(deployment(case, "web").await?, format!("{next} a"), "one restart");
    assert_eq!(rollouts.get("canary").await?.metadata.generation, Some(next), "no second restart");
    Ok(())
}
