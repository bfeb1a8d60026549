//! Command `version`.

use anyhow::Result;
use clap::Args as Arguments;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use serde::Serialize;
use steamer_api::{KindId, OpenBaoCluster};
use steamer_runtime::ObjectName;

use crate::connection::{Cluster, Connection};
use crate::lists::{Answer, lists};
use crate::outcome::Outcome;
use crate::output::Output;
use crate::style::Style;
use crate::table::{row, table};

#[derive(Arguments)]
pub(crate) struct Version {
    /// Prints only the version of the plugin, without a request to the API server.
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

/// Versions of all parts.
#[derive(Debug, Serialize)]
struct Versions {
    plugin: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<Server>,
}

/// Version of a server.
#[derive(Debug, Serialize)]
struct Server {
    name: String,
    version: String,
}

pub(crate) async fn run(arguments: Version) -> Result<Outcome> {
    let servers =
        if arguments.client { Vec::new() } else { servers(&arguments.connection.cluster().await?).await? };
    let versions = Versions { plugin: env!("CARGO_PKG_VERSION"), servers };
    arguments.output.write(&versions, text)?;
    Ok(Outcome::Good)
}

async fn servers(cluster: &Cluster) -> Result<Vec<Server>> {
    let kubernetes = cluster.client.apiserver_version().await.map_err(|error| cluster.refusal(error))?;
    let mut servers = vec![Server { name: "Kubernetes".to_owned(), version: kubernetes.git_version }];
    let deployments: Api<Deployment> = Api::all(cluster.client.clone());
    let labels = ListParams::default().labels("app.kubernetes.io/name=steamer");
    // You may not list Deployments: the other versions are shown.
    for deployment in deployments.list(&labels).await.map(|list| list.items).unwrap_or_default() {
        let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let image = pod.and_then(|pod| pod.containers.first()?.image.clone());
        let name = format!("operator {}", ObjectName::of(&deployment));
        servers.push(Server { name, version: image.unwrap_or_else(|| "unknown".to_owned()) });
    }
    let listed = lists::<OpenBaoCluster>(cluster, &[KindId::OpenBaoCluster], None).await.unwrap_or_default();
    for listed in listed {
        let Answer::Objects(clusters) = listed.answer else { continue };
        servers.extend(clusters.iter().map(|it| Server {
            name: format!("OpenBaoCluster {}", ObjectName::of(it)),
            version:
                it.status.as_ref().and_then(|it| it.version.clone()).unwrap_or_else(|| "unknown".to_owned()),
        }));
    }
    Ok(servers)
}

fn text(versions: &Versions, _: Style) -> String {
    let mut rows = vec![row(["kubectl steamer", versions.plugin])];
    rows.extend(versions.servers.iter().map(|server| row([&server.name, &server.version])));
    table("", &rows)
}
