//! Parameters of a role.

use serde_json::{Map, Value, json};
use steamer_api::{DatabaseCredentialType, DatabaseRoleSpec, StaticUser};
use steamer_core::error::Error;

use super::statements;
use crate::general::{merged, typed};

/// The parameters that a spec sets.
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
    merged(fields, &spec.parameters)
}

fn of_static(user: &StaticUser) -> Map<String, Value> {
    typed([
        ("username", json!(user.username)),
        ("rotation_period", json!(user.rotation_period)),
        ("rotation_statements", json!(user.rotation_statements)),
    ])
}

fn of_dynamic(spec: &DatabaseRoleSpec) -> Map<String, Value> {
    let creation = spec.owner_role.as_deref().map(statements::creation);
    let revocation = match (&spec.owner_role, spec.revocation_statements.is_empty()) {
        (Some(_), true) => statements::revocation(),
        _ => spec.revocation_statements.clone(),
    };
    typed([
        ("creation_statements", json!(creation.unwrap_or_else(|| spec.creation_statements.clone()))),
        ("revocation_statements", json!(revocation)),
        ("renew_statements", json!(spec.renew_statements)),
        ("rollback_statements", json!(spec.rollback_statements)),
        ("default_ttl", json!(spec.default_ttl)),
        ("max_ttl", json!(spec.max_ttl)),
    ])
}

/// Parameters that are not changed: OpenBao keeps the user of a static role, and a role of another connection is not adopted.
pub(super) fn fixed(is_recorded: bool) -> Vec<&'static str> {
    if is_recorded { vec!["username"] } else { vec!["username", "db_name"] }
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
            "rollback_statements": ["DROP"], "default_ttl": "1h", "max_ttl": "24h", "credential_type": "rsa_private_key",
            "credential_config": {"key_bits": 4096}, "db_name": "db",
        }),
    )]
    #[case::plugin_defaults(json!({"creationStatements": ["CREATE"]}), json!({"creation_statements": ["CREATE"], "db_name": "db"}))]
    #[case::owner(
        json!({"ownerRole": "app"}),
        json!({"creation_statements": statements::creation("app"), "revocation_statements": statements::revocation(), "db_name": "db"}),
    )]
    #[case::owner_with_own_revocation(
        json!({"ownerRole": "app", "revocationStatements": ["DROP"]}),
        json!({"creation_statements": statements::creation("app"), "revocation_statements": ["DROP"], "db_name": "db"}),
    )]
    #[case::static_user(
        json!({"static": {"username": "app", "rotationPeriod": "24h", "rotationStatements": ["ALTER"]}, "credentialType": "Password"}),
        json!({"username": "app", "rotation_period": "24h", "rotation_statements": ["ALTER"], "db_name": "db", "credential_type": "password"}),
    )]
    fn every_field_is_a_parameter(#[case] mut spec: Value, #[case] expected: Value) {
        spec["connectionRef"] = json!({"name": "db"});
        let spec = serde_json::from_value(spec).unwrap();
        assert_eq!(Value::Object(of(&spec, "db").unwrap()), expected);
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
