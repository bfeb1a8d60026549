//! Audit devices are added and removed by a rollout, and never edited in place.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_testing::nodes::NODE;
use steamer_testing::openbao::mount_kv;
use steamer_testing::operator_policy::{self, PolicyScope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bao::{Bao, condition, is_ready, whole};
use crate::registers::Registers;

impl Bao {
    async fn devices(&self) -> Result<Vec<String>> {
        let answer = self.admin().await?.request_any(Method::GET, "sys/audit", None).await?;
        let data = answer.get("data").cloned().unwrap_or(answer);
        let is_device = |value: &Value| value.get("type").is_some_and(Value::is_string);
        let devices = data.as_object().into_iter().flatten().filter(|(_, value)| is_device(value));
        Ok(devices.map(|(path, _)| path.clone()).collect())
    }
}

/// Size in bytes at which the log of [`durable`] is rotated.
const ROTATED: u64 = 64 * 1024;

/// A device with a volume of the class.
fn durable(class: &str) -> Value {
    let volume = json!({"size": "2Mi", "storageClassName": class});
    json!({
        "name": "durable", "description": "the durable log",
        "file": {"volume": volume, "rotate": {"maxSize": "64Ki", "maxFiles": 24}},
    })
}

impl Bao {
    /// Creates a volume for each node. Returns their class and their folders on the host.
    async fn volumes(&self) -> Result<(String, Vec<PathBuf>)> {
        let class = format!("audit-{}", self.namespace);
        let mut folders = Vec::new();
        for index in 0..3 {
            let name = format!("{class}-{index}");
            let folder = self.fleet.folder.join(&name);
            std::fs::create_dir_all(&folder)?;
            std::fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
            let volume = json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": "2Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                    "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": folder},
                },
            });
            steamer_testing::objects::apply(&self.kube, volume).await?;
            folders.push(folder);
        }
        Ok((class, folders))
    }

    /// Writes until the log was rotated several times, and checks that no entry is lost.
    async fn rotates(&self, folders: &[PathBuf]) -> Result<()> {
        let admin = self.admin().await?;
        mount_kv(&admin, "kv").await?;
        let mut written = 0;
        while rotated(folders)?.len() < 3 {
            written += 1;
            ensure!(written < 5000, "{:?}", rotated(folders)?);
            admin.write_kv2("kv", &format!("rotated-{written}"), &json!({"value": "v"})).await?;
        }
        let files = log_files(folders)?;
        let text: String = files.iter().map(std::fs::read_to_string).collect::<std::io::Result<_>>()?;
        // The last line can be incomplete.
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let responses = entries.filter(|entry| entry["type"] == "response");
        let path = |entry: Value| entry["request"]["path"].as_str().map(str::to_owned);
        let mut paths: BTreeSet<String> = responses.filter_map(path).collect();
        paths.retain(|path| path.starts_with("kv/data/rotated-"));
        assert_eq!(paths.len(), written, "each write is in one of {files:?}");
        for file in rotated(folders)? {
            ensure!(std::fs::metadata(&file)?.len() >= ROTATED, "{} was rotated too early", file.display());
        }
        Ok(())
    }
}

