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
    /// Logs to the output of the pod, or to a volume of each pod.
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

    /// Returns the volume of each pod that it logs to, if any.
    #[must_use]
    pub fn volume(&self) -> Option<&AuditVolume> {
        self.file.as_ref()?.volume.as_ref()
    }
}

/// Audit device that logs to the output of the pod, or to a volume of each pod. Exactly one of `path` and `volume` is
/// required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.path) != has(self.volume)", "file requires exactly one of path and volume"))]
#[x_kube(validation = ("!has(self.rotate) || has(self.volume)", "file.rotate requires file.volume: the kubelet rotates the logs of the pods"))]
#[x_kube(validation = ("!has(self.volume) || quantity(has(self.rotate) && has(self.rotate.maxSize) ? self.rotate.maxSize : '100Mi').asInteger() * ((has(self.rotate) && has(self.rotate.maxFiles) ? self.rotate.maxFiles : 8) + 1) <= quantity(self.volume.size).asInteger()", "file.volume.size must be at least rotate.maxSize (100Mi) times rotate.maxFiles (8) plus one: a full volume stops OpenBao"))]
pub struct FileAudit {
    /// `stdout` writes to the pod's log; `discard` writes nothing. The root file system of the pods is read-only: for a
    /// file, set `volume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self in ['stdout', 'discard']", "file.path must be stdout or discard: for a file, set file.volume"))]
    #[schemars(length(max = 32))]
    pub path: Option<String>,
    /// Volume of each pod for the file `/openbao/audit/<name>/audit.log`. The claim `audit-<name>-<pod>` outlives the pod
    /// and the OpenBaoCluster. Each node writes the requests that it serves; standbys forward theirs to the leader. A
    /// container `audit` with the image of Steamer rotates the file. While the volume is full, each request fails unless
    /// another device records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<AuditVolume>,
    /// Rotation of the file. A change triggers a rollout. Default: 8 files of 100Mi beside the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<AuditRotation>,
}

impl FileAudit {
    /// Returns whether it writes nothing.
    #[must_use]
    pub fn discards(&self) -> bool {
        self.path.as_deref() == Some("discard")
    }
}

/// Volume of each pod for an audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditVolume {
    /// Size of each claim, such as `1Gi`. A change applies to new claims only: expand existing ones yourself, if their
    /// StorageClass permits it.
    #[x_kube(validation = ("self.matches('^[1-9][0-9]{0,5}(Mi|Gi|Ti)$')", "volume.size must be a number with Mi, Gi or Ti, such as 1Gi"))]
    #[schemars(length(max = 16))]
    pub size: String,
    /// StorageClass of the claims. It must provide volumes that pods on every Kubernetes node of the cluster can use.
    /// Default: the default StorageClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// Rotation of an audit log. No entry is lost: the file is renamed, and OpenBao opens a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRotation {
    /// Size at which the file is rotated, such as `100Mi`. It is checked every second. Default: `100Mi`.
    #[serde(default = "hundred_mebibytes")]
    #[x_kube(validation = ("self.matches('^[1-9][0-9]{0,5}(Ki|Mi|Gi)$')", "rotate.maxSize must be a number with Ki, Mi or Gi, such as 100Mi"))]
    #[schemars(length(max = 16))]
    pub max_size: String,
    /// Number of rotated files that are kept. The oldest ones are deleted. Default: 8.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_files: i32,
}

fn hundred_mebibytes() -> String {
    "100Mi".to_owned()
}

fn eight() -> i32 {
    8
}

impl Default for AuditRotation {
    fn default() -> Self {
        Self { max_size: hundred_mebibytes(), max_files: eight() }
    }
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
