//! Logs: JSON for machines, lines for people; the level can be changed while running.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// Changes the level of a running process.
#[derive(Clone)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Sets the filter, such as `info` or `steamer_openbao=debug,info`.
    ///
    /// # Errors
    /// A sentence when the filter is none.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter.trim())
            .map_err(|error| format!("`{filter}` is no log filter: {error}"))?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Starts logging to standard error.
///
/// # Errors
/// A sentence when the filter is none.
pub fn start(filter: &str, format: Format) -> Result<Level, String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("`{filter}` is no log filter: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    match format {
        Format::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).init()
        }
        Format::Human => registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).init(),
    }
    Ok(Level(handle))
}
