//! Resources that remain after objects are deleted.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use steamer_api::{JWTIssuer, PipelinePolicy, SecretsProject, SecretsTenant};

use crate::fixture::Case;
use crate::openbao_outage::gone;

#[tokio::test]
async fn delete_leaves_nothing_in_openbao_even_when_parents_are_deleted_first() -> Result<()> {
    let case = Case::new("deletion-delete").await?;
    let namespace = case.project(601).await?;
    let projects: Api<SecretsProject> = case.api();
    let patch = json!({"spec": {"deletionPolicy": "Delete"}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    // Everything at once, parents before children; the tenant waits for its project.
    let issuers: Api<JWTIssuer> = case.api();
    let tenants: Api<SecretsTenant> = case.api();
    issuers.delete("gitlab", &DeleteParams::default()).await?;
    tenants.delete("acme", &DeleteParams::default()).await?;
    case.ready::<SecretsTenant>("acme", "False/Waiting").await?;
    projects.delete("web", &DeleteParams::default()).await?;
    gone(&projects, "web").await?;
    gone(&tenants, "acme").await?;
    assert_eq!(case.admin()?.child_namespace("org_601").await?, None);
    case.api::<PipelinePolicy>().delete("all", &DeleteParams::default()).await?;
    gone(&case.api::<PipelinePolicy>(), "all").await
}

#[tokio::test]
async fn retain_keeps_values_and_revokes_access_and_the_same_name_adopts_the_values() -> Result<()> {
    let case = Case::new("deletion-retain").await?;
    let namespace = case.project(602).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    let job = case.login(&namespace, "all_pipelines", &jwt).await?;
    let projects: Api<SecretsProject> = case.api();
    projects.delete("web", &DeleteParams::default()).await?;
    gone(&projects, "web").await?;
    let session = case.admin()?.within(&namespace);
    assert_eq!(session.auth_mount("pipeline_jwt").await?, None);
    assert!(session.policies_below("pipelines").await?.is_empty());
    assert!(case.login(&namespace, "all_pipelines", &jwt).await.is_err());
    assert!(crate::tenancy::readable_with(&job, &["A"]).await?.is_empty());
    assert_eq!(session.list_kv2("secrets/kv", "explicit").await?, ["A"]);
    // An object with another name does not adopt them; one with the same name does.
    case.object("SecretsProject", "thief", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
    case.ready::<SecretsProject>("thief", "False/Conflict").await?;
    projects.delete("thief", &DeleteParams::default()).await?;
    gone(&projects, "thief").await?;
    case.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    assert_eq!(case.readable(&namespace, &case.claims(), &["A"]).await?, ["A"]);
    Ok(())
}

#[tokio::test]
async fn deletion_keeps_foreign_mounts_and_under_observe_the_values() -> Result<()> {
    let case = Case::new("deletion-foreign").await?;
    let namespace = case.project(603).await?;
    let session = case.admin()?.within(&namespace);
    let body = json!({"type": "transit", "description": "by hand"});
    session.request_any(reqwest::Method::POST, "sys/mounts/theirs", Some(body)).await?;
    let projects: Api<SecretsProject> = case.api();
    let patch = json!({"spec": {"deletionPolicy": "Delete"}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    case.object(
        "SecretsProject",
        "seen",
        json!({"tenantRef": {"name": "acme"}, "id": 44, "deletionPolicy": "Delete"}),
    )
    .await?;
    case.ready::<SecretsProject>("seen", "True/Applied").await?;
    let patch = json!({"spec": {"mode": "Observe"}});
    projects.patch("seen", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    case.ready::<SecretsProject>("seen", "True/Observed").await?;
    for name in ["web", "seen"] {
        projects.delete(name, &DeleteParams::default()).await?;
        gone(&projects, name).await?;
    }
    assert_eq!(session.mount("secrets/kv").await?, None);
    assert!(session.mount("theirs").await?.is_some());
    let seen = case.admin()?.within("org_603/group_7/project_44");
    assert_eq!(seen.auth_mount("pipeline_jwt").await?, None);
    assert!(seen.mount("secrets/kv").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn access_of_a_project_whose_finalizer_was_removed_is_collected_by_its_tenant() -> Result<()> {
    let case = Case::new("deletion-stripped").await?;
    let namespace = case.project(604).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let projects: Api<SecretsProject> = case.api();
    let deleting = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    // A suspended project without a finalizer is deleted before Steamer can act.
    projects.patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": true}}))).await?;
    crate::tenancy::suspended(&projects, "web").await?;
    let stripped = json!({"metadata": {"finalizers": null}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(stripped)).await?;
    projects.delete("web", &deleting).await?;
    gone(&projects, "web").await?;
    let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": "now"}}});
    let tenants: Api<SecretsTenant> = case.api();
    tenants.patch("acme", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
    let inside = case.admin()?.within(&namespace);
    steamer_testing::wait::eventually("the tenant removes the access", || async {
        match (inside.auth_mount("pipeline_jwt").await, inside.policies_below("pipelines").await) {
            (Ok(None), Ok(policies)) if policies.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(inside.list_kv2("secrets/kv", "explicit").await?, ["A"]);
    let events: Api<Event> = case.api();
    steamer_testing::wait::eventually("an Event states that the values are kept", || async {
        let list = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let notes: Vec<String> = list.items.into_iter().filter_map(|event| event.note).collect();
        let states = |note: &String| {
            note.contains("SecretsProject deletion-stripped/web") && note.contains("values are kept")
        };
        if notes.iter().any(states) { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_secret_is_deleted_with_its_object_unless_it_is_orphaned_or_retained() -> Result<()> {
    let case = Case::new("deletion-secret").await?;
    crate::static_secrets::engine(&case, "deletion-secret").await?;
    case.admin()?.write_kv2("deletion-secret", "app", &json!({"a": "1"})).await?;
    case.object("BaoAuth", "default", crate::static_secrets::auth("deletion-secret")).await?;
    let spec = |name: &str, changes: serde_json::Value| {
        let mut destination = json!({"name": name, "create": true});
        for (key, value) in changes.as_object().into_iter().flatten() {
            destination[key] = value.clone();
        }
        json!({"mount": "deletion-secret", "path": "app", "type": "kv-v2", "destination": destination})
    };
    let cases = [
        ("owned", json!({})),
        ("orphan", json!({"creationPolicy": "Orphan"})),
        ("retained", json!({"deletionPolicy": "Retain"})),
    ];
    let objects: Api<steamer_api::BaoStaticSecret> = case.api();
    for (name, changes) in cases {
        case.object("BaoStaticSecret", name, spec(name, changes)).await?;
        case.ready::<steamer_api::BaoStaticSecret>(name, "True/Applied").await?;
        objects.delete(name, &DeleteParams::default()).await?;
    }
    let secrets: Api<Secret> = case.api();
    gone(&secrets, "owned").await?;
    assert!(secrets.get_opt("orphan").await?.is_some());
    assert!(secrets.get_opt("retained").await?.is_some());
    Ok(())
}
