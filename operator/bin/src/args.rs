//! Command line of the process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

use steamer_cli::convert::Convert;
use steamer_cli::import::Import;
use steamer_relay::rotation::Log;
use steamer_runtime::logs::Format;

/// Kubernetes operator for OpenBao.
#[derive(Parser)]
#[command(name = "steamer", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs the operator.
    Run(Box<Run>),
    /// Runs a relay beside an OpenBao node: receives its audit entries, and reports to the operator which values were
    /// written. A managed OpenBaoCluster runs it for `instantDelivery`.
    Relay(Relay),
    /// Rotates the audit logs of an OpenBao node in the same process namespace, with SIGHUP. A managed OpenBaoCluster runs it
    /// for `file.volume` of an audit device.
    RotateAudit(RotateAudit),
    /// Opens a restored copy of the storage: beside an OpenBao in recovery mode, with the recovery keys. A managed OpenBaoCluster
    /// runs it for `restoreDrill`.
    RestoreDrill(RestoreDrill),
    /// Prints the policy that the operator requires in OpenBao's root namespace. An administrator has to write it.
    OpenbaoPolicy(Policy),
    /// Converts objects of Vault Secrets Operator and External Secrets Operator to objects of Steamer. Writes the objects to
    /// the standard output, and what has no counterpart to the standard error output.
    ///
    /// Exit codes: 0, everything is converted; 1, converted, and the report has findings to review; 2, the input cannot be
    /// read.
    Convert(Box<Convert>),
    /// Reads the resources of a running OpenBao or Vault, or of a Terraform state, and writes objects that adopt them. Writes the
    /// objects to the standard output, and what is not imported to the standard error output. Reads no values of secrets.
    ///
    /// Exit codes: 0, everything is imported; 1, imported, and the report has findings to review; 2, the input cannot be read.
    ///
    /// The server, its CA, a client certificate and the token are those of the command `bao`: BAO_ADDR, BAO_CACERT,
    /// BAO_CLIENT_CERT, BAO_CLIENT_KEY, BAO_TLS_SERVER_NAME, BAO_SKIP_VERIFY, BAO_TOKEN or ~/.vault-token, and the same names
    /// with VAULT.
    Import(Box<Import>),
}

