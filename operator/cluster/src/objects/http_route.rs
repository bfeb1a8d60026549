//! HTTPRoute of the Gateway API, for clients outside the Kubernetes cluster.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use steamer_api::{Gateway, GatewayReference};

use crate::cluster::Cluster;
use crate::objects::{API_PORT, metadata};

/// The fields of an HTTPRoute that Steamer sets.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "gateway.networking.k8s.io", version = "v1", kind = "HTTPRoute", plural = "httproutes")]
#[kube(namespaced, schema = "disabled", derive = "PartialEq")]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HTTPRouteSpec {
    parent_refs: Vec<ParentReference>,
    hostnames: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ParentReference {
    group: String,
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    matches: Vec<Match>,
    backend_refs: Vec<BackendReference>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Match {
    path: PathMatch,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct PathMatch {
    r#type: String,
    value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct BackendReference {
    name: String,
    port: u16,
}

/// The HTTPRoute, if the spec has a Gateway.
pub(crate) fn http_route(cluster: &Cluster) -> Option<HTTPRoute> {
    cluster.spec.gateway.as_ref().map(|Gateway { host, parent_ref, path_prefix }| {
        let path = PathMatch { r#type: "PathPrefix".to_owned(), value: path_prefix.clone() };
        let backend = BackendReference { name: cluster.name.name.clone(), port: API_PORT };
        HTTPRoute {
            metadata: metadata(cluster, &cluster.name.name),
            spec: HTTPRouteSpec {
                parent_refs: vec![parent(parent_ref)],
                hostnames: vec![host.clone()],
                rules: vec![Rule { matches: vec![Match { path }], backend_refs: vec![backend] }],
            },
        }
    })
}

fn parent(reference: &GatewayReference) -> ParentReference {
    let GatewayReference { name, namespace, section_name } = reference.clone();
    ParentReference {
        group: "gateway.networking.k8s.io".to_owned(),
        kind: "Gateway".to_owned(),
        name,
        namespace,
        section_name,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[rstest]
    #[case::minimal(json!({"host": "bao.example.com", "parentRef": {"name": "edge"}}))]
    #[case::listener(json!({
        "host": "bao.example.com", "pathPrefix": "/v1",
        "parentRef": {"name": "edge", "namespace": "gateways", "sectionName": "https"},
    }))]
    fn a_route_attaches_to_its_gateway(#[case] gateway: Value) {
        let name =
            format!("route_of_{}", gateway["parentRef"]["sectionName"].as_str().unwrap_or("any_listener"));
        insta::assert_yaml_snapshot!(name, http_route(&cluster_with(json!({"gateway": gateway}))));
    }

    #[test]
    fn without_a_gateway_there_is_no_route() {
        assert_eq!(http_route(&cluster()), None);
    }
}
