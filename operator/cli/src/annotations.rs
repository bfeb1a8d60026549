//! Commands that request an operation of a managed cluster with an annotation.

mod steps;

use anyhow::{Result, bail};
use clap::Args as Arguments;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;

use crate::connection::{Cluster, Connection};
use crate::outcome::Outcome;
use crate::progress::Waiting;
use crate::target::cluster_name;
use steps::{Rollout, fenced, moved, released};

pub(crate) use steps::condition;

/// Field manager of every write.
pub(crate) const MANAGER: &str = "kubectl-steamer";
/// A new value replaces the pods one after the other.
const RESTART: &str = "steamer.dev/restart";
/// A new value makes the leader step down.
const STEP_DOWN: &str = "steamer.dev/step-down";
/// The pod whose node is fenced.
const FENCE: &str = "steamer.dev/fence";

/// A managed cluster.
#[derive(Arguments)]
pub(crate) struct Nodes {
    /// Name of the OpenBaoCluster.
    name: String,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    waiting: Waiting,
}

/// A node of a managed cluster.
#[derive(Arguments)]
pub(crate) struct Fence {
    /// Name of the OpenBaoCluster.
    name: String,
    /// Name of the pod, such as main-1.
    pod: String,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn restart(arguments: Nodes) -> Result<Outcome> {
    let (cluster, before) = managed(&arguments.connection, &arguments.name).await?;
    annotate(&cluster, &before, RESTART, json!(token())).await?;
    let mut rollout = Rollout::default();
    let place = (cluster.namespace.as_str(), name(&before));
    arguments.waiting.until(&cluster, place, |now: &OpenBaoCluster| rollout.step(now)).await
}

pub(crate) async fn step_down(arguments: Nodes) -> Result<Outcome> {
    let (cluster, before) = managed(&arguments.connection, &arguments.name).await?;
    annotate(&cluster, &before, STEP_DOWN, json!(token())).await?;
    let place = (cluster.namespace.as_str(), name(&before));
    arguments.waiting.until(&cluster, place, |now| moved(&before, now)).await
}

pub(crate) async fn fence(arguments: Fence) -> Result<Outcome> {
    let (cluster, before) = managed(&arguments.connection, &arguments.name).await?;
    let members = before.status.iter().flat_map(|status| &status.members);
    let pods: Vec<&str> = members.map(|member| member.pod.as_str()).collect();
    if !pods.contains(&arguments.pod.as_str()) {
        bail!(
            "{} is not a node of OpenBaoCluster {}: write one of {}",
            arguments.pod,
            arguments.name,
            pods.join(", ")
        );
    }
    annotate(&cluster, &before, FENCE, json!(arguments.pod)).await?;
    let place = (cluster.namespace.as_str(), name(&before));
    arguments.waiting.until(&cluster, place, |now| fenced(&arguments.pod, now)).await
}

pub(crate) async fn unfence(arguments: Nodes) -> Result<Outcome> {
    let (cluster, before) = managed(&arguments.connection, &arguments.name).await?;
    annotate(&cluster, &before, FENCE, Value::Null).await?;
    let place = (cluster.namespace.as_str(), name(&before));
    arguments.waiting.until(&cluster, place, released).await
}

/// A managed cluster, by its name.
///
/// # Errors
/// When it does not exist, or the operator does not run it.
pub(crate) async fn managed(connection: &Connection, name: &str) -> Result<(Cluster, OpenBaoCluster)> {
    let cluster = connection.cluster().await?;
    let found: OpenBaoCluster = cluster.object(&cluster.namespace, cluster_name(name)?).await?;
    if found.spec.managed.is_none() {
        bail!(
            "OpenBaoCluster {}/{name} is not managed by Steamer: use `bao operator` at {}",
            cluster.namespace,
            found.address()
        );
    }
    Ok((cluster, found))
}

/// Writes an annotation of an OpenBaoCluster. `null` removes it.
///
/// # Errors
/// When the API server refuses it.
pub(crate) async fn annotate(
    cluster: &Cluster,
    object: &OpenBaoCluster,
    annotation: &str,
    value: Value,
) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {annotation: value}}}));
    let api = cluster.api_in::<OpenBaoCluster>(&cluster.namespace);
    let patched = api.patch(name(object), &parameters(), &patch).await;
    patched.map(drop).map_err(|error| cluster.refusal(error))
}

/// Parameters of every write.
pub(crate) fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Name of a cluster.
pub(crate) fn name(cluster: &OpenBaoCluster) -> &str {
    cluster.metadata.name.as_deref().unwrap_or_default()
}

/// A value that no annotation had before.
pub(crate) fn token() -> String {
    Timestamp::now().to_string()
}
