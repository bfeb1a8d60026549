//! Output of views, as text, JSON or YAML.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use clap::{Args as Arguments, ValueEnum};
use serde::Serialize;

use crate::style::Style;

/// How a view is written.
#[derive(Arguments, Clone, Copy, Debug, Default)]
pub(crate) struct Output {
    /// Format of the output.
    #[arg(long, short, value_enum, default_value = "text")]
    output: Format,
    /// Writes text without colors. Colors are written only to a terminal, and not if the variable NO_COLOR is set.
    #[arg(long)]
    no_color: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Yaml,
}

impl Output {
    /// Writes a view to the standard output. `text` renders it.
    pub(crate) fn write<V: Serialize>(self, view: &V, text: impl FnOnce(&V, Style) -> String) -> Result<()> {
        let text = match self.output {
            Format::Text => text(view, self.style()),
            Format::Json => serde_json::to_string_pretty(view)? + "\n",
            Format::Yaml => serde_saphyr::to_string(view)?,
        };
        print(&text)
    }

    fn style(self) -> Style {
        let is_colored = !self.no_color
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::io::stdout().is_terminal();
        if is_colored { Style::Colored } else { Style::Plain }
    }
}

/// Writes a text to the standard output. A reader that has closed it, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
