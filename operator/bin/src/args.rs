//! What the process is started with.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

/// The Kubernetes operator for OpenBao.
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
    /// Prints the policy that the operator needs in OpenBao (root namespace), to be written by an administrator.
    OpenbaoPolicy {
        /// The policy for an OpenBaoCluster that Steamer runs.
        #[arg(long)]
        managed: bool,
    },
}

#[derive(Arguments)]
pub(crate) struct Run {
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "steamer-system")]
    pub(crate) namespace: String,
    /// The operator's own ServiceAccount: what it logs in to OpenBao with.
    #[arg(long, env = "POD_SERVICE_ACCOUNT", default_value = "steamer")]
    pub(crate) service_account: String,
    /// Names this process in the leader lease and in Events. Default: the host's name and the process id.
    #[arg(long, env = "POD_NAME")]
    pub(crate) instance: Option<String>,
    /// Tells this installation from others that use the same OpenBao. Default: the uid of namespace kube-system.
    #[arg(long, env = "STEAMER_INSTALLATION")]
    pub(crate) installation: Option<String>,
    /// How long the leader lease holds without being renewed, such as 15s. At least 1s.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub(crate) lease_duration: Duration,
    /// How often OpenBao is compared with what should be there, such as 5m.
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(crate) drift_interval: Duration,
    /// How many objects of one kind are worked on at once.
    #[arg(long, default_value_t = 16)]
    pub(crate) workers: usize,
    /// How long a connection to the API server may be silent before it is made anew. A quiet watch hears from the API
    /// server about once a minute.
    #[arg(long, default_value = "90s", value_parser = duration)]
    pub(crate) api_silence: Duration,
    /// Where probes, metrics and the log level are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub(crate) admin_address: SocketAddr,
    /// What is logged, such as `info` or `steamer_openbao=debug,info`.
    #[arg(long, env = "STEAMER_LOG", default_value = "info")]
    pub(crate) log_level: String,
    /// How logs look.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Json,
    Human,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: steamer_api::Duration = text.parse()?;
    match duration.get() {
        short if short < Duration::from_secs(1) => Err("at least 1s".to_owned()),
        duration => Ok(duration),
    }
}
