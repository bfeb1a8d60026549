//! Text of the desired state of a request, for the seal of a stop in a status: it is equal in each version of Steamer and Rust.

use serde_json::{Value, json};

use super::call::Call;
use crate::general::Body;

impl Call {
    /// The method, the path and the body of the request, without secrets, and without counters and times that differ in each write.
    pub(super) fn canonical(&self) -> Value {
        let request = self.request();
        let method = request.as_ref().map(|it| it.method.as_str());
        let path = request.as_ref().map_or_else(|| self.path(), |it| it.path.clone());
        json!([method, path, self.content()])
    }

    fn content(&self) -> Value {
        match self {
            Self::CreateNamespace { mark, .. } | Self::MarkNamespace { mark, .. } => json!(mark.metadata()),
            Self::EnableEngine { request, .. } | Self::EnableAuth { request, .. } => json!(request),
            Self::DescribeEngine { description, .. } | Self::DescribeAuth { description, .. } => {
                json!(description)
            }
            Self::PutKvConfig { config, .. } => json!(config),
            Self::PutJwtConfig { config, .. } => config.body(),
            Self::PutCelRole { role, .. } => json!(role),
            Self::PutJwtRole { role, .. } => json!(role),
            Self::PutPolicy { text, .. } => json!(text),
            Self::Send { body, .. } => of_body(body),
            Self::Sign(signing) => signing.canonical(),
            Self::ChangeSecret(change) => change.canonical(),
            Self::RemoveVersions(versions) => versions.canonical(),
            Self::Delete(_) | Self::Remove(..) => Value::Null,
        }
    }
}

/// The parameters, the names of secret ones, and where values come from that are read before the request.
fn of_body(body: &Body) -> Value {
    let secrets: Vec<&String> = body.secrets.keys().collect();
    let late: Vec<_> = body.late.iter().map(|(name, late)| (name, &late.path, late.field)).collect();
    json!([body.parameters, secrets, late])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use secrecy::SecretString;
    use steamer_openbao::{Cas, JwtRole};

    use super::*;

    fn policy(text: &str, version: i64) -> Call {
        Call::PutPolicy { name: "web".to_owned(), text: text.to_owned(), cas: Cas::Version(version) }
    }

    fn sent(method: reqwest::Method, path: &str, ttl: &str, guard: i64) -> Call {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        let secrets = BTreeMap::from([("password".to_owned(), SecretString::from("canary".to_owned()))]);
        let (parameters, guard) = (map(json!({"ttl": ttl})), map(json!({"cas": guard})));
        let body = Body { parameters, secrets, guard, ..Body::default() };
        Call::Send { method, path: path.to_owned(), body, receipt: None }
    }

    /// A changed text would end the stops in the statuses of an earlier version.
    #[rstest]
    #[case::policy(policy("{}", 3), json!(["POST", "sys/policies/acl/web", "{}"]))]
    #[case::sent(
        sent(reqwest::Method::PATCH, "a/b", "1h", 1), json!(["PATCH", "a/b", [{"ttl": "1h"}, ["password"], []]])
    )]
    #[case::deletion(Call::Delete("a/b".to_owned()), json!(["DELETE", "a/b", null]))]
    fn a_canonical_text_never_changes(#[case] call: Call, #[case] expected: Value) {
        assert_eq!(call.canonical(), expected);
    }

    #[test]
    fn equal_desired_states_have_equal_texts_and_others_do_not() {
        let role = |ttl| Call::PutJwtRole {
            mount: "jwt".to_owned(),
            name: "web".to_owned(),
            role: JwtRole { token_ttl: ttl, ..JwtRole::default() },
        };
        assert_eq!(policy("{}", 3).canonical(), policy("{}", 4).canonical());
        assert_ne!(policy("{}", 3).canonical(), policy("{ }", 3).canonical());
        assert_eq!(role(1).canonical(), role(1).canonical());
        assert_ne!(role(1).canonical(), role(2).canonical());
        let post = || reqwest::Method::POST;
        assert_eq!(sent(post(), "a", "1h", 1).canonical(), sent(post(), "a", "1h", 2).canonical());
        assert_ne!(sent(post(), "a", "1h", 1).canonical(), sent(post(), "a", "2h", 1).canonical());
        assert_ne!(sent(post(), "a", "1h", 1).canonical(), sent(post(), "b", "1h", 1).canonical());
        assert!(!sent(post(), "a", "1h", 1).canonical().to_string().contains("canary"));
    }
}
