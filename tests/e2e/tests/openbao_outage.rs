//! OpenBao sealed or unreachable: delivered Secrets are kept, every status reports the cause, and everything resumes
//! without intervention.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use steamer_api::{
    BaoDynamicSecret, BaoPushSecret, BaoStaticSecret, OpenBaoCluster, PipelinePolicy, SecretsProject,
    SecretsTenant,
};
use steamer_testing::openbao::OpenBao;
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::kinds::{Kinds, Limit};

/// Creates a project with a synced value on a dedicated OpenBao, cluster `own`.
async fn project(case: &Case, openbao: &OpenBao, organization: i64, deletion: &str) -> Result<()> {
    case.cluster("own", openbao).await?;
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})).await?;
    let spec = json!({
        "clusterRef": {"name": "own"}, "organizationId": organization, "groupId": 7, "issuerRef": {"name": "gitlab"},
        "deletionPolicy": deletion, "deletionDeadline": "3s",
    });
    case.object("SecretsTenant", "acme", spec).await?;
    let workloads =
        json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
    let spec = json!({
        "tenantRef": {"name": "acme"}, "id": 42, "workloads": workloads, "deletionPolicy": deletion, "deletionDeadline": "3s",
    });
    case.object("SecretsProject", "web", spec).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    let inside = openbao.admin()?.within(&format!("org_{organization}/group_7/project_42"));
    inside.write_kv2("secrets/kv", "explicit/A", &json!({"value": "kept"})).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    case.object("BaoAuth", "default", json!({"projectRef": {"name": "web"}, "workload": "app"})).await?;
    case.object(
        "BaoStaticSecret",
        "app",
        json!({
            "mount": "secrets/kv", "path": "explicit/A", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "app", "create": true},
        }),
    )
    .await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await.map(drop)
}

async fn kept(case: &Case, uid: &Option<String>) -> Result<()> {
    let secret = case.api::<Secret>().get("app").await.context("the Secret was deleted")?;
    assert_eq!(&secret.uid(), uid);
    assert_eq!(secret.data.unwrap_or_default()["value"].0, b"kept");
    Ok(())
}

/// Restarts a stopped OpenBao.
pub async fn back(case: &Case, mut openbao: OpenBao) -> Result<OpenBao> {
    let started = async move {
        openbao.run()?;
        openbao.serves().await?;
        Ok(openbao)
    };
    case.ground.at_home(started).await
}

#[tokio::test]
async fn delivered_secrets_are_kept_while_openbao_is_sealed_or_unreachable() -> Result<()> {
    let case = Case::new("outage-sealed").await?;
    let mut openbao = case.ground.own_openbao("outage-sealed").await?;
    project(&case, &openbao, 501, "Delete").await?;
    let uid = case.api::<Secret>().get("app").await?.uid();
    let kinds = Kinds::new(&case, &openbao, "own").await?;
    let delivered = kinds.delivered().await?;

    // The database behind the engine is down, and OpenBao throttles requests.
    kinds.connect_database(1).await?;
    kinds.request_credential("database down").await?;
    case.ready::<BaoDynamicSecret>("dynamic", "False/").await?;
    kinds.throttle(Limit::OnePerHour).await?;
    case.ready::<BaoPushSecret>("pushed", "False/Throttled").await?;
    assert!(kinds.delivered().await? == delivered, "a delivered Secret changed");
    kinds.throttle(Limit::None).await?;
    kinds.connect_database(case.ground.postgres.port).await?;
    kinds.ready().await?;
    let delivered = kinds.delivered().await?;

    openbao.stop();
    let mut openbao = case
        .ground
        .at_home(async move {
            openbao.run_sealed()?;
            Ok(openbao)
        })
        .await?;
    case.ready::<BaoStaticSecret>("app", "False/Sealed").await?;
    case.ready::<OpenBaoCluster>("own", "False/Sealed").await?;
    case.ready::<BaoPushSecret>("pushed", "False/Sealed").await?;
    kinds.request_credential("sealed").await?;
    case.ready::<BaoDynamicSecret>("dynamic", "False/Sealed").await?;
    kept(&case, &uid).await?;
    assert!(kinds.delivered().await? == delivered, "a delivered Secret changed");

    openbao.stop();
    case.ready::<OpenBaoCluster>("own", "False/Unreachable").await?;
    case.ready::<BaoStaticSecret>("app", "False/Unreachable").await?;
    kept(&case, &uid).await?;
    assert!(kinds.delivered().await? == delivered, "a delivered Secret changed");
    // Changes made during the outage wait, and are applied when OpenBao is reachable again.
    case.object(
        "PipelinePolicy",
        "new",
        json!({"projectRef": {"name": "web"}, "environments": ["prod"], "secrets": [{"name": "A"}]}),
    )
    .await?;

    let label = json!({"spec": {"destination": {"labels": {"asked": "meanwhile"}}}});
    let objects: Api<BaoStaticSecret> = case.api();
    objects.patch("app", &PatchParams::default(), &Patch::Merge(&label)).await?;
    case.ready::<BaoStaticSecret>("app", "False/Unreachable").await?;

    let openbao = back(&case, openbao).await?;
    case.ready::<OpenBaoCluster>("own", "True/Applied").await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let labels = case.api::<Secret>().get("app").await?.metadata.labels.unwrap_or_default();
    assert_eq!(labels["asked"], "meanwhile", "a failed reconcile must not count as applied");
    case.ready::<PipelinePolicy>("new", "True/Applied").await?;
    kept(&case, &uid).await?;
    // The credential that was requested is delivered, and nothing else was issued.
    kinds.ready().await?;
    let after = kinds.delivered().await?;
    assert!(after[0] != delivered[0] && after[1] == delivered[1], "one new credential, the same certificate");
    drop(openbao);
    Ok(())
}

