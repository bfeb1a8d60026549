//! Volumes of the pods for audit logs: their claims, their mounts, and the container that rotates the logs.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaim, PersistentVolumeClaimSpec, ResourceRequirements, VolumeMount,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use steamer_api::{AuditDevice, AuditVolume};

use crate::cluster::Cluster;
use crate::objects::quantity::canonical;

/// Parent folder of the volumes in a pod.
const FOLDER: &str = "/openbao/audit";
/// File that OpenBao writes to.
pub(crate) const FILE: &str = "audit.log";
/// Start of the names of claims.
const PREFIX: &str = "audit-";
/// Name of the container that rotates the logs.
pub(crate) const CONTAINER: &str = "audit";

/// Folder of a device in a pod.
pub(crate) fn folder(device: &str) -> String {
    format!("{FOLDER}/{device}")
}

fn volumes(cluster: &Cluster) -> impl Iterator<Item = (&AuditDevice, &AuditVolume)> {
    cluster.spec.audit.iter().filter_map(|device| Some((device, device.volume()?)))
}

/// Returns true if a device logs to a volume.
pub(crate) fn has_volumes(devices: &[AuditDevice]) -> bool {
    devices.iter().any(|device| device.volume().is_some())
}

/// Mounts of a container of a node.
pub(crate) fn mounts(cluster: &Cluster) -> impl Iterator<Item = VolumeMount> {
    volumes(cluster).map(|(device, _)| VolumeMount {
        name: format!("{PREFIX}{}", device.name),
        mount_path: folder(&device.name),
        ..VolumeMount::default()
    })
}

/// Returns true for a mount of an audit log.
pub(crate) fn is_mount(mount: &VolumeMount) -> bool {
    mount.mount_path.starts_with(&format!("{FOLDER}/"))
}

/// Claims of each pod.
pub(crate) fn claims(cluster: &Cluster) -> Option<Vec<PersistentVolumeClaim>> {
    let claims: Vec<_> = volumes(cluster).map(|(device, volume)| claim(&device.name, volume)).collect();
    (!claims.is_empty()).then_some(claims)
}

fn claim(device: &str, volume: &AuditVolume) -> PersistentVolumeClaim {
    let size = BTreeMap::from([("storage".to_owned(), Quantity(canonical(&volume.size)))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some(format!("{PREFIX}{device}")), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some(size), limits: None }),
            storage_class_name: volume.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// The claims that the template of a StatefulSet mounts: of the desired ones and of those of the live StatefulSet. A pod of
/// a template that does not mount a claim must not wait for its volume.
pub(crate) fn fit(set: &mut StatefulSet, live: Option<&StatefulSet>) {
    let mounted: Vec<String> = mounted(set);
    let own = claims_of(Some(set)).to_vec();
    let others = claims_of(live).iter().filter(|claim| own.iter().all(|own| name(own) != name(claim)));
    let fitting =
        own.iter().chain(others).filter(|claim| mounted.iter().any(|mounted| mounted == name(claim)));
    let fitting: Vec<_> = fitting.cloned().collect();
    if let Some(spec) = &mut set.spec {
        spec.volume_claim_templates = (!fitting.is_empty()).then_some(fitting);
    }
}

fn mounted(set: &StatefulSet) -> Vec<String> {
    let pod = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
    let mounts = containers.iter().flat_map(|container| container.volume_mounts.iter().flatten());
    mounts.map(|mount| mount.name.clone()).collect()
}

fn claims_of(set: Option<&StatefulSet>) -> &[PersistentVolumeClaim] {
    let claims = set.and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_deref());
    claims.unwrap_or_default()
}

fn name(claim: &PersistentVolumeClaim) -> &str {
    claim.metadata.name.as_deref().unwrap_or_default()
}

/// Returns true if the claims of two StatefulSets differ. Kubernetes does not permit a change of them.
pub(crate) fn differ(live: &StatefulSet, desired: &StatefulSet) -> bool {
    let facts =
        |set| claims_of(Some(set)).iter().map(|claim| (name(claim).to_owned(), settings(claim))).collect();
    let (live, desired): (BTreeMap<_, _>, BTreeMap<_, _>) = (facts(live), facts(desired));
    live != desired
}

/// Class and size.
fn settings(claim: &PersistentVolumeClaim) -> (Option<String>, Option<Quantity>) {
    let Some(spec) = &claim.spec else { return (None, None) };
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    (spec.storage_class_name.clone(), requests.and_then(|requests| requests.get("storage").cloned()))
}

/// Returns true if a pod with these volumes has all claims of a StatefulSet.
pub(crate) fn has_claims(volumes: &[k8s_openapi::api::core::v1::Volume], set: &StatefulSet) -> bool {
    claims_of(Some(set)).iter().all(|claim| volumes.iter().any(|volume| volume.name == name(claim)))
}

