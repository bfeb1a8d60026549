//! Fail point of debug builds: the process ends before a write of a certain number. Release builds have none.
//!
//! Every write to the API server counts, except for Leases and Events, and every statement that changes the database of a managed
//! cluster. Of the writes to OpenBao, only those for which the caller calls [`before_write`] count: the step-down of a leader, and
//! recovery keys. The client of OpenBao cannot call it, because it does not depend on this crate.

#[cfg(debug_assertions)]
use std::sync::OnceLock;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;

/// Variable `<text>:<n>`: the process ends before the n-th write whose description contains the text.
#[cfg(debug_assertions)]
const VARIABLE: &str = "STEAMER_FAIL_AT";

/// Ends the process if this write is the one that the variable names.
#[cfg(debug_assertions)]
pub fn before_write(what: &str) {
    static POINT: OnceLock<Option<FailPoint>> = OnceLock::new();
    let point = POINT.get_or_init(|| FailPoint::parse(&std::env::var(VARIABLE).ok()?));
    if point.as_ref().is_some_and(|point| point.is_reached(what)) {
        tracing::error!(what, "the fail point ends the process before this write");
        std::process::abort();
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn before_write(_what: &str) {}

/// Calls [`before_write`] for a request to the API server that can change something. Leases and Events do not count.
pub(crate) fn before_request(method: &Method, path: &str) {
    let changes = *method != Method::GET && !["/leases", "/events"].iter().any(|end| path.contains(end));
    if changes {
        before_write(path);
    }
}

#[cfg(debug_assertions)]
struct FailPoint {
    text: String,
    number: usize,
    seen: AtomicUsize,
}

#[cfg(debug_assertions)]
impl FailPoint {
    fn parse(value: &str) -> Option<Self> {
        let (text, number) = value.rsplit_once(':')?;
        Some(Self { text: text.to_owned(), number: number.parse().ok()?, seen: AtomicUsize::default() })
    }

    fn is_reached(&self, what: &str) -> bool {
        what.contains(&self.text) && self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_write_of_the_number_is_the_fail_point() {
        let point = FailPoint::parse("/main/:2").unwrap();
        let reached: Vec<bool> =
            ["/main/a", "/other/a", "/main/b", "/main/c"].iter().map(|what| point.is_reached(what)).collect();
        assert_eq!(reached, [false, false, true, false]);
    }

    #[test]
    fn a_value_without_a_number_is_no_fail_point() {
        assert!(FailPoint::parse("main").is_none() && FailPoint::parse("main:x").is_none());
    }
}