#[derive(Arguments)]
pub(crate) struct Policy {
    /// Prints the policy for a managed OpenBaoCluster.
    #[arg(long)]
    pub(crate) managed: bool,
    /// `operatorScope` of the OpenBaoCluster. `Namespaces` and `Root` are equivalent to root access in the namespaces that
    /// they cover.
    #[arg(long, value_enum, default_value = "Tenants")]
    pub(crate) scope: Scope,
    /// `operatorNamespaces` of the OpenBaoCluster, separated by commas. Required with, and only permitted with, the scope
    /// `Namespaces`.
    #[arg(long, value_delimiter = ',', required_if_eq("scope", "Namespaces"))]
    pub(crate) namespaces: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Scope {
    Tenants,
    Namespaces,
    Root,
}

#[derive(Arguments)]
pub(crate) struct Run {
    /// Namespace of the operator.
    #[arg(long, env = "POD_NAMESPACE", default_value = "steamer-system")]
    pub(crate) namespace: String,
    /// ServiceAccount of the operator, which it logs in to OpenBao with.
    #[arg(long, env = "POD_SERVICE_ACCOUNT", default_value = "steamer")]
    pub(crate) service_account: String,
    /// Name of this process in the leader lease and in Events. Default: `steamer-<process ID>`.
    #[arg(long, env = "POD_NAME")]
    pub(crate) instance: Option<String>,
    /// ID that distinguishes this installation from others that use the same OpenBao. Default: the UID of the namespace
    /// kube-system.
    #[arg(long, env = "STEAMER_INSTALLATION")]
    pub(crate) installation: Option<String>,
    /// Namespaces in which kinds that decide about servers and trusted keys (OpenBaoCluster, SecretsTenant, JWTIssuer, ...)
    /// are honored, separated by commas. Objects of these kinds in other namespaces are Stalled. Default: all namespaces.
    #[arg(long, env = "STEAMER_CLUSTER_NAMESPACES", value_delimiter = ',')]
    pub(crate) cluster_namespaces: Vec<String>,
    /// Audiences for which the operator requests tokens of every ServiceAccount, separated by commas, besides the
    /// audiences that the ServiceAccount allows in its annotation `steamer.dev/audiences`, and besides the audience of an
    /// OpenBaoCluster for logins to that cluster.
    #[arg(long, env = "STEAMER_ALLOWED_AUDIENCES", value_delimiter = ',')]
    pub(crate) allowed_audiences: Vec<String>,
    /// Namespaces of the objects that the operator reconciles, separated by commas. The cluster namespaces and the
    /// operator's own namespace are always included. Default: all namespaces.
    #[arg(long, env = "STEAMER_WATCH_NAMESPACES", value_delimiter = ',')]
    pub(crate) watch_namespaces: Vec<String>,
    /// Duration of the leader lease without renewal. At least 1s.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub(crate) lease_duration: Duration,
    /// Interval at which OpenBao is checked for drift. At least 1s.
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(crate) drift_interval: Duration,
    /// Longest duration of a request in OpenBao: `default_max_request_duration` of its servers. A request for a credential
    /// without an answer counts as running until then. At least 1s.
    #[arg(long, default_value = "90s", value_parser = duration)]
    pub(crate) request_limit: Duration,
    /// Maximum number of concurrent reconciles per kind.
    #[arg(long, default_value_t = 16)]
    pub(crate) workers: usize,
    /// Time after which a silent connection to the API server is replaced. An idle watch receives data about once a
    /// minute. At least 1s.
    #[arg(long, default_value = "90s", value_parser = duration)]
    pub(crate) api_silence: Duration,
    /// Image of this operator. Managed OpenBaoClusters with `instantDelivery` run it beside each node.
    #[arg(long, env = "STEAMER_IMAGE")]
    pub(crate) image: Option<String>,
    /// Permits connections to OpenBao servers and issuers at loopback addresses. Link-local addresses are never permitted.
    #[arg(long)]
    pub(crate) allow_loopback: bool,
    /// Connects to OpenBao servers and issuers through the proxies of the environment variables HTTPS_PROXY, HTTP_PROXY
    /// and NO_PROXY. A proxy resolves names, so addresses are not checked. Managed clusters are reached directly.
    #[arg(long)]
    pub(crate) use_proxy: bool,
    /// Serves the objects of Vault Secrets Operator (secrets.hashicorp.com/v1beta1), as if they were objects of Steamer: stop
    /// Vault Secrets Operator first. Its CustomResourceDefinitions must be installed before the operator starts.
    #[arg(long)]
    pub(crate) serve_vso: bool,
    /// Namespace of Vault Secrets Operator: objects without vaultAuthRef or vaultConnectionRef use the objects `default` in it.
    #[arg(long, default_value = "vault-secrets-operator-system", requires = "serve_vso")]
    pub(crate) vso_namespace: String,
    /// Omits the key `_raw` from Secrets, as Vault Secrets Operator does with its global option exclude-raw.
    #[arg(long, requires = "serve_vso")]
    pub(crate) vso_exclude_raw: bool,
    /// Address of the admin server: probes and metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub(crate) admin_address: SocketAddr,
    /// Serves the metrics only to bearers of a token that the Kubernetes API server knows, and with the right to `get` the
    /// nonResourceURL `/metrics`. The operator must be allowed to create TokenReviews and SubjectAccessReviews.
    #[arg(long)]
    pub(crate) metrics_authentication: bool,
    /// Loopback address of the server that changes the log level (`PUT /log-level`): only processes in the pod and
    /// `kubectl port-forward` reach it.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub(crate) log_level_address: SocketAddr,
    /// Log filter, such as `info` or `steamer_openbao=debug,info`.
    #[arg(long, env = "STEAMER_LOG", default_value = "info")]
    pub(crate) log_level: String,
    /// Format of the logs.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
}

#[derive(Arguments)]
pub(crate) struct Relay {
    /// Loopback address that receives audit entries, at the path `/audit`: the `uri` of an audit device of type `http`.
    #[arg(long, default_value = "127.0.0.1:9103")]
    pub(crate) audit_address: SocketAddr,
    /// Address that the operator connects to.
    #[arg(long, default_value = "[::]:9104")]
    pub(crate) address: SocketAddr,
    /// File with the token that the operator presents.
    #[arg(long)]
    pub(crate) token_file: PathBuf,
    /// Folder with the certificate `tls.crt` and its key `tls.key`. Default: no TLS.
    #[arg(long)]
    pub(crate) tls_folder: Option<PathBuf>,
    /// Log filter, such as `info`.
    #[arg(long, env = "STEAMER_LOG", default_value = "info")]
    pub(crate) log_level: String,
    /// Format of the logs.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
}

#[derive(Arguments)]
pub(crate) struct RotateAudit {
    /// Log with its limits: path, size in bytes at which it is rotated, and number of rotated files that are kept, such as
    /// `/openbao/audit/a/audit.log,104857600,8`. Can be repeated.
    #[arg(long = "file", required = true, value_parser = log)]
    pub(crate) files: Vec<Log>,
    /// Log filter, such as `info`.
    #[arg(long, env = "STEAMER_LOG", default_value = "info")]
    pub(crate) log_level: String,
    /// Format of the logs.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
}

#[derive(Arguments)]
pub(crate) struct RestoreDrill {
    /// URL of the OpenBao in recovery mode.
    #[arg(long, default_value = "http://127.0.0.1:8200")]
    pub(crate) address: String,
    /// Folder with the recovery keys, one file for each share.
    #[arg(long)]
    pub(crate) recovery_folder: PathBuf,
    /// Time in which the copy must be open. At least 1s.
    #[arg(long, default_value = "10m", value_parser = duration)]
    pub(crate) patience: Duration,
    /// File that the result is written to.
    #[arg(long)]
    pub(crate) report: PathBuf,
    /// Log filter, such as `info`.
    #[arg(long, env = "STEAMER_LOG", default_value = "info")]
    pub(crate) log_level: String,
    /// Format of the logs.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Json,
    Human,
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Human => Self::Human,
        }
    }
}

fn log(text: &str) -> Result<Log, String> {
    let problem =
        || format!("`{text}` is not a path, a size in bytes and a number of files, separated by commas");
    let parts: Vec<&str> = text.rsplitn(3, ',').collect();
    let [files, bytes, path] = parts[..] else { return Err(problem()) };
    let (max_files, max_bytes) =
        (files.parse().map_err(|_| problem())?, bytes.parse().map_err(|_| problem())?);
    Ok(Log { path: path.into(), max_bytes, max_files })
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: steamer_api::Duration = text.parse()?;
    match duration.get() {
        short if short < Duration::from_secs(1) => Err("must be at least 1s".to_owned()),
        duration => Ok(duration),
    }
}
