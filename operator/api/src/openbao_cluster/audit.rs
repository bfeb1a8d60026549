use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalReference;

/// Where requests and responses are logged. A request that no device could log fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.file), has(self.http), has(self.socket)].filter(x, x).size() == 1", "an audit device is exactly one of file, http and socket"))]
pub struct AuditDevice {
    /// Its name. The path in OpenBao carries a digest of its settings: a device is never edited in place.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')", "the name of an audit device is lower-case letters, digits and dashes"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What it is for; OpenBao keeps it with the device.
    #[schemars(length(min = 1, max = 255))]
    pub description: String,
    /// Whether Steamer tries to reach the receiver before any node gets the device. Turn it off where the nodes reach it and
    /// Steamer does not. Default: `true`.
    #[serde(default = "yes")]
    pub probe: bool,
    /// A file, or the pod's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileAudit>,
    /// An HTTP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAudit>,
    /// A TCP or UDP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketAudit>,
}

impl AuditDevice {
    /// Where its headers are.
    #[must_use]
    pub fn headers(&self) -> Option<&LocalReference> {
        self.http.as_ref()?.headers_secret_ref.as_ref()
    }
}

fn yes() -> bool {
    true
}

/// A file, or the pod's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileAudit {
    /// `stdout`: the pod's log. The root file system of the pods is read-only.
    #[x_kube(validation = ("self in ['stdout', 'discard']", "file.path is stdout or discard: the pods have no disk to keep a log on"))]
    #[schemars(length(max = 32))]
    pub path: String,
}

/// An HTTP receiver: every request waits for it twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpAudit {
    /// Its URL.
    #[x_kube(validation = ("self.matches('^https?://.+')", "http.uri is a URL"))]
    #[schemars(length(max = 512))]
    pub uri: String,
    /// Secret whose keys are headers that it is sent, such as `Authorization`. Another value is another device, by a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<LocalReference>,
}

/// A TCP or UDP receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SocketAudit {
    /// Host and port.
    #[x_kube(validation = ("self.matches('^[^/]+:[0-9]+$')", "socket.address is host and port"))]
    #[schemars(length(max = 512))]
    pub address: String,
    /// `tcp` or `udp`. Default: `tcp`.
    #[serde(default)]
    pub protocol: SocketProtocol,
}

/// How a receiver is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SocketProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}
