//! HTTP without TLS, for servers of this machine.

use reqwest::{Certificate, Client};

/// Client without proxies and certificates. By default a client parses all certificates of the system, which takes much longer than
/// a request.
///
/// # Errors
/// When the client cannot be built.
pub fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().tls_certs_only(Vec::<Certificate>::new()).build()
}
