//! Template of the pods: labels, annotations, scheduling, security.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use steamer_api::PodTemplate;
use steamer_core::digest::digest;

use super::container::container;
use super::topology;
use super::volumes::volumes;
use crate::cluster::{ACTIVE, Cluster, RESTART, REVISION};
use crate::objects::audit_volume;
use crate::objects::config_map::config_map_name;
use crate::objects::relay;
use crate::objects::seal::SealSettings;
use crate::objects::selector;
use crate::waits::GRACE;

/// User and group of the server process. It works with every image.
const USER: i64 = 65532;
/// Annotation with a digest of everything that a node reads only at its start.
const STARTED_WITH: &str = "steamer.dev/started-with";

/// The template, with its revision as an annotation.
pub(super) fn pod_template(
    cluster: &Cluster,
    configuration: &Value,
    seal: &SealSettings,
    started_with: &str,
) -> PodTemplateSpec {
    let mut spec = pod_spec(cluster, seal);
    spec.volumes = Some(volumes(cluster, &config_map_name(cluster, configuration), seal));
    let metadata = ObjectMeta {
        labels: Some(labels(cluster)),
        annotations: Some(annotations(cluster, started_with)),
        ..ObjectMeta::default()
    };
    with_revision(PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) })
}

/// Adds a digest of the template. Its JSON has sorted keys, so that equal templates have equal digests.
fn with_revision(mut template: PodTemplateSpec) -> PodTemplateSpec {
    let revision = digest(json!(template).to_string().as_bytes())[..16].to_owned();
    let annotations = &mut template.metadata.get_or_insert_default().annotations;
    annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
    template
}

fn labels(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut labels = cluster.spec.pod_template.labels.clone();
    labels.extend(selector(cluster));
    labels.insert(ACTIVE.to_owned(), "false".to_owned());
    labels
}

fn annotations(cluster: &Cluster, started_with: &str) -> BTreeMap<String, String> {
    let mut annotations = cluster.spec.pod_template.annotations.clone();
    annotations.insert(STARTED_WITH.to_owned(), started_with.to_owned());
    annotations.extend(cluster.restart.iter().map(|restart| (RESTART.to_owned(), restart.clone())));
    annotations
}

fn pod_spec(cluster: &Cluster, seal: &SealSettings) -> PodSpec {
    let PodTemplate {
        resources: _,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        priority_class_name,
        annotations: _,
        labels: _,
        env: _,
    } = &cluster.spec.pod_template;
    let openbao = container(cluster, seal);
    let beside = [relay::container(cluster, &openbao), audit_volume::container(cluster, &openbao)];
    PodSpec {
        service_account_name: Some(cluster.name.name.clone()),
        // A constant, unlike that of a node that Steamer stops: another value replaces the pods.
        termination_grace_period_seconds: Some(GRACE.into()),
        enable_service_links: Some(false),
        security_context: Some(pod_rights()),
        affinity: affinity.clone().or_else(|| topology::affinity(cluster)),
        tolerations: Some(tolerations.iter().cloned().chain(lost_machine()).collect()),
        // The container that rotates audit logs signals OpenBao.
        share_process_namespace: cluster.rotator.is_some().then_some(true),
        containers: std::iter::once(openbao).chain(beside.into_iter().flatten()).collect(),
        node_selector: (!node_selector.is_empty()).then(|| node_selector.clone()),
        topology_spread_constraints: some_of(topology_spread_constraints)
            .or_else(|| topology::spread(cluster)),
        priority_class_name: priority_class_name.clone(),
        image_pull_secrets: some_of(&pull_secrets(cluster)),
        ..PodSpec::default()
    }
}

/// Returns None for an empty list: the field is then not part of the applied object.
fn some_of<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

pub(crate) fn pull_secrets(cluster: &Cluster) -> Vec<LocalObjectReference> {
    let secrets = cluster.spec.image_pull_secrets.iter();
    secrets.map(|secret| LocalObjectReference { name: secret.name.clone() }).collect()
}

pub(crate) fn pod_rights() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Tolerations that evict the pods from a lost machine quickly: they hold no data. The time does not depend on a takeover, and
/// another one would replace the pods.
fn lost_machine() -> impl Iterator<Item = Toleration> {
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].into_iter().map(|key| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(30),
        value: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cluster;

    #[test]
    fn labels_and_annotations_of_the_spec_do_not_override_those_of_steamer() {
        let mut cluster = cluster();
        cluster.restart = Some("today".to_owned());
        let pod = &mut cluster.spec.pod_template;
        pod.labels = [(ACTIVE.to_owned(), "true".to_owned()), ("team".to_owned(), "a".to_owned())].into();
        pod.annotations = [STARTED_WITH, RESTART].map(|key| (key.to_owned(), "user".to_owned())).into();
        assert_eq!((&*labels(&cluster)[ACTIVE], &*labels(&cluster)["team"]), ("false", "a"));
        let annotations = annotations(&cluster, "digest");
        assert_eq!((&*annotations[STARTED_WITH], &*annotations[RESTART]), ("digest", "today"));
    }
}
