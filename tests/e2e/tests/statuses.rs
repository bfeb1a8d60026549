//! The results of kstatus (Flux), Argo CD and `kubectl wait` for the status of every kind, in every state.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{KindId, SecretsProject};
use steamer_testing::argocd::{Lua, Use, script};
use steamer_testing::demo::samples;
use steamer_testing::ground::{apply, yaml};
use steamer_testing::kstatus::kstatus;
use steamer_testing::kubectl::Kubectl;
use steamer_testing::ports;
use steamer_testing::proxy::Traffic;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_of};
use crate::openbao_outage::gone;
use crate::rig::Rig;

/// Waits until `Ready` of a project starts with `ready` and its kstatus with `word`.
async fn seen_as(case: &Case, name: &str, ready: &str, word: &str) -> Result<()> {
    let projects: Api<SecretsProject> = case.api();
    eventually(&format!("{name} is {ready} and {word}"), || async {
        let object = projects.get(name).await.map_err(|error| error.to_string())?;
        let value = typed(&object, "SecretsProject").map_err(|error| error.to_string())?;
        // Health and kstatus are those of other processes, which start only for the expected condition.
        let now = ready_of(&value);
        if !now.starts_with(ready) {
            return Err(now);
        }
        let seen = (now, kstatus(std::slice::from_ref(&value)).map_err(|error| error.to_string())?);
        let health = health(&value).map_err(|error| error.to_string())?;
        if seen.1[0].starts_with(word) && fits(word, &health) {
            Ok(())
        } else {
            Err(format!("{seen:?} {health}"))
        }
    })
    .await
}

/// Health of an object in Argo CD.
fn health(object: &Value) -> Result<String> {
    let results = Lua::interpreter()?.run(&script("health")?, Use::Health, std::slice::from_ref(object))?;
    Ok(results[0]["status"].as_str().unwrap_or_default().to_owned())
}

/// Returns true if Argo CD and Flux agree.
fn fits(kstatus: &str, health: &str) -> bool {
    match kstatus {
        "Current" => matches!(health, "Healthy" | "Suspended"),
        "Failed" => health == "Degraded",
        _ => health == "Progressing",
    }
}

/// Returns an object as `kubectl get -o json` prints it.
fn typed(object: &impl serde::Serialize, kind: &str) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    value["apiVersion"] = json!("steamer.dev/v1alpha1");
    value["kind"] = json!(kind);
    Ok(value)
}

fn waits(kubectl: &Kubectl, namespace: &str, what: &str, condition: &str) -> Result<String> {
    kubectl.run(&["--namespace", namespace, "wait", what, &format!("--for={condition}"), "--timeout=60s"])
}

#[tokio::test]
async fn kstatus_and_kubectl_wait_are_correct_in_every_state_of_a_project() -> Result<()> {
    let mut rig = Rig::new("statuses").await?;
    let kubectl = Kubectl::new(&rig.case.ground.plane.kubeconfig)?;
    let url = rig.case.ground.issuer.url.clone();
    rig.case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})).await?;
    let spec = json!({
        "clusterRef": {"name": "main"}, "organizationId": 1201, "groupId": 7, "issuerRef": {"name": "gitlab"},
        "deletionPolicy": "Delete",
    });
    rig.case.object("SecretsTenant", "acme", spec).await?;
    let project = |id: i64| json!({"tenantRef": {"name": "acme"}, "id": id, "deletionPolicy": "Delete"});

    // New: not reconciled yet, which must not count as current.
    rig.case.object("SecretsProject", "web", project(42)).await?;
    seen_as(&rig.case, "web", "-/-", "InProgress").await?;

    rig.start().await?;
    let case = &rig.case;
    seen_as(case, "web", "True/Applied", "Current").await?;
    waits(&kubectl, "statuses", "secretsproject/web", "condition=Ready")?;

    // Changed and not reconciled yet: kstatus compares the generations.
    rig.openbao.set(Traffic::Hangs);
    let projects: Api<SecretsProject> = case.api();
    let patch = |patch: Value| Patch::Merge(json!({"spec": patch}));
    projects
        .patch("web", &PatchParams::default(), &patch(json!({"engines": [{"name": "kv", "maxVersions": 3}]})))
        .await?;
    seen_as(case, "web", "", "InProgress").await?;
    rig.openbao.set(Traffic::Passes);
    seen_as(case, "web", "True/Applied", "Current").await?;

    // Progressing: held between two of its writes to OpenBao.
    rig.openbao.cut_after(2);
    case.object("SecretsProject", "held", project(43)).await?;
    rig.openbao.reached().await;
    seen_as(case, "held", "False/", "InProgress").await?;
    rig.openbao.open();
    seen_as(case, "held", "True/Applied", "Current").await?;

    // Waiting for a reference: it becomes Ready once the reference exists.
    let spec = json!({"tenantRef": {"name": "later"}, "id": 42});
    case.object("SecretsProject", "waiting", spec).await?;
    seen_as(case, "waiting", "False/ReferenceNotFound", "InProgress").await?;

    // Failing: the server is down.
    let nowhere = format!("https://127.0.0.1:{}", ports::free()?);
    case.cluster_at("down", &case.ground.openbao, &nowhere).await?;
    let spec = json!({
        "clusterRef": {"name": "down"}, "organizationId": 1202, "groupId": 7, "issuerRef": {"name": "gitlab"},
    });
    case.object("SecretsTenant", "later", spec).await?;
    seen_as(case, "waiting", "False/Waiting", "InProgress").await?;

    // Stalled: needs manual intervention.
    case.object("SecretsProject", "second", project(42)).await?;
    seen_as(case, "second", "False/Conflict", "Failed").await?;
    waits(&kubectl, "statuses", "secretsproject/second", "condition=Stalled")?;

    // Suspended: keeps the last conditions and adds `Suspended`.
    projects.patch("web", &PatchParams::default(), &patch(json!({"suspend": true}))).await?;
    waits(&kubectl, "statuses", "secretsproject/web", "condition=Suspended")?;
    seen_as(case, "web", "True/Applied", "Current").await?;
    projects
        .patch("web", &PatchParams::default(), &patch(json!({"suspend": false, "mode": "Observe"})))
        .await?;
    seen_as(case, "web", "True/Observed", "Current").await?;

    // Drifted under Observe: the object only reports, so it is ready, and tools that wait for it must not hang.
    let inside = case.admin()?.within("org_1201/group_7/project_42");
    inside.request_any(reqwest::Method::DELETE, "auth/pipeline_jwt/cel/role/all_pipelines", None).await?;
    let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": "now"}}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
    seen_as(case, "web", "True/Drifted", "Current").await?;
    waits(&kubectl, "statuses", "secretsproject/web", "condition=InSync=False")?;

    // Terminating: OpenBao does not answer.
    rig.openbao.set(Traffic::Hangs);
    projects.delete("held", &DeleteParams::default()).await?;
    seen_as(case, "held", "", "Terminating").await?;
    rig.openbao.set(Traffic::Passes);
    gone(&projects, "held").await
}

