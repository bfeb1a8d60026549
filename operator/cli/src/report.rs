//! Command `report`.

mod collection;
mod redaction;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args as Arguments;
use jiff::Timestamp;

use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::output::print;

/// Arguments of `report`.
#[derive(Arguments)]
pub(crate) struct Report {
    /// File to write. It must not exist. `-` is the standard output. Default: steamer-report-<time>.yaml.
    #[arg(long, short)]
    filename: Option<PathBuf>,
    /// Lines of the log of each pod of the operator.
    #[arg(long, default_value_t = 2000)]
    lines: i64,
    #[command(flatten)]
    connection: Connection,
    /// Objects of all namespaces. Default, unless --namespace is set.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
}

pub(crate) async fn run(arguments: Report) -> Result<Outcome> {
    let cluster = arguments.connection.cluster().await?;
    let namespace = arguments.connection.namespace.as_deref();
    let (documents, summary) = collection::documents(&cluster, namespace, arguments.lines).await?;
    let text = steamer_convert::documents(&documents)?;
    let default = || PathBuf::from(format!("steamer-report-{}.yaml", Timestamp::now().as_second()));
    let path = arguments.filename.unwrap_or_else(default);
    if path.as_os_str() == "-" {
        print(&text)?;
        return Ok(Outcome::Good);
    }
    let place = || format!("cannot write {}", path.display());
    let mut file = std::fs::File::create_new(&path).with_context(place)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(place)?;
    print(&format!("{}: {summary}\n", path.display()))?;
    Ok(Outcome::Good)
}
