use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AuditDevice, Gateway, Ingress, PodTemplate, PostgresqlStorage, Seal, SealMigration, ServerAccount,
    ServerMetrics, ServerPlugin,
};
use crate::{DeletionPolicy, Duration, LocalReference};

/// A cluster that Steamer runs: a StatefulSet on PostgreSQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.seal.static) == has(oldSelf.seal.static), has(self.seal.transit) == has(oldSelf.seal.transit), has(self.seal.kmip) == has(oldSelf.seal.kmip), has(self.seal.awsKms) == has(oldSelf.seal.awsKms), has(self.seal.gcpKms) == has(oldSelf.seal.gcpKms), has(self.seal.azureKeyVault) == has(oldSelf.seal.azureKeyVault), has(self.seal.ociKms) == has(oldSelf.seal.ociKms), has(self.seal.pkcs11) == has(oldSelf.seal.pkcs11)].all(x, x) || (has(self.sealMigration) && [has(self.sealMigration.from.static) == has(oldSelf.seal.static), has(self.sealMigration.from.transit) == has(oldSelf.seal.transit), has(self.sealMigration.from.kmip) == has(oldSelf.seal.kmip), has(self.sealMigration.from.awsKms) == has(oldSelf.seal.awsKms), has(self.sealMigration.from.gcpKms) == has(oldSelf.seal.gcpKms), has(self.sealMigration.from.azureKeyVault) == has(oldSelf.seal.azureKeyVault), has(self.sealMigration.from.ociKms) == has(oldSelf.seal.ociKms), has(self.sealMigration.from.pkcs11) == has(oldSelf.seal.pkcs11)].all(x, x)) || (has(oldSelf.sealMigration) && [has(oldSelf.sealMigration.from.static) == has(self.seal.static), has(oldSelf.sealMigration.from.transit) == has(self.seal.transit), has(oldSelf.sealMigration.from.kmip) == has(self.seal.kmip), has(oldSelf.sealMigration.from.awsKms) == has(self.seal.awsKms), has(oldSelf.sealMigration.from.gcpKms) == has(self.seal.gcpKms), has(oldSelf.sealMigration.from.azureKeyVault) == has(self.seal.azureKeyVault), has(oldSelf.sealMigration.from.ociKms) == has(self.seal.ociKms), has(oldSelf.sealMigration.from.pkcs11) == has(self.seal.pkcs11)].all(x, x))", "the kind of the seal is not changed by accident: what it has sealed could not be opened any more. To change it, put the seal that it has into sealMigration.from"))]
#[x_kube(validation = ("!has(self.sealMigration) || ![has(self.sealMigration.from.static) == has(self.seal.static), has(self.sealMigration.from.transit) == has(self.seal.transit), has(self.sealMigration.from.kmip) == has(self.seal.kmip), has(self.sealMigration.from.awsKms) == has(self.seal.awsKms), has(self.sealMigration.from.gcpKms) == has(self.seal.gcpKms), has(self.sealMigration.from.azureKeyVault) == has(self.seal.azureKeyVault), has(self.sealMigration.from.ociKms) == has(self.seal.ociKms), has(self.sealMigration.from.pkcs11) == has(self.seal.pkcs11)].all(x, x)", "sealMigration.from is the seal before, of another kind than seal"))]
#[x_kube(validation = ("(has(self.tls) && has(self.tls.mode) && self.tls.mode == 'Disabled') == (has(oldSelf.tls) && has(oldSelf.tls.mode) && oldSelf.tls.mode == 'Disabled')", "tls.mode is not changed to Disabled or from it: nodes that talk TLS and nodes that do not cannot take turns. Make another cluster for it"))]
#[x_kube(validation = ("!has(self.plugins) || self.plugins.all(p, self.plugins.filter(q, q.type == p.type && q.name == p.name).size() == 1)", "a plugin of one type and name is there once"))]
pub struct ManagedServer {
    /// Version of OpenBao, such as `2.7.2`. It decides features and the order of an upgrade; a lower one than has led is
    /// refused.
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^[0-9]+[.][0-9]+[.][0-9]+$')", "version is three numbers, such as 2.7.2"))]
    pub version: String,
    /// The image. Default: `quay.io/openbao/openbao` of that version. It needs no shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// `Always`, `IfNotPresent` or `Never`. Default: `IfNotPresent`.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,
    /// How many nodes: 1, 3 or 5. Default: 3.
    #[serde(default = "three")]
    #[x_kube(validation = ("self in [1, 3, 5]", "replicas is 1, 3 or 5"))]
    pub replicas: i32,
    /// Where its data is.
    pub storage: Storage,
    /// What opens it at its start.
    pub seal: Seal,
    /// Consent to change the kind of the seal: both KMS have to be reachable until it is done, and the recovery keys are
    /// needed. Take it away when `status.seal.type` is the new kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_migration: Option<SealMigration>,
    /// Certificates of the nodes.
    #[serde(default)]
    pub tls: ServerTls,
    /// Where every request and response is logged. A device is added and removed by a rollout; the last one goes only
    /// with `allowNoAudit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub audit: Vec<AuditDevice>,
    /// Consent to take the last audit device away.
    #[serde(default)]
    pub allow_no_audit: bool,
    /// Bounds of requests.
    #[serde(default)]
    pub listener: Listener,
    /// How a dead leader is replaced.
    #[serde(default)]
    pub failover: Failover,
    /// How changes are rolled out.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// What opens the way back in when every administrator is locked out.
    #[serde(default)]
    pub recovery_keys: RecoveryKeys,
    /// The ServiceAccount of the pods.
    #[serde(default)]
    pub service_account: ServerAccount,
    /// Secrets to pull the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalReference>,
    /// What is added to the pods.
    #[serde(default)]
    pub pod_template: PodTemplate,
    /// Who may talk to the pods.
    #[serde(default)]
    pub network_policy: Toggle,
    /// Whether evictions leave enough nodes.
    #[serde(default)]
    pub pod_disruption_budget: Toggle,
    /// Plugins of secrets engines, auth methods and databases that OpenBao knows beside its own. A change is a rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub plugins: Vec<ServerPlugin>,
    /// Who reads the metrics.
    #[serde(default)]
    pub metrics: ServerMetrics,
    /// An Ingress, for clients outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// An HTTPRoute of a Gateway, for clients outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// What stays when this object is deleted. `Retain`: the database, the seal's key and the recovery keys. `Delete`:
    /// nothing, once the annotation `steamer.dev/delete-data` carries the cluster's name. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn three() -> i32 {
    3
}

