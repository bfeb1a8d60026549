//! A managed cluster with a valid spec.

use std::fmt;
use std::str::FromStr;

use kube::ResourceExt;
use steamer_api::{Administrator, Fencing, ManagedServer, OpenBaoCluster, ServerTlsMode};
use steamer_core::access::managed;
use steamer_core::error::Error;
use steamer_runtime::{ObjectName, fail_point};

use crate::database::login::Login;
use crate::operator_policy::PolicyScope;

/// Label of every object of a cluster: the name of the cluster.
pub(crate) use steamer_core::ownership::secret::CLUSTER_LABEL;
/// Label of a pod: `true` if its node is the leader.
pub(crate) const ACTIVE: &str = "openbao-active";
/// Value of that label which neither the Service of the leader nor that of the standbys selects: the standby does not follow the
/// leader.
pub(crate) const WITHDRAWN: &str = "repair";
/// The same for a standby that has not discovered the leader.
pub(crate) const LEADER_UNKNOWN: &str = "leader-unknown";
/// Annotation of a pod: digest of its template.
pub(crate) const REVISION: &str = "steamer.dev/revision";
/// Annotation of an OpenBaoCluster: a new value replaces the pods one after the other.
pub(crate) const RESTART: &str = "steamer.dev/restart";
/// Annotation of an OpenBaoCluster: a new value makes the leader step down.
pub(crate) const STEP_DOWN: &str = "steamer.dev/step-down";
/// Annotation of an OpenBaoCluster: the pod whose node is fenced until the annotation is removed.
pub(crate) const FENCE: &str = "steamer.dev/fence";
/// Annotation of an OpenBaoCluster: a new value opens `generate-root` for 15 minutes.
pub(crate) const BREAK_GLASS: &str = "steamer.dev/break-glass";
/// Annotation of an OpenBaoCluster: a new value starts a restore drill.
pub(crate) const RESTORE_DRILL: &str = "steamer.dev/restore-drill";
/// Annotation of an OpenBaoCluster: consent to take over a restored database, or a database of another OpenBao.
pub(crate) const RESTORE: &str = "steamer.dev/restore";
/// Annotation of an OpenBaoCluster: the database is being restored, and no node runs until it is removed.
pub(crate) const RESTORING: &str = "steamer.dev/restoring";
/// Lowest supported version.
const LOWEST: Version = Version(2, 6, 2);

/// Version of OpenBao.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.trim_start_matches('v').splitn(3, '.').map(str::parse);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Ok(Self(major, minor, patch)),
            _ => Err(Error::Invalid(format!("version `{text}` is not three numbers such as 2.7.2"))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// Returns true if a node reloads its certificate without a restart (`tls_auto_reload`).
    pub(crate) fn reloads_certificates(self) -> bool {
        self >= Self(2, 7, 0)
    }

    /// Returns true if a plugin with an image needs no file name.
    pub(crate) fn knows_plugin_files(self) -> bool {
        self >= Self(2, 7, 0)
    }

    /// Returns true if cloud seals are available only as plugins.
    pub(crate) fn needs_seal_plugins(self) -> bool {
        self >= Self(2, 7, 0)
    }
}

/// Version of a spec, if OpenBao supports the change from the highest version that has led.
pub(crate) fn version(spec: &ManagedServer, highest: Option<&str>) -> Result<Version, Error> {
    let wanted: Version = spec.version.parse()?;
    if wanted < LOWEST {
        return Err(Error::Invalid(format!(
            "version {wanted} is not supported: {LOWEST} is the lowest. 2.5.0 breaks automatic unsealing, and nodes of 2.5 and \
             2.6 cannot forward requests to each other: stop all nodes of such a cluster, then let this one take over its \
             database"
        )));
    }
    let led: Option<Version> = highest.and_then(|text| text.parse().ok());
    if let Some(led) = led.filter(|led| wanted < *led) {
        return Err(Error::Invalid(format!(
            "version {led} has led this cluster and {wanted} is lower: OpenBao cannot go back; set version to {led} or \
             higher, or restore a backup of {wanted} into another database"
        )));
    }
    if let Some(led) = led.filter(|led| wanted.0 != led.0) {
        return Err(Error::Invalid(format!("an upgrade from {led} to {wanted} is not supported")));
    }
    Ok(wanted)
}

/// Extent to which a cluster is reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Completely.
    Active,
    /// Only observed: `suspend` is set.
    Suspended,
    /// No node runs while the database is being restored.
    Restoring,
    /// No node runs until `hibernation` is `false`.
    Hibernating,
}

impl Mode {
    /// Returns true if no node may run.
    pub(crate) fn stops_nodes(self) -> bool {
        matches!(self, Self::Restoring | Self::Hibernating)
    }
}

