//! Relay beside an OpenBao node: receives the audit entries of the node at a loopback address, and tells readers with a token
//! which paths of KV engines were written.
//!
//! [`drill`] opens a restored copy of the storage, and [`rotation`] rotates the audit logs of a node.
//!
//! OpenBao waits for its audit devices, so the relay answers at once, whatever its readers do. It keeps a bounded number of
//! writes in memory, and no value and no digest of one.

mod connection;
pub mod drill;
mod listener;
mod place;
mod queue;
mod reader;
mod receiver;
pub mod rotation;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use connection::Authorized;
use listener::Secured;
use state::Relay;

/// Settings of a relay.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Loopback address that receives the audit entries.
    pub audit_address: SocketAddr,
    /// Address that readers connect to.
    pub address: SocketAddr,
    /// File with the token of the readers. It is read at each request.
    pub token_file: PathBuf,
    /// Folder with the certificate of the node, `tls.crt` and `tls.key`. `None`: readers connect without TLS.
    pub tls_folder: Option<PathBuf>,
}

/// Runs a relay until shutdown.
///
/// # Errors
/// If the audit address is not a loopback address, if an address is in use, or if the certificate cannot be read.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> std::io::Result<()> {
    let Settings { audit_address, address, token_file, tls_folder } = settings;
    if !audit_address.ip().is_loopback() {
        let problem = format!("{audit_address} is not a loopback address: other pods could report writes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem));
    }
    let relay = Relay::new(epoch(), token_file);
    let entries = TcpListener::bind(audit_address).await?;
    let secured = Secured::start(listen(address).await?, tls_folder)?;
    tracing::info!(%audit_address, %address, "relay started");
    let entries = axum::serve(entries, receiver::router(relay.clone()));
    let readers = reader::router(relay).into_make_service_with_connect_info::<Authorized>();
    let readers = axum::serve(secured, readers);
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = async { entries.await } => ended,
        ended = async { readers.await } => ended,
    }
}

/// Listens on an address. `[::]` is also every IPv4 address, and only these on a machine without IPv6.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        listening => listening,
    }
}

/// ID of this process.
fn epoch() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_nanos())
}