/// When the image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// Where it is missing.
    #[default]
    IfNotPresent,
    /// Not at all.
    Never,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// A PostgreSQL database of its own.
    pub postgresql: PostgresqlStorage,
}

/// Certificates of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretRef) == (has(self.mode) && self.mode == 'Secret')", "tls.mode Secret needs secretRef, and only it"))]
pub struct ServerTls {
    /// `Managed`: Steamer has a CA of its own and renews. `Secret`: a Secret with `tls.crt`, `tls.key` and `ca.crt`, as
    /// cert-manager writes it. `Disabled`: plain HTTP, for a service mesh that encrypts; values then cross the network as the
    /// mesh sends them. Default: `Managed`.
    #[serde(default)]
    pub mode: ServerTlsMode,
    /// The Secret of `mode: Secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Names and addresses that certificates carry besides those of the Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub extra_names: Vec<String>,
}

/// Where certificates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerTlsMode {
    /// From a CA of Steamer's.
    #[default]
    Managed,
    /// From a Secret.
    Secret,
    /// None: plain HTTP.
    Disabled,
}

/// Bounds of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Bytes of a request. Default: OpenBao's, 32 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024))]
    pub max_request_size: Option<i64>,
    /// How long a request may take. Default: OpenBao's, 90s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request_duration: Option<Duration>,
    /// Addresses or networks of proxies whose `X-Forwarded-For` is believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub x_forwarded_for_authorized_addresses: Vec<String>,
}

/// How a dead leader is replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// `Database` fences a lost leader at PostgreSQL and needs `storage.postgresql.adminSecretRef`. `ProcessEnd` frees the
    /// lock once Kubernetes has proven that the process ended. `None` waits for OpenBao. Default: `Database` with
    /// `adminSecretRef`, `ProcessEnd` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<Fencing>,
    /// How long a leader that does not answer may leave its lock unrenewed. Default: 6s; not below: it renews every 5s.
    #[serde(default = "six_seconds")]
    pub detection: Duration,
}

fn six_seconds() -> Duration {
    Duration::from_secs(6)
}

impl Default for Failover {
    fn default() -> Self {
        Self { fencing: None, detection: six_seconds() }
    }
}

/// By what a lost leader is kept from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fencing {
    /// Its login at PostgreSQL is taken away.
    Database,
    /// Its process has ended, as Kubernetes says.
    ProcessEnd,
    /// Nothing: OpenBao's own lock runs out.
    None,
}

/// How changes are rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// `true` replaces no pod for a change.
    #[serde(default)]
    pub paused: bool,
    /// How long a replaced node may take until it is unsealed and follows; then the rollout stops. Default: 2m.
    #[serde(default = "two_minutes")]
    pub node_timeout: Duration,
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

impl Default for Upgrade {
    fn default() -> Self {
        Self { paused: false, node_timeout: two_minutes() }
    }
}

/// Recovery keys: made once, right after initialisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.threshold <= self.shares", "recoveryKeys.threshold is at most shares"))]
#[x_kube(validation = ("self.shares == 1 || self.threshold > 1", "recoveryKeys.threshold is 2 or more where there are several shares"))]
#[x_kube(validation = ("!has(self.pgpKeys) || self.pgpKeys.size() == self.shares", "recoveryKeys.pgpKeys has one key a share"))]
pub struct RecoveryKeys {
    /// How many shares. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub shares: i32,
    /// How many of them are needed. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub threshold: i32,
    /// The Secret they are written to. Default: `<name>-recovery`. It is never overwritten and outlives the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
    /// PGP public keys in Base64, one a share: the Secret then holds what only their owners can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 16384)))]
    pub pgp_keys: Vec<String>,
}

fn one() -> i32 {
    1
}

impl Default for RecoveryKeys {
    fn default() -> Self {
        Self { shares: 1, threshold: 1, secret_name: None, pgp_keys: Vec::new() }
    }
}

/// Something that is there unless it is turned off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toggle {
    /// Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl Default for Toggle {
    fn default() -> Self {
        Self { enabled: true }
    }
}
