//! TLS settings of a connection. Each plugin has its own names for them.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use steamer_api::{DatabaseConnection, DatabaseConnectionTls, SecretKeyReference, SecretValueReference};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::{Found, typed};

/// TLS parameters of a connection.
#[derive(Default)]
pub(super) struct Tls {
    pub(super) parameters: Map<String, Value>,
    pub(super) secrets: BTreeMap<String, SecretString>,
}

/// Certificates and key of the Secrets, in PEM.
#[derive(Default)]
struct Pem {
    ca: Option<String>,
    certificate: Option<String>,
    key: Option<SecretString>,
}

/// Reads the Secrets.
///
/// # Errors
/// [`Error::Invalid`] for a setting that the plugin does not have. Any error of a Secret.
pub(super) async fn load(connection: &DatabaseConnection, found: &Found<'_>) -> Result<Tls, Error> {
    let Some(tls) = &connection.spec.tls else {
        return Ok(Tls::default());
    };
    let object = ObjectName::of(connection);
    let mut pem = Pem::default();
    if let Some(reference) = &tls.ca_secret_ref {
        pem.ca = Some(found.certificates(&object, reference).await?);
    }
    if let Some(reference) = &tls.client_cert_secret_ref {
        let certificate = SecretKeyReference { name: reference.name.clone(), key: "tls.crt".to_owned() };
        let key = SecretValueReference { name: reference.name.clone(), key: "tls.key".to_owned() };
        pem.certificate = Some(found.certificates(&object, &certificate).await?);
        pem.key = Some(found.secret(&object, &key).await?);
    }
    of_plugin(&connection.spec.plugin, tls, pem)
}

fn of_plugin(plugin: &str, tls: &DatabaseConnectionTls, pem: Pem) -> Result<Tls, Error> {
    let is = |family: &str| plugin.starts_with(family);
    if is("mysql") {
        return Ok(of_mysql(tls, pem));
    }
    if is("valkey") || is("redis") {
        return of_valkey(plugin, tls, pem);
    }
    let remedy = if is("postgresql") {
        "set sslmode=verify-full and sslrootcert, a file of the OpenBao server, in connectionURL"
    } else {
        "set the parameters of the plugin in parameters, and those with keys in secretParameters"
    };
    Err(Error::Invalid(format!("tls is not available for {plugin}: remove tls, and {remedy}")))
}

fn of_mysql(tls: &DatabaseConnectionTls, pem: Pem) -> Tls {
    let pair = pem.certificate.zip(pem.key).map(|(certificate, key)| {
        let pair = format!("{}\n{}", certificate.trim_end(), key.expose_secret());
        ("tls_certificate_key".to_owned(), SecretString::from(pair))
    });
    let parameters = typed([("tls_ca", json!(pem.ca)), ("tls_server_name", json!(tls.server_name))]);
    Tls { parameters, secrets: pair.into_iter().collect() }
}

fn of_valkey(plugin: &str, tls: &DatabaseConnectionTls, pem: Pem) -> Result<Tls, Error> {
    if tls.server_name.is_some() {
        return Err(unknown("serverName", plugin));
    }
    if pem.certificate.is_some() {
        return Err(unknown("clientCertSecretRef", plugin));
    }
    let parameters = typed([("tls", json!(true)), ("ca_cert", json!(pem.ca))]);
    Ok(Tls { parameters, secrets: BTreeMap::new() })
}

fn unknown(field: &str, plugin: &str) -> Error {
    Error::Invalid(format!("{plugin} has no setting for tls.{field}: remove it"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn outcome(plugin: &str, tls: &Value, has_certificate: bool) -> Value {
        let pem = Pem {
            ca: Some("CA".to_owned()),
            certificate: has_certificate.then(|| "CERT\n".to_owned()),
            key: has_certificate.then(|| SecretString::from("KEY".to_owned())),
        };
        match of_plugin(plugin, &serde_json::from_value(tls.clone()).unwrap(), pem) {
            Ok(tls) => {
                let secrets: BTreeMap<_, _> =
                    tls.secrets.iter().map(|(name, value)| (name, value.expose_secret())).collect();
                json!([tls.parameters, secrets])
            }
            Err(error) => json!(error.to_string()),
        }
    }

    #[rstest]
    #[case::postgresql("postgresql-database-plugin", json!({}), false, json!("tls is not available for postgresql-database-plugin: remove tls, and set sslmode=verify-full and sslrootcert, a file of the OpenBao server, in connectionURL"))]
    #[case::mysql("mysql-rds-database-plugin", json!({"serverName": "n"}), true, json!([{"tls_ca": "CA", "tls_server_name": "n"}, {"tls_certificate_key": "CERT\nKEY"}]))]
    #[case::valkey("valkey-database-plugin", json!({}), false, json!([{"tls": true, "ca_cert": "CA"}, {}]))]
    #[case::valkey_with_certificate("valkey-database-plugin", json!({}), true, json!("valkey-database-plugin has no setting for tls.clientCertSecretRef: remove it"))]
    #[case::server_name("valkey-database-plugin", json!({"serverName": "n"}), false, json!("valkey-database-plugin has no setting for tls.serverName: remove it"))]
    #[case::other("influxdb-database-plugin", json!({}), false, json!("tls is not available for influxdb-database-plugin: remove tls, and set the parameters of the plugin in parameters, and those with keys in secretParameters"))]
    fn each_plugin_has_its_own_names(
        #[case] plugin: &str,
        #[case] tls: Value,
        #[case] has_certificate: bool,
        #[case] expected: Value,
    ) {
        assert_eq!(outcome(plugin, &tls, has_certificate), expected);
    }
}
