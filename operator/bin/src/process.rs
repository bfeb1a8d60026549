//! Preparation of a process that runs until it is terminated.

use std::thread::available_parallelism;

use anyhow::anyhow;
use steamer_runtime::logs::{self, Format, Level};
use steamer_runtime::{log_panics, terminated};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Most threads that run the controllers. Their work is to wait for servers, and each thread has its own part of the memory.
const THREADS: usize = 4;

/// The runtime of the operator.
///
/// # Errors
/// When the threads cannot be started.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    let threads = available_parallelism().map_or(THREADS, |processors| processors.get().min(THREADS));
    Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

/// Starts the logs, protects the memory, and listens for signals. Returns the log level and the token of the shutdown.
///
/// # Errors
/// When the log level is not a valid filter.
pub(crate) fn prepare(log_level: &str, format: Format) -> anyhow::Result<(Level, CancellationToken)> {
    let level = logs::start(log_level, format).map_err(|problem| anyhow!(problem))?;
    log_panics();
    no_core_dumps();
    let shutdown = CancellationToken::new();
    tokio::spawn(cancelled_on_signal(shutdown.clone()));
    Ok((level, shutdown))
}

/// Disables core dumps. Secret values pass through the memory of this process: a crash must not write them to disk, and
/// other processes of the same user must not read them.
fn no_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(problem) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(error = &problem as &dyn std::error::Error, "cannot disable core dumps");
    }
}

async fn cancelled_on_signal(shutdown: CancellationToken) {
    match terminated().await {
        Ok(()) => info!("received a termination signal"),
        Err(problem) => error!(error = &problem as &dyn std::error::Error, "cannot install signal handlers"),
    }
    shutdown.cancel();
}
