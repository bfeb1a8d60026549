//! The certificates of the nodes, in Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use steamer_api::ServerTlsMode;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::certificates::issue as certificates;
use crate::certificates::issue::Held;
use crate::managed::apply::Work;
use crate::objects::config_map;
use crate::objects::secret::secret;

impl Work<'_> {
    /// Keeps CA and certificate as they should be; when the certificate ends, where there is one.
    pub(crate) async fn certificates(&self) -> Result<Option<i64>, Error> {
        if self.cluster.is_plain() {
            return Ok(None);
        }
        if self.cluster.spec.tls.mode == ServerTlsMode::Secret {
            let name = ObjectName::new(&self.cluster.name.namespace, self.cluster.tls_secret());
            let value = async |key: &str| {
                let value = self.context.secrets.value(self.dependencies, &name, key).await?;
                Ok::<_, Error>(String::from_utf8_lossy(&value).into_owned())
            };
            let (certificate, bundle) = (value("tls.crt").await?, value("ca.crt").await?);
            value("tls.key").await?;
            self.child_api.keep::<ConfigMap>(&self.ca_config_map(&bundle)).await?;
            let validity = certificates::validity(&certificate);
            return validity.map(|validity| Some(validity.to)).ok_or_else(|| {
                Error::Invalid(format!("`tls.crt` of Secret {name} is no certificate in PEM"))
            });
        }
        let held = Held { authority: self.held("-ca").await?, leaf: self.held("-tls").await? };
        let wanted = certificates::wanted(self.cluster, &held, certificates::now())?;
        self.keep_secret("-ca", &wanted.authority).await?;
        self.child_api.keep::<ConfigMap>(&self.ca_config_map(&wanted.bundle)).await?;
        self.keep_secret("-tls", &wanted.leaf).await?;
        Ok(Some(wanted.leaf_ends))
    }

    async fn held(&self, suffix: &str) -> Result<BTreeMap<String, String>, Error> {
        let secret = self.child_api.read::<Secret>(&self.cluster.child(suffix)).await?;
        let entries = secret.iter().flat_map(|secret| secret.data.iter().flatten());
        let text = |(key, value): (&String, &k8s_openapi::ByteString)| {
            (key.clone(), String::from_utf8_lossy(&value.0).into_owned())
        };
        Ok(entries.map(text).collect())
    }

    /// When the certificate in use ends.
    pub(crate) fn certificate(&self) -> Result<Option<i64>, Error> {
        if self.cluster.is_plain() {
            return Ok(None);
        }
        let secret = self.child_api.get::<Secret>(&self.cluster.tls_secret());
        let text = secret.and_then(|secret| Some(secret.data.as_ref()?.get("tls.crt")?.0.clone()));
        let validity = text.and_then(|text| certificates::validity(&String::from_utf8_lossy(&text)));
        validity
            .map(|validity| Some(validity.to))
            .ok_or_else(|| Error::Waiting("no certificate is known".to_owned()))
    }

    async fn keep_secret(&self, suffix: &str, entries: &BTreeMap<String, String>) -> Result<(), Error> {
        self.child_api.keep(&secret(self.cluster, suffix, entries)).await.map(drop)
    }

    fn ca_config_map(&self, bundle: &str) -> ConfigMap {
        config_map::authority(self.cluster, bundle)
    }
}
