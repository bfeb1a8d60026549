//! Ingress for clients outside the Kubernetes cluster.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use steamer_api::Ingress as Settings;

use crate::cluster::Cluster;
use crate::objects::metadata;

/// The Ingress, if the spec has one.
pub(crate) fn ingress(cluster: &Cluster) -> Option<Ingress> {
    cluster.spec.ingress.as_ref().map(|settings| {
        let Settings { host, class_name, path_prefix, annotations, tls } = settings;
        let mut metadata = metadata(cluster, &cluster.name.name);
        metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
        let certificate = tls.as_ref().map(|tls| IngressTLS {
            hosts: Some(vec![host.clone()]),
            secret_name: Some(tls.secret_ref.name.clone()),
        });
        let spec = IngressSpec {
            default_backend: None,
            ingress_class_name: class_name.clone(),
            rules: Some(vec![rule(cluster, host, path_prefix)]),
            tls: certificate.map(|certificate| vec![certificate]),
        };
        Ingress { metadata, spec: Some(spec), status: None }
    })
}

fn rule(cluster: &Cluster, host: &str, path_prefix: &str) -> IngressRule {
    let path = HTTPIngressPath {
        path: Some(path_prefix.to_owned()),
        path_type: "Prefix".to_owned(),
        backend: backend(cluster),
    };
    IngressRule { host: Some(host.to_owned()), http: Some(HTTPIngressRuleValue { paths: vec![path] }) }
}

fn backend(cluster: &Cluster) -> IngressBackend {
    let port = ServiceBackendPort { name: Some("api".to_owned()), number: None };
    IngressBackend {
        service: Some(IngressServiceBackend { name: cluster.name.name.clone(), port: Some(port) }),
        resource: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn an_ingress_routes_its_host_to_the_service() {
        assert_eq!(ingress(&cluster()), None);
        insta::assert_yaml_snapshot!(ingress(&cluster_with(json!({"ingress": {"host": "bao.example.com"}}))));
    }

    #[test]
    fn class_path_certificate_and_annotations_are_those_of_the_spec() {
        let settings = json!({
            "host": "bao.example.com", "className": "nginx", "pathPrefix": "/v1",
            "tls": {"secretRef": {"name": "bao-example"}}, "annotations": {"example.com/protocol": "HTTPS"},
        });
        insta::assert_yaml_snapshot!(ingress(&cluster_with(json!({"ingress": settings}))));
    }
}
