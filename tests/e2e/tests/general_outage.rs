//! Objects of general kinds that are deleted while their OpenBao is unreachable.

use anyhow::Result;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::{AuthMethod, BaoPolicy, OpenBaoCluster, TransitKey};
use steamer_testing::wait::eventually;

use crate::general::{Scene, state};
use crate::openbao_outage::{back, gone};

/// The objects of general kinds have no tenant: their orphans are those of the cluster. One of them has two resources in another
/// namespace of OpenBao.
#[tokio::test]
async fn a_deletion_of_a_general_kind_during_an_outage_states_where_its_orphan_is() -> Result<()> {
    let Scene { case, mut openbao, .. } = Scene::new("outage-general").await?;
    let policy = "path \"kv/data/web\" { capabilities = [\"read\"] }";
    let spec = json!({"clusterRef": {"name": "own"}, "policy": policy, "deletionDeadline": "2s"});
    case.object("BaoPolicy", "web", spec).await?;
    let key = json!({
        "clusterRef": {"name": "own"}, "mount": "transit", "deletionPolicy": "Delete", "deletionDeadline": "2s",
    });
    let method = json!({
        "clusterRef": {"name": "own"}, "namespace": "team", "type": "jwt", "deletionDeadline": "2s",
        "jwt": {"jwksURL": "https://127.0.0.1:9/keys"}, "parameters": {"skip_jwks_validation": true},
    });
    let admin = openbao.admin()?;
    admin.request_any(Method::POST, "sys/mounts/transit", Some(json!({"type": "transit"}))).await?;
    admin.request_any(Method::POST, "sys/namespaces/team", None).await?;
    case.object("TransitKey", "web", key).await?;
    case.object("AuthMethod", "staff", method).await?;
    case.ready::<BaoPolicy>("web", "True/Applied").await?;
    case.ready::<TransitKey>("web", "True/Applied").await?;
    case.ready::<AuthMethod>("staff", "True/Applied").await?;
    openbao.stop();
    let (policies, keys): (Api<BaoPolicy>, Api<TransitKey>) = (case.api(), case.api());
    let methods: Api<AuthMethod> = case.api();
    policies.delete("web", &DeleteParams::default()).await?;
    keys.delete("web", &DeleteParams::default()).await?;
    methods.delete("staff", &DeleteParams::default()).await?;
    gone(&policies, "web").await?;
    gone(&keys, "web").await?;
    gone(&methods, "staff").await?;
    let cluster: OpenBaoCluster = case.api().get("own").await?;
    let orphans = cluster.status.unwrap_or_default().orphans;
    let mut left: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for it in &orphans {
        let paths = it.resources.iter().map(|resource| resource.path.as_str()).collect();
        left.push((&it.name, &it.openbao_namespace, paths));
    }
    left.sort_unstable();
    let expected = [
        ("staff", "team", vec!["sys/auth/staff", "auth/staff/config"]),
        ("web", "", vec!["sys/policies/acl/web"]),
        ("web", "", vec!["transit/keys/web"]),
    ];
    assert_eq!(left, expected);
    let events: Api<Event> = case.api();
    for kind in ["BaoPolicy", "TransitKey", "AuthMethod"] {
        eventually("an Event states what is left", || async {
            let list = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let own = list
                .items
                .into_iter()
                .filter(|event| event.regarding.as_ref().is_some_and(|it| it.kind.as_deref() == Some(kind)));
            let notes: Vec<String> = own.filter_map(|event| event.note).collect();
            let states = |note: &String| {
                note.starts_with("deleted at its deletionDeadline")
                    && note.contains("remains in OpenBao and will be removed when OpenBao is reachable")
            };
            if notes.iter().any(states) { Ok(()) } else { Err(format!("{notes:?}")) }
        })
        .await?;
    }
    let openbao = back(&case, openbao).await?;
    let admin = openbao.admin()?;
    for path in ["sys/policies/acl/web", "transit/keys/web", "team/sys/auth/staff", "team/auth/staff/config"]
    {
        eventually("nothing is left in OpenBao", || async {
            match state(&admin, path).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    Ok(())
}
