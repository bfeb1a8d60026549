//! Fail point of debug builds: the process ends before a write of a certain number. Release builds have none.
//!
//! Every write to the API server counts, except for Leases and Events, every write of a session to OpenBao, except for those of a
//! login to its own token, and every statement that changes the database of a managed cluster. The step-down of a leader and the
//! writes of recovery keys count once more, with the name of their cluster: the caller calls [`before_write`].

#[cfg(debug_assertions)]
use std::collections::BTreeMap;
#[cfg(debug_assertions)]
use std::sync::OnceLock;

use http::Method;

#[cfg(debug_assertions)]
use crate::Locked;

/// Variable `<text>:<n>`: the process ends before the n-th write whose description contains the text. A text that ends with `*` is
/// the beginning of names, and the writes of each name count separately.
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

/// Calls [`before_write`] for a write to OpenBao. The writes of a login to its own token, such as its revocation, do not count.
#[cfg(debug_assertions)]
pub fn before_openbao_write(namespace: &str, path: &str) {
    if !path.ends_with("-self") {
        before_write(&format!("openbao/{namespace}/{path}"));
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn before_openbao_write(_namespace: &str, _path: &str) {}

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
    /// The writes of each name that begins with the text count separately.
    is_for_each: bool,
    number: usize,
    /// Writes so far, by the rest of the name. One entry for a text that is no beginning of names.
    seen: Locked<BTreeMap<String, usize>>,
}

#[cfg(debug_assertions)]
impl FailPoint {
    fn parse(value: &str) -> Option<Self> {
        let (text, number) = value.rsplit_once(':')?;
        let beginning = text.strip_suffix('*');
        Some(Self {
            text: beginning.unwrap_or(text).to_owned(),
            is_for_each: beginning.is_some(),
            number: number.parse().ok()?,
            seen: Locked::default(),
        })
    }

    fn is_reached(&self, what: &str) -> bool {
        let Some(name) = self.counted(what) else {
            return false;
        };
        let mut seen = self.seen.lock();
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        *count == self.number
    }

    /// The letters and digits that follow the text. None if the description does not contain the text.
    fn counted<'a>(&self, what: &'a str) -> Option<&'a str> {
        let (_, rest) = what.split_once(&self.text)?;
        let end = rest.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(rest.len());
        Some(if self.is_for_each { &rest[..end] } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(point: &str, writes: &[&str]) -> Vec<bool> {
        let point = FailPoint::parse(point).unwrap();
        writes.iter().map(|what| point.is_reached(what)).collect()
    }

    #[test]
    fn only_the_write_of_the_number_is_the_fail_point() {
        let writes = ["/main/a", "/other/a", "/main/b", "/main/c"];
        assert_eq!(reached("/main/:2", &writes), [false, false, true, false]);
    }

    #[test]
    fn the_writes_of_each_name_count_separately() {
        let writes = ["/a/it-web", "/a/other", "/a/it-app", "/a/it-app-ops", "/b/it-web/c"];
        assert_eq!(reached("it-*:2", &writes), [false, false, false, true, true]);
        assert_eq!(reached("it-:2", &writes), [false, false, true, false, false]);
    }

    #[test]
    fn a_value_without_a_number_is_no_fail_point() {
        assert!(FailPoint::parse("main").is_none() && FailPoint::parse("main:x").is_none());
    }
}
