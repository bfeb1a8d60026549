//! Drift is detected and repaired; under `mode: Observe` it is reported and left unchanged.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, SecretsProject};
use steamer_openbao::Session;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_of};
use crate::static_secrets::{auth, engine};

/// Returns the actual state in OpenBao of everything that belongs to a project.
pub async fn state(project: &Session) -> Result<Value, steamer_openbao::Error> {
    let mount = |mount: Option<steamer_openbao::Mount>| {
        mount.map(|mount| (mount.kind, mount.description, mount.options))
    };
    let config = project.jwt_config("pipeline_jwt").await?.map(|config| format!("{config:?}"));
    let workloads = project.jwt_config("workload_jwt").await?.map(|config| format!("{config:?}"));
    let policies =
        project.policies_below("pipelines").await?.into_iter().map(|(name, policy)| (name, policy.policy));
    Ok(json!({
        "mount": mount(project.mount("secrets/kv").await?),
        "kv": project.kv_config("secrets/kv").await?,
        "auth": mount(project.auth_mount("pipeline_jwt").await?),
        "config": config, "workload config": workloads,
        "roles": project.cel_roles("pipeline_jwt").await?,
        "role": project.cel_role("pipeline_jwt", "all_pipelines").await?,
        "classic roles": project.jwt_roles("pipeline_jwt").await?,
        "workload roles": project.jwt_roles("workload_jwt").await?,
        "workload role": project.jwt_role("workload_jwt", "app").await?,
        "policies": policies.collect::<std::collections::BTreeMap<_, _>>(),
    }))
}

/// A request that causes drift.
type Alteration = (Method, &'static str, Option<Value>);

fn alterations() -> Vec<(&'static str, Vec<Alteration>)> {
    let delete = |path| (Method::DELETE, path, None);
    let post = |path, body| (Method::POST, path, Some(body));
    let foreign = json!({"policy": "path \"secrets/*\" { capabilities = [\"read\"] }"});
    let program =
        json!({"cel_program": {"expression": "pb.Auth{policies: [\"root\"]}"}, "bound_audiences": ["x"]});
    vec![
        (
            "the engine's settings",
            vec![post("secrets/kv/config", json!({"max_versions": 3, "cas_required": true}))],
        ),
        ("the auth mount is deleted", vec![delete("sys/auth/pipeline_jwt")]),
        (
            "the auth mount's configuration",
            vec![post(
                "auth/pipeline_jwt/config",
                json!({"jwks_url": "http://127.0.0.1:9/evil", "bound_issuer": "evil", "skip_jwks_validation": true}),
            )],
        ),
        ("a role", vec![post("auth/pipeline_jwt/cel/role/all_pipelines", program.clone())]),
        ("a role is deleted", vec![delete("auth/pipeline_jwt/cel/role/all_pipelines")]),
        ("an extra role", vec![post("auth/pipeline_jwt/cel/role/backdoor", program)]),
        (
            "an extra classic role",
            vec![post(
                "auth/pipeline_jwt/role/backdoor",
                json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "x"}),
            )],
        ),
        ("a policy is deleted", vec![delete("sys/policies/acl/pipelines/global")]),
        (
            "a workload's role",
            vec![post(
                "auth/workload_jwt/role/app",
                json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "other"}),
            )],
        ),
        ("the engine is deleted", vec![delete("sys/mounts/secrets/kv")]),
        ("a policy's rules", vec![post("sys/policies/acl/pipelines/global", foreign)]),
    ]
}

#[tokio::test]
async fn drift_of_a_project_is_repaired_and_only_reported_under_observe() -> Result<()> {
    let case = Case::new("drift-project").await?;
    case.tenant(301).await?;
    let workloads =
        json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
    let spec = json!({"tenantRef": {"name": "acme"}, "id": 42, "workloads": workloads});
    case.object("SecretsProject", "web", spec).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let project = case.admin()?.within("org_301/group_7/project_42");
    let right = state(&project).await?;
    let projects: Api<SecretsProject> = case.api();
    for (what, requests) in alterations() {
        let mode = |mode: &str| Patch::Merge(json!({"spec": {"mode": mode}}));
        projects.patch("web", &PatchParams::default(), &mode("Observe")).await?;
        case.ready::<SecretsProject>("web", "True/Observed").await.context(what)?;
        for (method, path, body) in requests {
            project.request_any(method, path, body).await.context(what)?;
        }
        let wrong = state(&project).await?;
        assert_ne!(wrong, right, "{what}");
        look(&projects).await?;
        let observed = case.ready::<SecretsProject>("web", "True/Drifted").await.context(what)?;
        assert!(!observed.status.context("the object has no status")?.lifecycle.plan.is_empty(), "{what}");
        assert_eq!(state(&project).await?, wrong, "{what} was changed under Observe");
        projects.patch("web", &PatchParams::default(), &mode("Enforce")).await?;
        case.ready::<SecretsProject>("web", "True/Applied").await.context(what)?;
        assert_eq!(state(&project).await?, right, "{what}");
    }
    Ok(())
}

