//! Bootstrap of a cluster, no writes once it is settled, and external certificates.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoConnection, OpenBaoCluster};
use steamer_testing::Fleet;
use steamer_testing::certificates::{Authority, Leaf};
use steamer_testing::image;
use steamer_testing::objects::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::operator::binary;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, condition};

/// Image of the operator that runs, on every Kubernetes node.
pub fn steamer(fleet: &Fleet) -> Result<String> {
    let image = image::steamer(&binary()?, &fleet.folder)?;
    fleet.cluster.import(&image)?;
    Ok(image.name)
}

impl Bao {
    /// Same as [`steamer`].
    pub fn steamer(&self) -> Result<String> {
        steamer(&self.fleet)
    }
}

/// Enables instant delivery, with the operator that runs.
fn with_relays(bao: &Bao, spec: &mut Value) -> Result<()> {
    spec["managed"]["instantDelivery"] = json!({"enabled": true, "image": bao.steamer()?});
    Ok(())
}

#[tokio::test]
async fn an_applied_cluster_serves_without_manual_steps() -> Result<()> {
    let bao = Bao::prepare("from-nothing").await?;
    let mut changed = bao.cluster()["spec"].take();
    with_relays(&bao, &mut changed)?;
    let started = std::time::Instant::now();
    let bao = bao.up(|spec| *spec = changed).await?;
    println!("from apply to three nodes serving: {:.1} s", started.elapsed().as_secs_f64());
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "a", &json!({"b": "c"})).await?;
    let read = admin.request_any(Method::GET, "kv/data/a", None).await?;
    assert_eq!(read["data"]["data"], json!({"b": "c"}));
    // The relay of every node answers, and that of the leader receives its audit entries.
    bao.until("the relays report every write", |object| {
        condition(object, "InstantDelivery").is_some_and(|(status, ..)| status == "True")
    })
    .await?;
    // No root token is left: look up the policies of every token.
    let accessors = admin.request_any(Method::GET, "auth/token/accessors?list=true", None).await;
    let accessors = match accessors {
        Ok(found) => found,
        Err(_) => admin.request_any(Method::from_bytes(b"LIST")?, "auth/token/accessors", None).await?,
    };
    let keys = accessors["data"]["keys"].as_array().cloned().unwrap_or_default();
    ensure!(!keys.is_empty(), "no tokens are listed: {accessors}");
    for accessor in keys {
        let body = json!({"accessor": accessor});
        let found = admin.request_any(Method::POST, "auth/token/lookup-accessor", Some(body)).await?;
        let policies = found["data"]["policies"].to_string();
        ensure!(!policies.contains("root"), "a root token still exists: {found}");
    }
    // The seal key and the recovery keys have no owner, so they outlive the cluster; the recovery keys are valid.
    let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    for name in ["main-seal", "main-recovery"] {
        ensure!(
            secrets.get(name).await?.owner_references().is_empty(),
            "{name} would be deleted with its cluster"
        );
    }
    bao.recovery_keys_work(&secrets.get("main-recovery").await?).await?;
    // A BaoConnection to the cluster uses its Service, not a node.
    let connection = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "BaoConnection",
        "metadata": {"name": "main", "namespace": "from-nothing"}, "spec": {"clusterRef": {"name": "main"}},
    });
    apply(&bao.kube, connection).await?;
    let connections: Api<BaoConnection> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    eventually("the connection reports the cluster's address", || async {
        let found = connections.get("main").await.map_err(|error| error.to_string())?;
        let address = found.status.and_then(|status| status.address).unwrap_or_default();
        if address == "https://main.from-nothing.svc:8200" { Ok(()) } else { Err(address) }
    })
    .await
}

impl Bao {
    /// Returns the resource version of every object of the cluster, and its status.
    async fn written(&self) -> Result<BTreeMap<String, String>> {
        let kinds = "statefulsets,pods,services,configmaps,secrets,serviceaccounts,poddisruptionbudgets,networkpolicies";
        let label = "steamer.dev/cluster=main";
        let kubectl = self.fleet.kubectl()?;
        let text = kubectl.run(&["-n", &self.namespace, "get", kinds, "-l", label, "-o", "json"])?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list["items"].as_array().context("the response is not a list")?;
        let version = |item: &Value| {
            (
                format!("{} {}", item["kind"], item["metadata"]["name"]),
                item["metadata"]["resourceVersion"].to_string(),
            )
        };
        let mut all: BTreeMap<String, String> = items.iter().map(version).collect();
        all.insert("status".to_owned(), serde_json::to_string(&self.object().await?.status)?);
        Ok(all)
    }

