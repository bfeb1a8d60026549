//! How a cluster is reached from outside, and who reads its metrics: kinds that not every Kubernetes has.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use steamer_api::{Gateway, GatewayReference, Ingress};

use crate::cluster::Cluster;
use crate::objects::{metadata, selector};

/// A kind, and what brings it.
pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    pub(crate) kind: &'static str,
    plural: &'static str,
    /// The field of `spec.managed` that asks for it.
    pub(crate) field: &'static str,
    /// What is installed where there is the kind.
    pub(crate) brought_by: &'static str,
}

impl Kind {
    pub(crate) fn resource(&self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }
}

const INGRESS: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
    plural: "ingresses",
    field: "ingress",
    brought_by: "Kubernetes 1.19",
};
const ROUTE: Kind = Kind {
    group: "gateway.networking.k8s.io",
    version: "v1",
    kind: "HTTPRoute",
    plural: "httproutes",
    field: "gateway",
    brought_by: "the Gateway API",
};
const BACKEND: Kind = Kind {
    group: "gateway.networking.k8s.io",
    version: "v1",
    kind: "BackendTLSPolicy",
    plural: "backendtlspolicies",
    field: "gateway",
    brought_by: "the Gateway API 1.4",
};
const MONITOR: Kind = Kind {
    group: "monitoring.coreos.com",
    version: "v1",
    kind: "ServiceMonitor",
    plural: "servicemonitors",
    field: "metrics.serviceMonitor",
    brought_by: "the Prometheus operator",
};

/// Each kind, and the object that is to be there, if any. All are named for the cluster.
pub(crate) fn exposure(cluster: &Cluster) -> [(Kind, Option<Value>); 4] {
    let spec = &cluster.spec;
    let gateway = spec.gateway.as_ref();
    [
        (INGRESS, spec.ingress.as_ref().map(|given| ingress(cluster, given))),
        (ROUTE, gateway.map(|given| route(cluster, given))),
        (BACKEND, gateway.filter(|_| !cluster.is_plain()).map(|_| backend(cluster))),
        (MONITOR, spec.metrics.service_monitor.then(|| monitor(cluster))),
    ]
}

fn object(kind: &Kind, cluster: &Cluster, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}/{}", kind.group, kind.version), "kind": kind.kind,
        "metadata": metadata(cluster, &cluster.name.name), "spec": spec,
    })
}

fn ingress(cluster: &Cluster, given: &Ingress) -> Value {
    let Ingress { host, class_name, path_prefix, annotations, tls } = given;
    let backend = json!({"service": {"name": cluster.name.name, "port": {"name": "api"}}});
    let path = json!({"path": path_prefix, "pathType": "Prefix", "backend": backend});
    let mut spec = json!({"rules": [{"host": host, "http": {"paths": [path]}}]});
    if let Some(class) = class_name {
        spec["ingressClassName"] = json!(class);
    }
    if let Some(tls) = tls {
        spec["tls"] = json!([{"hosts": [host], "secretName": tls.secret_ref.name}]);
    }
    let mut ingress = object(&INGRESS, cluster, &spec);
    if !annotations.is_empty() {
        ingress["metadata"]["annotations"] = json!(annotations);
    }
    ingress
}

fn route(cluster: &Cluster, given: &Gateway) -> Value {
    let Gateway { host, parent_ref: GatewayReference { name, namespace, section_name }, path_prefix } = given;
    let mut parent = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name});
    if let Some(namespace) = namespace {
        parent["namespace"] = json!(namespace);
    }
    if let Some(section) = section_name {
        parent["sectionName"] = json!(section);
    }
    let path = json!({"type": "PathPrefix", "value": path_prefix});
    object(
        &ROUTE,
        cluster,
        &json!({
            "parentRefs": [parent], "hostnames": [host],
            "rules": [{"matches": [{"path": path}], "backendRefs": [{"name": cluster.name.name, "port": 8200}]}],
        }),
    )
}

/// The Gateway checks the nodes' certificates by the cluster's CA and the name of its Service.
fn backend(cluster: &Cluster) -> Value {
    let ca = json!({"group": "", "kind": "ConfigMap", "name": cluster.child("-ca")});
    object(
        &BACKEND,
        cluster,
        &json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": cluster.name.name}],
            "validation": {
                "caCertificateRefs": [ca],
                "hostname": format!("{}.{}.svc", cluster.name.name, cluster.name.namespace),
            },
        }),
    )
}

fn monitor(cluster: &Cluster) -> Value {
    let mut monitor = object(
        &MONITOR,
        cluster,
        &json!({
            "selector": {"matchLabels": selector(cluster)},
            "endpoints": [{"port": "metrics", "path": "/metrics", "scheme": "http"}],
        }),
    );
    for (label, value) in &cluster.spec.metrics.service_monitor_labels {
        monitor["metadata"]["labels"][label.as_str()] = json!(value);
    }
    monitor
}
