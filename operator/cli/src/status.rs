//! Command `status`.

pub(crate) mod cluster;
mod overview;
#[cfg(test)]
mod tests;
mod text;

use anyhow::{Result, anyhow};
use clap::Args as Arguments;
use jiff::Timestamp;
use steamer_api::{KindId, OpenBaoCluster};

use crate::brief::Brief;
use crate::connection::{Cluster, Connection};
use crate::lists::{Answer, lists};
use crate::outcome::Outcome;
use crate::output::Output;
use crate::target::cluster_name;
use overview::{Overview, overview};
use text::text;

/// Arguments of `status`.
#[derive(Arguments)]
pub(crate) struct Status {
    /// OpenBaoCluster to show. Default: all.
    name: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Objects of all namespaces. Default, unless --namespace is set.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Number of objects that are not Ready to list. 0: all.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(arguments: Status) -> Result<Outcome> {
    let cluster = arguments.connection.cluster().await?;
    let namespace = arguments.connection.namespace.as_deref();
    let overview = read(&cluster, namespace, arguments.name.as_deref()).await?;
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    arguments.output.write(&overview, |view, style| text(view, style, limit))?;
    Ok(if overview.is_good() { Outcome::Good } else { Outcome::NotReady })
}

async fn read(cluster: &Cluster, namespace: Option<&str>, name: Option<&str>) -> Result<Overview> {
    let others: Vec<KindId> =
        KindId::ALL.iter().copied().filter(|kind| *kind != KindId::OpenBaoCluster).collect();
    let clusters = lists::<OpenBaoCluster>(cluster, &[KindId::OpenBaoCluster], namespace);
    let (clusters, objects) = tokio::join!(clusters, lists::<Brief>(cluster, &others, namespace));
    let objects = objects?;
    // Users of a namespace may not read the clusters of the platform.
    let mut clusters = match clusters.map(|mut found| found.pop().map(|listed| listed.answer)) {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::NotInstalled,
        Err(_) => Answer::Denied,
    };
    if let (Some(name), Answer::Objects(found)) = (name, &mut clusters) {
        let name = cluster_name(name)?;
        found.retain(|it| it.metadata.name.as_deref() == Some(name));
        if found.is_empty() {
            return Err(anyhow!(
                "OpenBaoCluster {name} does not exist: see `kubectl get openbaoclusters --all-namespaces`"
            ));
        }
    }
    Ok(overview(clusters, &objects, Timestamp::now()))
}