    /// Returns the number of OpenBaoCluster reconciles of the operator.
    async fn passes(&self) -> Result<f64> {
        let admin = self.fleet.running.lock().await.as_ref().map(|running| running.admin.clone());
        let text = reqwest::get(format!("{}/metrics", admin.context("the operator is not running")?))
            .await?
            .text()
            .await?;
        let of_clusters = text
            .lines()
            .filter(|line| line.starts_with("steamer_reconcile_total") && line.contains("openbaocluster"));
        Ok(of_clusters.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Requests a reconcile, and waits for one.
    async fn reconciled(&self, request: &str) -> Result<()> {
        let clusters: Api<OpenBaoCluster> = Api::namespaced(self.kube.clone(), &self.namespace);
        let before = self.passes().await?;
        let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": request}}});
        clusters.patch("main", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
        eventually("the cluster is reconciled again", || async {
            let now = self.passes().await.map_err(|error| error.to_string())?;
            if now > before { Ok(()) } else { Err(format!("{now} reconciles")) }
        })
        .await
    }

    /// Checks that a reconcile uses two statements: one of the owner of the tables, which reads the timeline, and one of the
    /// admin. The guard reads the lock in addition. One more reconcile may be in progress.
    async fn uses_two_statements(&self) -> Result<()> {
        const OF_GUARD: [&str; 3] = [
            "SELECT COALESCE(ha_value,",
            "SELECT login FROM steamer_guard WHERE key =",
            "INSERT INTO steamer_guard AS g VALUES",
        ];
        let before = self.passes().await?;
        self.postgres.count_statements()?;
        for number in 0..3 {
            self.reconciled(&format!("counted-{number}")).await?;
        }
        let mut counted = self.postgres.counted_statements(&self.namespace)?;
        let reconciles = self.passes().await? - before;
        counted.retain(|(_, query)| !OF_GUARD.iter().any(|text| query.trim_start().starts_with(text)));
        let reads_timeline = counted.iter().any(|(_, query)| query.contains("pg_control_checkpoint"));
        let all: u64 = counted.iter().map(|(calls, _)| calls).sum();
        ensure!(
            reads_timeline && reconciles >= 3.0 && all as f64 <= 2.0 * (reconciles + 1.0),
            "{reconciles} reconciles, {all} statements: {counted:?}"
        );
        Ok(())
    }
}

#[tokio::test]
async fn a_settled_cluster_is_not_written_to_and_needs_two_statements() -> Result<()> {
    let bao = Bao::alone("settled").await?.up(|_| {}).await?;
    // The nodes' own labels and the last status settle within one or two reconciles.
    let mut last = bao.written().await?;
    let mut quiet = 0;
    for look in 0..20 {
        bao.reconciled(&look.to_string()).await?;
        let now = bao.written().await?;
        quiet = if now == last { quiet + 1 } else { 0 };
        if quiet == 3 {
            return bao.uses_two_statements().await;
        }
        last = now;
    }
    anyhow::bail!("every reconcile writes: {last:?}")
}

#[tokio::test]
async fn externally_issued_certificates_are_used() -> Result<()> {
    let bao = Bao::prepare("own-tls").await?;
    let authority = Authority::new("the company's CA")?;
    let secret = |leaf: &Leaf| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-tls", "namespace": "own-tls"},
            "stringData": {"tls.crt": leaf.pem, "tls.key": leaf.key_pem, "ca.crt": authority.pem},
        })
    };
    let names = ["*.main-internal.own-tls.svc", "main.own-tls.svc", "main-active.own-tls.svc"];
    apply(&bao.kube, secret(&authority.ended_leaf("main", &names)?)).await?;
    let by_secret = |spec: &mut Value| {
        spec["managed"]["replicas"] = json!(1);
        spec["managed"]["tls"] = json!({"mode": "Secret", "secretRef": {"name": "bao-tls"}});
    };
    bao.apply(by_secret).await?;
    bao.until("the expired certificate is reported", |object| {
        condition(object, "CertificatesValid")
            .is_some_and(|(status, reason, _)| status == "False" && reason == "Expired")
    })
    .await?;
    apply(&bao.kube, secret(&authority.leaf("main", None, &names)?)).await?;
    bao.ready().await?;
    bao.admin().await?.request_any(Method::GET, "sys/mounts", None).await?;
    Ok(())
}
