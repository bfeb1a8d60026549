//! A backup is the database's; what it is restored into goes on with it, and nobody's data is taken by accident.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::OpenBaoCluster;
use steamer_testing::objects::apply;

use crate::bao::{Bao, condition, is_ready};

#[tokio::test]
async fn a_dump_restored_into_a_new_database_opens_under_a_new_cluster() -> Result<()> {
    let old = Bao::serving("backed-up", |_| {}).await?;
    let admin = old.admin().await?;
    old.mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "kept", &json!({"value": "from before"})).await?;
    let seal: k8s_openapi::api::core::v1::Secret =
        Api::namespaced(old.kube.clone(), &old.namespace).get("main-seal").await?;
    let dump =
        old.postgres.program("pg_dump").args(["--no-owner", "--no-privileges", "backed-up"]).output()?;
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));

    let new = Bao::prepare("restored").await?;
    let file = new.fleet.folder.join("dump.sql");
    std::fs::write(&file, [b"SET ROLE restored_owner;\n".as_slice(), &dump.stdout].concat())?;
    let path = file.display().to_string();
    let output = new
        .postgres
        .program("psql")
        .args(["-v", "ON_ERROR_STOP=1", "-q", "-d", "restored", "-f", &path])
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut kept = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "main-seal", "namespace": new.namespace}});
    kept["data"] = json!(seal.data);
    apply(&new.kube, kept).await?;
    new.apply(|_| {}).await?;
    let refused = new
        .until("somebody's data is not taken by accident", |object| condition(object, "Stalled").is_some());
    let refused = refused.await?;
    let (_, reason, message) = condition(&refused, "Stalled").context("stalled")?;
    assert_eq!(reason, "Conflict");
    assert!(message.contains("backed-up/main") && message.contains("steamer.dev/restore="), "{message}");
    assert!(new.pods().await?.is_empty());
    let annotation = json!({"metadata": {"annotations": {"steamer.dev/restore": "today"}}});
    let clusters: Api<OpenBaoCluster> = Api::namespaced(new.kube.clone(), &new.namespace);
    clusters.patch("main", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&annotation)).await?;
    let serving = new.ready().await?;
    let id = |object: &OpenBaoCluster| object.status.as_ref().and_then(|status| status.cluster_id.clone());
    assert_eq!(id(&serving), id(&old.object().await?), "it is the same OpenBao");
    // The administrator of the old one is who may log in: its ServiceAccount is bound by namespace and name.
    let admin = new.admin_of(&old).await?;
    let read = admin.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "from before");
    Ok(())
}

#[tokio::test]
async fn a_deleted_cluster_leaves_its_data_and_keys_and_comes_back_with_them() -> Result<()> {
    let bao = Bao::serving("deleted", |_| {}).await?;
    let admin = bao.admin().await?;
    bao.mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "kept", &json!({"value": "still there"})).await?;
    let clusters: Api<OpenBaoCluster> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    clusters.delete("main", &DeleteParams::default()).await?;
    steamer_testing::wait::eventually("the pods are gone", || async {
        match bao.pods().await {
            Ok(pods)
                if pods.is_empty() && clusters.get_opt("main").await.is_ok_and(|found| found.is_none()) =>
            {
                Ok(())
            }
            other => Err(format!("{:?}", other.map(|pods| pods.len()))),
        }
    })
    .await?;
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    secrets.get("main-seal").await?;
    secrets.get("main-recovery").await?;
    let roles = bao.postgres.sql(
        "postgres",
        &format!(
            "SELECT count(*) FROM pg_roles WHERE shobj_description(oid, 'pg_authid') LIKE '%/{}/main%'",
            bao.namespace
        ),
    )?;
    assert_eq!(roles.trim(), "0", "no login of a node is left");
    bao.apply(|_| {}).await?;
    bao.until("it serves again", is_ready).await?;
    let read = bao.admin().await?.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "still there");
    Ok(())
}

#[tokio::test]
async fn a_backup_is_restored_into_the_clusters_own_database() -> Result<()> {
    let bao = Bao::serving("rewound", |_| {}).await?;
    let admin = bao.admin().await?;
    bao.mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "kept", &json!({"value": "as backed up"})).await?;
    let dump = bao
        .postgres
        .program("pg_dump")
        .args(["--no-owner", "--no-privileges", "--clean", "--if-exists", "rewound"])
        .output()?;
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    admin.write_kv2("kv", "kept", &json!({"value": "spoilt"})).await?;
    let before = bao.object().await?.status.and_then(|status| status.cluster_id);
    bao.annotate("steamer.dev/restoring", json!("today")).await?;
    let stopped = bao
        .until("no node runs", |object| {
            condition(object, "Ready").is_some_and(|(_, _, message)| message.contains("no node runs"))
        })
        .await?;
    assert!(condition(&stopped, "Stalled").is_none());
    assert!(bao.pods().await?.is_empty());
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'rewound'";
    assert_eq!(bao.postgres.sql("postgres", sessions)?.trim(), "0", "nobody is in the way of a restore");
    let file = bao.fleet.folder.join("rewound.sql");
    std::fs::write(&file, [b"SET ROLE rewound_owner;\n".as_slice(), &dump.stdout].concat())?;
    let path = file.display().to_string();
    let restored = bao
        .postgres
        .program("psql")
        .args(["-v", "ON_ERROR_STOP=1", "-q", "-d", "rewound", "-f", &path])
        .output()?;
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    bao.annotate("steamer.dev/restoring", json!(null)).await?;
    let serving = bao.until("it serves again", crate::faults::whole).await?;
    assert_eq!(serving.status.and_then(|status| status.cluster_id), before);
    let read = bao.admin().await?.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "as backed up");
    Ok(())
}

#[tokio::test]
async fn data_is_deleted_only_when_that_is_asked_for_twice() -> Result<()> {
    let one_node = |spec: &mut serde_json::Value| {
        spec["managed"]["replicas"] = json!(1);
        spec["managed"]["deletionPolicy"] = json!("Delete");
    };
    let bao = Bao::serving("erased", one_node).await?;
    let clusters: Api<OpenBaoCluster> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    let tables =
        || bao.postgres.sql("erased", "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'openbao%'");
    clusters.delete("main", &DeleteParams::default()).await?;
    let kept = bao
        .until("the second word is asked for", |object| {
            condition(object, "Ready").is_some_and(|(_, _, message)| message.contains("delete-data=main"))
        })
        .await?;
    assert!(kept.metadata.deletion_timestamp.is_some());
    assert_eq!(tables()?.trim(), "2");
    bao.annotate("steamer.dev/delete-data", json!("main")).await?;
    steamer_testing::wait::eventually("the cluster is gone", || async {
        match clusters.get_opt("main").await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|found| found.and_then(|found| found.status)))),
        }
    })
    .await?;
    assert_eq!(tables()?.trim(), "0");
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    for gone in ["main-seal", "main-recovery"] {
        assert!(secrets.get_opt(gone).await?.is_none(), "{gone} is left");
    }
    Ok(())
}