/// Requests a full reconcile.
async fn look(projects: &Api<SecretsProject>) -> Result<()> {
    let now = jiff::Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {"steamer.dev/reconcile": now}}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

#[tokio::test]
async fn drift_of_a_secret_is_repaired_at_once() -> Result<()> {
    let case = Case::new("drift-secret").await?;
    engine(&case, "drift-secret").await?;
    case.admin()?.write_kv2("drift-secret", "app", &json!({"a": "1", "b": "2"})).await?;
    case.object("BaoAuth", "default", auth("drift-secret")).await?;
    let spec = json!({
        "mount": "drift-secret", "path": "app", "type": "kv-v2", "refreshAfter": "1h",
        "destination": {
            "name": "app", "create": true, "type": "example.com/app",
            "labels": {"app": "web"}, "annotations": {"note": "mine"},
        },
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let secrets: Api<Secret> = case.api();
    let shape = |secret: &Secret| {
        json!({
            "data": secret.data, "type": secret.type_, "labels": secret.metadata.labels,
            "annotations": secret.metadata.annotations, "owners": secret.metadata.owner_references,
        })
    };
    let right = shape(&secrets.get("app").await?);
    let changes = [
        ("a value", json!({"data": {"a": "eA=="}})),
        ("an extra key", json!({"data": {"c": "eA=="}})),
        ("a key is deleted", json!({"data": {"b": null}})),
        ("a label", json!({"metadata": {"labels": {"app": "other"}}})),
        ("a label is deleted", json!({"metadata": {"labels": {"app": null}}})),
        ("an annotation", json!({"metadata": {"annotations": {"note": "theirs"}}})),
        ("the managed-by label", json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}})),
        ("the owner", json!({"metadata": {"ownerReferences": []}})),
        (
            "the immutability",
            json!({"metadata": {"labels": {"app": "x"}, "annotations": {"note": null}}, "data": {"a": null}}),
        ),
    ];
    for (what, change) in changes {
        secrets.patch("app", &PatchParams::default(), &Patch::Merge(&change)).await?;
        is_right(&secrets, &right, what, &shape).await?;
    }
    secrets.delete("app", &DeleteParams::default()).await?;
    is_right(&secrets, &right, "deleted", &shape).await?;
    let other = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app", "namespace": case.namespace}, "type": "Opaque",
    });
    // A Secret that another client creates with the same name after the deletion is foreign and is kept.
    let objects: Api<BaoStaticSecret> = case.api();
    let suspended = |value: bool| Patch::Merge(json!({"spec": {"suspend": value}}));
    objects.patch("app", &PatchParams::default(), &suspended(true)).await?;
    eventually("the object is suspended", || async {
        let object = objects.get("app").await.map_err(|error| error.to_string())?;
        let conditions = object.status.unwrap_or_default().common.conditions;
        if conditions.iter().any(|condition| condition.type_ == "Suspended") {
            Ok(())
        } else {
            Err(format!("{conditions:?}"))
        }
    })
    .await?;
    secrets.delete("app", &DeleteParams::default()).await?;
    steamer_testing::ground::apply(&case.client, other).await?;
    objects.patch("app", &PatchParams::default(), &suspended(false)).await?;
    case.ready::<BaoStaticSecret>("app", "False/Conflict").await?;
    assert_eq!(secrets.get("app").await?.type_.as_deref(), Some("Opaque"));
    secrets.delete("app", &DeleteParams::default()).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    is_right(&secrets, &right, "recreated", &shape).await
}