#[tokio::test]
async fn a_deletion_during_an_outage_ends_at_its_deadline_and_is_completed_afterwards() -> Result<()> {
    let case = Case::new("outage-deletion").await?;
    let mut openbao = case.ground.own_openbao("outage-deletion").await?;
    project(&case, &openbao, 502, "Delete").await?;
    openbao.stop();
    let projects: Api<SecretsProject> = case.api();
    projects.delete("web", &DeleteParams::default()).await?;
    gone(&projects, "web").await?;
    let tenants: Api<SecretsTenant> = case.api();
    let status = tenants.get("acme").await?.status.unwrap_or_default();
    assert_eq!(status.orphans.len(), 1);
    assert_eq!(status.orphans[0].openbao_namespace, "org_502/group_7/project_42");
    // The tenant is deleted too, and its orphans move to the cluster.
    tenants.delete("acme", &DeleteParams::default()).await?;
    gone(&tenants, "acme").await?;

    let openbao = back(&case, openbao).await?;
    let admin = openbao.admin()?;
    eventually("nothing is left in OpenBao", || async {
        match admin.child_namespace("org_502").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    eventually("the cluster lists no orphans", || async {
        let cluster: OpenBaoCluster = case.api().get("own").await.map_err(|error| error.to_string())?;
        let orphans = cluster.status.unwrap_or_default().orphans;
        if orphans.is_empty() { Ok(()) } else { Err(format!("{orphans:?}")) }
    })
    .await
}

/// Waits until an object is deleted.
pub async fn gone<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + kube::Resource + serde::Serialize,
{
    eventually("the object is deleted", || async {
        match api.get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(object)) => {
                let value = serde_json::to_value(&object).unwrap_or_default();
                Err(crate::fixture::ready_of(&value))
            }
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn the_operator_waits_out_a_failover_and_uses_the_new_leader() -> Result<()> {
    let case = Case::new("outage-failover").await?;
    let mut leader = case.ground.own_openbao("outage-failover").await?;
    let ground = case.ground.clone();
    let (leader_back, follower) = case
        .ground
        .at_home(async move {
            let url = format!(
                "postgres://postgres@127.0.0.1:{}/outage-failover?sslmode=disable",
                ground.postgres.port
            );
            let follower = leader.join("outage-failover-2", &ground.folder, &url).await?;
            Ok((leader, follower))
        })
        .await?;
    leader = leader_back;
    project(&case, &leader, 503, "Delete").await?;
    let kinds = Kinds::new(&case, &leader, "own").await?;
    let delivered = kinds.delivered().await?;
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-ca", "namespace": case.namespace},
        "stringData": {"ca.crt": format!("{}{}", leader.ca, follower.ca)},
    });
    steamer_testing::ground::apply(&case.client, ca).await?;
    let spec = json!({
        "external": {
            "address": leader.url, "additionalAddresses": [follower.url], "caSecretRef": {"name": "own-ca"},
            "managementAuth": {"kubernetes": {"role": "steamer", "audience": leader.audience}},
        },
        "jwtAudience": "https://bao.example.com", "allowedNamespaces": {"from": "All"},
    });
    case.object("OpenBaoCluster", "own", spec).await?;
    case.ready::<OpenBaoCluster>("own", "True/Applied").await?;
    let uid = case.api::<Secret>().get("app").await?.uid();
    // Neither an edited login nor a lost token of the operator is a reason to issue again.
    kinds.edit_login().await?;
    kinds.revoke_operator().await?;
    kinds.relabel("before").await?;
    leader.stop();
    // A write that needs the new leader, requested while there is no leader.
    case.object(
        "PipelinePolicy",
        "new",
        json!({"projectRef": {"name": "web"}, "environments": ["prod"], "secrets": [{"name": "A"}]}),
    )
    .await?;
    kinds.relabel("meanwhile").await?;
    case.ready::<PipelinePolicy>("new", "True/Applied").await?;
    kept(&case, &uid).await?;
    let value = json!({"value": "after"});
    follower
        .admin()?
        .within("org_503/group_7/project_42")
        .write_kv2("secrets/kv", "explicit/A", &value)
        .await?;
    eventually("the Secret follows the new leader", || async {
        let data = case
            .api::<Secret>()
            .get("app")
            .await
            .map_err(|error| error.to_string())?
            .data
            .unwrap_or_default();
        if data["value"].0 == b"after" { Ok(()) } else { Err("the old value".to_owned()) }
    })
    .await?;
    // Both nodes have one audit log.
    kinds.relabel("after").await?;
    kinds.ready().await?;
    assert!(kinds.delivered().await? == delivered, "a delivered Secret changed");
    assert_eq!(kinds.issued(&follower.audit)?, (1, 1), "issued once");
    Ok(())
}
