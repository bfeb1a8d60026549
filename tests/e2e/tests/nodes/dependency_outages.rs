//! Longer outages of the dependencies of a cluster (API server, database, certificate), and an operator killed in the
//! middle of a change.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_testing::certificates::Authority;
use steamer_testing::secure_postgres::SecurePostgres;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, condition, whole};
use crate::faults::{Conditions, ENDED, Fault, Pods, are_requested, fenced};
use crate::registers::{EXPIRED, Registers};

/// Returns the duration of a fault: `long` seconds in `make faults`, 20 otherwise.
pub fn lasting(long: u64) -> Duration {
    Duration::from_secs(if are_requested() { long } else { 20 })
}

#[tokio::test]
async fn writes_and_takeovers_continue_while_the_api_server_is_down() -> Result<()> {
    let bao = Bao::alone("no-apiserver").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let before = bao.object().await?;
    let mut fault = Fault::begin(&bao, &registers).await?;
    bao.fleet.cluster.stop_apiserver()?;
    let away = Instant::now();
    registers.goes_on().await?;
    bao.fleet.cluster.signal(&bao.namespace, &fault.leader, "KILL")?;
    let gap = registers.gap_since(away).await?;
    tokio::time::sleep(lasting(60).saturating_sub(away.elapsed())).await;
    registers.goes_on().await?;
    bao.fleet.cluster.start_apiserver().await?;
    fault.watch_again();
    // The operator exited when it could not renew its lease; in production its Deployment would restart it.
    bao.fleet.start_operator().await?;
    // The role of a fenced node is dropped after a minute, once its pod is replaced.
    fault.leader_is_fenced().await?;
    bao.until("all three nodes are Ready", |object| whole(object) && object.status != before.status).await?;
    println!("API server down, leader killed meanwhile: longest gap {:.1} s", gap.as_secs_f64());
    fault.recovered(gap, ENDED).await?;
    let outcome = registers.check(&bao).await?;
    println!("API server down: {outcome}");
    Ok(())
}

/// Kills the operator repeatedly, after varying times, until a state is reached. Returns the number of kills.
async fn killed_until(bao: &Bao, reached: impl Fn(&OpenBaoCluster) -> bool) -> Result<usize> {
    for turn in 0..30_u64 {
        tokio::time::sleep(Duration::from_millis(1000 + 500 * (turn % 8))).await;
        if reached(&bao.object().await?) {
            return Ok(usize::try_from(turn)?);
        }
        bao.fleet.stop_operator().await;
        bao.fleet.start_operator().await?;
    }
    bao.until("the state is reached", reached).await?;
    Ok(30)
}

