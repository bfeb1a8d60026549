//! Parameters of a connection.

use serde_json::{Map, Value, json};
use steamer_api::DatabaseConnectionSpec;
use steamer_core::error::Error;

use super::tls::Tls;
use crate::general::{repeated, typed};
use crate::mounts::configuration::Configuration;

/// Parameter with the password of the user. It has a field, because a rotation replaces its value.
const PASSWORD: &str = "password";
/// Parameters that contain secrets. They are not accepted in `parameters`.
const SECRET: [&str; 5] = [PASSWORD, "private_key", "tls_certificate_key", "pem_bundle", "pem_json"];

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
    refuse_secrets(spec, tls)?;
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
    let typed = Configuration { parameters: fields, ..Configuration::default() };
    Ok(typed.joined(&spec.parameters, &spec.secret_parameters)?.parameters)
}

fn refuse_secrets(spec: &DatabaseConnectionSpec, tls: &Tls) -> Result<(), Error> {
    if let Some(name) = SECRET.into_iter().find(|name| spec.parameters.0.contains_key(*name)) {
        return Err(Error::Invalid(format!(
            "parameters.{name} is a secret and everyone who may read this object can read it: replace it in the database, remove \
             it here, and {}",
            remedy(&spec.plugin, name)
        )));
    }
    if spec.secret_parameters.contains_key(PASSWORD) {
        let remedy = remedy(&spec.plugin, PASSWORD);
        return Err(Error::Invalid(format!("remove secretParameters.{PASSWORD}, and {remedy}")));
    }
    match spec.secret_parameters.keys().find(|name| tls.secrets.contains_key(*name)) {
        Some(name) => Err(repeated("secretParameters", name)),
        None => Ok(()),
    }
}

/// Where a secret belongs.
fn remedy(plugin: &str, name: &str) -> String {
    match name {
        PASSWORD => "write it to the Secret of rootSecretRef".to_owned(),
        "tls_certificate_key" if plugin.starts_with("mysql") => {
            "name the Secret of the certificate in tls.clientCertSecretRef".to_owned()
        }
        _ => format!("name its Secret in secretParameters.{name}"),
    }
}

/// Converts what OpenBao returns to the names of the request. OpenBao returns neither `password` nor `private_key`.
pub(super) fn read(mut answer: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(details)) = answer.remove("connection_details") {
        answer.extend(details);
    }
    if let Some(statements) = answer.remove("root_credentials_rotate_statements") {
        answer.insert("root_rotation_statements".to_owned(), statements);
    }
    // OpenBao can have rotated it.
    answer.remove(PASSWORD);
    answer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::SecretString;

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
    #[case("mysql-database-plugin", "password", "write it to the Secret of rootSecretRef")]
    #[case("mysql-database-plugin", "tls_certificate_key", "in tls.clientCertSecretRef")]
    #[case("valkey-database-plugin", "tls_certificate_key", "in secretParameters.tls_certificate_key")]
    #[case("cassandra-database-plugin", "pem_json", "name its Secret in secretParameters.pem_json")]
    fn a_refused_secret_has_a_place_that_the_plugin_has(
        #[case] plugin: &str,
        #[case] name: &str,
        #[case] expected: &str,
    ) {
        let spec = spec(&json!({"plugin": plugin, "parameters": {name: "x"}}));
        let error = of(&spec, Some("root"), &Tls::default(), Vec::new()).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }

    #[rstest]
    #[case::of_the_plugin("pem_json", None)]
    #[case::of_the_user(
        "password",
        Some("remove secretParameters.password, and write it to the Secret of rootSecretRef")
    )]
    #[case::of_a_field("username", Some("secretParameters.username repeats a field"))]
    #[case::of_the_certificate(
        "tls_certificate_key",
        Some("secretParameters.tls_certificate_key repeats a field")
    )]
    #[case::of_the_other_parameters("host", Some("secretParameters.host repeats a field"))]
    fn a_secret_parameter_is_stated_once(#[case] name: &str, #[case] expected: Option<&str>) {
        let reference = json!({"name": "s", "key": "k"});
        let spec = spec(&json!({"parameters": {"host": "h"}, "secretParameters": {name: reference}}));
        let pem = SecretString::from("PEM".to_owned());
        let tls = Tls { secrets: [("tls_certificate_key".to_owned(), pem)].into(), ..Tls::default() };
        let outcome = of(&spec, Some("root"), &tls, Vec::new());
        let is_no_plain_parameter = outcome.as_ref().is_ok_and(|it| !it.contains_key(name));
        assert_eq!(is_no_plain_parameter, expected.is_none());
        let message = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.starts_with(expected.unwrap_or_default()), "{message}");
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
    fn an_answer_has_the_names_of_the_request_and_no_password() {
        let answer = json!({
            "allowed_roles": ["app"], "plugin_name": "mysql-database-plugin", "root_credentials_rotate_statements": ["ALTER"],
            "connection_details": {"username": "root", "max_open_connections": 5, "tls_certificate_key": "KEY", "password": "x"},
        });
        let expected = json!({
            "allowed_roles": ["app"], "plugin_name": "mysql-database-plugin", "root_rotation_statements": ["ALTER"],
            "username": "root", "max_open_connections": 5, "tls_certificate_key": "KEY",
        });
        assert_eq!(Value::Object(read(answer.as_object().unwrap().clone())), expected);
    }
}
