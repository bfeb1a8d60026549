//! Audit devices of a managed cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalReference;
use crate::common::yes;

/// Audit device that logs requests and responses. A request that no device can log fails. Exactly one of `file`, `http`
/// and `socket` is required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.file), has(self.http), has(self.socket)].filter(x, x).size() == 1", "an audit device requires exactly one of file, http and socket"))]
pub struct AuditDevice {
    /// Name of the device. Its path in OpenBao also contains a digest of the settings: a changed device is added under
    /// a new path, never edited in place.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')", "the name of an audit device must consist of lowercase letters, digits and dashes"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Description of the device, stored in OpenBao.
    #[schemars(length(min = 1, max = 255))]
    pub description: String,
    /// `true` connects to the receiver before the device is added to any node (HTTP and TCP only). Set it to `false` if
    /// the nodes can reach the receiver and Steamer cannot. Default: `true`.
    #[serde(default = "yes")]
    pub probe: bool,
    /// Logs to the output of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileAudit>,
    /// Logs to an HTTP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAudit>,
    /// Logs to a TCP or UDP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketAudit>,
}

impl AuditDevice {
    /// Returns the Secret that holds the headers, if any.
    #[must_use]
    pub fn headers(&self) -> Option<&LocalReference> {
        self.http.as_ref()?.headers_secret_ref.as_ref()
    }
}

/// Audit device that logs to the output of the pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileAudit {
    /// `stdout` writes to the pod's log; `discard` writes nothing. The root file system of the pods is read-only.
    #[x_kube(validation = ("self in ['stdout', 'discard']", "file.path must be stdout or discard: the pods have no writable disk for a log"))]
    #[schemars(length(max = 32))]
    pub path: String,
}

/// Audit device that logs to an HTTP receiver. Every OpenBao request waits for two calls of the receiver: one for the
/// request, one for the response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpAudit {
    /// URL of the receiver.
    #[x_kube(validation = crate::rules::URL_WITH_QUERY)]
    #[schemars(length(max = 512))]
    pub uri: String,
    /// Secret with the HTTP headers of each call: its keys are header names, such as `Authorization`. A changed value
    /// replaces the device in a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<LocalReference>,
}

/// Audit device that logs to a TCP or UDP receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SocketAudit {
    /// Host and port of the receiver, such as `siem.example.com:6514`.
    #[x_kube(validation = ("self.matches('^[^/]+:[0-9]+$')", "socket.address must be a host and a port, such as siem.example.com:6514"))]
    #[schemars(length(max = 512))]
    pub address: String,
    /// `tcp` or `udp`. Default: `tcp`.
    #[serde(default)]
    pub protocol: SocketProtocol,
}

/// Transport protocol of a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SocketProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}
