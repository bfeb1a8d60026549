//! Changes are rolled out without an outage, and a failing rollout stops while the old nodes keep serving.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use steamer_api::{ClusterPhase, OpenBaoCluster};
use steamer_testing::operator::plugin;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, condition, is_ready, whole};
use crate::registers::Registers;

fn changes(object: &OpenBaoCluster) -> i64 {
    object.status.as_ref().and_then(|status| status.leadership_changes).unwrap_or(0)
}

/// Returns a condition that is met when a change waits for this reason.
fn waits_for(reason: &str) -> impl Fn(&OpenBaoCluster) -> bool {
    move |object| condition(object, "Reconciling").is_some_and(|(_, _, message)| message.contains(reason))
}

pub fn older(spec: &mut Value) {
    spec["managed"]["version"] = json!(tools::OLDER_OPENBAO);
    spec["managed"]["image"] = json!(format!("steamer.test/openbao:{}", tools::OLDER_OPENBAO));
}

/// The general kinds work in every namespace of OpenBao.
fn root(spec: &mut Value) {
    spec["operatorScope"] = json!("Root");
}

fn older_root(spec: &mut Value) {
    older(spec);
    root(spec);
}

pub fn uids(pods: &[k8s_openapi::api::core::v1::Pod]) -> BTreeMap<String, String> {
    pods.iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect()
}

