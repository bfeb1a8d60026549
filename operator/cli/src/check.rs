//! Command `check`.

mod facts;
mod findings;
mod reading;

use anyhow::Result;
use clap::Args as Arguments;

use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::output::Output;
use findings::{Level, findings, text};

/// Arguments of `check`.
#[derive(Arguments)]
pub(crate) struct Check {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(arguments: Check) -> Result<Outcome> {
    let cluster = arguments.connection.cluster().await?;
    let found = findings(&reading::facts(&cluster).await?);
    arguments.output.write(&found, |found, style| text(found, style))?;
    let fails = found.iter().any(|finding| finding.level == Level::Fail);
    Ok(if fails { Outcome::NotReady } else { Outcome::Good })
}
