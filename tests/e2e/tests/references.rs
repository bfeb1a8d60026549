//! A missing reference delays no other object, and its creation requeues the objects that wait for it.

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use serde_json::json;
use steamer_api::{BaoStaticSecret, PipelinePolicy, SecretsProject, SecretsTenant};

use crate::fixture::{Case, ready_in};
use crate::static_secrets::{auth, engine};

#[tokio::test]
async fn five_hundred_waiting_objects_delay_no_other_and_are_requeued_by_their_baoauth() -> Result<()> {
    let case = Case::new("references-many").await?;
    engine(&case, "references-many").await?;
    case.admin()?.write_kv2("references-many", "app", &json!({"a": "1"})).await?;
    let spec = |auth: &str, name: &str| {
        json!({
            "authRef": {"name": auth}, "mount": "references-many", "path": "app", "type": "kv-v2", "refreshAfter": "1h",
            "destination": {"name": name, "create": true},
        })
    };
    let names: Vec<String> = (0..500).map(|number| format!("waits-{number}")).collect();
    stream::iter(&names)
        .map(|name| case.object("BaoStaticSecret", name, spec("late", name)))
        .buffer_unordered(16)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    case.object("BaoAuth", "early", auth("references-many")).await?;
    case.object("BaoStaticSecret", "good", spec("early", "good")).await?;
    case.ready::<BaoStaticSecret>("good", "True/Applied").await?;
    // No waiting object was reconciled twice: each status was written once, when the missing reference was found.
    let api: Api<BaoStaticSecret> = case.api();
    let last = case.ready::<BaoStaticSecret>("waits-499", "False/ReferenceNotFound").await?;
    let before = last.metadata.resource_version;
    case.object("BaoAuth", "other", auth("references-many")).await?;
    case.ready::<BaoStaticSecret>("good", "True/Applied").await?;
    assert_eq!(api.get("waits-499").await?.metadata.resource_version, before);
    case.object("BaoAuth", "late", auth("references-many")).await?;
    for name in &names {
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    }
    let secrets: Api<Secret> = case.api();
    assert_eq!(
        secrets
            .list(&kube::api::ListParams::default().labels("app.kubernetes.io/managed-by=steamer"))
            .await?
            .items
            .len(),
        501
    );
    Ok(())
}

#[tokio::test]
async fn each_created_reference_requeues_the_objects_that_wait_for_it() -> Result<()> {
    let case = Case::new("references-chain").await?;
    // Created from the last to the first, so that each object waits for the next one.
    case.object(
        "BaoStaticSecret",
        "app",
        json!({
            "mount": "secrets/kv", "path": "explicit/A", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "app", "create": true},
        }),
    )
    .await?;
    case.object("PipelinePolicy", "all", json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]}))
        .await?;
    case.ready::<BaoStaticSecret>("app", "False/ReferenceNotFound").await?;
    case.ready::<PipelinePolicy>("all", "False/ReferenceNotFound").await?;
    case.object("BaoAuth", "default", json!({"projectRef": {"name": "web"}, "workload": "app"})).await?;
    let workloads =
        json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
    case.object(
        "SecretsProject",
        "web",
        json!({"tenantRef": {"name": "acme"}, "id": 42, "workloads": workloads}),
    )
    .await?;
    case.ready::<SecretsProject>("web", "False/ReferenceNotFound").await?;
    let spec = json!({"clusterRef": {"name": "main"}, "organizationId": 401, "groupId": 7, "issuerRef": {"name": "gitlab"}});
    case.object("SecretsTenant", "acme", spec).await?;
    case.ready::<SecretsTenant>("acme", "False/ReferenceNotFound").await?;
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.ready::<PipelinePolicy>("all", "True/Applied").await?;
    case.ready::<BaoStaticSecret>("app", "False/SourceMissing").await?;
    case.values("org_401/group_7/project_42", &["A"]).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let secret = case.api::<Secret>().get("app").await?;
    assert_eq!(secret.data.unwrap_or_default()["value"].0, b"of A");
    Ok(())
}

#[tokio::test]
async fn a_cross_namespace_reference_must_be_allowed_and_uses_the_readers_own_service_account() -> Result<()>
{
    let case = Case::new("references-across").await?;
    engine(&case, "references-across").await?;
    case.make_namespace("references-guest", json!({})).await?;
    case.object("BaoAuth", "shared", auth("references-across")).await?;
    let spec = json!({
        "authRef": {"name": "shared", "namespace": "references-across"}, "mount": "references-across", "path": "app",
        "type": "kv-v2", "destination": {"name": "app", "create": true},
    });
    case.object_in("references-guest", "BaoStaticSecret", "app", spec).await?;
    let guests: Api<BaoStaticSecret> = Api::namespaced(case.client.clone(), "references-guest");
    ready_in(&guests, "app", "False/ReferenceDenied").await?;
    let mut open = auth("references-across");
    open["allowedNamespaces"] = json!({"from": "All"});
    case.object("BaoAuth", "shared", open).await?;
    // The reference is allowed, but OpenBao denies the login because the role is bound to another namespace: the
    // ServiceAccount is always taken from the namespace of the object that refers to the BaoAuth.
    ready_in(&guests, "app", "False/PermissionDenied").await.map(drop)
}
