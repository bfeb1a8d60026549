//! Result of a test binary, read from the output of libtest.

use std::fmt::{Display, Formatter, Result};

/// Lines of a failure that are kept: the place of the panic and its message.
const LINES: usize = 8;
/// Start of the line with the result of a binary.
pub(super) const RESULT: &str = "test result:";

/// Failed test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) test: String,
    /// Start of the message of the panic.
    message: Vec<String>,
}

/// Result of one binary.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) failed: Vec<Failure>,
    /// libtest wrote its result: the process did not end early.
    pub(super) complete: bool,
}

/// Reader of the output of one binary, line by line.
#[derive(Debug, Default)]
pub(super) struct Failures {
    report: Report,
    /// Index of the test to which the current lines belong.
    section: Option<usize>,
}

impl Failures {
    pub(super) fn read(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.report.failed.push(Failure { test: test.to_owned(), message: Vec::new() });
        } else if let Some(test) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.section = self.report.failed.iter().position(|failure| failure.test == test);
        } else if line == "failures:" {
            self.section = None;
        } else if line.starts_with(RESULT) {
            self.report.complete = true;
        } else if let Some(failure) = self.section.and_then(|index| self.report.failed.get_mut(index)) {
            failure.read(line);
        }
    }

    pub(super) fn report(self) -> Report {
        self.report
    }
}

/// Returns true for the result of a run in which exactly one test passed, and none failed.
pub(super) fn is_one_passed(line: &str) -> bool {
    line.strip_prefix(RESULT).is_some_and(|result| result.starts_with(" ok. 1 passed; 0 failed;"))
}

impl Failure {
    /// Keeps the lines from the panic on. Everything before it is the log of the test.
    fn read(&mut self, line: &str) {
        let panicked =
            !self.message.is_empty() || line.contains("panicked at ") || line.starts_with("Error: ");
        if panicked && !line.is_empty() && !line.starts_with("note: ") && self.message.len() < LINES {
            self.message.push(line.to_owned());
        }
    }
}

impl Display for Failure {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        write!(out, "{}", self.test)?;
        self.message.iter().try_for_each(|line| write!(out, "\n    {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test one::passes ... ok
test one::fails ... FAILED
test two::returns_an_error ... FAILED

failures:

---- one::fails stdout ----
applied 3 objects

thread 'one::fails' (77) panicked at tests/one.rs:1:2:
assertion failed: ready
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

---- two::returns_an_error stdout ----
Error: not ready within 60 s

failures:
    one::fails
    two::returns_an_error

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";

    #[test]
    fn failed_tests_are_found_with_the_message_of_their_panic() {
        let mut failures = Failures::default();
        OUTPUT.lines().for_each(|line| failures.read(line));
        let report = failures.report();
        assert!(report.complete);
        let texts: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
        let panic = "    thread 'one::fails' (77) panicked at tests/one.rs:1:2:\n    assertion failed: ready";
        assert_eq!(
            texts,
            [
                format!("one::fails\n{panic}"),
                "two::returns_an_error\n    Error: not ready within 60 s".to_owned()
            ]
        );
    }

    #[test]
    fn a_process_that_ends_early_has_no_result() {
        let mut failures = Failures::default();
        let lines = OUTPUT.lines().filter(|line| !line.starts_with("test result:"));
        lines.for_each(|line| failures.read(line));
        let report = failures.report();
        assert_eq!(report.failed.len(), 2);
        assert!(!report.complete);
    }

    #[test]
    fn a_repetition_passes_if_exactly_one_test_passed() {
        let rest = "0 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert!(is_one_passed(&format!("test result: ok. 1 passed; 0 failed; {rest}")));
        for counts in ["ok. 0 passed; 0 failed", "ok. 11 passed; 0 failed", "FAILED. 1 passed; 1 failed"] {
            assert!(!is_one_passed(&format!("test result: {counts}; {rest}")), "{counts}");
        }
    }
}
