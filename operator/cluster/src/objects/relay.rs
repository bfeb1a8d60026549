//! Relay in each pod: its audit device, its token, and the arguments of its container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Secret, Volume, VolumeMount};
use k8s_openapi::api::core::v1::{ContainerPort, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};
use steamer_core::context::Context;

use crate::cluster::Cluster;
use crate::objects::secret::secret;
use crate::objects::{RELAY_AUDIT_PORT, RELAY_PORT};

/// Suffix of the Secret with the token.
const SUFFIX: &str = "-relay";
/// Folder of the token in a pod.
const FOLDER: &str = "/openbao/relay";
/// Name of the volume with the token.
const VOLUME: &str = "relay";
/// Name of the container.
pub(crate) const CONTAINER: &str = "relay";

/// The token that the operator presents to the relays of a cluster.
pub(crate) fn token(context: &Context, cluster: &Cluster) -> String {
    let parts = [("relay", cluster.uid.as_bytes()), ("name", cluster.name().as_bytes())];
    context.mac.of(parts)
}

/// Name of the Secret with the token.
pub(crate) fn secret_name(cluster: &Cluster) -> String {
    cluster.child(SUFFIX)
}

/// Secret with the token.
pub(crate) fn token_secret(context: &Context, cluster: &Cluster) -> Secret {
    let entries = BTreeMap::from([("token".to_owned(), token(context, cluster))]);
    secret(cluster, &secret_name(cluster), &entries)
}

/// URL of the relay in a pod.
pub(crate) fn url(cluster: &Cluster, pod: &str) -> String {
    let scheme = if cluster.is_plain() { "http" } else { "https" };
    format!("{scheme}://{}:{RELAY_PORT}", cluster.host(pod))
}

/// Audit devices for the relay: type, name and settings. The start of the relay is not awaited. A request fails if no device
/// logs it, so the relay is never the only one.
pub(crate) fn audit_devices(cluster: &Cluster) -> Vec<(&'static str, &'static str, Value)> {
    if cluster.relay.is_none() {
        return Vec::new();
    }
    let options = json!({
        "uri": format!("http://127.0.0.1:{RELAY_AUDIT_PORT}/audit"), "elide_list_responses": "true", "skip_test": "true",
    });
    let device = json!({"description": "relay of Steamer for instant delivery", "options": options});
    let none =
        json!({"description": "requests do not depend on the relay", "options": {"file_path": "discard"}});
    let beside = cluster.spec.audit.is_empty().then_some(("file", "steamer-none", none));
    std::iter::once(("http", "steamer-relay", device)).chain(beside).collect()
}

/// The container. `base` is the container of OpenBao, which has the same mounts of certificates and the same rights.
pub(crate) fn container(cluster: &Cluster, base: &Container) -> Option<Container> {
    let relay = cluster.relay.as_ref()?;
    let mut args = vec!["relay".to_owned(), format!("--token-file={FOLDER}/token")];
    args.push(format!("--address=[::]:{RELAY_PORT}"));
    args.push(format!("--audit-address=127.0.0.1:{RELAY_AUDIT_PORT}"));
    let certificates = base.volume_mounts.iter().flatten().find(|mount| mount.name == "tls");
    args.extend(certificates.map(|mount| format!("--tls-folder={}", mount.mount_path)));
    let token = VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: FOLDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Some(Container {
        name: CONTAINER.to_owned(),
        image: Some(relay.image.clone()),
        image_pull_policy: base.image_pull_policy.clone(),
        args: Some(args),
        ports: Some(vec![ContainerPort {
            name: Some("relay".to_owned()),
            container_port: RELAY_PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        security_context: base.security_context.clone(),
        resources: Some(resources()),
        termination_message_policy: base.termination_message_policy.clone(),
        volume_mounts: Some(certificates.cloned().into_iter().chain([token]).collect()),
        ..Container::default()
    })
}

fn resources() -> ResourceRequirements {
    let quantities = |all: &[(&str, &str)]| {
        Some(all.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "10m"), ("memory", "32Mi")]),
        limits: quantities(&[("memory", "128Mi")]),
        claims: None,
    }
}

/// Volume with the token.
pub(crate) fn volume(cluster: &Cluster, secret: impl Fn(&str, &str) -> Volume) -> Option<Volume> {
    cluster.relay.as_ref().map(|_| secret(VOLUME, &secret_name(cluster)))
}
