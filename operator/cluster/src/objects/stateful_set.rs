//! StatefulSet of a cluster.

mod container;
mod environment;
mod pod_template;
mod topology;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use serde_json::Value;

use crate::cluster::{Cluster, REVISION};
use crate::objects::seal::SealSettings;
use crate::objects::{audit_volume, metadata, pods};

pub(crate) use container::{container_rights, pull_policy};
pub(crate) use pod_template::{pod_rights, pull_secrets};
pub(crate) use volumes::postgresql_ca;

/// Input of the StatefulSet besides the spec.
pub(crate) struct Inputs<'a> {
    pub(crate) configuration: &'a Value,
    pub(crate) seal: &'a SealSettings,
    /// Digest of everything that a node reads only at its start: connection, Secrets of the seal, certificates that are
    /// not reloaded.
    pub(crate) started_with: &'a str,
    pub(crate) replicas: i32,
    /// Annotations of the StatefulSet.
    pub(crate) annotations: &'a BTreeMap<&'static str, String>,
}

/// The StatefulSet. Steamer itself replaces the pods, one at a time, in an order that depends on the leader.
pub(crate) fn stateful_set(cluster: &Cluster, inputs: &Inputs<'_>) -> StatefulSet {
    let annotations = inputs.annotations.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    let mut metadata = metadata(cluster, &cluster.name.name);
    metadata.annotations = Some(annotations.collect());
    StatefulSet { metadata, spec: Some(spec(cluster, inputs)), status: None }
}

fn spec(cluster: &Cluster, inputs: &Inputs<'_>) -> StatefulSetSpec {
    let Inputs { configuration, seal, started_with, replicas, annotations: _ } = inputs;
    StatefulSetSpec {
        replicas: Some(*replicas),
        service_name: Some(cluster.child("-internal")),
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            rolling_update: None,
        }),
        selector: pods(cluster),
        revision_history_limit: Some(2),
        template: pod_template::pod_template(cluster, configuration, seal, started_with),
        volume_claim_templates: audit_volume::claims(cluster),
        ..StatefulSetSpec::default()
    }
}

/// Revision of the pods that a StatefulSet creates.
pub(crate) fn revision(stateful_set: &StatefulSet) -> &str {
    let template = stateful_set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let annotations = template.and_then(|metadata| metadata.annotations.as_ref());
    annotations.and_then(|annotations| annotations.get(REVISION)).map(String::as_str).unwrap_or_default()
}

/// Image of a container in the pods that a StatefulSet creates.
pub(crate) fn image_of(stateful_set: &StatefulSet, name: &str) -> Option<String> {
    let pod = stateful_set.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == name)?.image.clone()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::objects::configuration::configuration;
    use crate::objects::seal::seal;
    use crate::tests::{cluster, cluster_with};

    fn built(cluster: &Cluster) -> StatefulSet {
        let seal = seal(cluster, &cluster.spec.seal, None).unwrap();
        let configuration = configuration(cluster, &seal, &BTreeMap::new());
        let inputs = Inputs {
            configuration: &configuration,
            seal: &seal,
            started_with: "digest",
            replicas: cluster.spec.replicas,
            annotations: &BTreeMap::from([("steamer.dev/configuration-works", "main-config-1".to_owned())]),
        };
        stateful_set(cluster, &inputs)
    }

    fn plugin(kind: &str) -> Value {
        json!({"type": kind, "name": "x", "image": "registry/x", "version": "v1", "sha256": "ab".repeat(32)})
    }

    #[rstest]
    #[case::defaults("defaults", json!({}))]
    #[case::one_replica("one_replica", json!({"replicas": 1}))]
    #[case::plain_http("plain_http", json!({"tls": {"mode": "Disabled"}}))]
    #[case::certificate("certificate", json!({"tls": {"mode": "Secret", "secretRef": {"name": "given-tls"}}}))]
    #[case::plugins("plugins", json!({"plugins": [plugin("secret")]}))]
    #[case::transit("transit", json!({"seal": {"transit": {
        "address": "https://seal.example.com:8200", "keyName": "k", "tokenSecretRef": {"name": "token"},
        "caSecretRef": {"name": "ca", "key": "ca.crt"},
    }}}))]
    #[case::kms("kms", json!({"seal": {"awsKms": {
        "region": "r", "kmsKeyId": "k", "credentialsSecretRef": {"name": "aws"}, "plugin": plugin("kms"),
    }}}))]
    #[case::relay("relay", json!({"instantDelivery": {"enabled": true}}))]
    #[case::relay_with_plain_http(
        "relay_with_plain_http", json!({"instantDelivery": {"enabled": true}, "tls": {"mode": "Disabled"}})
    )]
    #[case::audit_volume("audit_volume", json!({"audit": [{
        "name": "durable", "description": "d", "file": {"volume": {"size": "1Gi"}},
    }]}))]
    #[case::headers("headers", json!({"audit": [{
        "name": "siem", "description": "d", "http": {"uri": "https://siem", "headersSecretRef": {"name": "siem"}},
    }]}))]
    #[case::topology("topology", json!({"topology": {"spread": "Zones", "required": true}}))]
    #[case::identity("identity", json!({"serviceAccount": {"token": {"audience": "sts"}}}))]
    #[case::pod_template("pod_template", json!({"imagePullSecrets": [{"name": "pull"}], "podTemplate": {
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAffinity": {}}, "priorityClassName": "high", "env": {"BAO_LOG_LEVEL": "debug"},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "annotations": {"note": "1"}, "labels": {"team": "a", "openbao-active": "true"},
    }}))]
    fn the_set_follows_from_the_spec(#[case] name: &str, #[case] fields: Value) {
        insta::assert_yaml_snapshot!(name, built(&cluster_with(fields)));
    }

    #[test]
    fn the_revision_is_stable_and_changes_with_the_template_only() {
        let set = built(&cluster());
        assert_eq!(revision(&set).len(), 16);
        assert_eq!(revision(&set), revision(&built(&cluster())));
        assert_eq!(revision(&set), revision(&built(&cluster_with(json!({"replicas": 1})))));
        let restarted = Cluster { restart: Some("today".to_owned()), ..cluster() };
        assert_ne!(revision(&set), revision(&built(&restarted)));
        assert_ne!(revision(&set), revision(&built(&cluster_with(json!({"image": "other"})))));
    }
}
