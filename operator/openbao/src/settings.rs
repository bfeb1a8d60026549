//! Connection settings of a server, and how its names are resolved.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

/// Connection settings of a server.
#[derive(Clone, Default)]
pub struct Settings {
    /// URLs of the nodes, or of a load balancer in front of them. At least one.
    pub addresses: Vec<String>,
    /// CA certificates in PEM. Empty: the system's CA certificates.
    pub ca: Vec<u8>,
    /// Client certificate and its key in PEM. Default: none.
    pub client_certificate: Option<SecretString>,
    /// Name that the server's certificate must contain. Default: the host of the address.
    pub server_name: Option<String>,
    /// `true` accepts any certificate. Default: `false`.
    pub insecure: bool,
    /// Headers to send with every request.
    pub headers: BTreeMap<String, String>,
    /// Timeout of a single request. Default: 30 s.
    pub timeout: Option<Duration>,
    /// Time during which a request is retried while no node can serve it. Default: 20 s, the duration of a failover.
    pub patience: Option<Duration>,
    /// Resolver that is queried before DNS. Its addresses disappear with their pods, so silent connections are closed
    /// within seconds. Default: none.
    pub resolver: Option<Resolver>,
    /// `true` uses HTTP/1.1 only: the connection of an aborted request is not reused. Default: `false`.
    pub plain: bool,
    /// `true`: the address is that of one node, which answers reads itself. `false`: reads are forwarded to the leader.
    /// Default: `false`.
    pub node: bool,
}

/// Resolves some names to addresses.
#[derive(Clone)]
pub struct Resolver(Arc<Known>);

type Known = dyn Fn(&str) -> Option<IpAddr> + Send + Sync;

impl Resolver {
    /// Returns a resolver that calls `known`. Names for which it returns `None` are resolved by DNS.
    #[must_use]
    pub fn new(known: impl Fn(&str) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(known))
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let known = (self.0)(name.as_str());
        Box::pin(async move {
            let addresses: reqwest::dns::Addrs = match known {
                Some(address) => Box::new(std::iter::once(SocketAddr::new(address, 0))),
                None => Box::new(
                    tokio::net::lookup_host((name.as_str(), 0)).await?.collect::<Vec<_>>().into_iter(),
                ),
            };
            Ok(addresses)
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