#[tokio::test]
async fn an_operator_killed_during_an_upgrade_or_a_rotation_resumes_it() -> Result<()> {
    let older = |spec: &mut Value| {
        spec["managed"]["version"] = json!(tools::OLDER_OPENBAO);
        spec["managed"]["image"] = json!(format!("steamer.test/openbao:{}", tools::OLDER_OPENBAO));
    };
    let bao = Bao::alone("killed-upgrade").await?.up(older).await?;
    let registers = Registers::start(&bao).await?;
    let (conditions, before) = (Conditions::record(&bao), fenced(&bao.object().await?));
    let version = |object: &OpenBaoCluster| {
        let members = object.status.as_ref().map(|status| status.members.clone()).unwrap_or_default();
        members.iter().all(|member| member.version.as_deref() == Some(tools::OPENBAO))
    };
    bao.apply(|_| {}).await?;
    let kills = killed_until(&bao, |object| whole(object) && version(object)).await?;
    println!("upgrade completed with the operator killed {kills} times");
    let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    let patch = json!({"data": {"k2": STANDARD.encode("cd".repeat(32))}});
    secrets.patch("main-seal", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    bao.apply(|spec| spec["managed"]["seal"]["static"]["keyId"] = json!("k2")).await?;
    let rotated = |object: &OpenBaoCluster| {
        let seal = object.status.as_ref().and_then(|status| status.seal.clone()).unwrap_or_default();
        whole(object) && seal.key_id.as_deref() == Some("k2") && seal.rotating.is_none()
    };
    let kills = killed_until(&bao, rotated).await?;
    println!("rotation completed with the operator killed {kills} times");
    conditions.had("UpgradeInProgress", "True").await?;
    ensure!(fenced(&bao.object().await?) == before, "a node was fenced in a rollout");
    let outcome = registers.check(&bao).await?;
    println!("operator killed in an upgrade and a rotation: {outcome}");
    // The upgrade is one rollout, the rotation three, and each changes the leader once.
    outcome.expect(ENDED, 1..=4)
}

#[tokio::test]
async fn a_certificate_that_expired_while_the_operator_was_down_is_renewed() -> Result<()> {
    let bao = Bao::alone("expired").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let (leader, before) = (bao.leader().await?, Pods::of(&bao).await?);
    bao.fleet.stop_operator().await;
    let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    let text = async |name: &str, key: &str| {
        let data = secrets.get(name).await?.data.unwrap_or_default();
        anyhow::Ok(String::from_utf8(data.get(key).context("the Secret has no such entry")?.0.clone())?)
    };
    let authority = Authority::held(&text("main-ca", "ca.crt").await?, &text("main-ca", "ca.key").await?)?;
    let ended = authority.ended_leaf("main", &["*.main-internal.expired.svc", "main.expired.svc"])?;
    let data =
        json!({"data": {"tls.crt": STANDARD.encode(&ended.pem), "tls.key": STANDARD.encode(&ended.key_pem)}});
    secrets.patch("main-tls", &PatchParams::default(), &Patch::Merge(&data)).await?;
    // Nodes reload the certificate on their own; clients that verify it can no longer connect.
    eventually("the nodes present the expired certificate", || async {
        let client = bao.client(&[&leader], Duration::ZERO).await.map_err(|error| error.to_string())?;
        match client.session(steamer_openbao::Identity::Anonymous).health().await {
            Ok(_) => Err("the request succeeded".to_owned()),
            Err(error) => {
                let text = format!("{error:?}").to_lowercase();
                if text.contains("expired") { Ok(()) } else { Err(text) }
            }
        }
    })
    .await?;
    bao.fleet.start_operator().await?;
    registers.goes_on().await?;
    let object = bao.until("all three nodes are Ready", whole).await?;
    let (status, ..) = condition(&object, "CertificatesValid").context("the condition is missing")?;
    assert_eq!(status, "True");
    before.unchanged(&bao).await?;
    let outcome = registers.check(&bao).await?;
    println!("certificate expired: {outcome}");
    // Open connections do not verify it again.
    outcome.expect(ENDED, 0..=0)
}

/// A tmpfs of a fixed size, unmounted when dropped.
struct Volume(std::path::PathBuf);

impl Volume {
    fn new(path: &std::path::Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let options = format!("size={size}");
        tools::succeed(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn storage_is_away(object: &OpenBaoCluster) -> bool {
    condition(object, "StorageReachable").is_some_and(|(status, ..)| status == "False")
}

#[tokio::test]
async fn a_database_with_a_full_disk_accepts_writes_once_there_is_free_space() -> Result<()> {
    let folder = steamer_testing::Fleet::shared().folder.join("full-volume");
    let volume = Volume::new(&folder, "200m")?;
    let bao =
        Bao::with_postgres_at("full", (&tools::postgres()?, &folder.join("data"))).await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let before = Pods::of(&bao).await?;
    let fill = folder.join("fill");
    let full = Instant::now();
    // Until no space is left: PostgreSQL cannot extend its write-ahead log.
    let filled =
        Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", fill.display())).output()?;
    ensure!(!filled.status.success(), "the volume is not full");
    registers.stops().await?;
    tokio::time::sleep(lasting(60).saturating_sub(full.elapsed())).await;
    std::fs::remove_file(&fill)?;
    let postgres = bao.postgres.clone();
    bao.fleet.at_home(async move { postgres.again().await }).await?;
    let outage = full.elapsed();
    registers.go_on_after(Instant::now()).await?;
    bao.until("all three nodes are Ready", whole).await?;
    before.unchanged(&bao).await?;
    let outcome = registers.check(&bao).await?;
    println!("disk full: {outcome}");
    drop(volume);
    outcome.expect(outage + EXPIRED, 0..=1)
}

impl Bao {
    /// Kills the leader, waits until the status lists its fence, and returns the fenced role.
    async fn fenced_leader(&self) -> Result<String> {
        let leader = self.leader().await?;
        let uid = self.uids().await?.remove(&*leader).context("the leader has no pod")?;
        self.fleet.cluster.signal(&self.namespace, &leader, "KILL")?;
        let role = |object: &OpenBaoCluster| {
            let fenced = object.status.as_ref().map(|status| status.fenced.clone()).unwrap_or_default();
            fenced.into_iter().find(|fenced| fenced.uid == uid).and_then(|fenced| fenced.role)
        };
        let object =
            self.until("the fence is reported", |object| whole(object) && role(object).is_some()).await?;
        role(&object).context("the fence has no role")
    }

    /// Kills the leader, checks the reaction, and returns the fenced role.
    async fn loses_its_leader(&self, registers: &Registers) -> Result<String> {
        let fault = Fault::begin(self, registers).await?;
        let role = self.fenced_leader().await?;
        let gap = fault.taken_over().await?;
        fault.reacted(gap, ENDED).await?;
        Ok(role)
    }
}

#[tokio::test]
async fn a_promoted_synchronous_replica_has_every_write_and_every_fence() -> Result<()> {
    let bao = Bao::with_own_postgres("promoted").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let (primary, folder) = (bao.postgres.clone(), bao.fleet.folder.join("promoted-replica"));
    let from = primary.clone();
    let mut replica: SecurePostgres = bao.fleet.at_home(async move { from.replica(&folder).await }).await?;
    // Creates a fence, which the replica contains when the primary is lost.
    let role = bao.loses_its_leader(&registers).await?;
    bao.all_follow().await?;
    let before = Pods::of(&bao).await?;
    primary.kill();
    bao.until("the outage is reported", storage_is_away).await?;
    let lost = primary.clone();
    let replica = bao
        .fleet
        .at_home(async move {
            replica.promote(&lost).await?;
            Ok(replica)
        })
        .await?;
    registers.go_on_after(Instant::now()).await?;
    let timeline = |object: &OpenBaoCluster| {
        let storage = object.status.as_ref().and_then(|status| status.storage.clone());
        storage.and_then(|storage| storage.timeline)
    };
    bao.until("all three nodes are Ready", |object| whole(object) && timeline(object) != Some(1)).await?;
    before.unchanged(&bao).await?;
    let may = |role: &str| format!("SELECT rolcanlogin FROM pg_roles WHERE rolname = '{role}'");
    assert_ne!(replica.sql("postgres", &may(&role))?.trim(), "t", "the fenced role can log in");
    // A fence that the promoted server does not contain is restored: revert the role to its state before the fence.
    let role = bao.loses_its_leader(&registers).await?;
    let before = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname LIKE 'main\\_%' AND rolcanlogin LIMIT 1";
    let before = replica.sql("postgres", before)?.trim().to_owned();
    replica
        .sql("postgres", &format!("ALTER ROLE \"{role}\" LOGIN; COMMENT ON ROLE \"{role}\" IS '{before}'"))?;
    eventually("the fence is restored", || async {
        let may = replica.sql("postgres", &may(&role)).map_err(|error| error.to_string())?;
        if may.trim() == "t" { Err(may) } else { Ok(()) }
    })
    .await?;
    let outcome = registers.check(&bao).await?;
    println!("replica promoted: {outcome}");
    // Two leaders are killed, and the promotion can cost a third one its lock.
    let changes = outcome.changes.context("the changes of the leader are unknown")?;
    ensure!((2..=3).contains(&changes), "the leader changed {changes} times");
    Ok(())
}
