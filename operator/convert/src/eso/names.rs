//! Names of the keys of a source: rewrite rules of External Secrets Operator.

use serde_json::{Value, json};
use steamer_template::Template;

use crate::cursor::Cursor;

/// Most rules of a source.
const MOST: usize = 8;

/// Changes of the names of keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Names {
    /// Text before each name.
    pub(super) prefix: Option<String>,
    /// Replacements and templates, in order.
    pub(super) rewrite: Vec<Value>,
}

/// Takes the rules of an entry, if all of them have a counterpart. Other rules stay. `folder`: names of found secrets start with
/// it in External Secrets Operator, and do not in Steamer.
pub(super) fn names(item: &mut Cursor, folder: Option<&str>) -> Names {
    let with_folder =
        folder.map(|folder| json!({"source": "^", "target": format!("{}/", folder.replace('$', "$$"))}));
    let rules = rules(item).filter(|all| all.len() + usize::from(folder.is_some()) <= MOST);
    let Some(rules) = rules else {
        return Names { prefix: None, rewrite: with_folder.into_iter().collect() };
    };
    item.take("rewrite");
    match (&rules[..], &with_folder) {
        ([only], None) if prefix(only).is_some() => Names { prefix: prefix(only), rewrite: Vec::new() },
        _ => Names { prefix: None, rewrite: with_folder.into_iter().chain(rules).collect() },
    }
}

/// The rules of Steamer for all rules of an entry. `None` if one has no counterpart. They stay in the entry.
pub(super) fn rules(item: &Cursor) -> Option<Vec<Value>> {
    let Some(rules) = item.peek("rewrite") else { return Some(Vec::new()) };
    rules.as_array().filter(|rules| rules.len() <= MOST)?.iter().map(rule).collect()
}

/// The rule of Steamer for a rule that is a replacement or a template, and nothing else.
fn rule(rule: &Value) -> Option<Value> {
    let (kind, fields) = rule.as_object().filter(|fields| fields.len() == 1)?.iter().next()?;
    let fields = fields.as_object()?;
    let text = |field: &str| fields.get(field)?.as_str();
    match (kind.as_str(), fields.len()) {
        ("regexp", 2) => Some(json!({"source": text("source")?, "target": text("target")?})),
        ("transform", 1) => {
            let template = text("template")?;
            Template::parse("template", template).is_ok().then(|| json!({"template": template}))
        }
        _ => None,
    }
}

/// The prefix that a replacement adds to all names.
fn prefix(rule: &Value) -> Option<String> {
    let (source, target) = (rule["source"].as_str()?, rule["target"].as_str()?);
    let is_everything = ["(.*)", "^(.*)$", "(.+)", "^(.+)$"].contains(&source);
    let prefix = target.strip_suffix("$1").or_else(|| target.strip_suffix("${1}"))?;
    (is_everything && !prefix.contains('$') && !prefix.is_empty()).then(|| prefix.to_owned())
}
