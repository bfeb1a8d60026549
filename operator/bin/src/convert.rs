//! Command `convert`: reads objects of other operators, writes objects of Steamer and a report.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args as Arguments, ValueEnum};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Map, Value};
use steamer_convert::{Conversion, Report, Settings};

/// Exit code for a conversion with findings to review.
const REVIEW: u8 = 1;
/// Exit code for an input that cannot be read.
const FAILED: u8 = 2;
/// Time after which a silent connection to the API server is replaced.
const SILENCE: Duration = Duration::from_secs(90);

/// Exit codes: 0, everything is converted; 1, converted, and the report has findings to review; 2, the input cannot be
/// read.
#[derive(Arguments)]
pub(crate) struct Convert {
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

#[derive(Clone, Copy, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

/// Converts, and returns the exit code.
pub(crate) fn run(arguments: Convert) -> ExitCode {
    match converted(&arguments) {
        Ok(report) if report.needs_review() => ExitCode::from(REVIEW),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn converted(arguments: &Convert) -> Result<Report> {
    let objects =
        if arguments.from_cluster { from_cluster(arguments)? } else { from_files(&arguments.files)? };
    let settings = Settings {
        namespace: arguments.namespace.clone(),
        vso_namespace: arguments.vso_namespace.clone(),
        exclude_raw: arguments.vso_exclude_raw,
        store_namespace: arguments.store_namespace.clone(),
    };
    let Conversion { objects, report } = steamer_convert::convert(objects, &settings);
    match &arguments.output_dir {
        Some(folder) => write_files(folder, &objects)?,
        None => std::io::stdout().write_all(steamer_convert::documents(&objects)?.as_bytes())?,
    }
    match arguments.report {
        ReportFormat::Text => eprint!("{report}"),
        ReportFormat::Json => eprintln!("{}", serde_json::to_string_pretty(&report)?),
    }
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

fn from_cluster(arguments: &Convert) -> Result<Vec<Map<String, Value>>> {
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

fn write_files(folder: &Path, objects: &[Value]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for object in objects {
        let path = folder.join(file_name(object));
        let text = steamer_convert::documents(std::slice::from_ref(object))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Name of the file of an object: kind, namespace and name. Other characters than those of Kubernetes names are replaced.
fn file_name(object: &Value) -> String {
    let parts = ["/kind", "/metadata/namespace", "/metadata/name"].map(|path| object.pointer(path));
    let parts: Vec<&str> = parts.into_iter().flatten().filter_map(Value::as_str).collect();
    let name = parts.join("-").to_lowercase();
    let allowed = |character: char| character.is_ascii_alphanumeric() || ".-".contains(character);
    name.chars().map(|it| if allowed(it) { it } else { '-' }).chain(".yaml".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_has_the_name_of_its_object_and_stays_in_the_folder() {
        let object = |namespace: Value, name: &str| json!({"kind": "BaoAuth", "metadata": {"namespace": namespace, "name": name}});
        assert_eq!(file_name(&object(json!("web"), "a.b")), "baoauth-web-a.b.yaml");
        assert_eq!(file_name(&object(json!(null), "../../etc/passwd")), "baoauth-..-..-etc-passwd.yaml");
    }
}