/// A managed cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) name: ObjectName,
    pub(crate) uid: String,
    /// Generation of the spec.
    pub(crate) generation: Option<i64>,
    pub(crate) spec: ManagedServer,
    pub(crate) administrators: Vec<Administrator>,
    /// Scope of the operator's policy.
    pub(crate) scope: PolicyScope,
    pub(crate) version: Version,
    /// Login that owns the tables.
    pub(crate) owner: Login,
    /// Login that creates the roles of the nodes.
    pub(crate) admin: Option<Login>,
    pub(crate) fencing: Fencing,
    /// Value of the restart annotation.
    pub(crate) restart: Option<String>,
    /// Value of the step-down annotation.
    pub(crate) step_down: Option<String>,
    /// Value of the fence annotation.
    pub(crate) fence: Option<String>,
    pub(crate) mode: Mode,
    /// ID of the OpenBao that the cluster ran last, if it is known.
    pub(crate) openbao_id: Option<String>,
    /// The restore annotation is set: the database may contain the data of another cluster.
    pub(crate) takes_over: bool,
    /// Image of the version in the image catalog.
    pub(crate) catalog_image: Option<String>,
    /// Relay in each pod, for instant delivery.
    pub(crate) relay: Option<Helper>,
    /// Rotation of audit logs in each pod.
    pub(crate) rotator: Option<Helper>,
}

/// Container in each pod that runs Steamer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Helper {
    pub(crate) image: String,
    /// The image is in the spec. Otherwise it is that of the operator.
    pub(crate) is_chosen: bool,
}

impl Cluster {
    pub(crate) fn name(&self) -> &str {
        &self.name.name
    }

    pub(crate) fn image(&self) -> String {
        let image = self.spec.image.as_ref().or(self.catalog_image.as_ref()).cloned();
        image.unwrap_or_else(|| format!("quay.io/openbao/openbao:{}", self.spec.version))
    }

    /// Name of an object of the cluster.
    pub(crate) fn child(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.name())
    }

    /// Name of the pod of a node.
    pub(crate) fn pod(&self, ordinal: i32) -> String {
        managed::pod(&self.name, ordinal)
    }

    /// Stable DNS name of a pod.
    pub(crate) fn host(&self, pod: &str) -> String {
        managed::host(&self.name, pod)
    }

    /// Returns true if nodes use HTTP without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.spec.tls.mode == ServerTlsMode::Disabled
    }

    /// URL of the node in a pod.
    pub(crate) fn url(&self, pod: &str) -> String {
        managed::url(&self.name, pod, self.spec.tls.mode)
    }

    /// Name of the Secret with the recovery keys.
    pub(crate) fn recovery_secret(&self) -> String {
        self.spec.recovery_keys.secret_name.clone().unwrap_or_else(|| self.child("-recovery"))
    }

    /// Name of the Secret with the certificate of the nodes.
    pub(crate) fn tls_secret(&self) -> String {
        let given = self.spec.tls.secret_ref.as_ref().map(|reference| reference.name.clone());
        given.unwrap_or_else(|| self.child("-tls"))
    }

    /// Name of the ConfigMap with the self-initialization.
    pub(crate) fn initialization_config_map(&self) -> String {
        self.child("-init")
    }

    /// Name of the ConfigMap with the CA certificates that clients trust.
    pub(crate) fn ca_config_map(&self) -> String {
        managed::ca_config_map(&self.name).name
    }

    /// Name of the Secret with the PostgreSQL logins of the nodes.
    pub(crate) fn logins_secret(&self) -> String {
        self.child("-postgresql")
    }

    /// Marks a write to OpenBao, for the tests that end the operator before each write.
    pub(crate) fn before_write(&self) {
        fail_point::before_write(&format!("openbao/{}", self.name));
    }

    /// Connections that the nodes may open, and the sessions of Steamer.
    pub(crate) fn connections(&self) -> i32 {
        self.spec.replicas * self.spec.storage.postgresql.max_connections_per_pod + SESSIONS
    }

    /// Desired number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        usize::try_from(self.spec.replicas).unwrap_or_default()
    }
}

/// Sessions of Steamer in the database of a cluster: two of the owner of the tables, one of the admin login.
const SESSIONS: i32 = 3;

/// Longest name: Kubernetes and PostgreSQL limit the names that are derived from it.
pub(crate) const LONGEST_NAME: usize = 40;

/// Name of a managed cluster. Refuses a name from which a valid name of a pod or a role cannot be derived.
pub(crate) fn name(cluster: &OpenBaoCluster) -> Result<ObjectName, Error> {
    let name = ObjectName::of(cluster);
    if name.name.len() > LONGEST_NAME || name.name.contains('.') {
        return Err(Error::Invalid(format!(
            "`{}` cannot be the name of a managed cluster: it has at most {LONGEST_NAME} characters and no dot, because \
             the names of pods, Services and database roles are derived from it",
            cluster.name_any()
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(version: &str) -> ManagedServer {
        serde_json::from_value(serde_json::json!({
            "version": version, "seal": {"static": {}},
            "storage": {"postgresql": {"secretRef": {"name": "pg"}, "tls": {"mode": "Require"}}},
        }))
        .unwrap()
    }

    #[rstest]
    #[case("2.7.2", None, "2.7.2")]
    #[case("2.7.2", Some("2.6.2"), "2.7.2")]
    #[case("2.10.0", Some("2.9.1"), "2.10.0")]
    #[case("2.5.0", None, "2.6.2 is the lowest")]
    #[case("2.6.2", Some("2.7.2"), "OpenBao cannot go back")]
    #[case("3.0.0", Some("2.7.2"), "an upgrade from 2.7.2 to 3.0.0 is not supported")]
    fn versions_only_go_up(#[case] wanted: &str, #[case] led: Option<&str>, #[case] expected: &str) {
        let said = match version(&spec(wanted), led) {
            Ok(version) => version.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    }
}
