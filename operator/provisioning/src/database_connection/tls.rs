//! TLS settings of a connection. Each plugin has its own names for them.

use std::collections::BTreeMap;

use kube::ResourceExt;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use steamer_api::{DatabaseConnection, DatabaseConnectionTls};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::Found;
use crate::general::typed;

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
    key: Option<String>,
}

/// Reads the Secrets.
///
/// # Errors
/// [`Error::Invalid`] for a setting that the plugin does not have. Any error of a Secret.
pub(super) async fn load(connection: &DatabaseConnection, found: &Found<'_>) -> Result<Tls, Error> {
    let Some(tls) = &connection.spec.tls else {
        return Ok(Tls::default());
    };
    let named = |name: &str| ObjectName::new(connection.namespace().unwrap_or_default(), name);
    let (secrets, dependencies) = (&found.pass.context.secrets, found.pass.dependencies);
    let mut pem = Pem::default();
    if let Some(reference) = &tls.ca_secret_ref {
        let ca = secrets.certificates(dependencies, &named(&reference.name), &reference.key).await?;
        pem.ca = Some(text(&ca));
    }
    if let Some(reference) = &tls.client_cert_secret_ref {
        let name = named(&reference.name);
        pem.certificate = Some(text(&secrets.certificates(dependencies, &name, "tls.crt").await?));
        pem.key = Some(text(&secrets.value(dependencies, &name, "tls.key").await?));
    }
    of_plugin(&connection.spec.plugin, tls, pem)
}

fn text(pem: &[u8]) -> String {
    String::from_utf8_lossy(pem).into_owned()
}

fn of_plugin(plugin: &str, tls: &DatabaseConnectionTls, pem: Pem) -> Result<Tls, Error> {
    let Pem { ca, certificate, key } = pem;
    let is = |family: &str| plugin.starts_with(family);
    let has_no_server_name = is("valkey") || is("redis");
    if tls.server_name.is_some() && has_no_server_name {
        return Err(unknown("serverName", plugin));
    }
    let mut secrets = BTreeMap::new();
    let parameters = if is("postgresql") {
        return Err(Error::Invalid(format!(
            "tls is not available for {plugin}: remove tls, and set sslmode=verify-full and sslrootcert, a file of the OpenBao \
             server, in connectionURL"
        )));
    } else if is("mysql") {
        let pair =
            certificate.zip(key).map(|(certificate, key)| format!("{}\n{key}", certificate.trim_end()));
        secrets.extend(pair.map(|pair| ("tls_certificate_key".to_owned(), pair.into())));
        typed([("tls_ca", json!(ca)), ("tls_server_name", json!(tls.server_name))])
    } else if (is("valkey") || is("redis")) && certificate.is_none() {
        typed([("tls", json!(true)), ("ca_cert", json!(ca))])
    } else if is("valkey") || is("redis") {
        return Err(unknown("clientCertSecretRef", plugin));
    } else {
        return Err(Error::Invalid(format!(
            "tls is not available for {plugin}: remove tls, and set the parameters of the plugin in parameters"
        )));
    };
    Ok(Tls { parameters, secrets })
}

fn unknown(field: &str, plugin: &str) -> Error {
    Error::Invalid(format!("{plugin} has no setting for tls.{field}: remove it"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::ExposeSecret;

    use super::*;

    fn outcome(plugin: &str, tls: &Value, has_certificate: bool) -> Value {
        let pem = Pem {
            ca: Some("CA".to_owned()),
            certificate: has_certificate.then(|| "CERT\n".to_owned()),
            key: has_certificate.then(|| "KEY".to_owned()),
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
    #[case::other("influxdb-database-plugin", json!({}), false, json!("tls is not available for influxdb-database-plugin: remove tls, and set the parameters of the plugin in parameters"))]
    fn each_plugin_has_its_own_names(
        #[case] plugin: &str,
        #[case] tls: Value,
        #[case] has_certificate: bool,
        #[case] expected: Value,
    ) {
        assert_eq!(outcome(plugin, &tls, has_certificate), expected);
    }
}
