//! Command `relay`: reports the writes of an OpenBao node.

use anyhow::{Context, anyhow};
use steamer_relay::Settings;
use steamer_runtime::{log_panics, logs};
use tokio_util::sync::CancellationToken;

use crate::args::Relay;
use crate::operator::{cancelled_on_signal, no_core_dumps};

pub(crate) async fn run(arguments: Relay) -> anyhow::Result<()> {
    logs::start(&arguments.log_level, arguments.log_format.into()).map_err(|problem| anyhow!(problem))?;
    log_panics();
    no_core_dumps();
    let shutdown = CancellationToken::new();
    tokio::spawn(cancelled_on_signal(shutdown.clone()));
    let Relay { audit_address, address, token_file, tls_folder, log_level: _, log_format: _ } = arguments;
    let settings = Settings { audit_address, address, token_file, tls_folder };
    steamer_relay::run(settings, shutdown).await.context("the relay stopped")
}
