//! Receivers of audit devices, which are checked before a node depends on them.

use std::time::Duration;

use steamer_api::{AuditDevice, SocketProtocol};
use tokio::net::TcpStream;

use crate::cluster::Cluster;

/// Receiver of an audit device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) device: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) protocol: SocketProtocol,
    /// Whether the operator checks it. UDP cannot be checked.
    pub(crate) probe: bool,
}

/// Receivers of a cluster. A device that logs to a file has none.
pub(crate) fn targets(cluster: &Cluster) -> Vec<Target> {
    cluster.spec.audit.iter().filter_map(target).collect()
}

fn target(device: &AuditDevice) -> Option<Target> {
    let AuditDevice { name, description: _, probe, file: _, http, socket } = device;
    let (host, port, protocol) = match (http, socket) {
        (Some(http), _) => {
            let url = reqwest::Url::parse(&http.uri).ok()?;
            (url.host_str()?.to_owned(), url.port_or_known_default()?, SocketProtocol::Tcp)
        }
        (None, Some(socket)) => {
            let (host, port) = socket.address.rsplit_once(':')?;
            (host.to_owned(), port.parse().ok()?, socket.protocol)
        }
        (None, None) => return None,
    };
    let probe = *probe && protocol == SocketProtocol::Tcp;
    Some(Target {
        device: name.clone(),
        probe,
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        protocol,
    })
}

/// Message about the first receiver that is unreachable, if any.
pub(crate) async fn obstacle(cluster: &Cluster) -> Option<String> {
    for Target { device, host, port, .. } in targets(cluster).into_iter().filter(|target| target.probe) {
        let connected = TcpStream::connect((host.as_str(), port));
        let why = match tokio::time::timeout(Duration::from_secs(5), connected).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        return Some(format!(
            "a change waits for audit device `{device}`: {host}:{port} is unreachable: {why}"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn host_and_port_follow_from_url_or_address() {
        let of = |device| {
            target(&serde_json::from_value(device).unwrap()).map(|target| (target.host, target.port))
        };
        let device = |kind: &str, value| json!({"name": "a", "description": "d", kind: value});
        assert_eq!(
            of(device("http", json!({"uri": "https://log.example.com/x"}))),
            Some(("log.example.com".into(), 443))
        );
        assert_eq!(of(device("http", json!({"uri": "http://[::1]:81/"}))), Some(("::1".into(), 81)));
        assert_eq!(of(device("socket", json!({"address": "log:9000"}))), Some(("log".into(), 9000)));
        assert_eq!(of(device("file", json!({"path": "stdout"}))), None);
    }
}
