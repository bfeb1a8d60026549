//! Backups are PostgreSQL backups: restore, recreation, deletion and adoption, and no data is used or deleted without
//! confirmation.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_api::{ClusterPhase, DrillResult, OpenBaoCluster, RestoreDrillState};
use steamer_openbao::{Client, Identity, Outgoing, Settings};
use steamer_testing::nodes::NODE;
use steamer_testing::objects::apply;
use steamer_testing::openbao::{initialize, mount_kv};
use steamer_testing::process::{Process, Program};
use steamer_testing::{ports, tools};

use crate::bao::{Bao, NODES, condition, is_ready, whole};

#[tokio::test]
async fn a_dump_restored_into_a_new_database_is_unsealed_by_a_new_cluster() -> Result<()> {
    let old = Bao::serving("backed-up", |_| {}).await?;
    let admin = old.admin().await?;
    mount_kv(&admin, "kv").await?;
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
    old.drills(&new).await?;
    let mut kept = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "main-seal", "namespace": new.namespace}});
    kept["data"] = json!(seal.data);
    apply(&new.kube, kept).await?;
    new.apply(|_| {}).await?;
    let refused = new.until("existing data is not used without confirmation", |object| {
        condition(object, "Stalled").is_some()
    });
    let refused = refused.await?;
    let (_, reason, message) = condition(&refused, "Stalled").context("the cluster is not stalled")?;
    assert_eq!(reason, "Conflict");
    assert!(message.contains("backed-up/main") && message.contains("steamer.dev/restore="), "{message}");
    assert!(new.pods().await?.is_empty());
    let annotation = json!({"metadata": {"annotations": {"steamer.dev/restore": "today"}}});
    let clusters: Api<OpenBaoCluster> = Api::namespaced(new.kube.clone(), &new.namespace);
    clusters.patch("main", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&annotation)).await?;
    // The role of the operator is that of the old cluster, which still exists: its audience belongs to that one.
    let refused = new.until("the cluster serves, and denies the login of the operator", |object| {
        condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "PermissionDenied")
    });
    let refused = refused.await?;
    let (_, _, message) = condition(&refused, "Stalled").context("the cluster is not stalled")?;
    assert!(message.contains("managed.audience") && message.contains(&new.audience()), "{message}");
    let admin = new.admin_of(&old).await?;
    admin.request_any(Method::POST, "auth/kubernetes/role/steamer", Some(operator_role(&new))).await?;
    let serving = new.ready().await?;
    let id = |object: &OpenBaoCluster| object.status.as_ref().and_then(|status| status.cluster_id.clone());
    assert_eq!(
        id(&serving),
        id(&old.object().await?),
        "the restored cluster has the same OpenBao cluster ID"
    );
    // Only the administrator of the old cluster can log in: the role is bound to that ServiceAccount and its namespace.
    let read = admin.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "from before");
    Ok(())
}

impl Bao {
    /// A restore drill opens the database of `copy`, changes nothing in it, and leaves nothing. The live database is refused.
    async fn drills(&self, copy: &Self) -> Result<()> {
        let of = |namespace: &str| copy.postgres.secrets(namespace, &self.namespace);
        for (name, database) in [("copy", copy.namespace.as_str()), ("live", self.namespace.as_str())] {
            let secret = of(database).into_iter().find(|secret| secret["metadata"]["name"] == "pg-app");
            let mut secret = secret.context("no Secret with the login of the owner")?;
            secret["metadata"]["name"] = json!(name);
            apply(&self.kube, secret).await?;
        }
        let contents = "SELECT md5(string_agg(path || key || encode(value, 'hex'), ',' ORDER BY path, key)) FROM openbao_kv_store";
        let before = copy.postgres.sql(&copy.namespace, contents)?;
        let (pods, steamer) = (self.uids().await?, self.steamer()?);
        for (name, expected) in [("live", DrillResult::Failed), ("copy", DrillResult::Succeeded)] {
            let with = |spec: &mut Value| {
                spec["managed"]["restoreDrill"] = json!({"databaseSecretRef": {"name": name}});
                spec["managed"]["instantDelivery"] = json!({"image": steamer});
            };
            self.apply(with).await?;
            match expected {
                DrillResult::Failed => {
                    let refused = self.plugin(&["restore-drill", "main"], &[]).await;
                    let error = refused.err().context("a drill on the live database succeeds")?.to_string();
                    ensure!(error.contains("the drill failed after "), "{error}");
                    self.annotate("steamer.dev/restore-drill", json!(name)).await?;
                }
                DrillResult::Succeeded => {
                    let output = self.plugin(&["restore-drill", "main"], &[]).await?;
                    ensure!(output.is_empty(), "progress belongs to the standard error output: {output}");
                }
            }
            let ended = |object: &OpenBaoCluster| {
                let request = object.annotations().get("steamer.dev/restore-drill");
                request.is_some() && drill(object).is_some_and(|drill| drill.request.as_ref() == request)
            };
            let object = self.until("the drill ends", ended).await?;
            let drill = drill(&object).context("no drill")?;
            assert_eq!(drill.result, expected, "{}", drill.message);
            let (status, _, message) = condition(&object, "RestoreDrill").context("no condition")?;
            match expected {
                DrillResult::Failed => {
                    assert!(
                        status == "False" && message.contains("contains the database of the cluster"),
                        "{message}"
                    );
                }
                DrillResult::Succeeded => {
                    assert!(status == "True" && drill.data_age_seconds.is_some(), "{message}");
                    println!(
                        "restore drill: {} s, data of {:?} s before",
                        drill.duration_seconds, drill.data_age_seconds
                    );
                }
            }
        }
        assert_eq!(copy.postgres.sql(&copy.namespace, contents)?, before, "a drill changes nothing");
        steamer_testing::wait::eventually("nothing of the drill is left", || async {
            let run = |kind| self.fleet.kubectl()?.run(&["-n", &self.namespace, "get", kind, "-o", "name"]);
            let left = [run("jobs"), run("secrets"), run("pods")].into_iter().collect::<Result<Vec<_>>>();
            let left = left.map_err(|error: anyhow::Error| error.to_string())?.concat();
            if left.contains("restore-drill") { Err(left) } else { Ok(()) }
        })
        .await?;
        assert_eq!(self.uids().await?, pods, "the nodes are not changed");
        Ok(())
    }
}

