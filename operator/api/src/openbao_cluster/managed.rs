//! Spec of a managed cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seal_rules;
use super::{
    AuditDevice, Gateway, Ingress, InstantDelivery, Listener, PodNetworkPolicy, PodTemplate,
    PostgresqlStorage, RestoreDrill, Seal, SealMigration, ServerAccount, ServerMetrics, ServerPlugin,
    ServerTls, Topology, Upgrade,
};
use crate::common::yes;
use crate::{DeletionPolicy, Duration, LocalReference};

/// OpenBao cluster that Steamer runs: a StatefulSet with PostgreSQL as storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = seal_rules::type_changes_only_by_migration())]
#[x_kube(validation = seal_rules::migration_is_from_another_type())]
#[x_kube(validation = ("(has(self.tls) && has(self.tls.mode) && self.tls.mode == 'Disabled') == (has(oldSelf.tls) && has(oldSelf.tls.mode) && oldSelf.tls.mode == 'Disabled')", "tls.mode cannot be changed to or from Disabled: a rollout cannot mix nodes with and without TLS. Create another OpenBaoCluster instead"))]
#[x_kube(validation = ("!has(self.plugins) || self.plugins.all(p, self.plugins.filter(q, q.type == p.type && q.name == p.name).size() == 1)", "plugins must be unique by type and name"))]
#[x_kube(validation = ("!has(self.upgrade) || !has(self.upgrade.leader) || self.upgrade.leader != 'Supervised' || self.replicas > 1", "upgrade.leader Supervised requires 3 or 5 replicas: without a standby there is no other node to move the leader to"))]
#[x_kube(validation = ("!has(self.image) || !has(self.imageCatalogRef)", "set image or imageCatalogRef, not both"))]
#[x_kube(validation = ("!has(self.upgrade) || !has(self.upgrade.validation) || self.replicas > 1", "upgrade.validation requires 3 or 5 replicas: without a second node there is no canary"))]
pub struct ManagedServer {
    /// OpenBao version, such as `2.7.2`. It determines the available features and the upgrade path. A version lower
    /// than one that has been leader is rejected.
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^[0-9]+[.][0-9]+[.][0-9]+$')", "version must be three numbers, such as 2.7.2"))]
    pub version: String,
    /// Container image of OpenBao. It needs no shell. Default: `quay.io/openbao/openbao:<version>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// ConfigMap in the namespace of the cluster that contains an image for each version, such as
    /// `2.7.2: quay.io/openbao/openbao@sha256:...`. Each image must contain its digest. A changed image of the present version
    /// triggers a rollout. Several clusters can refer to the same ConfigMap. Not together with `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_catalog_ref: Option<LocalReference>,
    /// Audience of the tokens with which the operator, administrators and workloads log in. No other server may have it:
    /// another server that receives such a token could use it here. To change it, an administrator first binds the new
    /// audience in the roles. Data that was restored from another cluster keeps the audience of that cluster. Default:
    /// `openbao:<namespace>/<name>` of this OpenBaoCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub audience: Option<String>,
    /// Pull policy of the image: `Always`, `IfNotPresent` or `Never`. Default: `IfNotPresent`.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,
    /// Number of OpenBao nodes (pods): 1, 3 or 5. Default: 3.
    #[serde(default = "three")]
    #[x_kube(validation = ("self in [1, 3, 5]", "replicas must be 1, 3 or 5"))]
    pub replicas: i32,
    /// `true`: standbys of OpenBao 2.7 and later answer reads themselves, from caches that follow the leader with a delay
    /// (eventual consistency): a withdrawn secret stays readable at a standby until the change arrives. Steamer replaces
    /// a standby that does not follow. `false`: every node answers from the leader. A change triggers a rollout. Default:
    /// `false`.
    #[serde(default)]
    pub standby_reads: bool,
    /// `true`: the first start creates an auth mount `token_review` of type `kubernetes`, at which applications log in with
    /// the token of their ServiceAccount. It requires that the ServiceAccount of the pods is bound to
    /// `system:auth-delegator` (Helm value `tokenReview`). It has no effect on an initialized cluster. Default: `false`.
    #[serde(default)]
    pub token_review: bool,
    /// Storage of the data.
    pub storage: Storage,
    /// Seal that unseals the nodes when they start.
    pub seal: Seal,
    /// Consent to change the seal type. Both seals must be reachable until the migration is complete, and recovery keys
    /// are required. Remove it when `status.seal.type` is the new type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_migration: Option<SealMigration>,
    /// TLS certificates of the nodes.
    #[serde(default)]
    pub tls: ServerTls,
    /// Audit devices, each of which logs every request and response. Devices are added and removed in a rollout.
    /// Removing the last one requires `allowNoAudit: true`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub audit: Vec<AuditDevice>,
    /// `true` allows the last audit device to be removed. Default: `false`.
    #[serde(default)]
    pub allow_no_audit: bool,
    /// Sync of written values at once instead of at the next refresh. Default: disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant_delivery: Option<InstantDelivery>,
    /// Limits of requests.
    #[serde(default)]
    pub listener: Listener,
    /// Lowest level of the messages that the nodes log. `BAO_LOG_LEVEL` in `podTemplate.env` has precedence. A change
    /// triggers a rollout. Default: OpenBao's default, `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// Distribution of the pods over zones and Kubernetes nodes. A change triggers a rollout.
    #[serde(default)]
    pub topology: Topology,
    /// Failover of a lost leader.
    #[serde(default)]
    pub failover: Failover,
    /// Rollout of changes to the nodes.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// `true` stops all nodes. Data, keys and logins are kept, and `false` starts the nodes again. Default: `false`.
    #[serde(default)]
    pub hibernation: bool,
    /// Test of the backups, on a schedule or on request. Needs recovery keys without `pgpKeys`, and the image of Steamer in
    /// the pod. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_drill: Option<RestoreDrill>,
    /// Recovery keys, for regaining access when all administrators are locked out.
    #[serde(default)]
    pub recovery_keys: RecoveryKeys,
    /// ServiceAccount of the pods.
    #[serde(default)]
    pub service_account: ServerAccount,
    /// Image pull Secrets of the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalReference>,
    /// Additional settings of the pods.
    #[serde(default)]
    pub pod_template: PodTemplate,
    /// NetworkPolicy of the pods.
    #[serde(default)]
    pub network_policy: PodNetworkPolicy,
    /// PodDisruptionBudget that limits voluntary evictions of the pods.
    #[serde(default)]
    pub pod_disruption_budget: Toggle,
    /// Additional plugins for secrets engines, auth methods and databases. A change triggers a rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub plugins: Vec<ServerPlugin>,
    /// Monitoring of the nodes' metrics.
    #[serde(default)]
    pub metrics: ServerMetrics,
    /// Ingress for clients outside the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// HTTPRoute of a Gateway, for clients outside the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// Handling of the data when this object is deleted. `Retain`: keep the database tables, the static seal key and
    /// the recovery keys. `Delete`: delete them too, but only if the annotation `steamer.dev/delete-data` is set to the
    /// name of the cluster. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn three() -> i32 {
    3
}

