//! Command `relay`: reports the writes of an OpenBao node.

use anyhow::Context;
use steamer_relay::Settings;

use crate::args::Relay;
use crate::process::prepare;

pub(crate) async fn run(arguments: Relay) -> anyhow::Result<()> {
    let (_, shutdown) = prepare(&arguments.log_level, arguments.log_format.into())?;
    let Relay { audit_address, address, token_file, tls_folder, log_level: _, log_format: _ } = arguments;
    let settings = Settings { audit_address, address, token_file, tls_folder };
    steamer_relay::run(settings, shutdown).await.context("the relay stopped")
}
