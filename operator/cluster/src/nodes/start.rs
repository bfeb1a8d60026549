//! Digest of everything that a node reads only when it starts. Another digest replaces the nodes.

use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::effects::Sources;

/// Values that a node reads when it starts.
pub(crate) struct StartInputs<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Nodes log in to PostgreSQL as roles of their own, whose names do not count.
    pub(crate) has_roles: bool,
    /// The issued certificate in PEM.
    pub(crate) certificate: &'a str,
    /// Secrets and keys that the seal reads.
    pub(crate) read_at_start: &'a [(String, String)],
}

/// The keyed digest.
///
/// # Errors
/// If a Secret does not exist: then no node is restarted.
pub(crate) async fn digest(sources: &Sources<'_>, inputs: &StartInputs<'_>) -> Result<String, Error> {
    let StartInputs { cluster, has_roles, certificate, read_at_start } = inputs;
    let login =
        if *has_roles { cluster.owner.as_role("", String::new().into()) } else { cluster.owner.clone() };
    let mut parts = vec![
        ("database".to_owned(), login.service_file("").into_bytes()),
        ("ca".to_owned(), cluster.owner.ca.clone().into_bytes()),
    ];
    if !cluster.version.reloads_certificates() {
        parts.push(("certificate".to_owned(), certificate.as_bytes().to_vec()));
    }
    for (name, key) in *read_at_start {
        parts.push((format!("{name}/{key}"), sources.secret_value(name, key).await?));
    }
    let parts = parts.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    Ok(sources.context.mac.of(parts)[..16].to_owned())
}