fn log_files(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let entries = folders.iter().map(std::fs::read_dir).collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn rotated(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = log_files(folders)?;
    files.retain(|file| !file.ends_with("audit.log"));
    Ok(files)
}

fn stdout(description: &str) -> Value {
    json!({"name": "stdout", "description": description, "file": {"path": "stdout"}})
}

#[tokio::test]
async fn an_audit_device_is_added_changed_and_removed_by_a_rollout() -> Result<()> {
    let bao = Bao::serving("audit", |_| {}).await?;
    ensure!(bao.devices().await?.is_empty());
    let steamer = bao.steamer()?;
    let with = async |devices: Value| {
        let with = |spec: &mut Value| {
            spec["managed"]["audit"] = devices;
            spec["managed"]["instantDelivery"] = json!({"image": steamer});
        };
        bao.apply(with).await?;
        bao.until("the rollout is complete", is_ready).await.map(drop)
    };
    with(json!([stdout("the pods' logs")])).await?;
    let first = bao.devices().await?;
    assert_eq!(first.len(), 1, "{first:?}");
    let leader = bao.leader().await?;
    let log = bao.fleet.kubectl()?.run(&["-n", "audit", "logs", &leader, "--tail=2000"])?;
    ensure!(log.contains(r#""type":"response""#), "the audit device writes no log");
    // Another description makes another device: changed in place, it would prevent every node from leading. The other device
    // needs volumes, which Kubernetes cannot add to a StatefulSet.
    let (volumes, folders) = bao.volumes().await?;
    with(json!([stdout("something else"), durable(&volumes)])).await?;
    let second = bao.devices().await?;
    assert_eq!(second.len(), 2, "{second:?}");
    ensure!(second.iter().all(|device| !first.contains(device)), "{first:?} {second:?}");
    let copy = ["-n", "audit", "get", "configmap", "main-recreation", "--ignore-not-found", "-o", "name"];
    assert_eq!(bao.fleet.kubectl()?.run(&copy)?, "", "the copy of the former StatefulSet is left");
    bao.rotates(&folders).await?;
    // The last device is not removed without confirmation.
    bao.apply(|_| {}).await?;
    let refused = |object: &OpenBaoCluster| condition(object, "Stalled").is_some();
    let object = bao.until("the last device is kept", refused).await?;
    let (_, _, message) = condition(&object, "Stalled").context("the cluster is not stalled")?;
    ensure!(message.contains("allowNoAudit: true"), "{message}");
    assert_eq!(bao.devices().await?, second);
    bao.apply(|spec| spec["managed"]["allowNoAudit"] = json!(true)).await?;
    bao.until("the rollout is complete", is_ready).await?;
    ensure!(bao.devices().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_incomplete_operator_policy_is_reported_with_the_command_to_run() -> Result<()> {
    let bao = Bao::serving("policy", |spec| spec["managed"]["replicas"] = json!(1)).await?;
    let admin = bao.admin().await?;
    let policy = admin.request_any(Method::GET, "sys/policies/acl/steamer", None).await?;
    let text = policy["data"]["policy"].as_str().context("the response has no policy")?.to_owned();
    let mut less: Value = serde_json::from_str(&text)?;
    less["path"].as_object_mut().context("the policy has no paths")?.remove("sys/step-down");
    let put = |policy: String| {
        admin.request_any(Method::PUT, "sys/policies/acl/steamer", Some(json!({"policy": policy})))
    };
    put(less.to_string()).await?;
    let lacks = |object: &OpenBaoCluster| {
        condition(object, "OperatorPolicyCurrent").is_some_and(|(status, ..)| status == "False")
    };
    let object = bao.until("the missing rule is reported", lacks).await?;
    let (_, _, message) = condition(&object, "OperatorPolicyCurrent").context("the condition is missing")?;
    ensure!(message.contains("sys/step-down"), "{message}");
    ensure!(message.contains("steamer openbao-policy --managed"), "{message}");
    let kept = admin.request_any(Method::GET, "sys/policies/acl/steamer", None).await?;
    assert_eq!(
        kept["data"]["policy"].as_str(),
        Some(less.to_string().as_str()),
        "the operator must not edit its own policy"
    );
    put(text).await?;
    bao.ready().await?;
    // A wider scope needs the policy of that scope.
    bao.apply(|spec| spec["operatorScope"] = json!("Root")).await?;
    let object = bao.until("the rules of the wider scope are reported", lacks).await?;
    let (_, _, message) = condition(&object, "OperatorPolicyCurrent").context("the condition is missing")?;
    ensure!(message.contains(r#"`path "+/"#) && message.contains("more lines"), "{message}");
    ensure!(message.contains("steamer openbao-policy --managed --scope Root"), "{message}");
    put(operator_policy::managed_text(&PolicyScope::Root)).await?;
    let object = bao.ready().await?;
    let (status, _, message) =
        condition(&object, "OperatorPolicyCurrent").context("the condition is missing")?;
    ensure!(status == "True" && message.contains("equivalent to root access"), "{message}");
    Ok(())
}

/// Starts a receiver that returns errors until `well` is set, and records the last `Authorization` header.
async fn receiver(well: Arc<AtomicBool>, authorized: Arc<Mutex<String>>) -> Result<u16> {
    let listener = TcpListener::bind((NODE, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (well, authorized) = (well.clone(), authorized.clone());
            tokio::spawn(async move {
                let mut request = vec![0; 65_536];
                while let Ok(read @ 1..) = stream.read(&mut request).await {
                    let text = String::from_utf8_lossy(&request[..read]).into_owned();
                    let header = text.lines().find_map(|line| line.strip_prefix("Authorization: "));
                    if let Some(header) = header {
                        header.clone_into(&mut authorized.lock().unwrap_or_else(PoisonError::into_inner));
                    }
                    let status = if well.load(Ordering::SeqCst) { "200 OK" } else { "500 Broken" };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(port)
}

#[tokio::test]
async fn a_failing_audit_device_is_not_rolled_out_and_one_that_fails_later_is_rolled_back() -> Result<()> {
    let bao = Bao::serving("bad-audit", |spec| spec["managed"]["audit"] = json!([stdout("logs")])).await?;
    let registers = Registers::start(&bao).await?;
    let before = bao.uids().await?;
    let with = async |port: u16| {
        let http = json!({"uri": format!("http://{NODE}:{port}/")});
        let devices = json!([stdout("logs"), {"name": "siem", "description": "the SIEM", "http": http}]);
        bao.apply(|spec| spec["managed"]["audit"] = devices).await
    };
    // No process listens on this port.
    with(steamer_testing::ports::free()?).await?;
    let waits = |object: &OpenBaoCluster| {
        let ready = condition(object, "Ready");
        ready.is_some_and(|(_, _, message)| message.contains("waits for audit device `siem`"))
    };
    let waiting = bao.until("the rollout waits", waits).await?;
    ensure!(
        condition(&waiting, "Stalled").is_none(),
        "an unreachable receiver may recover, so the cluster is not stalled"
    );
    assert_eq!(bao.uids().await?, before, "no node was replaced");
    // A receiver that rejects everything: OpenBao detects this when a node is about to lead.
    let well = Arc::new(AtomicBool::new(false));
    let receiving = well.clone();
    let port = bao.fleet.at_home(receiver(receiving, Arc::default())).await?;
    with(port).await?;
    let stalled =
        bao.until("the change is rolled back", |object| condition(object, "Stalled").is_some()).await?;
    let (_, _, message) = condition(&stalled, "Stalled").context("the cluster is not stalled")?;
    ensure!(message.contains("the last that worked is back"), "{message}");
    registers.goes_on().await?;
    bao.until("all nodes serve", |object| {
        object.status.as_ref().and_then(|status| status.replicas) == Some(3)
            && object.status.as_ref().is_some_and(|status| status.leader.is_some())
    })
    .await?;
    assert_eq!(bao.devices().await?.len(), 1);
    // The receiver is repaired and the rollout retried.
    well.store(true, Ordering::SeqCst);
    bao.annotate("steamer.dev/restart", json!("again")).await?;
    bao.until("the device is added", whole).await?;
    assert_eq!(bao.devices().await?.len(), 2);
    println!("failing audit device, rolled back and retried: {}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
async fn an_audit_receiver_gets_the_headers_of_a_secret_and_a_changed_value_by_a_rollout() -> Result<()> {
    let bao = Bao::prepare("headers").await?;
    let authorized = Arc::new(Mutex::new(String::new()));
    let port = bao.fleet.at_home(receiver(Arc::new(AtomicBool::new(true)), authorized.clone())).await?;
    let authorization = async |value: &str| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "siem", "namespace": "headers"},
            "stringData": {"Authorization": value},
        });
        steamer_testing::objects::apply(&bao.kube, secret).await.map(drop)
    };
    let arrives = async |value: &str| {
        steamer_testing::wait::eventually("the header arrives", || async {
            let admin = bao.admin().await.map_err(|error| error.to_string())?;
            let _ = admin.request_any(Method::GET, "sys/mounts", None).await;
            let last = authorized.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if last == value { Ok(()) } else { Err(last) }
        })
        .await
    };
    let with = |spec: &mut Value| {
        let http = json!({"uri": format!("http://{NODE}:{port}/"), "headersSecretRef": {"name": "siem"}});
        spec["managed"]["audit"] = json!([{"name": "siem", "description": "the SIEM", "http": http}]);
    };
    bao.apply(with).await?;
    let waits = |object: &OpenBaoCluster| {
        condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "ReferenceNotFound")
    };
    bao.until("the missing Secret is reported", waits).await?;
    authorization("Bearer one").await?;
    bao.ready().await?;
    arrives("Bearer one").await?;
    let registers = Registers::start(&bao).await?;
    let before = bao.devices().await?;
    authorization("Bearer two").await?;
    arrives("Bearer two").await?;
    // A replaced standby already sends the new header; the device is replaced only with the leader.
    steamer_testing::wait::eventually("the new device replaces the old one", || async {
        let after = bao.devices().await.map_err(|error| format!("{error:#}"))?;
        if after.len() == 1 && after != before { Ok(()) } else { Err(format!("{after:?}")) }
    })
    .await?;
    bao.until("the rollout is complete", whole).await?;
    println!("changed header of an audit receiver: {}", registers.check(&bao).await?);
    Ok(())
}
