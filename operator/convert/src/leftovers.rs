//! The fields that no converter took, as findings.

use serde_json::{Map, Value};

use crate::origin::Origin;
use crate::report::{Finding, Severity};
use crate::value::{described, is_empty, joined};

/// Findings of one object. An object with more unknown fields is hardly an object of VSO or ESO.
const MAX_FINDINGS: usize = 100;
/// Longest path in a finding.
const MAX_PATH: usize = 256;
/// Maps with keys or values from users: they are reported as a whole.
const MAPS: &[&str] = &[
    "headers",
    "params",
    "parameters",
    "labels",
    "annotations",
    "data",
    "stringData",
    "tags",
    "matchLabels",
    "metadata.managedFields",
];

/// Providers of a store.
const PROVIDERS: [&str; 2] = ["vault", "openbao"];

/// A field that has no counterpart: kind (`*`: any kind), path without positions and without the name of a provider, what to do.
pub(crate) type Advice = (&'static str, &'static str, &'static str);

/// What to do about a field that no table lists.
const UNKNOWN: &str = "Steamer has no counterpart of this field: check whether you need it, and remove it";

/// Findings for all fields that remain.
pub(crate) fn findings(origin: &Origin, rest: &Map<String, Value>, advice: &[&[Advice]]) -> Vec<Finding> {
    let mut leaves = Vec::new();
    for (field, value) in rest {
        collect(field, value, &mut leaves);
    }
    let more = leaves.len().saturating_sub(MAX_FINDINGS);
    leaves.truncate(MAX_FINDINGS);
    let mut findings: Vec<Finding> =
        leaves.into_iter().map(|(path, value)| finding(origin, &path, value, advice)).collect();
    if more > 0 {
        findings.push(Finding {
            severity: Severity::Review,
            object: origin.to_string(),
            field: String::new(),
            value: String::new(),
            action: format!(
                "{more} more fields have no counterpart: remove the unknown fields, and convert again"
            ),
        });
    }
    findings
}

fn finding(origin: &Origin, path: &str, value: &Value, advice: &[&[Advice]]) -> Finding {
    let normal = without_provider(&without_positions(path));
    let is_about = |(kind, start, _): &&Advice| {
        let below =
            normal.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        below && (*kind == "*" || *kind == origin.kind)
    };
    // The entry with the longest path is the most specific one.
    let entries = advice.iter().copied().flatten().filter(is_about);
    let action = entries.max_by_key(|(_, start, _)| start.len()).map_or(UNKNOWN, |(_, _, action)| *action);
    Finding {
        severity: if path.starts_with("metadata.") { Severity::Note } else { Severity::Review },
        object: origin.to_string(),
        field: printable(path),
        value: described(value),
        action: action.to_owned(),
    }
}

/// The leaves of a value: scalars, lists of scalars, and maps of users.
fn collect<'a>(path: &str, value: &'a Value, leaves: &mut Vec<(String, &'a Value)>) {
    match value {
        _ if is_empty(value) || leaves.len() > 10 * MAX_FINDINGS => {}
        Value::Object(fields) if !is_map(path) => {
            for (field, value) in fields {
                collect(&joined(path, field), value, leaves);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{path}[{index}]"), item, leaves);
            }
        }
        _ => leaves.push((path.to_owned(), value)),
    }
}

fn is_map(path: &str) -> bool {
    MAPS.iter().any(|map| path.strip_suffix(map).is_some_and(|before| before.ends_with('.')))
}

/// A path with `[]` for each position.
fn without_positions(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        normal.push(character);
    }
    normal
}

/// A path without the name of the provider of a store: a field that both providers have has the same meaning.
fn without_provider(path: &str) -> String {
    let below = path.strip_prefix("spec.provider.");
    let field = below.and_then(|below| {
        PROVIDERS.iter().find_map(|provider| below.strip_prefix(provider)?.strip_prefix('.'))
    });
    field.map_or_else(|| path.to_owned(), |field| format!("spec.provider.{field}"))
}

/// A path for a terminal: without control characters, and not longer than [`MAX_PATH`].
fn printable(path: &str) -> String {
    let visible = path.chars().map(|it| if it.is_control() { '?' } else { it });
    let text: String = visible.clone().take(MAX_PATH).collect();
    if visible.count() > MAX_PATH { format!("{text}...") } else { text }
}
