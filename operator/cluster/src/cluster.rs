//! A managed cluster whose spec has been found valid.

use std::fmt;
use std::str::FromStr;

use kube::ResourceExt;
use steamer_api::{Administrator, Fencing, ManagedServer, OpenBaoCluster, ServerTlsMode};
use steamer_core::access::managed;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::database::login::Login;

/// On everything that is made for a cluster: its name.
pub(crate) const CLUSTER_LABEL: &str = "steamer.dev/cluster";
/// On pods: whether theirs is the node that leads.
pub(crate) const ACTIVE: &str = "openbao-active";
/// On pods: what they were made from.
pub(crate) const REVISION: &str = "steamer.dev/revision";
/// New values roll the pods.
pub(crate) const RESTART: &str = "steamer.dev/restart";
/// New values make the leader step down.
pub(crate) const STEP_DOWN: &str = "steamer.dev/step-down";
/// New values take over a database that was restored, or that another OpenBao had.
pub(crate) const RESTORE: &str = "steamer.dev/restore";
/// For as long as it is there no node runs: the database is being restored.
pub(crate) const RESTORING: &str = "steamer.dev/restoring";
/// The lowest version that is run.
const LOWEST: Version = Version(2, 6, 2);

/// A version of OpenBao.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.trim_start_matches('v').splitn(3, '.').map(str::parse);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Ok(Self(major, minor, patch)),
            _ => Err(Error::Invalid(format!("version `{text}` is not three numbers"))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// Whether certificates are read again without a restart (`tls_auto_reload`).
    pub(crate) fn reloads_certificates(self) -> bool {
        self >= Self(2, 7, 0)
    }

    /// Whether a plugin's image need not say which file it is.
    pub(crate) fn knows_plugin_files(self) -> bool {
        self >= Self(2, 7, 0)
    }

    /// Whether cloud seals are plugins only.
    pub(crate) fn needs_seal_plugins(self) -> bool {
        self >= Self(2, 7, 0)
    }
}

/// The version of a spec, if it may run after what has led.
pub(crate) fn version(spec: &ManagedServer, highest: Option<&str>) -> Result<Version, Error> {
    let wanted: Version = spec.version.parse()?;
    if wanted < LOWEST {
        return Err(Error::Invalid(format!(
            "version {wanted} is not run: {LOWEST} is the lowest. 2.5.0 breaks automatic unsealing, and nodes of 2.5 and \
             2.6 cannot forward to each other: stop all nodes of such a cluster, then let this one take over its database"
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
        return Err(Error::Invalid(format!("from {led} to {wanted} is no upgrade that is known")));
    }
    Ok(wanted)
}

/// A managed cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) name: ObjectName,
    pub(crate) uid: String,
    pub(crate) spec: ManagedServer,
    pub(crate) administrators: Vec<Administrator>,
    pub(crate) version: Version,
    /// The login that owns the tables.
    pub(crate) owner: Login,
    /// The login that makes roles for nodes.
    pub(crate) admin: Option<Login>,
    pub(crate) fencing: Fencing,
    /// The value of the restart annotation.
    pub(crate) restart: Option<String>,
}

impl Cluster {
    pub(crate) fn image(&self) -> String {
        let image = self.spec.image.clone();
        image.unwrap_or_else(|| format!("quay.io/openbao/openbao:{}", self.spec.version))
    }

    /// Services, certificates and configuration: the names of all there is.
    pub(crate) fn child(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.name.name)
    }

    /// The pods' names.
    pub(crate) fn pod(&self, ordinal: i32) -> String {
        managed::pod(&self.name, ordinal)
    }

    /// The stable name of a pod.
    pub(crate) fn host(&self, pod: &str) -> String {
        managed::host(&self.name, pod)
    }

    /// Whether nodes talk plain HTTP.
    pub(crate) fn is_plain(&self) -> bool {
        self.spec.tls.mode == ServerTlsMode::Disabled
    }

    /// Where the node of a pod is reached.
    pub(crate) fn url(&self, pod: &str) -> String {
        managed::url(&self.name, pod, self.spec.tls.mode)
    }

    pub(crate) fn recovery_secret(&self) -> String {
        self.spec.recovery_keys.secret_name.clone().unwrap_or_else(|| self.child("-recovery"))
    }

    /// The Secret with the nodes' certificate.
    pub(crate) fn tls_secret(&self) -> String {
        let given = self.spec.tls.secret_ref.as_ref().map(|reference| reference.name.clone());
        given.unwrap_or_else(|| self.child("-tls"))
    }
}

/// The names that a cluster's objects have leave this many letters to its own.
pub(crate) const LONGEST_NAME: usize = 40;

/// Refuses names that those of pods and roles are made from and that would become too long.
pub(crate) fn name(cluster: &OpenBaoCluster) -> Result<ObjectName, Error> {
    let name = ObjectName::of(cluster);
    if name.name.len() > LONGEST_NAME || name.name.contains('.') {
        return Err(Error::Invalid(format!(
            "the name of a managed cluster has at most {LONGEST_NAME} letters and no dot: pods, Services and database \
             roles are named for it; `{}` cannot be",
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
    #[case("3.0.0", Some("2.7.2"), "no upgrade that is known")]
    fn versions_only_go_up(#[case] wanted: &str, #[case] led: Option<&str>, #[case] expected: &str) {
        let said = match version(&spec(wanted), led) {
            Ok(version) => version.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    }
}