/// The container that rotates the logs. It finds OpenBao in the process namespace of the pod, and has its user.
pub(crate) fn container(cluster: &Cluster, base: &Container) -> Option<Container> {
    let rotator = cluster.rotator.as_ref()?;
    let mut args = vec!["rotate-audit".to_owned()];
    args.extend(volumes(cluster).map(|(device, _)| rotation(device)));
    Some(Container {
        name: CONTAINER.to_owned(),
        image: Some(rotator.image.clone()),
        image_pull_policy: base.image_pull_policy.clone(),
        args: Some(args),
        security_context: base.security_context.clone(),
        resources: Some(resources()),
        termination_message_policy: base.termination_message_policy.clone(),
        volume_mounts: Some(mounts(cluster).collect()),
        ..Container::default()
    })
}

fn rotation(device: &AuditDevice) -> String {
    let rotate = device.file.as_ref().and_then(|file| file.rotate.clone()).unwrap_or_default();
    format!("--file={}/{FILE},{},{}", folder(&device.name), bytes(&rotate.max_size), rotate.max_files)
}

/// Number of bytes of a size, such as `100Mi`.
fn bytes(size: &str) -> u64 {
    let end = size.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(size.len());
    let (number, suffix) = size.split_at(end);
    let power = ["", "Ki", "Mi", "Gi", "Ti"].iter().position(|known| *known == suffix).unwrap_or(0);
    number.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1 << (10 * power))
}

fn resources() -> ResourceRequirements {
    let quantities = |all: &[(&str, &str)]| {
        Some(all.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "10m"), ("memory", "16Mi")]),
        limits: quantities(&[("memory", "64Mi")]),
        claims: None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::cluster_with;

    fn set(claims: &[(&str, &str)], mounts: &[&str]) -> StatefulSet {
        let claim = |(name, size): &(&str, &str)| {
            let resources = json!({"requests": {"storage": size}});
            json!({"metadata": {"name": name}, "spec": {"resources": resources}})
        };
        let mount = |name: &&str| json!({"name": name, "mountPath": "/x"});
        let containers =
            json!([{"name": "openbao", "volumeMounts": mounts.iter().map(mount).collect::<Vec<Value>>()}]);
        let claims: Vec<Value> = claims.iter().map(claim).collect();
        serde_json::from_value(json!({"spec": {
            "serviceName": "x", "selector": {}, "volumeClaimTemplates": claims,
            "template": {"spec": {"containers": containers}},
        }}))
        .unwrap()
    }

    #[rstest]
    #[case::added(&[("audit-a", "1Gi")], &["audit-a"], &[], "audit-a")]
    #[case::withheld(&[("audit-a", "1Gi")], &[], &[], "")]
    #[case::withheld_removal(&[], &["audit-a"], &[("audit-a", "1Gi")], "audit-a")]
    #[case::failed_addition(&[("audit-a", "1Gi")], &[], &[("audit-a", "1Gi")], "")]
    #[case::another_size(&[("audit-a", "2Gi")], &["audit-a"], &[("audit-a", "1Gi")], "audit-a")]
    fn a_set_has_the_claims_that_its_template_mounts(
        #[case] desired: &[(&str, &str)],
        #[case] mounts: &[&str],
        #[case] live: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let (mut desired, live) = (set(desired, mounts), set(live, &[]));
        fit(&mut desired, Some(&live));
        assert_eq!(claims_of(Some(&desired)).iter().map(name).collect::<Vec<_>>().join(" "), expected);
    }

    #[rstest]
    #[case::same(&[("a", "1Gi")], &[("a", "1Gi")], false)]
    #[case::added(&[], &[("a", "1Gi")], true)]
    #[case::removed(&[("a", "1Gi")], &[], true)]
    #[case::another_size(&[("a", "1Gi")], &[("a", "2Gi")], true)]
    fn another_claim_is_another_set(
        #[case] live: &[(&str, &str)],
        #[case] desired: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        assert_eq!(differ(&set(live, &[]), &set(desired, &[])), expected);
    }

    #[rstest]
    #[case("100Mi", 104_857_600)]
    #[case("64Ki", 65_536)]
    #[case("2Gi", 2_147_483_648)]
    fn a_size_is_a_number_of_bytes(#[case] size: &str, #[case] expected: u64) {
        assert_eq!(bytes(size), expected);
    }

    #[test]
    fn a_device_has_its_claim_and_its_arguments() {
        let device = json!({
            "name": "durable", "description": "d",
            "file": {"volume": {"size": "1024Mi", "storageClassName": "fast"}, "rotate": {"maxSize": "1Mi", "maxFiles": 3}},
        });
        let cluster = cluster_with(json!({"audit": [device]}));
        insta::assert_yaml_snapshot!(claims(&cluster));
        let args = container(&cluster, &Container::default()).unwrap().args.unwrap();
        assert_eq!(args, ["rotate-audit", "--file=/openbao/audit/durable/audit.log,1048576,3"]);
        let stdout = json!({"name": "a", "description": "d", "file": {"path": "stdout"}});
        assert_eq!(claims(&cluster_with(json!({"audit": [stdout]}))), None);
    }
}
