//! Command `tail`: audit entries of a managed cluster.

mod entry;

use anyhow::{Context, Result, bail};
use clap::Args as Arguments;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};
use steamer_api::SecretsProject;

use crate::annotations::{managed, name};
use crate::connection::{Cluster, Connection};
use crate::outcome::Outcome;
use crate::output::print;
use entry::{Entry, Filter};

/// Container of OpenBao.
const CONTAINER: &str = "openbao";

/// Arguments of `tail`.
#[derive(Arguments)]
pub(crate) struct Tail {
    /// Name of the OpenBaoCluster.
    name: String,
    /// Shows only requests in the OpenBao namespace of this SecretsProject, such as web, or web/web with its namespace.
    #[arg(long)]
    project: Option<String>,
    /// Shows new entries until the command is interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Lines of the log of each pod to read first.
    #[arg(long, default_value_t = 1000)]
    lines: i64,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(arguments: Tail) -> Result<Outcome> {
    let (cluster, found) = managed(&arguments.connection, &arguments.name).await?;
    let filter = filter(&cluster, arguments.project.as_deref()).await?;
    let pods = cluster.api_in::<Pod>(&cluster.namespace);
    let labels = ListParams::default().labels(&format!("steamer.dev/cluster={}", name(&found)));
    let listed = pods.list(&labels).await.map_err(|error| cluster.refusal(error))?;
    let names: Vec<String> = listed.iter().map(ResourceExt::name_any).collect();
    if arguments.follow {
        follow(&cluster, &names, &filter, arguments.lines).await?;
        return Ok(Outcome::Good);
    }
    let (mut entries, mut audited) = (Vec::new(), false);
    for pod in &names {
        let log = pods.logs(pod, &parameters(arguments.lines, false)).await;
        for line in log.map_err(|error| cluster.refusal(error))?.lines() {
            let entry = Entry::parse(line);
            audited |= entry.is_some();
            entries.extend(entry.filter(|entry| filter.admits(entry)));
        }
    }
    if !audited {
        bail!(
            "the logs of {} contain no audit entry: add an audit device of type file with the path stdout",
            names.join(", ")
        );
    }
    entries.sort_by(|a, b| a.time.cmp(&b.time));
    print(&entries.iter().map(Entry::text).collect::<String>())?;
    Ok(Outcome::Good)
}

fn parameters(lines: i64, follow: bool) -> LogParams {
    LogParams {
        container: Some(CONTAINER.to_owned()),
        tail_lines: Some(lines),
        follow,
        ..LogParams::default()
    }
}

async fn filter(cluster: &Cluster, project: Option<&str>) -> Result<Filter> {
    let Some(text) = project else { return Ok(Filter::default()) };
    let (namespace, name) = text.split_once('/').unwrap_or((&cluster.namespace, text));
    let project: SecretsProject = cluster.object(namespace, name).await?;
    let path = project.status.and_then(|status| status.lifecycle.openbao_namespace);
    let path = path.with_context(|| format!("SecretsProject {namespace}/{name} is not provisioned"))?;
    Ok(Filter { namespace: Some(path) })
}

async fn follow(cluster: &Cluster, pods: &[String], filter: &Filter, lines: i64) -> Result<()> {
    let api = cluster.api_in::<Pod>(&cluster.namespace);
    let mut streams = Vec::new();
    for pod in pods {
        let stream = api.log_stream(pod, &parameters(lines, true)).await;
        streams.push(stream.map_err(|error| cluster.refusal(error))?.lines().boxed());
    }
    let mut all = futures::stream::select_all(streams);
    while let Some(line) = all.try_next().await? {
        if let Some(entry) = Entry::parse(&line).filter(|entry| filter.admits(entry)) {
            print(&entry.text())?;
        }
    }
    Ok(())
}
