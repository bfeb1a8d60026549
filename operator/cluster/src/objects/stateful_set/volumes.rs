//! Volumes of the pods and their mounts.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource, SecretVolumeSource,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use steamer_api::{AuditDevice, IdentityToken};

use crate::cluster::Cluster;
use crate::objects::audit_volume;
use crate::objects::configuration::{HEADERS, PLUGINS, TLS, fetches_plugins};
use crate::objects::relay;
use crate::objects::seal::{FOLDER, SealSettings};

/// Mount path of the projected token for workload identity.
const IDENTITY: &str = "/openbao/identity";
/// Folder of the connection to PostgreSQL.
pub(super) const POSTGRESQL: &str = "/openbao/postgresql";
/// Mode of files with secrets: readable by the pod's group.
const MODE: Option<i32> = Some(0o440);

/// Path of PostgreSQL's CA in a pod.
pub(crate) fn postgresql_ca() -> String {
    format!("{POSTGRESQL}/ca.crt")
}

/// Mounts of the container.
pub(super) fn mounts(cluster: &Cluster, seal: &SealSettings) -> Vec<VolumeMount> {
    // A sub-path is not updated in a running pod: a fenced process never reads the new login.
    let connection = VolumeMount {
        sub_path_expr: Some("$(POD_NAME)".to_owned()),
        ..read_only("postgresql", format!("{POSTGRESQL}/service.conf"))
    };
    let mut all =
        vec![read_only("config", "/openbao/config".to_owned()), connection, writable("tmp", "/tmp")];
    if !cluster.is_plain() {
        all.push(read_only("tls", TLS.to_owned()));
    }
    if cluster.spec.service_account.token.is_some() {
        all.push(read_only("identity", IDENTITY.to_owned()));
    }
    if !cluster.owner.ca.is_empty() {
        let ca = read_only("postgresql", postgresql_ca());
        all.push(VolumeMount { sub_path: Some("ca.crt".to_owned()), ..ca });
    }
    let secrets = seal.files.iter().map(|(secret, _)| secret.as_str());
    all.extend(folders("seal", FOLDER, secrets));
    all.extend(folders("headers", HEADERS, header_secrets(cluster)));
    if fetches_plugins(cluster, seal) {
        all.push(writable("plugins", PLUGINS));
    }
    all.extend(audit_volume::mounts(cluster));
    all
}

/// Mounts of Secrets, each in a folder of its own.
fn folders<'a>(
    name: &str,
    parent: &str,
    secrets: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = VolumeMount> {
    let secrets = secrets.into_iter().enumerate();
    secrets.map(move |(index, secret)| read_only(&format!("{name}-{index}"), format!("{parent}/{secret}")))
}

fn writable(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn read_only(name: &str, path: String) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path, read_only: Some(true), ..VolumeMount::default() }
}

/// Volumes of the pod.
pub(super) fn volumes(cluster: &Cluster, configuration: &str, seal: &SealSettings) -> Vec<Volume> {
    let mut all = vec![
        configurations(configuration, &cluster.initialization_config_map()),
        secret("postgresql", &cluster.logins_secret()),
        empty("tmp"),
    ];
    if !cluster.is_plain() {
        all.push(secret("tls", &cluster.tls_secret()));
    }
    all.extend(cluster.spec.service_account.token.as_ref().map(identity));
    let files = seal.files.iter().enumerate();
    all.extend(files.map(|(index, (name, keys))| secret_keys(&format!("seal-{index}"), name, keys)));
    let headers = header_secrets(cluster).into_iter().enumerate();
    all.extend(headers.map(|(index, name)| secret(&format!("headers-{index}"), name)));
    if fetches_plugins(cluster, seal) {
        all.push(empty("plugins"));
    }
    all.extend(relay::volume(cluster, secret));
    all
}

/// The configuration, and the self-initialization while it exists.
fn configurations(configuration: &str, initialization: &str) -> Volume {
    let source = |name: &str, optional| VolumeProjection {
        config_map: Some(ConfigMapProjection { name: name.to_owned(), optional, items: None }),
        ..VolumeProjection::default()
    };
    projected("config", vec![source(configuration, None), source(initialization, Some(true))])
}

fn identity(token: &IdentityToken) -> Volume {
    let token = ServiceAccountTokenProjection {
        path: "token".to_owned(),
        audience: Some(token.audience.clone()),
        expiration_seconds: i64::try_from(token.lifetime.get().as_secs()).ok(),
    };
    projected(
        "identity",
        vec![VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() }],
    )
}

fn projected(name: &str, sources: Vec<VolumeProjection>) -> Volume {
    let projected = ProjectedVolumeSource { default_mode: MODE, sources: Some(sources) };
    Volume { name: name.to_owned(), projected: Some(projected), ..Volume::default() }
}

fn secret(name: &str, secret: &str) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        default_mode: MODE,
        ..SecretVolumeSource::default()
    };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

/// Some keys of a Secret, each as a file of the same name.
fn secret_keys(name: &str, secret: &str, keys: &[String]) -> Volume {
    let item = |key: &String| KeyToPath { key: key.clone(), path: key.clone(), mode: None };
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items: Some(keys.iter().map(item).collect()),
        default_mode: MODE,
        optional: None,
    };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

fn empty(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// Secrets with headers of audit devices.
fn header_secrets(cluster: &Cluster) -> BTreeSet<&str> {
    cluster.spec.audit.iter().filter_map(AuditDevice::headers).map(|secret| secret.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::seal::seal;
    use crate::tests::cluster_with;

    fn plugin() -> Value {
        json!({"type": "auth", "name": "x", "image": "i", "version": "v1", "sha256": "ab".repeat(32)})
    }

    fn device() -> Value {
        json!({"name": "a", "description": "d", "http": {"uri": "https://x", "headersSecretRef": {"name": "s"}}})
    }

    #[rstest]
    #[case(json!({}), "config postgresql tmp tls seal-0")]
    #[case(json!({"tls": {"mode": "Disabled"}}), "config postgresql tmp seal-0")]
    #[case(json!({"plugins": [plugin()]}), "config postgresql tmp tls seal-0 plugins")]
    #[case(json!({"serviceAccount": {"token": {"audience": "sts"}}}), "config postgresql tmp tls identity seal-0")]
    #[case(json!({"audit": [device()]}), "config postgresql tmp tls seal-0 headers-0")]
    fn every_volume_is_mounted(#[case] fields: Value, #[case] expected: &str) {
        let cluster = cluster_with(fields);
        let seal = seal(&cluster, &cluster.spec.seal, None).unwrap();
        let volumes: Vec<String> =
            volumes(&cluster, "main-config", &seal).into_iter().map(|volume| volume.name).collect();
        assert_eq!(volumes.join(" "), expected);
        let mounted: BTreeSet<String> = mounts(&cluster, &seal).into_iter().map(|mount| mount.name).collect();
        assert_eq!(mounted, volumes.into_iter().collect());
    }
}
