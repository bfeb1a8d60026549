//! Texts of policies.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steamer_core::layout::DATA_ROOT;

use crate::pipelines::JobContext;

/// Access to one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// End of the access. None: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// Objects that grant the access. The policy names them in its comments.
    pub granted_by: BTreeSet<String>,
}

/// Access to secrets, by context and name of the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(pub BTreeMap<JobContext, BTreeMap<String, Rule>>);

impl Grants {
    /// Adds a secret to a context. If several objects grant it, the latest expiration applies, and a grant without
    /// expiration takes precedence.
    pub fn add(
        &mut self,
        context: JobContext,
        secret: &str,
        expires_at: Option<Timestamp>,
        granted_by: &str,
    ) {
        let rules = self.0.entry(context).or_default();
        let rule = rules
            .entry(secret.to_owned())
            .or_insert_with(|| Rule { expires_at, granted_by: BTreeSet::new() });
        rule.expires_at = rule.expires_at.zip(expires_at).map(|(a, b)| a.max(b));
        rule.granted_by.insert(granted_by.to_owned());
    }

    /// Time of the first expiration.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.0.values().flat_map(BTreeMap::values).filter_map(|rule| rule.expires_at).min()
    }
}

/// The text of the policy of a context. `owner` is the description of its owner. Keys are sorted, so that equal rules
/// result in equal texts.
#[must_use]
pub fn policy_text(owner: &str, engine: &str, rules: &BTreeMap<String, Rule>) -> String {
    let mut paths = Map::new();
    for (secret, Rule { expires_at, granted_by }) in rules {
        let sources = granted_by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut rule = json!({"capabilities": ["read"], "comment": format!("{owner}; granted by {sources}")});
        if let Some(at) = expires_at {
            rule["expiration"] = Value::String(at.to_string());
        }
        for kind in ["data", "metadata"] {
            paths.insert(format!("{engine}/{kind}/{DATA_ROOT}/{secret}"), rule.clone());
        }
    }
    json!({"path": paths}).to_string()
}

/// The text of the policy of a workload.
#[must_use]
pub fn workload_policy_text(owner: &str, engine: &str, secrets: &[String]) -> String {
    let mut paths = Map::new();
    for secret in secrets {
        for kind in ["data", "metadata"] {
            let rule = json!({"capabilities": ["read"], "comment": owner});
            paths.insert(format!("{engine}/{kind}/{DATA_ROOT}/{secret}"), rule);
        }
    }
    json!({"path": paths}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_latest_expiration_applies_and_no_expiration_takes_precedence() {
        let mut grants = Grants::default();
        grants.add(JobContext::default(), "A", at(1), "a");
        grants.add(JobContext::default(), "A", at(3), "b");
        grants.add(JobContext::default(), "B", at(9), "a");
        assert_eq!(grants.0[&JobContext::default()]["A"].expires_at, at(3));
        assert_eq!(grants.next_expiry(), at(3));
        grants.add(JobContext::default(), "A", None, "c");
        assert_eq!(grants.0[&JobContext::default()]["A"].expires_at, None);
    }

    #[test]
    fn a_policy_names_each_secret_exactly() {
        let mut grants = Grants::default();
        grants.add(JobContext::default(), "DB_PASS", at(0), "ns/policy");
        let text = policy_text("owner", "secrets/kv", &grants.0[&JobContext::default()]);
        let expected = json!({"path": {
            "secrets/kv/data/explicit/DB_PASS": {"capabilities": ["read"], "comment": "owner; granted by ns/policy", "expiration": "1970-01-01T00:00:00Z"},
            "secrets/kv/metadata/explicit/DB_PASS": {"capabilities": ["read"], "comment": "owner; granted by ns/policy", "expiration": "1970-01-01T00:00:00Z"},
        }});
        assert_eq!(text, expected.to_string());
    }
}
