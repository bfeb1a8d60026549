//! Client of the Kubernetes API server.

use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use crate::fail_point;

/// Returns a kube client with two additional settings. `TCP_NODELAY`: without it, the second half of a write waits
/// until the API server acknowledges the first half, which takes 40 ms. Read timeout: a connection that is silent for
/// longer than `silence` is closed, because a watch would never notice a half-open one. A configuration with a proxy
/// gets neither, and `asked` is not called.
///
/// `asked` is called for each request.
///
/// # Errors
/// If the certificates of the configuration are invalid.
pub fn client(
    config: Config,
    silence: Duration,
    asked: impl Fn() + Clone + Send + Sync + 'static,
) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    // Fails if a provider is already installed, which is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(Some(silence));
    connector.set_write_timeout(config.write_timeout);
    let service = ServiceBuilder::new()
        .map_request(move |request: http::Request<Body>| {
            asked();
            fail_point::before_request(request.method(), request.uri().path());
            request
        })
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(Http::builder(TokioExecutor::new()).build(connector));
    Ok(Client::new(service, config.default_namespace))
}
