//! Logging as JSON or as text. The level can be changed at runtime.

use tracing::Metadata;
use tracing_subscriber::filter::filter_fn;
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
        let text = filter.to_string();
        self.0.reload(filter).map_err(|error| error.to_string())?;
        announce(&text);
        Ok(())
    }
}

/// Writes a change of the filter to the log, whatever the filter is: a change must not hide itself.
fn announce(filter: &str) {
    let entry = serde_json::json!({
        "timestamp": jiff::Timestamp::now().to_string(), "level": "WARN", "message": "the log filter was changed",
        "filter": filter,
    });
    eprintln!("{entry}");
}

/// Returns a level that changes no log.
#[cfg(test)]
pub(crate) fn detached() -> Level {
    Level(reload::Layer::<EnvFilter, Registry>::new(EnvFilter::new("info")).1)
}

/// Returns whether a log line may be written at any level. The client of the API server logs responses that it cannot
/// parse, which may contain a Secret or a token.
fn is_publishable(line: &Metadata<'_>) -> bool {
    line.target() != "kube_client::client" || line.is_span() || *line.level() == tracing::Level::ERROR
}

/// Starts logging to standard error.
///
/// # Errors
/// A message if the filter is not valid.
pub fn start(filter: &str, format: Format) -> Result<Level, String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("`{filter}` is not a valid log filter: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_publishable));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    match format {
        Format::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).init()
        }
        Format::Human => registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).init(),
    }
    Ok(Level(handle))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn no_log_filter_shows_responses_of_the_api_server() {
        for filter in
            ["trace", "kube_client=trace", "kube_client::client=trace", "kube_client::client[{a}]=trace,info"]
        {
            let written = Written::default();
            let registry = tracing_subscriber::registry()
                .with(EnvFilter::new(filter))
                .with(filter_fn(is_publishable))
                .with(fmt::layer().with_writer(written.clone()));
            tracing::subscriber::with_default(registry, || {
                tracing::warn!(target: "kube_client::client", a = 1, "canary");
                tracing::error!(target: "kube_client::client", "shown");
            });
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("canary") && text.contains("shown"), "{filter}: {text}");
        }
    }
}