/// A spec that cannot be Ready, with the expected `Ready` condition and kstatus.
type Failing = (Value, &'static str, &'static str);

/// The specs of kinds that do not need another object.
fn without_references(kind: KindId) -> Option<Failing> {
    let (spec, ready, word) = match kind {
        KindId::OpenBaoCluster => {
            let login = json!({"kubernetes": {"role": "steamer", "audience": "nowhere"}});
            let external = json!({"address": "https://127.0.0.1:1", "managementAuth": login});
            let spec = json!({"external": external, "jwtAudience": "https://bao.example.com"});
            (spec, "False/Unreachable", "InProgress")
        }
        KindId::JWTIssuer => {
            let spec = json!({"oidcDiscoveryUrl": "http://127.0.0.1:1", "allowPlaintext": true});
            (spec, "False/Unreachable", "InProgress")
        }
        KindId::BaoConnection => {
            (json!({"address": "https://127.0.0.1:1"}), "False/Unreachable", "InProgress")
        }
        KindId::SecretTransformation => {
            (json!({"templates": {"a": {"text": "{{"}}}), "False/Invalid", "Failed")
        }
        KindId::ClusterBaoStaticSecret => {
            let destination = json!({"name": "failing", "create": true});
            let spec = json!({"mount": "none", "path": "none", "type": "kv-v2", "destination": destination});
            let spec = json!({"namespaces": ["statuses-failing"], "template": {"spec": spec}});
            (spec, "False/Conflict", "Failed")
        }
        _ => return None,
    };
    Some((spec, ready, word))
}

/// The spec of the first sample of a kind that refers to another object, with references to objects that do not exist.
/// `None` for a kind without references.
fn without_targets(kind: KindId) -> Result<Option<Failing>> {
    for (_, text) in samples()? {
        for object in yaml(&text)? {
            let mut spec = object["spec"].clone();
            if object["kind"] == kind.as_str() && remove_targets(&mut spec) {
                return Ok(Some((spec, "False/ReferenceNotFound", "InProgress")));
            }
        }
    }
    Ok(None)
}

/// Lets the references of a spec refer to objects that do not exist. Returns false if there are none.
fn remove_targets(spec: &mut Value) -> bool {
    let mut found = false;
    for (field, value) in spec.as_object_mut().into_iter().flatten() {
        if field.ends_with("Ref") && value["name"].is_string() {
            *value = json!({"name": "none"});
            found = true;
        }
    }
    found
}

#[tokio::test]
async fn an_object_of_any_kind_that_cannot_be_ready_is_not_current() -> Result<()> {
    let case = Case::new("statuses-failing").await?;
    let kubectl = Kubectl::new(&case.ground.plane.kubeconfig)?;
    let mut failing = Vec::new();
    for kind in KindId::ALL {
        let known = without_references(*kind).map_or_else(|| without_targets(*kind), |known| Ok(Some(known)));
        let (spec, ready, word) =
            known?.with_context(|| format!("{kind} needs an entry in without_references"))?;
        apply(
            &case.client,
            json!({
                "apiVersion": "steamer.dev/v1alpha1", "kind": kind.as_str(),
                "metadata": {"name": "failing", "namespace": case.namespace}, "spec": spec,
            }),
        )
        .await?;
        failing.push((kind.as_str(), ready, word));
    }
    for (kind, ready, word) in failing {
        eventually(&format!("{kind} is {ready}"), || async {
            let text = kubectl
                .run(&["-n", &case.namespace, "get", kind, "failing", "-o", "json"])
                .map_err(|error| error.to_string())?;
            let object: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let now = ready_of(&object);
            if !now.starts_with(ready) {
                return Err(now);
            }
            let health = health(&object).map_err(|error| error.to_string())?;
            let seen = (now, kstatus(&[object]).map_err(|error| error.to_string())?);
            if seen.1[0].starts_with(word) && fits(word, &health) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await?;
    }
    Ok(())
}
