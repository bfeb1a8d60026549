//! Parameters of a role.

use serde_json::{Map, Value, json};
use steamer_api::{DatabaseCredentialType, DatabaseRoleSpec, StaticUser};
use steamer_core::error::Error;

use super::statements;
use crate::general::{completed, merged, seconds, typed, unstated};

/// Maps that OpenBao completes with defaults.
pub(super) const OPEN_MAPS: [&str; 1] = ["credential_config"];

/// The parameters that a spec sets, and the lifetimes: one that is removed from the spec is again that of the mount.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that a field sets.
pub(super) fn of(spec: &DatabaseRoleSpec, connection: &str) -> Result<Map<String, Value>, Error> {
    let mut fields = match &spec.static_user {
        Some(user) => of_static(user),
        None => of_dynamic(spec),
    };
    fields.extend(typed([
        ("db_name", json!(connection)),
        ("credential_type", json!(spec.credential_type.map(credential_type))),
    ]));
    let parameters = merged(fields, &spec.parameters)?;
    Ok(match spec.static_user {
        Some(_) => parameters,
        None => completed(parameters, [("default_ttl", json!(0)), ("max_ttl", json!(0))]),
    })
}

/// The lifetimes that a spec does not state. Those of the mount, which are the default, can be longer than those of an existing
/// role.
pub(super) fn restricting(spec: &DatabaseRoleSpec) -> Vec<&'static str> {
    if spec.static_user.is_some() {
        return Vec::new();
    }
    let stated: Map<String, Value> = of_dynamic(spec).into_iter().chain(spec.parameters.0.clone()).collect();
    unstated(&["default_ttl", "max_ttl"], &stated)
}

fn of_static(user: &StaticUser) -> Map<String, Value> {
    let fields = typed([
        ("username", json!(user.username)),
        ("rotation_period", json!(seconds(&user.rotation_period))),
    ]);
    fields.into_iter().chain(lists([("rotation_statements", &user.rotation_statements)])).collect()
}

fn of_dynamic(spec: &DatabaseRoleSpec) -> Map<String, Value> {
    let creation = spec.owner_role.as_deref().map(statements::creation);
    let revocation = match (&spec.owner_role, spec.revocation_statements.is_empty()) {
        (Some(owner), true) => statements::revocation(owner),
        _ => spec.revocation_statements.clone(),
    };
    let statements = lists([
        ("creation_statements", creation.as_ref().unwrap_or(&spec.creation_statements)),
        ("revocation_statements", &revocation),
        ("renew_statements", &spec.renew_statements),
        ("rollback_statements", &spec.rollback_statements),
    ]);
    let lifetimes = typed([
        ("default_ttl", json!(spec.default_ttl.as_ref().map(seconds))),
        ("max_ttl", json!(spec.max_ttl.as_ref().map(seconds))),
    ]);
    statements.into_iter().chain(lifetimes).collect()
}

/// Lists of statements, also the empty ones: OpenBao keeps the statements of a list that a request does not contain.
fn lists<const N: usize>(lists: [(&str, &Vec<String>); N]) -> Map<String, Value> {
    lists.into_iter().map(|(name, statements)| (name.to_owned(), json!(statements))).collect()
}

/// Parameters that are not changed, and that each request contains: OpenBao requires the user of a static role and does not
/// change it, and a role of another connection is not adopted.
pub(super) fn fixed(is_owned: bool) -> Vec<&'static str> {
    if is_owned { vec!["username"] } else { vec!["username", "db_name"] }
}

fn credential_type(kind: DatabaseCredentialType) -> &'static str {
    match kind {
        DatabaseCredentialType::Password => "password",
        DatabaseCredentialType::RSAPrivateKey => "rsa_private_key",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::statements(
        json!({
            "creationStatements": ["CREATE"], "revocationStatements": ["DROP"], "renewStatements": ["ALTER"],
            "rollbackStatements": ["DROP"], "defaultTTL": "1h", "maxTTL": "24h", "credentialType": "RSAPrivateKey",
            "parameters": {"credential_config": {"key_bits": 4096}},
        }),
        json!({
            "creation_statements": ["CREATE"], "revocation_statements": ["DROP"], "renew_statements": ["ALTER"],
            "rollback_statements": ["DROP"], "default_ttl": 3600, "max_ttl": 86_400, "credential_type": "rsa_private_key",
            "credential_config": {"key_bits": 4096}, "db_name": "db",
        }),
    )]
    #[case::plugin_defaults(
        json!({"creationStatements": ["CREATE"]}),
        json!({
            "creation_statements": ["CREATE"], "revocation_statements": [], "renew_statements": [], "rollback_statements": [],
            "db_name": "db", "default_ttl": 0, "max_ttl": 0,
        }),
    )]
    #[case::owner(
        json!({"ownerRole": "app"}),
        json!({
            "creation_statements": statements::creation("app"), "revocation_statements": statements::revocation("app"),
            "renew_statements": [], "rollback_statements": [], "db_name": "db", "default_ttl": 0, "max_ttl": 0,
        }),
    )]
    #[case::owner_with_own_revocation(
        json!({"ownerRole": "app", "revocationStatements": ["DROP"]}),
        json!({
            "creation_statements": statements::creation("app"), "revocation_statements": ["DROP"], "renew_statements": [],
            "rollback_statements": [], "db_name": "db", "default_ttl": 0, "max_ttl": 0,
        }),
    )]
    #[case::static_user(
        json!({"static": {"username": "app", "rotationPeriod": "24h", "rotationStatements": ["ALTER"]}, "credentialType": "Password"}),
        json!({"username": "app", "rotation_period": 86_400, "rotation_statements": ["ALTER"], "db_name": "db", "credential_type": "password"}),
    )]
    fn every_field_is_a_parameter(#[case] mut spec: Value, #[case] expected: Value) {
        spec["connectionRef"] = json!({"name": "db"});
        let spec = serde_json::from_value(spec).unwrap();
        assert_eq!(Value::Object(of(&spec, "db").unwrap()), expected);
    }

    #[rstest]
    #[case::none(json!({}), &["default_ttl", "max_ttl"])]
    #[case::field(json!({"defaultTTL": "1h"}), &["max_ttl"])]
    #[case::free_parameter(json!({"parameters": {"max_ttl": "2h"}}), &["default_ttl"])]
    #[case::static_user(json!({"static": {"username": "app", "rotationPeriod": "24h"}}), &[])]
    fn a_lifetime_that_the_spec_states_is_written(#[case] mut spec: Value, #[case] expected: &[&str]) {
        spec["connectionRef"] = json!({"name": "db"});
        assert_eq!(restricting(&serde_json::from_value(spec).unwrap()), expected);
    }

    #[test]
    fn a_lifetime_among_the_free_parameters_is_kept() {
        let spec = json!({
            "connectionRef": {"name": "db"}, "creationStatements": ["CREATE"], "parameters": {"max_ttl": "876001h"},
        });
        let parameters = of(&serde_json::from_value(spec).unwrap(), "db").unwrap();
        assert_eq!((&parameters["default_ttl"], &parameters["max_ttl"]), (&json!(0), &json!("876001h")));
    }

    #[rstest]
    #[case("db_name")]
    #[case("creation_statements")]
    #[case("revocation_statements")]
    fn a_parameter_is_set_once(#[case] name: &str) {
        let spec = json!({"connectionRef": {"name": "db"}, "ownerRole": "app", "parameters": {name: "x"}});
        let error = of(&serde_json::from_value(spec).unwrap(), "db").unwrap_err().to_string();
        assert!(error.contains("repeats a field"), "{error}");
    }
}
