//! Comparison of secret parameters with the answer of OpenBao, which contains some of them. OpenBao or a plugin can return a value
//! in another form than it was sent, such as masked or as a list. For this reason, the resource is read after a write that sends
//! secrets. If the values differ then as they did before the write, a keyed digest of them is kept in the status: the same values do
//! not differ later.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use steamer_core::mac::Mac;
use steamer_openbao::Session;
use steamer_runtime::Locked;

use super::compare::equal;

/// Values of secret parameters by their names.
type Secrets = BTreeMap<String, SecretString>;

/// Converts an answer to the parameters under which the resource is written.
type Conversion = fn(Map<String, Value>) -> Map<String, Value>;

/// The secret parameters of an answer that differ from those of a request.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Returned {
    /// Their names.
    pub(super) names: Vec<String>,
    /// Keyed digest of their values in the answer. None if none differs.
    pub(super) digest: Option<String>,
}

/// Only the names: the limit of repetitions must find equal states although a value is another one in each answer.
impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

/// Reads the secret parameters of a resource.
pub(crate) struct Readback {
    mac: Mac,
    path: String,
    conversion: Conversion,
    /// Digest of what differed when the resource was read for this pass.
    before_write: Locked<Option<String>>,
    /// What differed after the last write of this pass.
    after_write: Locked<Option<Returned>>,
}

impl Readback {
    /// Reads the resource at `path`.
    pub(super) fn new(mac: &Mac, path: &str, conversion: Conversion) -> Self {
        Self {
            mac: mac.clone(),
            path: path.to_owned(),
            conversion,
            before_write: Locked::default(),
            after_write: Locked::default(),
        }
    }

    /// Compares secrets with what exists before a write.
    pub(super) fn observed(&self, secrets: &Secrets, answer: &Map<String, Value>) -> Returned {
        let returned = self.compared(secrets, answer);
        self.before_write.lock().clone_from(&returned.digest);
        returned
    }

    /// Compares secrets with the converted parameters of an answer. One that the answer lacks does not differ.
    fn compared(&self, secrets: &Secrets, answer: &Map<String, Value>) -> Returned {
        let differs = |(name, secret): &(&String, &SecretString)| {
            answer.get(*name).is_some_and(|found| !is_same(secret.expose_secret(), found))
        };
        let different = secrets.iter().filter(differs);
        let names: Vec<String> = different.map(|(name, _)| name.clone()).collect();
        let digest = (!names.is_empty()).then(|| self.digest(&names, answer));
        Returned { names, digest }
    }

    fn digest(&self, names: &[String], answer: &Map<String, Value>) -> String {
        let text = |name: &String| answer.get(name).map(Value::to_string).unwrap_or_default();
        let values: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), text(name))).collect();
        let values = values.iter().map(|(name, text)| (*name, text.as_bytes()));
        self.mac.of([("path", self.path.as_bytes())].into_iter().chain(values))
    }

    /// Reads the resource after a write of these secrets. A failed read is no error of the write: the next pass finds the
    /// difference, and writes once more.
    pub(super) async fn read(&self, session: &Session, secrets: &Secrets) {
        let Ok(mut answer) = session.request_any(Method::GET, &self.path, None).await else { return };
        let data = match answer.get_mut("data").map(Value::take) {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        let returned = self.compared(secrets, &(self.conversion)(data));
        *self.after_write.lock() = Some(returned);
    }

    /// Digest of the form in which OpenBao returns the secrets that this pass has written, or of `recorded`, which it returned before.
    /// None if there was no write, or it could not be read. Another client can change a value between the write and the read: only
    /// values that are the same before and after a write are the form of what was written.
    pub(super) fn form(&self, recorded: Option<&String>) -> Option<Option<String>> {
        let digest = self.after_write.lock().clone()?.digest;
        let is_lasting = digest == *self.before_write.lock() || digest.as_ref() == recorded;
        Some(digest.filter(|_| is_lasting))
    }
}

