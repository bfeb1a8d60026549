//! Names of the keys of an entry that a write would change, for `mode: Observe`.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::ExposeSecret;
use steamer_core::generators::properties;
use steamer_openbao::{Json, Values};

use super::entry::Entry;

/// Most characters of the names of one kind of change: the reason of a planned change has 1024 at most.
const LONGEST: usize = 256;

/// Names of keys. It contains no value.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Keys {
    created: Vec<String>,
    changed: Vec<String>,
    deleted: Vec<String>,
}

impl Keys {
    /// The keys that a write of an entry changes.
    pub(super) fn changed(entry: &Entry, existing: &Values) -> Self {
        let merged = entry.merged(existing);
        let missing = entry.missing(existing).into_iter();
        let generated: BTreeSet<String> =
            missing.flat_map(|(name, generator)| properties(name, generator)).collect();
        let names: BTreeSet<&String> = merged.0.keys().chain(&generated).collect();
        let mut keys = Self::deleted(existing);
        keys.deleted.retain(|name| !names.contains(name));
        for name in &names {
            let wanted = merged.0.get(*name).filter(|_| !generated.contains(*name));
            match existing.0.get(*name) {
                None => keys.created.push((*name).clone()),
                Some(value) if wanted.is_some_and(|wanted| is_same(wanted, value)) => {}
                Some(_) => keys.changed.push((*name).clone()),
            }
        }
        keys
    }

    /// All keys of an entry that is deleted.
    pub(super) fn deleted(existing: &Values) -> Self {
        Self { deleted: existing.0.keys().cloned().collect(), ..Self::default() }
    }
}

fn is_same(one: &Json, other: &Json) -> bool {
    one.compact().expose_secret() == other.compact().expose_secret()
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, changed, deleted } = self;
        for (verb, names) in [("creates", created), ("changes", changed), ("deletes", deleted)] {
            if !names.is_empty() {
                write!(f, "; {verb} {}", listed(names))?;
            }
        }
        Ok(())
    }
}

/// The first names, and the number of the others.
fn listed(names: &[String]) -> String {
    let mut text = String::new();
    for (position, name) in names.iter().enumerate() {
        if text.chars().count() + name.chars().count() > LONGEST {
            let others = names.len() - position;
            return if position == 0 {
                format!("{others} keys")
            } else {
                format!("{text} and {others} more")
            };
        }
        if position > 0 {
            text.push_str(", ");
        }
        text.push_str(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_many_keys_are_shortened() {
        let (long, longer, other) = ("a".repeat(200), "a".repeat(300), "c".repeat(100));
        let of = |names: &[&str]| listed(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), "a, b");
        assert_eq!(of(&[&longer, "b"]), "2 keys");
        assert_eq!(of(&[&long, "b", &other, "d"]), format!("{long}, b and 2 more"));
    }

    #[test]
    fn a_reason_with_all_names_fits_into_the_status() {
        let names: Vec<String> = (0..1000).map(|number| format!("key-{number}")).collect();
        let keys = Keys { created: names.clone(), changed: names.clone(), deleted: names };
        assert!(keys.to_string().len() < 950, "{keys}");
    }
}
