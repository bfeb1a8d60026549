//! Parameters of a connection.

use serde_json::{Map, Value, json};
use steamer_api::DatabaseConnectionSpec;
use steamer_core::error::Error;

use super::tls::Tls;
use crate::general::{merged, typed};

/// Parameters that contain secrets. They are neither compared nor accepted in `parameters`.
pub(super) const SECRET: [&str; 5] =
    ["password", "private_key", "tls_certificate_key", "pem_bundle", "pem_json"];

/// The parameters that a spec sets, without secrets.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that must not be set.
pub(super) fn of(
    spec: &DatabaseConnectionSpec,
    username: Option<&str>,
    tls: &Tls,
    allowed: Vec<String>,
) -> Result<Map<String, Value>, Error> {
    refuse_secrets(spec)?;
    let mut fields = typed([
        ("plugin_name", json!(spec.plugin)),
        ("connection_url", json!(spec.connection_url)),
        ("username", json!(username)),
        // OpenBao does not store it, and the default of a request is true.
        ("verify_connection", if spec.verify { Value::Null } else { json!(false) }),
        ("password_policy", json!(spec.password_policy)),
        ("username_template", json!(spec.username_template)),
        ("max_open_connections", json!(spec.max_open_connections)),
        ("max_idle_connections", json!(spec.max_idle_connections)),
        ("max_connection_lifetime", json!(spec.max_connection_lifetime)),
    ]);
    // OpenBao keeps a list that a request does not contain.
    fields.insert("allowed_roles".to_owned(), json!(allowed));
    fields.insert("root_rotation_statements".to_owned(), json!(spec.root_rotation_statements));
    fields.extend(tls.parameters.clone());
    merged(fields, &spec.parameters)
}

fn refuse_secrets(spec: &DatabaseConnectionSpec) -> Result<(), Error> {
    let Some(name) = SECRET.into_iter().find(|name| spec.parameters.0.contains_key(*name)) else {
        return Ok(());
    };
    Err(Error::Invalid(format!(
        "parameters.{name} is a secret and everyone who may read this object can read it: replace it in the database, remove it \
         here, and use rootSecretRef or tls.clientCertSecretRef"
    )))
}

/// Converts what OpenBao returns to the names of the request.
pub(super) fn read(mut answer: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(details)) = answer.remove("connection_details") {
        answer.extend(details);
    }
    if let Some(statements) = answer.remove("root_credentials_rotate_statements") {
        answer.insert("root_rotation_statements".to_owned(), statements);
    }
    answer.retain(|name, _| !SECRET.contains(&name.as_str()));
    answer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(changes: &Value) -> DatabaseConnectionSpec {
        let mut spec = json!({
            "clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin",
            "connectionURL": "postgresql://{{username}}:{{password}}@db/app", "rootSecretRef": {"name": "root"},
        });
        for (key, value) in changes.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn every_field_is_a_parameter() {
        let spec = spec(&json!({
            "verify": false, "rootRotationStatements": ["ALTER"], "passwordPolicy": "long", "usernameTemplate": "{{random 8}}",
            "maxOpenConnections": 5, "maxIdleConnections": 2, "maxConnectionLifetime": "5m", "parameters": {"disable_escaping": true},
        }));
        let parameters = of(&spec, Some("root"), &Tls::default(), vec!["app".to_owned()]).unwrap();
        let expected = json!({
            "plugin_name": "postgresql-database-plugin", "connection_url": "postgresql://{{username}}:{{password}}@db/app",
            "username": "root", "allowed_roles": ["app"], "verify_connection": false, "root_rotation_statements": ["ALTER"],
            "password_policy": "long", "username_template": "{{random 8}}", "max_open_connections": 5,
            "max_idle_connections": 2, "max_connection_lifetime": "5m", "disable_escaping": true,
        });
        assert_eq!(Value::Object(parameters), expected);
    }

    #[test]
    fn fields_that_are_not_set_are_left_to_openbao_except_for_lists() {
        let parameters = of(&spec(&json!({})), None, &Tls::default(), Vec::new()).unwrap();
        let expected = json!({
            "plugin_name": "postgresql-database-plugin", "connection_url": "postgresql://{{username}}:{{password}}@db/app",
            "allowed_roles": [], "root_rotation_statements": [],
        });
        assert_eq!(Value::Object(parameters), expected);
    }

    #[rstest]
    #[case(json!({"password": "x"}), "parameters.password is a secret")]
    #[case(json!({"private_key": "x"}), "parameters.private_key is a secret")]
    #[case(json!({"username": "x"}), "parameters.username repeats a field")]
    #[case(json!({"allowed_roles": "*"}), "parameters.allowed_roles repeats a field")]
    #[case(json!({"connection_url": "x"}), "parameters.connection_url repeats a field")]
    fn secrets_and_repeated_fields_are_refused(#[case] parameters: Value, #[case] expected: &str) {
        let spec = spec(&json!({"parameters": parameters}));
        let error = of(&spec, Some("root"), &Tls::default(), Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn an_answer_has_the_names_of_the_request_and_no_secret() {
        let answer = json!({
            "allowed_roles": ["app"], "plugin_name": "mysql-database-plugin", "root_credentials_rotate_statements": ["ALTER"],
            "connection_details": {"username": "root", "max_open_connections": 5, "tls_certificate_key": "KEY"},
        });
        let expected = json!({
            "allowed_roles": ["app"], "plugin_name": "mysql-database-plugin", "root_rotation_statements": ["ALTER"],
            "username": "root", "max_open_connections": 5,
        });
        assert_eq!(Value::Object(read(answer.as_object().unwrap().clone())), expected);
    }
}