fn drill(object: &OpenBaoCluster) -> Option<&RestoreDrillState> {
    object.status.as_ref()?.restore_drill.as_ref()
}

#[tokio::test]
async fn a_deleted_cluster_leaves_its_data_and_keys_and_can_be_recreated_with_them() -> Result<()> {
    let bao = Bao::serving("deleted", |_| {}).await?;
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "kept", &json!({"value": "still there"})).await?;
    let clusters: Api<OpenBaoCluster> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    clusters.delete("main", &DeleteParams::default()).await?;
    steamer_testing::wait::eventually("the pods are deleted", || async {
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
    assert_eq!(roles.trim(), "0", "the roles of the nodes are dropped");
    bao.apply(|_| {}).await?;
    bao.until("the cluster serves again", is_ready).await?;
    let read = bao.admin().await?.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "still there");
    Ok(())
}

#[tokio::test]
async fn a_backup_is_restored_into_the_clusters_own_database() -> Result<()> {
    let bao = Bao::serving("rewound", |_| {}).await?;
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
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
    assert_eq!(bao.postgres.sql("postgres", sessions)?.trim(), "0", "no session blocks the restore");
    let logins = "SELECT count(*) FILTER (WHERE rolcanlogin), count(*) FROM pg_roles \
                  WHERE shobj_description(oid, 'pg_authid') LIKE '%/rewound/main%'";
    assert_eq!(bao.postgres.sql("postgres", logins)?.trim(), "0|3", "no node can log in during the restore");
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
    let serving = bao.until("the cluster serves again", whole).await?;
    assert_eq!(serving.status.and_then(|status| status.cluster_id), before);
    let read = bao.admin().await?.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "as backed up");
    Ok(())
}

/// Stops the nodes and starts them again: the data is kept.
async fn hibernate(bao: &Bao, spec: impl Fn(&mut Value)) -> Result<()> {
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "kept", &json!({"value": "asleep"})).await?;
    bao.apply(|cluster| {
        spec(cluster);
        cluster["managed"]["hibernation"] = json!(true);
    })
    .await?;
    let phase = |object: &OpenBaoCluster| object.status.as_ref().and_then(|status| status.phase);
    let asleep =
        bao.until("the cluster hibernates", |object| phase(object) == Some(ClusterPhase::Hibernated)).await?;
    assert!(condition(&asleep, "Stalled").is_none() && condition(&asleep, "Reconciling").is_none());
    assert!(bao.pods().await?.is_empty());
    bao.apply(spec).await?;
    bao.ready().await?;
    let read = bao.admin().await?.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "asleep");
    Ok(())
}

#[tokio::test]
async fn data_is_deleted_only_after_a_second_confirmation() -> Result<()> {
    let one_node = |spec: &mut serde_json::Value| {
        spec["managed"]["replicas"] = json!(1);
        spec["managed"]["deletionPolicy"] = json!("Delete");
    };
    let bao = Bao::serving("erased", one_node).await?;
    hibernate(&bao, one_node).await?;
    let clusters: Api<OpenBaoCluster> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    let tables =
        || bao.postgres.sql("erased", "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'openbao%'");
    clusters.delete("main", &DeleteParams::default()).await?;
    let kept = bao
        .until("the second confirmation is requested", |object| {
            condition(object, "Ready").is_some_and(|(_, _, message)| message.contains("delete-data=main"))
        })
        .await?;
    assert!(kept.metadata.deletion_timestamp.is_some());
    assert_eq!(tables()?.trim(), "2");
    bao.annotate("steamer.dev/delete-data", json!("main")).await?;
    steamer_testing::wait::eventually("the cluster is deleted", || async {
        match clusters.get_opt("main").await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|found| found.and_then(|found| found.status)))),
        }
    })
    .await?;
    assert_eq!(tables()?.trim(), "0");
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    for gone in ["main-seal", "main-recovery"] {
        assert!(secrets.get_opt(gone).await?.is_none(), "{gone} still exists");
    }
    Ok(())
}