async fn is_right(
    secrets: &Api<Secret>,
    right: &Value,
    what: &str,
    shape: &impl Fn(&Secret) -> Value,
) -> Result<()> {
    eventually(what, || async {
        let seen = shape(&secrets.get("app").await.map_err(|error| error.to_string())?);
        if seen == *right { Ok(()) } else { Err(seen.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_foreign_resource_is_kept_and_the_object_recovers_when_it_is_removed() -> Result<()> {
    let case = Case::new("drift-foreign").await?;
    let admin = case.admin()?;
    let made = |path: &'static str, body: Value| admin.request_any(Method::POST, path, Some(body));
    made("sys/namespaces/org_302", json!({"custom_metadata": {"made-by": "hand"}})).await?;
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})).await?;
    let spec = json!({"clusterRef": {"name": "main"}, "organizationId": 302, "groupId": 7, "issuerRef": {"name": "gitlab"}});
    case.object("SecretsTenant", "acme", spec).await?;
    let refused = case.ready::<steamer_api::SecretsTenant>("acme", "False/Conflict").await?;
    assert!(ready_of(&serde_json::to_value(&refused)?).contains("another owner"));
    let kept = admin.child_namespace("org_302").await?.context("the namespace was deleted")?;
    assert_eq!(kept.custom_metadata, [("made-by".to_owned(), "hand".to_owned())].into());
    admin.delete_namespace("org_302").await?;
    nudge(&case, "SecretsTenant", "acme").await?;
    case.ready::<steamer_api::SecretsTenant>("acme", "True/Applied").await?;

    // A project, with a foreign auth mount and then a foreign policy in its place.
    case.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42, "enabled": false}))
        .await?;
    case.ready::<SecretsProject>("web", "True/Disabled").await?;
    let project = admin.within("org_302/group_7/project_42");
    project
        .request_any(
            Method::POST,
            "sys/auth/pipeline_jwt",
            Some(json!({"type": "jwt", "description": "by hand"})),
        )
        .await?;
    let policy = json!({"policy": "path \"x\" { capabilities = [\"read\"] }"});
    project.request_any(Method::POST, "sys/policies/acl/pipelines/global", Some(policy)).await?;
    let projects: Api<SecretsProject> = case.api();
    projects
        .patch("web", &PatchParams::default(), &Patch::Merge(&json!({"spec": {"enabled": true}})))
        .await?;
    case.ready::<SecretsProject>("web", "False/Conflict").await?;
    assert_eq!(
        project.auth_mount("pipeline_jwt").await?.context("the foreign auth mount was deleted")?.description,
        "by hand"
    );
    assert_eq!(project.jwt_config("pipeline_jwt").await?, None);
    project.disable_auth("pipeline_jwt").await?;
    nudge(&case, "SecretsProject", "web").await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;

    case.object("PipelinePolicy", "all", json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]}))
        .await?;
    case.ready::<SecretsProject>("web", "False/Conflict").await?;
    let kept = project.policy("pipelines/global").await?.context("the foreign policy was deleted")?;
    assert!(kept.policy.contains("path \"x\""));
    case.ready::<steamer_api::PipelinePolicy>("all", "False/Waiting").await?;
    project.delete_policy("pipelines/global").await?;
    nudge(&case, "SecretsProject", "web").await?;
    case.ready::<steamer_api::PipelinePolicy>("all", "True/Applied").await.map(drop)
}

/// Annotation that requests a reconcile, and a further attempt of a stopped write.
const RECONCILE: &str = "steamer.dev/reconcile";

/// Requests a reconcile of an object of any kind.
pub async fn nudge(case: &Case, kind: &str, name: &str) -> Result<()> {
    annotate(case, (kind, name), RECONCILE).await
}

/// Sets an annotation of an object of any kind to the time.
async fn annotate(case: &Case, (kind, name): (&str, &str), annotation: &str) -> Result<()> {
    let now = jiff::Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {annotation: now}}});
    case.dynamic(kind)?.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// Waits for a complete pass over an object. `reads` counts a read that each of its passes makes once: the second one ends the
/// first pass.
pub async fn passes(case: &Case, kind: &str, name: &str, reads: impl Fn() -> Result<usize>) -> Result<()> {
    for _ in 0..2 {
        visit(case, (kind, name), RECONCILE, &reads).await?;
    }
    Ok(())
}

/// Waits for a read of a pass over an object. The change of an annotation requests the pass.
pub async fn visit(
    case: &Case,
    (kind, name): (&str, &str),
    annotation: &str,
    reads: impl Fn() -> Result<usize>,
) -> Result<()> {
    let before = reads()?;
    annotate(case, (kind, name), annotation).await?;
    eventually(&format!("{kind} {name} is read again"), || async {
        let now = reads().map_err(|error| error.to_string())?;
        if now > before { Ok(()) } else { Err(format!("{now} reads")) }
    })
    .await
}
