//! Environment variables of the container.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};

use super::volumes::POSTGRESQL;
use crate::cluster::Cluster;
use crate::objects::CLUSTER_PORT;
use crate::objects::seal::SealSettings;

/// Addresses of the pod, the connection to PostgreSQL, tokens of the seal, and the variables of the spec.
pub(super) fn environment(cluster: &Cluster, seal: &SealSettings) -> Vec<EnvVar> {
    let host = cluster.host("$(POD_NAME)");
    let mut all = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        plain("BAO_API_ADDR", cluster.url("$(POD_NAME)")),
        plain("BAO_CLUSTER_ADDR", format!("https://{host}:{CLUSTER_PORT}")),
        plain("HOME", "/tmp".to_owned()),
        plain("PGSERVICE", "openbao".to_owned()),
        plain("PGSERVICEFILE", format!("{POSTGRESQL}/service.conf")),
    ];
    let variables = seal.variables.iter();
    all.extend(variables.map(|(variable, secret, key)| secret_key(variable, secret, key)));
    all.extend(cluster.spec.pod_template.env.iter().map(|(name, value)| plain(name, value.clone())));
    all
}

fn plain(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

fn from(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

fn field(name: &str, path: &str) -> EnvVar {
    let selector = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    from(name, EnvVarSource { field_ref: Some(selector), ..EnvVarSource::default() })
}

fn secret_key(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    from(name, EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() })
}