/// Starts an OpenBao on PostgreSQL as the Helm chart does, initializes it manually, and returns its root token.
async fn by_hand(bao: &Bao, folder: &Path) -> Result<(Process, SecretString)> {
    let (port, cluster_port) = (ports::free()?, ports::free()?);
    std::fs::create_dir_all(folder)?;
    let key = folder.join("key");
    std::fs::write(&key, "ab".repeat(32))?;
    let url = bao.postgres.url("adopted_owner", "adopted");
    let config = json!({
        "listener": [{"tcp": {"address": format!("{NODE}:{port}"), "tls_disable": true}}],
        "api_addr": format!("http://{NODE}:{port}"), "cluster_addr": format!("https://{NODE}:{cluster_port}"),
        "storage": {"postgresql": {"connection_url": url, "ha_enabled": "true"}},
        "seal": {"static": {"current_key_id": "k1", "current_key": format!("file://{}", key.display())}},
    });
    let file = folder.join("config.json");
    std::fs::write(&file, config.to_string())?;
    let (program, logs) = (tools::bao(tools::OPENBAO)?, bao.fleet.logs.clone());
    let process = bao.fleet.at_home(async move {
        Program::new("by-hand", &program)
            .args(["server", &format!("-config={}", file.display())])
            .start(&logs)
    });
    let process = process.await?;
    let settings = Settings {
        addresses: vec![format!("http://{NODE}:{port}")],
        outgoing: Outgoing::LOOPBACK,
        ..Settings::default()
    };
    let token = initialize(&settings, 1).await?;
    let root = Client::new(&settings)?.session(Identity::Token(token.clone()));
    mount_kv(&root, "kv").await?;
    root.write_kv2("kv", "kept", &json!({"value": "from Helm's days"})).await?;
    Ok((process, token))
}

/// Role of the operator, with the default audience of a cluster.
fn operator_role(bao: &Bao) -> Value {
    json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": bao.audience(), "token_policies": "steamer",
        "bound_subject": "system:serviceaccount:steamer-system:steamer", "token_ttl": "10m", "token_max_ttl": "10m",
    })
}

#[tokio::test]
async fn an_existing_openbao_is_adopted() -> Result<()> {
    let bao = Bao::prepare("adopted").await?;
    let (process, token) = by_hand(&bao, &bao.fleet.folder.join("by-hand")).await?;
    let key = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "main-seal", "namespace": bao.namespace},
        "stringData": {"k1": "ab".repeat(32)},
    });
    apply(&bao.kube, key).await?;
    bao.apply(|_| {}).await?;
    bao.until("existing data is not used without confirmation", |object| {
        condition(object, "Stalled").is_some()
    })
    .await?;
    bao.annotate("steamer.dev/restore", json!("today")).await?;
    let used = |object: &OpenBaoCluster| {
        condition(object, "Ready").is_some_and(|(_, _, message)| message.contains("is still used by"))
    };
    bao.until("the operator waits for the existing leader to stop", used).await?;
    drop(process);
    let refused = |object: &OpenBaoCluster| {
        condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "PermissionDenied")
            && object.status.as_ref().is_some_and(|status| status.leader.is_some())
    };
    bao.until("the cluster serves, and denies the login of the operator", refused).await?;
    // The steps that docs/operations.md lists for an administrator.
    let client = bao.client(&NODES, std::time::Duration::from_secs(20)).await?;
    let root = client.session(Identity::Token(token));
    let printed = std::process::Command::new(steamer_testing::operator::binary()?)
        .args(["openbao-policy", "--managed"])
        .output()?;
    let policy = json!({"policy": String::from_utf8(printed.stdout)?});
    for (path, body) in [
        ("sys/policies/acl/steamer", policy),
        ("sys/auth/kubernetes", json!({"type": "jwt"})),
        ("auth/kubernetes/config", json!({"provider_config": {"provider": "kubernetes"}})),
        ("auth/kubernetes/role/steamer", operator_role(&bao)),
    ] {
        root.request_any(Method::POST, path, Some(body)).await.with_context(|| path.to_owned())?;
    }
    bao.until("all three nodes are Ready", whole).await?;
    let read = root.request_any(Method::GET, "kv/data/kept", None).await?;
    assert_eq!(read["data"]["data"]["value"], "from Helm's days");
    Ok(())
}
