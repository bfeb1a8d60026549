//! Listener of the readers, with TLS. Handshakes run beside each other and are bounded in number and time.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::connection::{Authorized, Connection};
use crate::place::{CONNECTIONS, Place, Places};

/// Longest duration of a connection without an authorized request, with its handshake.
const UNAUTHORIZED: Duration = Duration::from_secs(5);
/// How often the files of the certificate are read again: Steamer renews it.
const RELOAD: Duration = Duration::from_secs(60);
/// Pause after a connection that cannot be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepted connections.
pub(crate) struct Secured {
    accepted: mpsc::Receiver<(Connection, SocketAddr)>,
    address: SocketAddr,
}

impl Secured {
    /// Starts to accept connections.
    ///
    /// # Errors
    /// If the certificate cannot be read.
    pub(crate) fn start(listener: TcpListener, tls_folder: Option<PathBuf>) -> Result<Self> {
        let address = listener.local_addr()?;
        let certificate = tls_folder.map(Certificate::load).transpose()?;
        let (sender, accepted) = mpsc::channel(CONNECTIONS);
        tokio::spawn(accept(listener, certificate, sender));
        Ok(Self { accepted, address })
    }
}

impl axum::serve::Listener for Secured {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Secured>> for Authorized {
    fn connect_info(stream: IncomingStream<'_, Secured>) -> Self {
        stream.io().authorized.clone()
    }
}

type Accepted = mpsc::Sender<(Connection, SocketAddr)>;

async fn accept(listener: TcpListener, mut certificate: Option<Certificate>, accepted: Accepted) {
    let places = Places::new();
    while let Some(place) = places.free().await {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // A peer with too many connections: the stream is closed.
        let Some(place) = place.occupy(peer.ip()) else { continue };
        let _ = stream.set_nodelay(true);
        let acceptor = certificate.as_mut().map(Certificate::acceptor);
        let accepted = accepted.clone();
        tokio::spawn(async move {
            let end = tokio::time::Instant::now() + UNAUTHORIZED;
            let shaken = tokio::time::timeout_at(end, shake(stream, acceptor, (place, end)));
            if let Ok(Ok(connection)) = shaken.await {
                let _ = accepted.send((connection, peer)).await;
            }
        });
    }
}

async fn shake(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    (place, end): (Place, tokio::time::Instant),
) -> Result<Connection> {
    match acceptor {
        None => Ok(Connection::new(stream, place, end)),
        Some(acceptor) => Ok(Connection::new(acceptor.accept(stream).await?, place, end)),
    }
}

/// The certificate of the node.
struct Certificate {
    folder: PathBuf,
    acceptor: TlsAcceptor,
    loaded: Instant,
}

impl Certificate {
    fn load(folder: PathBuf) -> Result<Self> {
        let acceptor = acceptor(&folder)?;
        Ok(Self { folder, acceptor, loaded: Instant::now() })
    }

    /// The current certificate. Files that cannot be read are ignored.
    fn acceptor(&mut self) -> TlsAcceptor {
        if self.loaded.elapsed() >= RELOAD {
            self.loaded = Instant::now();
            match acceptor(&self.folder) {
                Ok(acceptor) => self.acceptor = acceptor,
                Err(error) => {
                    tracing::warn!(%error, "cannot read the certificate; the last one stays in use")
                }
            }
        }
        self.acceptor.clone()
    }
}

fn acceptor(folder: &Path) -> Result<TlsAcceptor> {
    let invalid = |error: String| {
        let folder = folder.display();
        Error::new(ErrorKind::InvalidData, format!("cannot use tls.crt and tls.key in {folder}: {error}"))
    };
    let chain =
        CertificateDer::pem_file_iter(folder.join("tls.crt")).map_err(|error| invalid(error.to_string()))?;
    let chain =
        chain.collect::<std::result::Result<Vec<_>, _>>().map_err(|error| invalid(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(folder.join("tls.key")).map_err(|error| invalid(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
