//! The certificates of the nodes, in Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use steamer_api::ServerTlsMode;
use steamer_core::error::Error;

use crate::certificates::given;
use crate::certificates::issue as certificates;
use crate::certificates::issue::Held;
use crate::cluster::Cluster;
use crate::effects::{Effects, Sources};
use crate::objects::config_map;
use crate::objects::secret::secret;

/// Entries of a Secret.
type Entries = BTreeMap<String, String>;

/// The certificate of the nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificate {
    /// Expiration in seconds since the epoch. None without TLS.
    pub(crate) ends: Option<i64>,
    /// Certificate in PEM.
    pub(crate) issued: String,
    /// Time in seconds since the epoch from which a user should be warned: Steamer does not renew this certificate.
    pub(crate) warns: Option<i64>,
    /// First error of a contested object. The certificate can be used nevertheless.
    pub(crate) contested: Option<Arc<Error>>,
}

impl Certificate {
    /// Returns true if a user should renew it soon.
    pub(crate) fn is_near(&self, now: i64) -> bool {
        self.warns.is_some_and(|warns| now >= warns)
    }
}

/// Issues or renews CA and certificate, and publishes the CA.
pub(crate) async fn keep(effects: &Effects<'_>, cluster: &Cluster) -> Result<Certificate, Error> {
    match cluster.spec.tls.mode {
        ServerTlsMode::Disabled => Ok(Certificate::default()),
        ServerTlsMode::Secret => publish(effects, cluster).await,
        ServerTlsMode::Managed => issue(effects, cluster).await,
    }
}

/// Publishes the CA of a certificate that the user provides.
async fn publish(effects: &Effects<'_>, cluster: &Cluster) -> Result<Certificate, Error> {
    let name = cluster.tls_secret();
    let value = async |key: &str| {
        let value = effects.secret_value(&name, key).await?;
        Ok::<_, Error>(String::from_utf8_lossy(&value).into_owned())
    };
    let (certificate, bundle) = (value("tls.crt").await?, value("ca.crt").await?);
    let key = value("tls.key").await?;
    let mut contested = None;
    Error::set_aside(effects.child_api.keep(&config_map::authority(cluster, &bundle)).await, &mut contested)?;
    let validity = certificates::validity(&certificate).ok_or_else(|| {
        Error::Invalid(format!(
            "`tls.crt` of Secret {} is not a valid certificate in PEM",
            effects.named(&name)
        ))
    })?;
    if let Some(defect) = given::defect(cluster, &certificate, &key) {
        return Err(Error::Invalid(format!("`tls.crt` of Secret {} {defect}", effects.named(&name))));
    }
    Ok(Certificate {
        ends: Some(validity.to),
        warns: Some(validity.warns()),
        contested: contested.map(Arc::new),
        ..Certificate::default()
    })
}

/// Issues what is missing or due.
async fn issue(effects: &Effects<'_>, cluster: &Cluster) -> Result<Certificate, Error> {
    let (authority, leaf) = (cluster.child("-ca"), cluster.child("-tls"));
    let held = Held { authority: entries(effects, &authority).await?, leaf: entries(effects, &leaf).await? };
    let wanted = certificates::wanted(cluster, &held, certificates::now())?;
    let (child_api, mut contested) = (effects.child_api, None);
    let kept = child_api.keep(&secret(cluster, &authority, &wanted.authority)).await;
    settle(kept, [&held.authority, &wanted.authority], &mut contested)?;
    // Nodes do not read the ConfigMap.
    Error::set_aside(child_api.keep(&config_map::authority(cluster, &wanted.bundle)).await, &mut contested)?;
    let kept = child_api.keep(&secret(cluster, &leaf, &wanted.leaf)).await;
    settle(kept, [&held.leaf, &wanted.leaf], &mut contested)?;
    let issued = wanted.leaf.get("tls.crt").cloned().unwrap_or_default();
    let contested = contested.map(Arc::new);
    Ok(Certificate { ends: Some(wanted.leaf_ends), issued, contested, ..Certificate::default() })
}

/// Sets the error of a contested Secret aside if the live Secret contains the desired entries. Entries that were not
/// written must not be used: each attempt creates new keys.
fn settle(
    kept: Result<bool, Error>,
    [live, desired]: [&Entries; 2],
    contested: &mut Option<Error>,
) -> Result<bool, Error> {
    if desired.iter().all(|(key, value)| live.get(key) == Some(value)) {
        return Error::set_aside(kept, contested);
    }
    kept
}

/// The certificate in use.
pub(crate) fn observe(sources: &Sources<'_>, cluster: &Cluster) -> Result<Certificate, Error> {
    if cluster.is_plain() {
        return Ok(Certificate::default());
    }
    let secret = sources.child_api.get::<Secret>(&cluster.tls_secret());
    let text = secret.and_then(|secret| Some(secret.data.as_ref()?.get("tls.crt")?.0.clone()));
    let issued = text.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    match certificates::validity(&issued) {
        Some(validity) => Ok(Certificate { ends: Some(validity.to), issued, ..Certificate::default() }),
        None => Err(Error::Waiting("no certificate has been issued".to_owned())),
    }
}

async fn entries(sources: &Sources<'_>, name: &str) -> Result<Entries, Error> {
    let secret = sources.child_api.read::<Secret>(name).await?;
    let entries = secret.iter().flat_map(|secret| secret.data.iter().flatten());
    let text = |(key, value): (&String, &k8s_openapi::ByteString)| {
        (key.clone(), String::from_utf8_lossy(&value.0).into_owned())
    };
    Ok(entries.map(text).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same_entries(&[("ca.crt", "a")], true)]
    #[case::another_entry(&[("ca.crt", "a"), ("next.crt", "n")], true)]
    #[case::other_entries(&[("ca.crt", "b")], false)]
    #[case::no_secret(&[], false)]
    fn a_contested_secret_can_be_used_if_it_contains_the_desired_entries(
        #[case] live: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let entries = |entries: &[(&str, &str)]| -> Entries {
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let (live, desired) = (entries(live), entries(&[("ca.crt", "a")]));
        let refused = Err(Error::Repeated("Secret main-ca".to_owned(), Duration::ZERO));
        let mut contested = None;
        assert_eq!(settle(refused, [&live, &desired], &mut contested).is_ok(), expected);
        assert_eq!(contested.is_some(), expected);
    }
}
