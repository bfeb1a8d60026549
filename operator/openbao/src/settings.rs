//! Connection settings of a server.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::outgoing::Outgoing;
use crate::resolver::Resolver;

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
    /// Timeout of a single request, at most one minute. Default: 30 s.
    pub timeout: Option<Duration>,
    /// Time during which a request is retried while no node can serve it. Default: 20 s, the duration of a failover.
    pub patience: Option<Duration>,
    /// Resolver that is queried before DNS. Its addresses disappear with their pods, so silent connections are closed
    /// within seconds. Default: none.
    pub resolver: Option<Resolver>,
    /// `true` uses HTTP/1.1 only: the connection of an aborted request is not reused. Default: `false`.
    pub plain: bool,
    /// Rules of this process for outgoing connections.
    pub outgoing: Outgoing,
    /// `true`: the address is that of one node, which answers reads itself. `false`: reads are forwarded to the leader.
    /// Default: `false`.
    pub node: bool,
}

/// Setting that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    /// An address is not an HTTP URL.
    #[error("an address is not a URL such as https://openbao.openbao.svc:8200")]
    Address,
    /// The CA bundle contains no certificate.
    #[error("the CA bundle contains no PEM certificate")]
    NoCertificate,
    /// The client certificate or its key is missing or not PEM.
    #[error("the client certificate needs a PEM certificate and a PEM private key")]
    ClientCertificate,
    /// A name or value of a header is not valid.
    #[error("header {0} of the connection has an invalid name or value")]
    Header(usize),
    /// The TLS library rejects a certificate or key.
    #[error(
        "a CA certificate, the client certificate or its key is not usable: it needs X.509 version 3 and a matching key"
    )]
    Unusable,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
