//! Servers of BaoConnections, and client certificates.

use std::time::Duration;

use kube::ResourceExt;
use secrecy::SecretString;
use steamer_api::{BaoConnection, BaoConnectionSpec, OpenBaoCluster};
use steamer_openbao::{Settings, joined_pem};
use steamer_runtime::{Dependencies, ObjectName};

use super::servers::encrypted;
use super::sessions::Server;
use crate::context::Context;
use crate::error::Error;

/// Longest timeout of a request.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

impl Context {
    /// The server of a connection.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Denied`] for its cluster, [`Error::Waiting`] for a Secret without the key.
    pub async fn connection_server(
        &self,
        dependencies: &Dependencies,
        connection: &BaoConnection,
    ) -> Result<Server, Error> {
        if let Some(reference) = &connection.spec.cluster_ref {
            let namespace = connection.namespace().unwrap_or_default();
            let cluster = self.stores.resolve::<OpenBaoCluster>(dependencies, reference, &namespace)?;
            return self.cluster_server(dependencies, &cluster).await;
        }
        let settings = self.connection_settings(dependencies, connection).await?;
        self.shared_server(dependencies, &settings)
    }

    /// The settings of a connection by address.
    pub(super) async fn connection_settings(
        &self,
        dependencies: &Dependencies,
        connection: &BaoConnection,
    ) -> Result<Settings, Error> {
        let namespace = connection.namespace().unwrap_or_default();
        let BaoConnectionSpec {
            address,
            allow_plaintext,
            cluster_ref: _,
            headers,
            tls_server_name,
            ca_cert_secret_ref,
            client_cert_secret_ref,
            skip_tls_verify,
            timeout,
            allowed_namespaces: _,
        } = &connection.spec;
        let addresses: Vec<String> = address.iter().cloned().collect();
        encrypted(&addresses, (*allow_plaintext).into())?;
        let mut settings = Settings {
            addresses,
            server_name: tls_server_name.clone(),
            insecure: *skip_tls_verify,
            headers: headers.clone(),
            // A stored object can be older than the bound of its schema.
            timeout: timeout.as_ref().map(|timeout| timeout.get().min(LONGEST_TIMEOUT)),
            ..Settings::default()
        };
        if let Some(name) = ca_cert_secret_ref {
            let name = ObjectName::new(&namespace, name);
            settings.ca = self.secrets.certificates(dependencies, &name, "ca.crt").await?;
        }
        if let Some(name) = client_cert_secret_ref {
            let name = ObjectName::new(&namespace, name);
            settings.client_certificate = Some(self.client_certificate(dependencies, &name).await?);
        }
        Ok(settings)
    }

    /// The client certificate and its key in a Secret, in PEM.
    pub(super) async fn client_certificate(
        &self,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Result<SecretString, Error> {
        let certificate = self.secrets.certificates(dependencies, name, "tls.crt").await?;
        let key = self.secrets.value(dependencies, name, "tls.key").await?;
        let pem = joined_pem(&[&certificate, &key]);
        Ok(String::from_utf8_lossy(&pem).into_owned().into())
    }
}
