//! Names of the keys of a source: rewrite rules of External Secrets Operator.

use serde_json::{Value, json};

use crate::cursor::Cursor;

/// Most rules of a source.
const MOST: usize = 8;

/// Changes of the names of keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Names {
    /// Text before each name.
    pub(super) prefix: Option<String>,
    /// Replacements, in order.
    pub(super) rewrite: Vec<Value>,
}

/// Takes the rules of an entry, if all of them are replacements. Other rules stay. `folder`: names of found secrets start with
/// it in External Secrets Operator, and do not in Steamer.
pub(super) fn names(item: &mut Cursor, folder: Option<&str>) -> Names {
    let rules = item.peek("rewrite").and_then(Value::as_array).cloned().unwrap_or_default();
    let replacements: Option<Vec<(String, String)>> = rules.iter().map(replacement).collect();
    let with_folder = folder.map(|folder| ("^".to_owned(), format!("{}/", folder.replace('$', "$$"))));
    let Some(replacements) = replacements.filter(|all| all.len() + usize::from(folder.is_some()) <= MOST)
    else {
        return of(with_folder.into_iter().collect());
    };
    item.take("rewrite");
    match (&replacements[..], &with_folder) {
        ([only], None) if prefix(only).is_some() => Names { prefix: prefix(only), rewrite: Vec::new() },
        _ => of(with_folder.into_iter().chain(replacements).collect()),
    }
}

fn of(replacements: Vec<(String, String)>) -> Names {
    let rule = |(source, target): (String, String)| json!({"source": source, "target": target});
    Names { prefix: None, rewrite: replacements.into_iter().map(rule).collect() }
}

/// Source and target of a rule that is a replacement and nothing else.
fn replacement(rule: &Value) -> Option<(String, String)> {
    let rule = rule.as_object().filter(|fields| fields.len() == 1)?.get("regexp")?;
    let rule = rule.as_object().filter(|fields| fields.len() == 2)?;
    Some((rule.get("source")?.as_str()?.to_owned(), rule.get("target")?.as_str()?.to_owned()))
}

/// The prefix that a replacement adds to all names.
fn prefix((source, target): &(String, String)) -> Option<String> {
    let is_everything = ["(.*)", "^(.*)$", "(.+)", "^(.+)$"].contains(&source.as_str());
    let prefix = target.strip_suffix("$1").or_else(|| target.strip_suffix("${1}"))?;
    (is_everything && !prefix.contains('$') && !prefix.is_empty()).then(|| prefix.to_owned())
}
