//! Rules of policies in OpenBao that no object grants any more.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steamer_core::ownership::Mark;
use steamer_openbao::{Cas, NamespacePath, Policy};

use crate::project::desired::name_digest;
use crate::users::{is_default, is_default_write};
use crate::write::{Call, WITHDRAWN, Write, policy_path};

/// Policies that are granted now.
pub(super) struct Granted<'a> {
    /// Texts by name.
    pub(super) texts: &'a BTreeMap<String, String>,
    /// Mark of the project.
    pub(super) mark: &'a Mark,
    /// Digests of the names of the policies that the last reconcile wrote.
    pub(super) policies_written: &'a [String],
    /// False: users may no longer change values, so that the part of default roles that does is removed.
    pub(super) keeps_defaults: bool,
}

impl Granted<'_> {
    /// Writes that remove rules and policies. They add nothing.
    pub(super) fn writes(
        &self,
        namespace: &NamespacePath,
        observed: &BTreeMap<String, Policy>,
    ) -> Vec<Write> {
        let owned = observed.iter().filter(|(name, policy)| self.owns(name, policy));
        let owned = owned.filter(|(name, _)| !self.keeps(name));
        owned.filter_map(|(name, policy)| self.write(namespace, name, policy)).collect()
    }

    /// Returns true if a policy was written once and stays as it is.
    fn keeps(&self, name: &str) -> bool {
        is_default(name) && (self.keeps_defaults || !is_default_write(name))
    }

    fn owns(&self, name: &str, policy: &Policy) -> bool {
        // Owners may edit a policy that is written once, so that its mark decides nothing.
        if is_default(name) {
            return true;
        }
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

/// The observed text without rules and capabilities that are not granted, and with earlier expirations. None if nothing changes, or if a
/// client has replaced the text by one in HCL.
fn narrowed(observed: &str, granted: &str) -> Option<String> {
    let (observed, granted) = (rules(observed)?, rules(granted)?);
    let kept: Map<String, Value> = observed
        .iter()
        .filter_map(|(path, rule)| Some((path.clone(), common(rule, granted.get(path)?)?)))
        .collect();
    (kept != observed).then(|| json!({"path": kept}).to_string())
}

fn rules(text: &str) -> Option<Map<String, Value>> {
    let policy: Value = serde_json::from_str(text).ok()?;
    policy.get("path")?.as_object().cloned()
}

/// What both rules permit. None if they have no capability in common.
fn common(observed: &Value, granted: &Value) -> Option<Value> {
    let granted_capabilities = granted.get("capabilities")?.as_array()?;
    let capabilities = observed.get("capabilities")?.as_array()?.iter();
    let kept: Vec<&Value> = capabilities.filter(|it| granted_capabilities.contains(it)).collect();
    if kept.is_empty() {
        return None;
    }
    let mut rule = earlier(observed, granted).clone();
    rule["capabilities"] = json!(kept);
    Some(rule)
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
        let granted =
            Granted { texts: &texts, mark: &mark(), policies_written: written, keeps_defaults: true };
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

    #[rstest]
    #[case::same(&["create", "delete"], Some(&["create", "delete", "read"][..]), Some(&["create", "delete"][..]))]
    #[case::fewer(&["create", "delete"], Some(&["delete"][..]), Some(&["delete"][..]))]
    #[case::none(&["create"], Some(&["delete"][..]), None)]
    fn capabilities_that_are_not_granted_are_removed(
        #[case] observed: &[&str],
        #[case] granted: Option<&[&str]>,
        #[case] expected: Option<&[&str]>,
    ) {
        let rule = |capabilities: &[&str]| json!({"capabilities": capabilities});
        let found = common(&rule(observed), &rule(granted.unwrap_or_default()));
        assert_eq!(found, expected.map(rule));
    }

    #[rstest]
    #[case("users/defaults/50", true, "")]
    #[case("users/defaults/50/write", true, "")]
    #[case("users/defaults/50", false, "")]
    #[case("users/defaults/50/write", false, "Delete")]
    #[case("users/roles/50", true, "Delete")]
    fn default_roles_stay_as_they_are(
        #[case] name: &str,
        #[case] keeps_defaults: bool,
        #[case] expected: &str,
    ) {
        let texts = BTreeMap::new();
        let granted = Granted { texts: &texts, mark: &mark(), policies_written: &[], keeps_defaults };
        for edited in [text(&mark(), &["A"]), r#"path "x" { capabilities = ["read"] }"#.to_owned()] {
            let observed = BTreeMap::from([(name.to_owned(), policy_text(&edited))]);
            let writes = granted.writes(&NamespacePath::new("n"), &observed);
            let operations: Vec<String> =
                writes.iter().map(|write| format!("{:?}", write.operation)).collect();
            let is_foreign = name.contains("roles") && !edited.starts_with('{');
            assert_eq!(operations.join(" "), if is_foreign { "" } else { expected });
        }
    }
}
