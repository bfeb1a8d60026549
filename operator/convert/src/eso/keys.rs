//! Templates of keys, of a target Secret and of a pushed Secret.

use serde_json::{Value, json};
use steamer_template::Template;

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Parts of a template that determine keys and their values.
const PARTS: &[&str] = &["mergePolicy", "data", "templateFrom"];

/// Path of the transformation of a target Secret.
pub(super) const TARGET: &str = "destination.transformation";

/// Takes a policy for the keys without a template, if it is known.
pub(super) fn policy(template: &mut Cursor) -> Option<Value> {
    template.take_if("mergePolicy", |policy| policy == "Merge" || policy == "Replace")
}

/// Moves the templates of keys to the transformation at `to`. Returns false if there are none. A part without a counterpart suspends
/// the converted object.
pub(super) fn moved(task: &mut Task<'_>, template: &mut Cursor, draft: &mut Draft, to: &str) -> bool {
    let is_templated = data(task, template, draft, &format!("{to}.templates"))
        | literals(task, template, draft, &format!("{to}.keysAndValues"));
    if let Some(part) = PARTS.iter().find(|part| template.has(part)) {
        let text = "this part of the template is not converted: write it into the transformation of the converted object, or into a SecretTransformation";
        task.hold(draft, (template.path(part), None), text);
    }
    is_templated
}

/// Moves the templates by key. Returns false if there are none.
fn data(task: &mut Task<'_>, template: &mut Cursor, draft: &mut Draft, to: &str) -> bool {
    let path = template.path("data");
    let texts = template.texts("data");
    if texts.is_empty() {
        return false;
    }
    let mut templates = draft.get(to).and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, text) in texts {
        let text = text.as_str().unwrap_or_default();
        let text = wrapped(task, draft, format!("{path}.{key}"), text);
        templates.insert(key, json!({"text": text}));
    }
    draft.put(to, Value::Object(templates), path);
    true
}

/// Moves the templates whose result is a mapping of keys. Returns false if there are none.
fn literals(task: &mut Task<'_>, template: &mut Cursor, draft: &mut Draft, to: &str) -> bool {
    let path = template.path("templateFrom");
    let found: Vec<(String, String)> = template.each("templateFrom", literal).into_iter().flatten().collect();
    if found.is_empty() {
        return false;
    }
    let mut texts = Vec::with_capacity(found.len());
    for (at, text) in found {
        let text = wrapped(task, draft, at, &text);
        texts.push(json!({"text": text}));
    }
    draft.put(to, texts, path);
    true
}

/// Takes a template whose result is a mapping of keys, with its path.
fn literal(item: &mut Cursor) -> Option<(String, String)> {
    item.expect("target", &json!("Data"));
    item.expect("valuesDecodingStrategy", &json!("None"));
    if ["target", "valuesDecodingStrategy"].iter().any(|field| item.has(field)) {
        return None;
    }
    Some((item.path("literal"), item.text("literal")?))
}

/// Suspends the converted object if entries became templates: the templates of the target cannot read their results.
pub(super) fn uncombined(task: &mut Task<'_>, draft: &mut Draft, path: String) {
    let templates = draft.get(&format!("{TARGET}.templates")).and_then(Value::as_object);
    if templates.is_some_and(|templates| !templates.is_empty()) {
        let text = "an entry became a template, and the templates of the target cannot read its result: combine both";
        task.hold(draft, (path, None), text);
    }
}

/// A template with the input that it has in External Secrets Operator: its dot is `.Secrets`. A problem suspends the converted
/// object.
pub(super) fn wrapped(task: &mut Task<'_>, draft: &mut Draft, path: String, text: &str) -> String {
    let wrapped = format!("{{{{ with .Secrets }}}}{text}{{{{ end }}}}");
    if let Some(problem) = problem(text, &wrapped) {
        task.hold(draft, (path, None), problem);
    }
    wrapped
}

fn problem(text: &str, wrapped: &str) -> Option<&'static str> {
    if reads_root(text) {
        return Some("$ is another input in Steamer: write $.Secrets instead of $");
    }
    Template::parse("template", wrapped)
        .err()
        .map(|_| "Steamer does not know a function of this template: write it in another way")
}

/// Returns true if a template reads `$`, and not only variables.
fn reads_root(text: &str) -> bool {
    let actions = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let follows = |part: &str| part.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    actions.into_iter().any(|action| action.split('$').skip(1).any(|part| !follows(part)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::field("{{ $.user }}", true)]
    #[case::argument("{{ index $ \"user\" }}", true)]
    #[case::pipeline("{{ $ | toJson }}", true)]
    #[case::range("{{ range $k, $v := $ }}{{ end }}", true)]
    #[case::variable("{{ $user := .user }}{{ $user }}", false)]
    #[case::text("$5 {{ .user }} $", false)]
    fn a_template_that_reads_its_root_is_found(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(reads_root(text), expected);
    }
}
