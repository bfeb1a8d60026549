//! Colors of text.

/// Whether text has colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Colored,
}

impl Style {
    /// A text that reports success.
    pub(crate) fn good(self, text: &str) -> String {
        self.colored("32", text)
    }

    /// A text that reports a problem.
    pub(crate) fn bad(self, text: &str) -> String {
        self.colored("31", text)
    }

    /// A text that reports a doubt.
    pub(crate) fn doubtful(self, text: &str) -> String {
        self.colored("33", text)
    }

    /// A title.
    pub(crate) fn strong(self, text: &str) -> String {
        self.colored("1", text)
    }

    fn colored(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colored => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// A text of a server on one line, without the characters that control a terminal.
pub(crate) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_colored_style_writes_control_characters() {
        for write in [Style::good, Style::bad, Style::doubtful, Style::strong] {
            assert_eq!(write(Style::Plain, "text"), "text");
            assert!(write(Style::Colored, "text").starts_with("\u{1b}["));
        }
    }

    #[test]
    fn a_message_cannot_control_the_terminal() {
        assert_eq!(line("a\u{1b}[31mb\r\n c\u{7}"), "a[31mb c");
    }
}
