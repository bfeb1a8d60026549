//! Rules of policies in OpenBao that no PipelinePolicy grants any more.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steamer_core::ownership::Mark;
use steamer_openbao::{Cas, NamespacePath, Policy};

use crate::project::desired::name_digest;
use crate::write::{Call, WITHDRAWN, Write, policy_path};

/// Policies that are granted now.
pub(super) struct Granted<'a> {
    /// Texts by name.
    pub(super) texts: &'a BTreeMap<String, String>,
    /// Mark of the project.
    pub(super) mark: &'a Mark,
    /// Digests of the names of the policies that the last reconcile wrote.
    pub(super) policies_written: &'a [String],
}

impl Granted<'_> {
    /// Writes that remove rules and policies. They add nothing.
    pub(super) fn writes(
        &self,
        namespace: &NamespacePath,
        observed: &BTreeMap<String, Policy>,
    ) -> Vec<Write> {
        let owned = observed.iter().filter(|(name, policy)| self.owns(name, policy));
        owned.filter_map(|(name, policy)| self.write(namespace, name, policy)).collect()
    }

    fn owns(&self, name: &str, policy: &Policy) -> bool {
        match Mark::of_policy(&policy.policy) {
            None => self.policies_written.contains(&name_digest(name)),
            owner => owner.as_ref() == Some(self.mark),
        }
    }

    fn write(&self, namespace: &NamespacePath, name: &str, policy: &Policy) -> Option<Write> {
        let Some(granted) = self.texts.get(name) else {
            return Some(Write::delete(namespace, policy_path(name), WITHDRAWN));
        };
        let text = narrowed(&policy.policy, granted)?;
        let call = Call::PutPolicy { name: name.to_owned(), text, cas: Cas::Version(policy.version) };
        Some(Write::update(namespace, call, WITHDRAWN))
    }
}

/// The observed text without rules that are not granted, and with earlier expirations. None if nothing changes, or if a
/// client has replaced the text by one in HCL.
fn narrowed(observed: &str, granted: &str) -> Option<String> {
    let (observed, granted) = (rules(observed)?, rules(granted)?);
    let kept: Map<String, Value> = observed
        .iter()
        .filter_map(|(path, rule)| Some((path.clone(), earlier(rule, granted.get(path)?).clone())))
        .collect();
    (kept != observed).then(|| json!({"path": kept}).to_string())
}

fn rules(text: &str) -> Option<Map<String, Value>> {
    let policy: Value = serde_json::from_str(text).ok()?;
    policy.get("path")?.as_object().cloned()
}

/// The rule that expires first.
fn earlier<'a>(observed: &'a Value, granted: &'a Value) -> &'a Value {
    let expiration = |rule: &Value| rule.get("expiration")?.as_str()?.parse::<Timestamp>().ok();
    match (expiration(observed), expiration(granted)) {
        (None, Some(_)) => granted,
        (Some(observed_at), Some(granted_at)) if granted_at < observed_at => granted,
        _ => observed,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::project::samples::{mark, mark_of, policy_text};

    /// A policy with rules `path@expiration`.
    fn text(owner: &Mark, rules: &[&str]) -> String {
        let rule = |rule: &&str| {
            let (path, expiration) = rule.split_once('@').unwrap_or((rule, ""));
            let mut value = json!({"capabilities": ["read"], "comment": owner.description()});
            if !expiration.is_empty() {
                value["expiration"] = json!(format!("1970-01-01T00:00:{expiration}Z"));
            }
            (path.to_owned(), value)
        };
        json!({"path": rules.iter().map(rule).collect::<Map<_, _>>()}).to_string()
    }

    /// The rules that remain, or what happens to the policy.
    fn after(observed: &str, granted: Option<&[&str]>, written: &[String]) -> String {
        let texts: BTreeMap<_, _> =
            granted.iter().map(|rules| ("p".to_owned(), text(&mark(), rules))).collect();
        let granted = Granted { texts: &texts, mark: &mark(), policies_written: written };
        let observed = BTreeMap::from([("p".to_owned(), policy_text(observed))]);
        let writes = granted.writes(&NamespacePath::new("n"), &observed);
        let described = writes.iter().map(|write| {
            let text = format!("{write:?}");
            let rules = ["A", "B"].into_iter().filter(|path| text.contains(&format!(r#"\"{path}\":"#)));
            let expires = text.contains("00:00:05Z").then_some("@05");
            let rest: String = rules.chain(expires).collect();
            format!("{:?} {rest}", write.operation)
        });
        described.collect::<Vec<_>>().join(", ")
    }

    #[rstest]
    #[case::same(&["A", "B"], Some(&["A", "B"][..]), "")]
    #[case::more_is_granted(&["A"], Some(&["A", "B"][..]), "")]
    #[case::secret_withdrawn(&["A", "B"], Some(&["A"][..]), "Update A")]
    #[case::one_of_each(&["A"], Some(&["B"][..]), "Update ")]
    #[case::all_withdrawn(&["A", "B"], None, "Delete ")]
    #[case::expires_now(&["A"], Some(&["A@05"][..]), "Update A@05")]
    #[case::expires_earlier(&["A@09", "B"], Some(&["A@05", "B"][..]), "Update AB@05")]
    #[case::expires_later(&["A@05"], Some(&["A@09"][..]), "")]
    #[case::no_longer_expires(&["A@05"], Some(&["A"][..]), "")]
    fn rules_that_no_policy_grants_are_removed_and_none_is_added(
        #[case] observed: &[&str],
        #[case] granted: Option<&[&str]>,
        #[case] expected: &str,
    ) {
        assert_eq!(after(&text(&mark(), observed), granted, &[]), expected);
        assert_eq!(after(&text(&mark_of("other"), observed), granted, &[]), "", "a foreign policy stays");
    }

    #[test]
    fn a_policy_without_its_mark_is_removed_only_if_the_project_wrote_it() {
        let edited = r#"path "x" { capabilities = ["read"] }"#;
        let written = [name_digest("p")];
        assert_eq!(after(edited, None, &written), "Delete ");
        assert_eq!(after(edited, Some(&["A"]), &written), "");
        assert_eq!(after(edited, None, &[]), "");
    }
}
