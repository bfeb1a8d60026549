//! Job that checks the first node of a rollout.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, PodSpec, PodTemplateSpec,
    ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use steamer_api::UpgradeValidation;
use steamer_core::access::server_audience::managed_audience;

use crate::cluster::{CLUSTER_LABEL, Cluster};
use crate::objects::metadata;
use crate::objects::stateful_set::{container_rights, pod_rights, pull_policy, pull_secrets};

/// Folder of the CA.
const CA: &str = "/openbao/ca";
/// Folder of the token.
const TOKEN: &str = "/openbao/token";
/// Lifetime of the token in seconds. The kubelet renews it.
const LIFETIME: i64 = 600;
/// Value of the label `app.kubernetes.io/name`.
pub(crate) const APP: &str = "openbao-validation";

/// ServiceAccount of the Job. It has no rights.
pub(crate) fn account(cluster: &Cluster) -> Option<ServiceAccount> {
    cluster.spec.upgrade.validation.as_ref()?;
    let metadata = metadata(cluster, &account_name(cluster));
    Some(ServiceAccount { metadata, ..ServiceAccount::default() })
}

pub(crate) fn account_name(cluster: &Cluster) -> String {
    cluster.child("-validation")
}

/// The Job of this name, for the node in a pod.
pub(crate) fn job(cluster: &Cluster, validation: &UpgradeValidation, name: &str, pod: &str) -> Job {
    let labels = [("app.kubernetes.io/name", APP), (CLUSTER_LABEL, cluster.name())];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels.clone().into()), ..ObjectMeta::default() }),
        spec: Some(pod_spec(cluster, validation, pod)),
    };
    let mut metadata = metadata(cluster, name);
    metadata.labels = Some(labels.into());
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: i64::try_from(validation.timeout.get().as_secs()).ok(),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn pod_spec(cluster: &Cluster, validation: &UpgradeValidation, pod: &str) -> PodSpec {
    let template = &cluster.spec.pod_template;
    let secrets = pull_secrets(cluster);
    let tolerations = &template.tolerations;
    let ca = (!cluster.is_plain()).then(|| ca_volume(cluster));
    let empty_dir = Some(EmptyDirVolumeSource::default());
    let tmp = Volume { name: "tmp".to_owned(), empty_dir, ..Volume::default() };
    PodSpec {
        service_account_name: Some(account_name(cluster)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(pod_rights()),
        image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
        node_selector: (!template.node_selector.is_empty()).then(|| template.node_selector.clone()),
        tolerations: (!tolerations.is_empty()).then(|| tolerations.clone()),
        containers: vec![container(cluster, validation, pod)],
        volumes: Some([token_volume(cluster), tmp].into_iter().chain(ca).collect()),
        ..PodSpec::default()
    }
}

fn container(cluster: &Cluster, validation: &UpgradeValidation, pod: &str) -> Container {
    let job = &validation.job;
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let ca = (!cluster.is_plain()).then(|| mount("ca", CA));
    let tmp = VolumeMount { read_only: None, ..mount("tmp", "/tmp") };
    Container {
        name: "validation".to_owned(),
        image: Some(job.image.clone().unwrap_or_else(|| cluster.image())),
        image_pull_policy: Some(pull_policy(cluster.spec.image_pull_policy).to_owned()),
        command: (!job.command.is_empty()).then(|| job.command.clone()),
        args: (!job.args.is_empty()).then(|| job.args.clone()),
        env: Some(environment(cluster, validation, pod)),
        security_context: Some(container_rights()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some([mount("token", TOKEN), tmp].into_iter().chain(ca).collect()),
        ..Container::default()
    }
}

fn environment(cluster: &Cluster, validation: &UpgradeValidation, pod: &str) -> Vec<EnvVar> {
    let mut all = validation.job.env.clone();
    all.insert("BAO_ADDR".to_owned(), cluster.url(pod));
    all.insert("STEAMER_POD".to_owned(), pod.to_owned());
    all.insert("HOME".to_owned(), "/tmp".to_owned());
    if !cluster.is_plain() {
        all.insert("BAO_CACERT".to_owned(), format!("{CA}/ca.crt"));
    }
    all.into_iter().map(|(name, value)| EnvVar { name, value: Some(value), value_from: None }).collect()
}

fn ca_volume(cluster: &Cluster) -> Volume {
    let source = ConfigMapVolumeSource { name: cluster.ca_config_map(), ..ConfigMapVolumeSource::default() };
    Volume { name: "ca".to_owned(), config_map: Some(source), ..Volume::default() }
}

fn token_volume(cluster: &Cluster) -> Volume {
    let token = ServiceAccountTokenProjection {
        path: "token".to_owned(),
        audience: Some(managed_audience(&cluster.spec, &cluster.name)),
        expiration_seconds: Some(LIFETIME),
    };
    let source = VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
    let projected = ProjectedVolumeSource { sources: Some(vec![source]), default_mode: Some(0o440) };
    Volume { name: "token".to_owned(), projected: Some(projected), ..Volume::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::services::services;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn the_job_reaches_the_canary_with_an_account_without_rights() {
        let validation = json!({"timeout": "2m", "job": {
            "command": ["bao", "status"], "env": {"A": "1", "BAO_ADDR": "https://elsewhere"},
        }});
        let cluster = cluster_with(json!({"upgrade": {"validation": validation}}));
        let validation = cluster.spec.upgrade.validation.clone().unwrap();
        let job = job(&cluster, &validation, "main-validation-0123456789", "main-2");
        let labels = job.spec.as_ref().unwrap().template.metadata.clone().unwrap().labels.unwrap();
        for service in services(&cluster) {
            let selector = service.spec.unwrap().selector.unwrap();
            assert!(selector.iter().any(|(label, value)| labels.get(label) != Some(value)), "{selector:?}");
        }
        insta::assert_yaml_snapshot!(job);
        assert!(account(&cluster).is_some());
    }

    #[test]
    fn without_a_validation_there_is_no_account() {
        assert_eq!(account(&cluster()), None);
    }
}