impl Bao {
    /// Sets an annotation; null removes it.
    pub async fn annotate(&self, name: &str, value: Value) -> Result<()> {
        let api: Api<OpenBaoCluster> = Api::namespaced(self.kube.clone(), &self.namespace);
        let patch = json!({"metadata": {"annotations": {name: value}}});
        api.patch("main", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Kills the leader, and waits until the next one has the label.
    pub async fn label_follows_a_lost_leader(&self) -> Result<()> {
        let leader = self.leader().await?;
        self.fleet.cluster.signal(&self.namespace, &leader, "KILL")?;
        let next = self.leads_after(&leader).await?;
        self.labeled(&next).await
    }

    /// Runs `kubectl steamer` with arguments before and after the namespace, and returns its output.
    pub async fn plugin(&self, arguments: &[&str], after: &[&str]) -> Result<String> {
        let mut command = std::process::Command::new(plugin()?);
        command.args(arguments).args(["--namespace", &self.namespace]).args(after);
        self.output(command).await
    }

    async fn output(&self, mut command: std::process::Command) -> Result<String> {
        let programs = [tools::kubernetes("kubectl")?, tools::bao(tools::OPENBAO)?];
        let folders = programs.iter().filter_map(|program| program.parent());
        let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("KUBECONFIG", &self.fleet.cluster.kubeconfig).env("HOME", &self.fleet.folder);
        command.env("PATH", format!("{}:{path}", folders.join(":")));
        tokio::task::spawn_blocking(move || tools::output(&mut command)).await?
    }

    pub async fn uids(&self) -> Result<BTreeMap<String, String>> {
        Ok(uids(&self.pods().await?))
    }
}

#[tokio::test]
async fn an_upgrade_changes_the_leader_once_and_loses_no_write() -> Result<()> {
    let bao = Bao::serving("upgrade", older_root).await?;
    let before = bao.object().await?;
    ensure!(
        before.status.as_ref().and_then(|status| status.version.clone()).as_deref()
            == Some(tools::OLDER_OPENBAO)
    );
    bao.a_directory_is_configured_and_repaired().await?;
    let registers = Registers::start(&bao).await?;
    bao.apply(root).await?;
    let done = bao
        .until("all nodes run the new version", |object| {
            let status = object.status.clone().unwrap_or_default();
            is_ready(object)
                && status.members.len() == 3
                && status.members.iter().all(|member| member.version.as_deref() == Some(tools::OPENBAO))
        })
        .await?;
    assert_eq!(changes(&done) - changes(&before), 1, "leader changes");
    assert_eq!(
        done.status.as_ref().and_then(|status| status.highest_version_led.clone()).as_deref(),
        Some(tools::OPENBAO)
    );
    let outcome = registers.check(&bao).await?;
    println!("upgrade {} to {}: {outcome}", tools::OLDER_OPENBAO, tools::OPENBAO);
    // A downgrade is rejected.
    bao.apply(older_root).await?;
    let refused =
        bao.until("the downgrade is rejected", |object| condition(object, "Stalled").is_some()).await?;
    let (_, reason, message) = condition(&refused, "Stalled").context("the cluster is not stalled")?;
    assert_eq!(reason, "Invalid");
    assert!(message.contains("OpenBao cannot go back"), "{message}");
    // A refused spec and a suspended cluster do not stop the duties: the Service of the leader follows it.
    bao.label_follows_a_lost_leader().await?;
    let suspended = |spec: &mut Value| {
        root(spec);
        spec["suspend"] = json!(true);
    };
    bao.apply(suspended).await?;
    bao.until("the cluster is suspended", |object| condition(object, "Suspended").is_some()).await?;
    bao.label_follows_a_lost_leader().await?;
    bao.apply(root).await?;
    bao.ready().await?;
    Ok(())
}

#[tokio::test]
async fn a_failing_rollout_stops_with_two_nodes_serving() -> Result<()> {
    let bao = Bao::serving("canary", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let before = bao.uids().await?;
    let broken = |spec: &mut Value| {
        // An image that does not exist, so that the new pod cannot start.
        spec["managed"]["image"] = json!("steamer.test/openbao:9.9.9");
        spec["managed"]["upgrade"] = json!({"nodeTimeout": "10s"});
    };
    bao.apply(broken).await?;
    let stopped = bao.until("the rollout stops", |object| condition(object, "Stalled").is_some()).await?;
    let (_, _, message) = condition(&stopped, "Stalled").context("the cluster is not stalled")?;
    assert!(message.contains("does not come up within 10 s"), "{message}");
    assert!(message.contains("ErrImageNeverPull"), "{message}");
    assert_eq!(stopped.status.as_ref().and_then(|status| status.replicas), Some(2));
    let now = bao.uids().await?;
    assert_eq!(
        before.iter().filter(|(pod, uid)| now.get(*pod) == Some(*uid)).count(),
        2,
        "only one node was replaced"
    );
    // A pod that is lost now comes back in the template that served.
    let leader = bao.leader().await?;
    let kept = |pod: &&String| **pod != *leader && now.get(*pod) == before.get(*pod);
    let lost = bao.lost_pod(before.keys().find(kept).context("no standby was kept")?).await?;
    let images =
        lost.spec.map(|spec| spec.containers.into_iter().filter_map(|container| container.image).collect());
    let images: Vec<String> = images.unwrap_or_default();
    assert!(images.iter().all(|image| !image.ends_with("9.9.9")), "{images:?}");
    registers.goes_on().await?;
    bao.is_checked(&now).await?;
    registers.check(&bao).await?;
    Ok(())
}

/// Changes the pods, and checks the first updated one with a Job.
fn checked(spec: &mut Value, command: &[&str]) {
    spec["managed"]["logLevel"] = json!("debug");
    spec["managed"]["upgrade"] = json!({"validation": {"job": {"command": command}, "timeout": "1m"}});
}

impl Bao {
    /// A Job that fails stops the rollout after the first node, and one that succeeds continues it. `before`: the pods of the
    /// template that serves, and one that does not serve.
    async fn is_checked(&self, before: &BTreeMap<String, String>) -> Result<()> {
        self.apply(|spec| checked(spec, &["bao", "read", "sys/internal/counters"])).await?;
        let refused = |object: &OpenBaoCluster| {
            condition(object, "Stalled")
                .is_some_and(|(_, _, message)| message.contains("Job main-validation-"))
        };
        let stopped = self.until("the Job stops the rollout", refused).await?;
        let (_, reason, message) = condition(&stopped, "Stalled").context("the cluster is not stalled")?;
        ensure!(reason == "Failed" && message.contains("delete the Job to run it again"), "{message}");
        let status = stopped.status.as_ref().context("the cluster has no status")?;
        let updated = status.upgrade.as_ref().map(|upgrade| upgrade.updated);
        ensure!(status.replicas == Some(3) && updated == Some(1), "{:?} {updated:?}", status.replicas);
        let kept = self.uids().await?.iter().filter(|(pod, uid)| before.get(*pod) == Some(*uid)).count();
        ensure!(kept >= 1, "a rollout that was refused replaced another node");
        self.apply(|spec| checked(spec, &["bao", "status"])).await?;
        let job = message.split_whitespace().find(|word| word.starts_with("main-validation-"));
        let job = job.context("the message names no Job")?;
        self.fleet.kubectl()?.run(&["-n", &self.namespace, "delete", "job", job])?;
        self.until("the Job continues the rollout", whole).await?;
        // Without the check, its Job and its ServiceAccount are removed.
        self.apply(|spec| spec["managed"]["logLevel"] = json!("debug")).await?;
        let list = ["-n", self.namespace.as_str(), "get", "jobs,serviceaccounts", "-o", "name"];
        eventually("the Job is removed", || async {
            let left = self.fleet.kubectl().and_then(|kubectl| kubectl.run(&list));
            let left = left.map_err(|error| error.to_string())?;
            if left.contains("main-validation") { Err(left) } else { Ok(()) }
        })
        .await
    }
}

#[tokio::test]
async fn annotations_step_the_leader_down_and_restart_the_pods() -> Result<()> {
    let supervised = |spec: &mut Value| spec["managed"]["upgrade"] = json!({"leader": "Supervised"});
    let bao = Bao::serving("annotations", supervised).await?;
    let registers = Registers::start(&bao).await?;
    let asked = std::time::Instant::now();
    let (leader, before) = (bao.leader().await?, bao.uids().await?);
    bao.annotate("steamer.dev/step-down", json!("once")).await?;
    let next = bao.leads_after(&leader).await?;
    ensure!(*next != *leader, "the leader did not change");
    registers.goes_on().await?;
    println!("step-down: writes resume within {:.1} s", asked.elapsed().as_secs_f64());
    assert_eq!(bao.uids().await?, before, "a step-down replaces no pod");
    let object = bao.ready().await?;
    bao.annotate("steamer.dev/restart", json!("today")).await?;
    // The standbys are replaced. The leader is not, until the user moves it.
    bao.until("the leader waits for the user", waits_for("upgrade.leader: Supervised")).await?;
    let now = bao.uids().await?;
    assert_eq!(now.iter().filter(|(pod, uid)| before.get(*pod) == Some(*uid)).count(), 1, "{now:?}");
    assert_eq!(now.get(&*next), before.get(&*next), "the leader is the one that waits");
    let output = bao.plugin(&["step-down", "main"], &[]).await?;
    ensure!(output.is_empty(), "progress belongs to the standard error output: {output}");
    eventually("every pod is replaced", || async {
        let now = bao.uids().await.map_err(|error| error.to_string())?;
        if now.len() == 3 && now.iter().all(|(pod, uid)| before.get(pod) != Some(uid)) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await?;
    let moved = |done: &OpenBaoCluster| changes(done) > changes(&object);
    let done = bao.until("all three nodes are Ready", |done| whole(done) && moved(done)).await?;
    assert_eq!(changes(&done) - changes(&object), 1, "the restart changed the leader once, from {}", &*next);
    println!("step-down and restart: {}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
async fn a_paused_rollout_waits_and_replicas_can_be_scaled() -> Result<()> {
    // No anti-affinity, because the cluster is scaled to five pods on three Kubernetes nodes.
    let together = |spec: &mut Value| spec["managed"]["podTemplate"]["affinity"] = json!({});
    let bao = Bao::serving("paused", together).await?;
    let before = bao.uids().await?;
    bao.apply(|spec| {
        together(spec);
        spec["managed"]["upgrade"] = json!({"paused": true});
        spec["managed"]["podTemplate"]["env"] = json!({"BAO_LOG_LEVEL": "debug"});
    })
    .await?;
    let waiting = bao.until("the rollout is paused", waits_for("upgrade.paused")).await?;
    assert_eq!(waiting.status.as_ref().and_then(|status| status.phase), Some(ClusterPhase::Upgrading));
    assert_eq!(bao.uids().await?, before);
    // A pod that is lost for another reason does not bring the change in.
    let lost = bao.lost_pod(bao.leader().await?.follower()).await?;
    let spec = serde_json::to_string(&lost.spec)?;
    assert!(!spec.contains("BAO_LOG_LEVEL"), "{spec}");
    let before = bao.uids().await?;
    bao.apply(together).await?;
    bao.ready().await?;
    assert_eq!(bao.uids().await?, before, "a reverted change must not replace a pod");
    for replicas in [1, 3, 5, 3] {
        bao.apply(|spec| {
            together(spec);
            spec["managed"]["replicas"] = json!(replicas);
        })
        .await?;
        let serving = |object: &OpenBaoCluster| {
            is_ready(object) && object.status.as_ref().and_then(|status| status.replicas) == Some(replicas)
        };
        bao.until("the requested number of nodes serves", serving).await?;
        eventually("the requested number of pods exists", || async {
            let pods = bao.pods().await.map_err(|error| error.to_string())?.len();
            if pods == usize::try_from(replicas).unwrap_or(0) { Ok(()) } else { Err(pods.to_string()) }
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn draining_the_kubernetes_node_of_the_leader_moves_the_leader() -> Result<()> {
    let bao = Bao::alone("drain").await?.up(|_| {}).await?;
    let registers = Registers::start(&bao).await?;
    let leader = bao.leader().await?;
    let pods = bao.pods().await?;
    let pod = pods.iter().find(|pod| pod.name_any() == *leader).context("the leader has no pod")?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).context("the pod has no node")?;
    let drain = {
        let (kubectl, node) = (bao.fleet.kubectl()?, node.clone());
        let selector = "--pod-selector=steamer.dev/cluster=main";
        // Runs in a thread of its own, so that it does not block the workload of the test.
        move || kubectl.run(&["drain", &node, selector, "--delete-emptydir-data", "--timeout=60s"])
    };
    let drained = tokio::task::spawn_blocking(drain).await?;
    let moved = bao.leads_after(&leader).await;
    let degraded = bao.until("a node is missing", |object| {
        condition(object, "Degraded").is_some_and(|(status, ..)| status == "True")
    });
    let degraded = degraded.await;
    bao.fleet.kubectl()?.run(&["uncordon", &node])?;
    drained?;
    moved?;
    let degraded = degraded?;
    let (_, _, message) = condition(&degraded, "Degraded").context("the condition is missing")?;
    assert_eq!(message, "2 of 3 nodes serve");
    bao.until("all three nodes are Ready", whole).await?;
    println!("drain of the leader's Kubernetes node: {}", registers.check(&bao).await?);
    Ok(())
}