/// Compares a secret with a value of an answer. Line breaks at the end of a PEM do not matter.
fn is_same(secret: &str, found: &Value) -> bool {
    let trimmed = |text: &str| text.trim_end_matches(['\r', '\n']).to_owned();
    match found {
        Value::String(text) => trimmed(secret) == trimmed(text),
        other => equal(&Value::from(trimmed(secret)), other),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn returned(secrets: &[(&str, &str)], answer: &Value) -> Returned {
        let secret =
            |(name, value): &(&str, &str)| ((*name).to_owned(), SecretString::from((*value).to_owned()));
        let secrets: Secrets = secrets.iter().map(secret).collect();
        let readback = Readback::new(&Mac::new(&[7; 32]), "database/config/web", |answer| answer);
        readback.compared(&secrets, answer.as_object().unwrap())
    }

    #[rstest]
    #[case::same(json!("canary"), false)]
    #[case::other(json!("other"), true)]
    #[case::removed(json!(""), true)]
    #[case::blank_at_the_end(json!("canary "), true)]
    #[case::line_break_at_the_end(json!("canary\n"), false)]
    #[case::list(json!(["canary"]), false)]
    #[case::masked(json!("***"), true)]
    #[case::null(json!(null), true)]
    fn a_secret_that_the_answer_contains_is_compared(#[case] found: Value, #[case] differs: bool) {
        let returned = returned(&[("key", "canary")], &json!({"key": found}));
        assert_eq!(returned.names.is_empty(), !differs);
        assert_eq!(returned.digest.is_some(), differs);
    }

    #[test]
    fn texts_are_compared_exactly() {
        assert_eq!(returned(&[("key", "60")], &json!({"key": "1m"})).names, ["key"]);
    }

    #[test]
    fn a_secret_that_the_answer_lacks_does_not_differ() {
        assert_eq!(returned(&[("key", "canary")], &json!({"other": "x"})), Returned::default());
    }

    #[rstest]
    #[case::first_write(None, "form", None, None)]
    #[case::same_before_and_after(Some("form"), "form", None, Some("form"))]
    #[case::changed_by_another_client(Some("form"), "other", None, None)]
    #[case::repaired(Some("other"), "form", Some("form"), Some("form"))]
    #[case::as_sent(Some("form"), "canary", Some("form"), None)]
    fn only_values_that_a_write_does_not_change_are_the_form_of_what_was_written(
        #[case] before: Option<&str>,
        #[case] after: &str,
        #[case] recorded: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let secrets = Secrets::from_iter([("key".to_owned(), SecretString::from("canary".to_owned()))]);
        let readback = Readback::new(&Mac::new(&[7; 32]), "a", |answer| answer);
        let answer = |value: &str| Map::from_iter([("key".to_owned(), Value::from(value))]);
        let digest = |value: &str| readback.compared(&secrets, &answer(value)).digest;
        if let Some(before) = before {
            readback.observed(&secrets, &answer(before));
        }
        assert_eq!(readback.form(None), None);
        *readback.after_write.lock() = Some(readback.compared(&secrets, &answer(after)));
        let recorded = recorded.and_then(digest);
        assert_eq!(readback.form(recorded.as_ref()), Some(expected.and_then(digest)));
    }

    #[test]
    fn every_value_that_differs_changes_the_digest_and_none_is_shown() {
        let secrets = [("a", "canary"), ("b", "canary")];
        let of = |a: &str, b: &str| returned(&secrets, &json!({"a": a, "b": b}));
        assert_eq!(of("hidden", "canary"), of("hidden", "canary"));
        assert_ne!(of("hidden", "canary").digest, of("other", "canary").digest);
        assert_ne!(of("hidden", "canary").digest, of("hidden", "other").digest);
        assert_ne!(of("hidden", "canary").digest, of("canary", "hidden").digest);
        assert_eq!(format!("{:?}", of("hidden", "canary")), r#"["a"]"#);
        // Values that are others in each answer are equal states for the limit of repetitions.
        assert_eq!(format!("{:?}", of("hidden", "canary")), format!("{:?}", of("other", "canary")));
    }
}
