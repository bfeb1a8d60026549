//! Command `convert`: reads objects of other operators, writes objects of Steamer and a report.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args as Arguments;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Map, Value};
use steamer_convert::{Conversion, Live, Report, Settings};

use crate::manifests::{self, ReportFormat};

/// Time after which a silent connection to the API server is replaced.
const SILENCE: Duration = Duration::from_secs(90);

/// Arguments of `convert`.
#[derive(Arguments)]
pub struct Convert {
    /// Files with objects in YAML or JSON: single objects, several documents or lists. `-` is the standard input. Default:
    /// the standard input.
    files: Vec<PathBuf>,
    /// Reads the objects of the current cluster instead of files: lists the kinds of VSO and ESO that are installed.
    #[arg(long, conflicts_with = "files")]
    from_cluster: bool,
    /// Kubeconfig for `--from-cluster`. Default: as kubectl.
    #[arg(long, requires = "from_cluster")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, requires = "from_cluster")]
    context: Option<String>,
    /// Namespace to read with `--from-cluster`. Without it: the namespace of objects that have none.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Folder to write a file for each object to. It is created. Existing files of the same names are replaced. Default: all
    /// objects are written to the standard output.
    #[arg(long)]
    output_dir: Option<PathBuf>,
    /// Format of the report on the standard error output.
    #[arg(long, value_enum, default_value = "text")]
    report: ReportFormat,
    /// Namespace of Vault Secrets Operator. Objects without vaultAuthRef and VaultAuths without vaultConnectionRef use the
    /// objects `default` in it.
    #[arg(long, default_value = "vault-secrets-operator-system")]
    vso_namespace: String,
    /// Vault Secrets Operator runs with the global transformation option exclude-raw: Secrets do not contain the key _raw.
    #[arg(long)]
    vso_exclude_raw: bool,
    /// Namespace of the BaoConnection and the BaoAuth that replace a ClusterSecretStore.
    #[arg(long, default_value = "steamer-system")]
    store_namespace: String,
}

/// Converts, and returns the exit code.
#[must_use]
pub fn run(arguments: Convert) -> ExitCode {
    manifests::exit_code(converted(&arguments))
}

fn converted(arguments: &Convert) -> Result<Report> {
    let Live { objects, findings } = if arguments.from_cluster {
        from_cluster(arguments)?
    } else {
        Live { objects: from_files(&arguments.files)?, ..Live::default() }
    };
    let settings = Settings {
        namespace: arguments.namespace.clone(),
        vso_namespace: arguments.vso_namespace.clone(),
        exclude_raw: arguments.vso_exclude_raw,
        store_namespace: arguments.store_namespace.clone(),
    };
    let Conversion { objects, mut report } = steamer_convert::convert(objects, &settings);
    report.findings.extend(findings);
    manifests::write(arguments.output_dir.as_deref(), &objects)?;
    manifests::print(&report, arguments.report)?;
    Ok(report)
}

fn from_files(files: &[PathBuf]) -> Result<Vec<Map<String, Value>>> {
    let standard_input = [PathBuf::from("-")];
    let mut objects = Vec::new();
    for file in if files.is_empty() { &standard_input } else { files } {
        let place = || format!("cannot read {}", file.display());
        let text = if file == Path::new("-") { from_standard_input() } else { fs::read_to_string(file) };
        let text = text.with_context(place)?;
        objects.extend(steamer_convert::objects(&text).with_context(place)?);
    }
    Ok(objects)
}

fn from_standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn from_cluster(arguments: &Convert) -> Result<Live> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = config(arguments).await.context("cannot read the kubeconfig")?;
        let client = steamer_runtime::kubernetes::client(config, SILENCE, || {})?;
        Ok(steamer_convert::live(&client, arguments.namespace.as_deref()).await?)
    })
}

async fn config(arguments: &Convert) -> Result<Config> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    match &arguments.kubeconfig {
        Some(path) => Ok(Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?),
        None if arguments.context.is_some() => Ok(Config::from_kubeconfig(&options).await?),
        None => Ok(Config::infer().await?),
    }
}
