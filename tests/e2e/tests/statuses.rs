//! The results of kstatus (Flux, Argo CD) and `kubectl wait` for the status of every kind, in every state.

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use steamer_api::SecretsProject;
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
        let seen =
            (ready_of(&value), kstatus(std::slice::from_ref(&value)).map_err(|error| error.to_string())?);
        if seen.0.starts_with(ready) && seen.1[0].starts_with(word) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await
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

    // Drifted under Observe: not Ready and not progressing, so `kubectl wait` must time out instead of succeeding.
    let inside = case.admin()?.within("org_1201/group_7/project_42");
    inside.request_any(reqwest::Method::DELETE, "auth/pipeline_jwt/cel/role/all_pipelines", None).await?;
    let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": "now"}}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
    seen_as(case, "web", "False/Drifted", "InProgress").await?;
    ensure!(
        kubectl
            .run(&["-n", "statuses", "wait", "secretsproject/web", "--for=condition=Ready", "--timeout=1s"])
            .is_err()
    );

    // Terminating: OpenBao does not answer.
    rig.openbao.set(Traffic::Hangs);
    projects.delete("held", &DeleteParams::default()).await?;
    seen_as(case, "held", "", "Terminating").await?;
    rig.openbao.set(Traffic::Passes);
    gone(&projects, "held").await
}

/// An object of each kind that cannot be Ready, with the expected `Ready` condition and kstatus.
#[rstest]
#[case::cluster("OpenBaoCluster", "False/Unreachable", "InProgress", json!({
    "external": {
        "address": "https://127.0.0.1:1",
        "managementAuth": {"kubernetes": {"role": "steamer", "audience": "nowhere"}},
    },
    "jwtAudience": "https://bao.example.com",
}))]
#[case::issuer("JWTIssuer", "False/Unreachable", "InProgress", json!({"oidcDiscoveryUrl": "http://127.0.0.1:1", "allowPlaintext": true}))]
#[case::tenant("SecretsTenant", "False/ReferenceNotFound", "InProgress", json!({
    "clusterRef": {"name": "none"}, "organizationId": 1203, "groupId": 7, "issuerRef": {"name": "none"},
}))]
#[case::project("SecretsProject", "False/ReferenceNotFound", "InProgress", json!({"tenantRef": {"name": "none"}, "id": 1}))]
#[case::policy("PipelinePolicy", "False/ReferenceNotFound", "InProgress", json!({
    "projectRef": {"name": "none"}, "secrets": [{"name": "A"}],
}))]
#[case::connection("BaoConnection", "False/Unreachable", "InProgress", json!({"address": "https://127.0.0.1:1"}))]
#[case::auth("BaoAuth", "False/ReferenceNotFound", "InProgress", json!({"projectRef": {"name": "none"}, "workload": "app"}))]
#[case::secret("BaoStaticSecret", "False/ReferenceNotFound", "InProgress", json!({
    "authRef": {"name": "none"}, "mount": "kv", "path": "a", "type": "kv-v2", "destination": {"name": "a", "create": true},
}))]
#[case::transformation("SecretTransformation", "False/Invalid", "Failed", json!({"templates": {"a": {"text": "{{"}}}))]
#[tokio::test]
async fn a_failing_object_is_not_current(
    #[case] kind: &str,
    #[case] ready: &str,
    #[case] word: &str,
    #[case] spec: Value,
) -> Result<()> {
    let namespace = format!("statuses-{}", kind.to_lowercase());
    let case = Case::new(&namespace).await?;
    case.object(kind, "failing", spec).await?;
    let kubectl = Kubectl::new(&case.ground.plane.kubeconfig)?;
    eventually(&format!("{kind} is {ready}"), || async {
        let text = kubectl
            .run(&["-n", &namespace, "get", kind, "failing", "-o", "json"])
            .map_err(|error| error.to_string())?;
        let object: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let seen = (ready_of(&object), kstatus(&[object]).map_err(|error| error.to_string())?);
        if seen.0.starts_with(ready) && seen.1[0].starts_with(word) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await
    .with_context(|| kind.to_owned())
}
