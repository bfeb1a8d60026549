//! The relays of a cluster: their URLs, and the settings of the connections to them.

use steamer_api::{ExternalRelays, ExternalServer, OpenBaoCluster};
use steamer_core::access::servers::encrypted;
use steamer_core::context::Context;
use steamer_core::digest::digest;
use steamer_core::error::Error;
use steamer_openbao::Settings;
use steamer_runtime::{Dependencies, ObjectName};

use crate::cluster::Cluster;
use crate::objects::relay;

/// The relays of a cluster.
#[derive(Clone)]
pub(crate) struct RelayTarget {
    pub(crate) cluster: ObjectName,
    /// Name and URL of each relay.
    pub(crate) relays: Vec<(String, String)>,
    /// Settings of the connections.
    pub(crate) settings: Settings,
}

impl RelayTarget {
    /// Digest of everything that a connection depends on.
    pub(crate) fn digest(&self) -> String {
        let Settings { ca, headers, .. } = &self.settings;
        digest(format!("{:?} {headers:?} {}", self.relays, String::from_utf8_lossy(ca)).as_bytes())
    }
}

/// The relays of a managed cluster, if it has some.
pub(crate) fn managed(context: &Context, cluster: &Cluster, ca: Option<&[u8]>) -> Option<RelayTarget> {
    cluster.relay.as_ref()?;
    let ca = if cluster.is_plain() { Vec::new() } else { ca?.to_vec() };
    let relays = (0..cluster.spec.replicas).map(|ordinal| {
        let pod = cluster.pod(ordinal);
        let url = relay::url(cluster, &pod);
        (pod, url)
    });
    let settings = Settings {
        ca,
        resolver: Some(context.node_resolver()),
        ..presenting(&relay::token(context, cluster))
    };
    Some(RelayTarget { cluster: cluster.name.clone(), relays: relays.collect(), settings })
}

/// The relays of an existing server, if the spec states some.
///
/// # Errors
/// [`Error::NotFound`] for a missing Secret, and [`Error::Invalid`] for its content or an address without TLS.
pub(crate) async fn external(
    context: &Context,
    dependencies: &Dependencies,
    (object, server): (&OpenBaoCluster, &ExternalServer),
) -> Result<Option<RelayTarget>, Error> {
    let Some(ExternalRelays { relays, token_secret_ref }) = &server.instant_delivery else { return Ok(None) };
    encrypted(relays, server.allow_plaintext.into())?;
    let cluster = ObjectName::of(object);
    let secret = ObjectName::new(&cluster.namespace, &token_secret_ref.name);
    let token = context.secrets.value(dependencies, &secret, "token").await?;
    let mut settings = presenting(String::from_utf8_lossy(&token).trim());
    if let Some(reference) = &server.ca_secret_ref {
        let secret = ObjectName::new(&cluster.namespace, &reference.name);
        settings.ca = context.secrets.certificates(dependencies, &secret, &reference.key).await?;
    }
    let relays = relays.iter().map(|url| (url.clone(), url.trim_end_matches('/').to_owned())).collect();
    Ok(Some(RelayTarget { cluster, relays, settings }))
}

/// Settings with the token of the relays.
fn presenting(token: &str) -> Settings {
    let authorization = ("Authorization".to_owned(), format!("Bearer {token}"));
    Settings { headers: [authorization].into(), plain: true, ..Settings::default() }
}
