//! Commands that run beside an OpenBao process: `relay` reports its writes, `rotate-audit` rotates its audit logs,
//! `restore-drill` opens a copy of its storage.

use std::process::ExitCode;

use anyhow::Context;
use steamer_relay::Settings;
use steamer_relay::drill::{self, Drill};
use steamer_runtime::describe;

use crate::args::{Relay, RestoreDrill, RotateAudit};
use crate::process::prepare;

pub(crate) async fn run(arguments: Relay) -> anyhow::Result<()> {
    let (_, shutdown) = prepare(&arguments.log_level, arguments.log_format.into())?;
    let Relay { audit_address, address, token_file, tls_folder, log_level: _, log_format: _ } = arguments;
    let settings = Settings { audit_address, address, token_file, tls_folder };
    steamer_relay::run(settings, shutdown).await.context("the relay stopped")
}

pub(crate) async fn rotate(arguments: RotateAudit) -> anyhow::Result<()> {
    let (_, shutdown) = prepare(&arguments.log_level, arguments.log_format.into())?;
    steamer_relay::rotation::run(arguments.files, shutdown).await;
    Ok(())
}

pub(crate) async fn restore_drill(arguments: RestoreDrill) -> anyhow::Result<ExitCode> {
    prepare(&arguments.log_level, arguments.log_format.into())?;
    let RestoreDrill { address, recovery_folder, patience, report, log_level: _, log_format: _ } = arguments;
    let (text, code) = match drill::run(&Drill { address, recovery_folder, patience }).await {
        Ok(()) => ("OpenBao opened the copy and decrypted a policy".to_owned(), ExitCode::SUCCESS),
        Err(error) => (describe(&error), ExitCode::FAILURE),
    };
    tracing::info!(text, "the restore drill ended");
    std::fs::write(&report, text).with_context(|| format!("cannot write {}", report.display()))?;
    Ok(code)
}
