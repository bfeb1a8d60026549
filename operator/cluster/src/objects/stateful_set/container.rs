//! Container of OpenBao: image, ports, probes, resources.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvFromSource, HTTPGetAction, Probe, ResourceRequirements,
    SecretEnvSource, SecurityContext, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use steamer_api::{ImagePullPolicy, Resources};

use super::environment::environment;
use super::volumes::mounts;
use crate::cluster::Cluster;
use crate::objects::quantity::canonical;
use crate::objects::seal::SealSettings;
use crate::objects::{API_PORT, CLUSTER_PORT, METRICS_PORT};

/// The container, which runs `bao server`.
pub(super) fn container(cluster: &Cluster, seal: &SealSettings) -> Container {
    Container {
        name: "openbao".to_owned(),
        image: Some(cluster.image()),
        image_pull_policy: Some(pull_policy(cluster.spec.image_pull_policy).to_owned()),
        command: Some(vec!["bao".to_owned()]),
        args: Some(vec!["server".to_owned(), "-config=/openbao/config".to_owned()]),
        env: Some(environment(cluster, seal)),
        env_from: credentials(seal),
        ports: Some(ports()),
        security_context: Some(container_rights()),
        readiness_probe: Some(readiness(cluster)),
        startup_probe: Some(startup()),
        liveness_probe: Some(liveness()),
        resources: Some(resources(cluster.spec.pod_template.resources.as_ref())),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts(cluster, seal)),
        ..Container::default()
    }
}

pub(crate) fn pull_policy(policy: ImagePullPolicy) -> &'static str {
    match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    }
}

/// Secrets of the seal, each of whose keys is an environment variable.
fn credentials(seal: &SealSettings) -> Option<Vec<EnvFromSource>> {
    let source = |secret: &String| EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: secret.clone(), optional: None }),
        ..EnvFromSource::default()
    };
    (!seal.credentials.is_empty()).then(|| seal.credentials.iter().map(source).collect())
}

fn ports() -> Vec<ContainerPort> {
    let port = |(name, number): (&str, u16)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    [("api", API_PORT), ("cluster", CLUSTER_PORT), ("metrics", METRICS_PORT)].map(port).into()
}

pub(crate) fn container_rights() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

/// A node is ready if it serves requests, as leader or as standby.
fn readiness(cluster: &Cluster) -> Probe {
    let scheme = if cluster.is_plain() { "HTTP" } else { "HTTPS" };
    let health = HTTPGetAction {
        scheme: Some(scheme.to_owned()),
        path: Some("/v1/sys/health?standbyok=true".to_owned()),
        port: IntOrString::String("api".to_owned()),
        ..HTTPGetAction::default()
    };
    Probe {
        http_get: Some(health),
        period_seconds: Some(2),
        timeout_seconds: Some(2),
        failure_threshold: Some(2),
        ..Probe::default()
    }
}

fn startup() -> Probe {
    Probe {
        tcp_socket: Some(metrics()),
        period_seconds: Some(2),
        failure_threshold: Some(150),
        ..Probe::default()
    }
}

fn liveness() -> Probe {
    Probe {
        tcp_socket: Some(metrics()),
        period_seconds: Some(10),
        timeout_seconds: Some(5),
        failure_threshold: Some(6),
        ..Probe::default()
    }
}

/// Probe of a port that does not depend on the database or the KMS: their outage restarts no pod.
fn metrics() -> TCPSocketAction {
    TCPSocketAction { port: IntOrString::String("metrics".to_owned()), host: None }
}

fn resources(given: Option<&Resources>) -> ResourceRequirements {
    let Some(Resources { requests, limits }) = given else {
        let requests = [("cpu", "100m"), ("memory", "256Mi")];
        let requests = requests.map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())));
        return ResourceRequirements { requests: Some(requests.into()), ..ResourceRequirements::default() };
    };
    ResourceRequirements { requests: quantities(requests), limits: quantities(limits), claims: None }
}

fn quantities(given: &BTreeMap<String, IntOrString>) -> Option<BTreeMap<String, Quantity>> {
    let quantity = |value: &IntOrString| match value {
        IntOrString::Int(number) => Quantity(canonical(&number.to_string())),
        IntOrString::String(text) => Quantity(canonical(text)),
    };
    (!given.is_empty()).then(|| given.iter().map(|(name, value)| (name.clone(), quantity(value))).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::seal::seal;
    use crate::tests::cluster_with;

    fn built(fields: Value) -> Container {
        let cluster = cluster_with(fields);
        container(&cluster, &seal(&cluster, &cluster.spec.seal, None).unwrap())
    }

    #[rstest]
    #[case(json!({}), "quay.io/openbao/openbao:2.7.2", "IfNotPresent")]
    #[case(json!({"version": "2.6.2"}), "quay.io/openbao/openbao:2.6.2", "IfNotPresent")]
    #[case(json!({"image": "registry/bao:1", "imagePullPolicy": "Always"}), "registry/bao:1", "Always")]
    #[case(json!({"image": "registry/bao:1", "imagePullPolicy": "Never"}), "registry/bao:1", "Never")]
    fn the_image_is_that_of_the_spec_or_of_the_version(
        #[case] fields: Value,
        #[case] image: &str,
        #[case] policy: &str,
    ) {
        let container = built(fields);
        assert_eq!(container.image.as_deref(), Some(image));
        assert_eq!(container.image_pull_policy.as_deref(), Some(policy));
    }

    #[rstest]
    #[case(json!({}), "HTTPS")]
    #[case(json!({"tls": {"mode": "Secret", "secretRef": {"name": "tls"}}}), "HTTPS")]
    #[case(json!({"tls": {"mode": "Disabled"}}), "HTTP")]
    fn readiness_is_probed_with_the_scheme_of_the_listener(#[case] fields: Value, #[case] scheme: &str) {
        let health = built(fields).readiness_probe.unwrap().http_get.unwrap();
        assert_eq!(health.scheme.as_deref(), Some(scheme));
    }

    #[test]
    fn an_outage_of_database_or_seal_restarts_no_pod() {
        let container = built(json!({}));
        let metrics = container.ports.unwrap().into_iter().find(|port| port.container_port == 9101).unwrap();
        for probe in [container.startup_probe.unwrap(), container.liveness_probe.unwrap()] {
            let port = probe.tcp_socket.unwrap().port;
            assert_eq!(port, IntOrString::String(metrics.name.clone().unwrap()));
        }
    }

    #[rstest]
    #[case(json!({}), json!({"requests": {"cpu": "100m", "memory": "256Mi"}}))]
    #[case(json!({"resources": {}}), json!({}))]
    #[case(json!({"resources": {"limits": {"cpu": 2}}}), json!({"limits": {"cpu": "2"}}))]
    #[case(json!({"resources": {"requests": {"cpu": "500m"}}}), json!({"requests": {"cpu": "500m"}}))]
    #[case(json!({"resources": {"limits": {"memory": "1024Mi"}}}), json!({"limits": {"memory": "1Gi"}}))]
    fn resources_of_the_spec_replace_the_defaults(#[case] pod: Value, #[case] expected: Value) {
        assert_eq!(json!(built(json!({"podTemplate": pod})).resources), expected);
    }
}
