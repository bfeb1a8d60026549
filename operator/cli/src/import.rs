//! Command `import`: reads the resources of a server or of a Terraform state, writes objects of Steamer and a report.

mod connection;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args as Arguments;
use steamer_import::{Inventory, Report, Settings};

use crate::manifests::{self, ReportFormat};

/// Arguments of `import`.
#[derive(Arguments)]
pub struct Import {
    /// Name of the OpenBaoCluster, with its namespace if that is not the namespace of the objects, such as `openbao/main`.
    #[arg(long)]
    cluster_ref: String,
    /// Kubernetes namespace of the objects. Default: the objects state none.
    #[arg(long)]
    kubernetes_namespace: Option<String>,
    /// OpenBao namespace that the OpenBaoCluster uses as its root (`external.namespace`). Namespaces of the objects are
    /// relative to it. Default: BAO_NAMESPACE, VAULT_NAMESPACE, or else the root namespace of the server.
    #[arg(long)]
    root_namespace: Option<String>,
    /// OpenBao namespace to import, with all namespaces below it, relative to the root of the cluster. Default: the root.
    #[arg(long, default_value = "")]
    namespace: String,
    /// File with a Terraform state in JSON (`terraform state pull`), in the place of a server.
    #[arg(long)]
    terraform_state: Option<PathBuf>,
    /// Sets `mode: Observe` in each object: `status.plan` then lists the changes that the object would make.
    #[arg(long)]
    observe: bool,
    /// Folder to write a file for each object to. It is created. Existing files of the same names are replaced. Default: all
    /// objects are written to the standard output.
    #[arg(long)]
    output_dir: Option<PathBuf>,
    /// Format of the report on the standard error output.
    #[arg(long, value_enum, default_value = "text")]
    report: ReportFormat,
}

/// Imports, and returns the exit code.
#[must_use]
pub fn run(arguments: Import) -> ExitCode {
    manifests::exit_code(imported(&arguments))
}

fn imported(arguments: &Import) -> Result<Report> {
    let inventory = match &arguments.terraform_state {
        Some(path) => {
            let place = || format!("cannot read {}", path.display());
            let text = fs::read_to_string(path).with_context(place)?;
            steamer_import::terraform(&text).with_context(place)?.within(&arguments.namespace)
        }
        None => from_server(arguments)?,
    };
    let steamer_import::Import { objects, report } =
        steamer_import::manifests(inventory, &settings(arguments)?);
    manifests::write(arguments.output_dir.as_deref(), &objects)?;
    manifests::print(&report, arguments.report)?;
    Ok(report)
}

fn settings(arguments: &Import) -> Result<Settings> {
    let (cluster_namespace, cluster) = match arguments.cluster_ref.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, arguments.cluster_ref.as_str()),
    };
    if cluster.is_empty() || cluster_namespace.as_deref() == Some("") {
        bail!("--cluster-ref is not a name of an OpenBaoCluster: write main or openbao/main");
    }
    Ok(Settings {
        cluster: cluster.to_owned(),
        cluster_namespace,
        kubernetes_namespace: arguments.kubernetes_namespace.clone(),
        observe: arguments.observe,
    })
}

fn from_server(arguments: &Import) -> Result<Inventory> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let session = connection::session(arguments.root_namespace.as_deref())?;
        let inventory = steamer_import::live(&session, &arguments.namespace).await;
        inventory.context("cannot read the resources of OpenBao")
    })
}
