//! Audience of an OpenBao server: of the tokens with which the operator and workloads log in there.

use steamer_api::{ExternalServer, ManagedServer, ManagementLogin, OpenBaoCluster};
use steamer_runtime::ObjectName;

use crate::error::Error;
use crate::layout::default_audience;

/// The audience of a cluster: of the operator's login, and the default of its workloads.
#[must_use]
pub fn server_audience(cluster: &OpenBaoCluster) -> String {
    if let Some(external) = &cluster.spec.external {
        return management_login(external).map(|login| login.audience.clone()).unwrap_or_default();
    }
    let name = ObjectName::of(cluster);
    cluster.spec.managed.as_ref().map(|managed| managed_audience(managed, &name)).unwrap_or_default()
}

/// The audience of a managed cluster.
#[must_use]
pub fn managed_audience(managed: &ManagedServer, name: &ObjectName) -> String {
    managed.audience.clone().unwrap_or_else(|| default_audience(name))
}

/// Returns true for a managed cluster with the audience that its own name determines.
#[must_use]
pub fn has_default_audience(cluster: &OpenBaoCluster) -> bool {
    cluster.spec.managed.is_some() && server_audience(cluster) == default_audience(&ObjectName::of(cluster))
}

/// The audiences that tokens for a server may have.
#[must_use]
pub fn declared_audiences(cluster: &OpenBaoCluster) -> Vec<String> {
    let mut audiences = vec![server_audience(cluster)];
    audiences.extend(cluster.spec.jwt_audience.clone());
    audiences
}

/// The login of the operator at an external server.
///
/// # Errors
/// [`Error::Invalid`] if the spec has none.
pub fn management_login(external: &ExternalServer) -> Result<&ManagementLogin, Error> {
    let auth = &external.management_auth;
    let login = auth.kubernetes.as_ref().or(auth.jwt.as_ref());
    login.ok_or_else(|| Error::Invalid("managementAuth needs kubernetes or jwt".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(spec: serde_json::Value) -> OpenBaoCluster {
        let mut cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
        cluster.metadata.namespace = Some("openbao".to_owned());
        cluster
    }

    #[test]
    fn a_server_declares_the_audience_of_the_operator_and_the_one_of_its_jwts() {
        let mut managed = cluster(json!({"jwtAudience": "https://bao", "managed": {
            "version": "2.7.2", "seal": {"static": {}},
            "storage": {"postgresql": {"secretRef": {"name": "pg"}, "tls": {"mode": "Require"}}},
        }}));
        assert_eq!(declared_audiences(&managed), ["openbao:openbao/main", "https://bao"]);
        managed.spec.managed.as_mut().unwrap().audience = Some("openbao:old/main".to_owned());
        assert_eq!(declared_audiences(&managed), ["openbao:old/main", "https://bao"]);
        let external = cluster(json!({"external": {
            "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
        }}));
        assert_eq!(server_audience(&external), "https://bao:8200");
    }
}
