//! What is known about a value that is not requested, and about the keys of its Secret.

use std::collections::BTreeSet;

/// What is unknown of a value with any keys.
const OPEN: &str = "the keys of the value";

/// What a source knows about a value that it has not requested.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Foreseen {
    /// Path of the request, from the root namespace of the server.
    pub(crate) path: String,
    /// Keys that every value has.
    pub(crate) keys: &'static [&'static str],
    /// Keys that only some values have.
    pub(crate) possible: &'static [&'static str],
    /// Whether a value can have any other keys.
    pub(crate) is_open: bool,
}

/// Keys of the Secret of a value that is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expected {
    pub(crate) keys: BTreeSet<String>,
    /// What only a request shows, in words.
    pub(crate) unknown: Vec<String>,
}

impl Expected {
    /// The keys of a value that are written. `accepts` chooses them by name.
    pub(crate) fn of(foreseen: &Foreseen, accepts: impl Fn(&str) -> bool) -> Self {
        let chosen = |keys: &[&str]| -> Vec<String> {
            keys.iter().copied().filter(|key| accepts(key)).map(str::to_owned).collect()
        };
        let mut unknown = chosen(foreseen.possible);
        unknown.extend(foreseen.is_open.then(|| OPEN.to_owned()));
        Self { keys: chosen(foreseen.keys).into_iter().collect(), unknown }
    }

    /// Adds a key that every Secret has.
    pub(crate) fn add(&mut self, key: &str) {
        self.unknown.retain(|unknown| unknown != key);
        self.keys.insert(key.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_certain_possible_or_not_written() {
        let (keys, possible): (&[&str], &[&str]) = (&["a", "b"], &["c", "d"]);
        let foreseen = Foreseen { path: String::new(), keys, possible, is_open: true };
        let mut expected = Expected::of(&foreseen, |key| key != "b");
        expected.add("d");
        let unknown = ["c", OPEN].map(str::to_owned).into();
        assert_eq!(expected, Expected { keys: ["a", "d"].map(str::to_owned).into(), unknown });
    }
}
