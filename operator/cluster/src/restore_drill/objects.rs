//! Kubernetes objects of a restore drill: a Secret with the configuration and the connection, and a Job.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, PodSpec, PodTemplateSpec, Secret, SecretVolumeSource, Volume, VolumeMount,
};
use serde_json::{Value, json};
use steamer_api::RestoreDrill;

use super::{Begun, CONTAINER, name};
use crate::cluster::{Cluster, Helper};
use crate::database::login::Login;
use crate::objects::private_server::{configuration, pod, pod_metadata, read_only};
use crate::objects::stateful_set::{container_rights, pull_policy};
use crate::objects::{metadata, private_server};

/// Folder of the recovery keys.
const RECOVERY: &str = "/openbao/recovery";
/// Volume of the recovery keys.
const VOLUME: &str = "recovery";
/// Seconds after its end in which Kubernetes deletes the Job while Steamer is down.
const KEPT: i32 = 3600;
/// Seconds before the end of the Job in which the container reports its last error.
const MARGIN: u64 = 10;

/// The Secret: the configuration of the nodes with only a loopback listener, and a connection to the copy that cannot write.
pub(crate) fn settings(cluster: &Cluster, of_nodes: &Value, copy: &Login, begun: &Begun) -> Secret {
    let mut configuration = configuration(of_nodes);
    configuration["storage"]["postgresql"]["ha_enabled"] = json!("false");
    read_only(cluster, &name(&cluster.name), (copy, &configuration), &begun.notes())
}

/// What the Job runs besides OpenBao.
pub(crate) struct Check<'a> {
    pub(crate) helper: &'a Helper,
    /// Name of the Secret with the recovery keys.
    pub(crate) recovery: &'a str,
    pub(crate) drill: &'a RestoreDrill,
}

/// The Job: an OpenBao in recovery mode, and a container that opens the copy and reports the result.
pub(crate) fn job(cluster: &Cluster, nodes: &PodTemplateSpec, check: &Check<'_>) -> Job {
    let name = name(&cluster.name);
    let seconds = check.drill.timeout.get().as_secs();
    let mut metadata = metadata(cluster, &name);
    metadata.labels = Some(labels(cluster));
    let template = PodTemplateSpec {
        metadata: Some(pod_metadata(labels(cluster), cluster, nodes)),
        spec: nodes.spec.as_ref().map(|nodes| with_check(pod(&name, nodes), cluster, check)),
    };
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: i64::try_from(seconds).ok(),
            ttl_seconds_after_finished: Some(KEPT),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn labels(cluster: &Cluster) -> BTreeMap<String, String> {
    private_server::labels(cluster, "openbao-restore-drill")
}

/// The server becomes a sidecar: it ends with the container that opens the copy.
fn with_check(server: PodSpec, cluster: &Cluster, check: &Check<'_>) -> PodSpec {
    let sidecar = |container: Container| Container {
        restart_policy: Some("Always".to_owned()),
        args: Some(vec!["server".to_owned(), "-recovery".to_owned(), "-config=/openbao/config".to_owned()]),
        ..container
    };
    let source = SecretVolumeSource {
        secret_name: Some(check.recovery.to_owned()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    let recovery = Volume { name: VOLUME.to_owned(), secret: Some(source), ..Volume::default() };
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        init_containers: Some(server.containers.into_iter().map(sidecar).collect()),
        containers: vec![container(cluster, check)],
        volumes: Some(server.volumes.into_iter().flatten().chain([recovery]).collect()),
        ..server
    }
}

fn container(cluster: &Cluster, check: &Check<'_>) -> Container {
    let patience = check.drill.timeout.get().as_secs().saturating_sub(MARGIN);
    let mount = VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: RECOVERY.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(check.helper.image.clone()),
        image_pull_policy: Some(pull_policy(cluster.spec.image_pull_policy).to_owned()),
        args: Some(vec![
            "restore-drill".to_owned(),
            format!("--recovery-folder={RECOVERY}"),
            format!("--patience={patience}s"),
            "--report=/dev/termination-log".to_owned(),
        ]),
        security_context: Some(container_rights()),
        volume_mounts: Some(vec![mount]),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::objects::services::services;
    use crate::tests::{cluster_with, nodes_of, owner_login};

    #[test]
    fn the_job_opens_the_copy_without_writing_to_it() {
        let device = json!({"name": "durable", "description": "d", "file": {"volume": {"size": "1Gi"}}});
        let drill = json!({"databaseSecretRef": {"name": "copy"}});
        let cluster = cluster_with(json!({
            "audit": [device], "instantDelivery": {"enabled": true}, "restoreDrill": drill,
        }));
        let (nodes, configuration) = nodes_of(&cluster);
        let nodes = nodes.spec.unwrap().template;
        let helper = Helper { image: "registry/steamer:1".to_owned(), is_chosen: false };
        let drill = cluster.spec.restore_drill.clone().unwrap();
        let check = Check { helper: &helper, recovery: "main-recovery", drill: &drill };
        let job = job(&cluster, &nodes, &check);
        let labels = job.spec.as_ref().unwrap().template.metadata.clone().unwrap().labels.unwrap();
        for service in services(&cluster) {
            let selector = service.spec.unwrap().selector.unwrap();
            assert!(selector.iter().any(|(label, value)| labels.get(label) != Some(value)), "{selector:?}");
        }
        insta::assert_yaml_snapshot!(job);
        let copy = Login { database: "copy".to_owned(), ..owner_login() };
        let begun = Begun { request: None, since: Timestamp::from_second(60).unwrap(), renewal: None };
        let data = settings(&cluster, &configuration, &copy, &begun).data.unwrap();
        let text = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
        let connection = text("service.conf");
        assert!(connection.contains("dbname=copy"), "{connection}");
        assert!(connection.ends_with("options=-c default_transaction_read_only=on\n"), "{connection}");
        let config: Value = serde_json::from_str(&text("openbao.json")).unwrap();
        assert_eq!(config["listener"].as_array().unwrap().len(), 1);
        assert_eq!(config["listener"][0]["tcp"]["address"], "127.0.0.1:8200");
        assert_eq!(
            (config.get("audit"), &config["storage"]["postgresql"]["ha_enabled"]),
            (None, &json!("false"))
        );
    }
}