/// Pull policy of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Pull the image at every start.
    Always,
    /// Pull the image if it is not on the Kubernetes node.
    #[default]
    IfNotPresent,
    /// Never pull the image.
    Never,
}

/// Level of log messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Every message.
    Trace,
    /// Details for diagnosis.
    Debug,
    /// Normal operation.
    Info,
    /// Warnings and errors.
    Warn,
    /// Errors only.
    Error,
}

/// Storage of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// PostgreSQL database for the exclusive use of this cluster.
    pub postgresql: PostgresqlStorage,
}

/// Failover of a lost leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// Method that keeps a lost leader from writing. `Database`: revoke its PostgreSQL login; requires
    /// `storage.postgresql.adminSecretRef`. `ProcessEnd`: release its lock once Kubernetes proves that its process
    /// ended. `None`: wait until OpenBao's own lock expires. Default: `Database` with `adminSecretRef`, otherwise
    /// `ProcessEnd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<Fencing>,
    /// Time since the last lock renewal after which an unresponsive leader is lost, 6s to 10m. At least 6s, because a
    /// leader renews its lock every 5s. Default: 6s.
    #[serde(default = "six_seconds")]
    #[x_kube(validation = ("duration(self) >= duration('6s') && duration(self) <= duration('10m')", "failover.detection must be 6s to 10m: a leader renews its lock every 5s, and no other node leads before the detection"))]
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

/// Method that keeps a lost leader from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fencing {
    /// Revoke its PostgreSQL login.
    Database,
    /// Wait until Kubernetes reports that its process ended.
    ProcessEnd,
    /// None: OpenBao's own lock expires.
    None,
}

/// Recovery keys. Generated once, right after initialization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.threshold <= self.shares", "recoveryKeys.threshold must not exceed recoveryKeys.shares"))]
#[x_kube(validation = ("self.shares == 1 || self.threshold > 1", "recoveryKeys.threshold must be 2 or more if recoveryKeys.shares is 2 or more"))]
#[x_kube(validation = ("!has(self.pgpKeys) || self.pgpKeys.size() == self.shares", "recoveryKeys.pgpKeys must contain one key per share"))]
pub struct RecoveryKeys {
    /// Number of key shares. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub shares: i32,
    /// Number of key shares that are required to use the recovery keys. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub threshold: i32,
    /// Name of the Secret that the shares are written to. It is never overwritten, and outlives the cluster unless
    /// `deletionPolicy` is `Delete`. Default: `<name>-recovery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
    /// PGP public keys in Base64, one per share. Each share in the Secret is then encrypted with its key.
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

/// An object that is created unless it is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toggle {
    /// `false` does not create the object. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Default for Toggle {
    fn default() -> Self {
        Self { enabled: true }
    }
}
