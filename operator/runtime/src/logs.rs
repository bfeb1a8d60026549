//! Logging as JSON or as text. The level can be changed at runtime.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// Format of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Human-readable text.
    Human,
}

/// Handle to change the log level at runtime.
#[derive(Clone)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Sets the filter, such as `info` or `steamer_openbao=debug,info`.
    ///
    /// # Errors
    /// A message if the filter is not valid.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter.trim())
            .map_err(|error| format!("`{filter}` is not a valid log filter: {error}"))?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Starts logging to standard error.
///
/// # Errors
/// A message if the filter is not valid.
pub fn start(filter: &str, format: Format) -> Result<Level, String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("`{filter}` is not a valid log filter: {error}"))?;
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
