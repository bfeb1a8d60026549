//! The ValidatingAdmissionPolicy for the operator's identity: what it refuses, whatever RBAC allows, and what it admits.
//! Every other test runs under the same policy.

use anyhow::{Result, ensure};
use http::{HeaderName, HeaderValue};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use steamer_runtime::kubernetes;
use steamer_testing::control_plane::ISSUER;
use steamer_testing::ground::{AUDIENCE, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, apply};

use crate::fixture::Case;

/// A client with the operator's name and all permissions, so that only the policy can refuse a request.
async fn operator(case: &Case) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&case.ground.plane.kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let name = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}");
    // kube ignores the identity to impersonate of a kubeconfig.
    for (header, value) in [("impersonate-user", name.as_str()), ("impersonate-group", "system:masters")] {
        config.headers.push((HeaderName::from_static(header), HeaderValue::from_str(value)?));
    }
    Ok(kubernetes::client(config, std::time::Duration::from_secs(300), || {})?)
}

/// Sends a request that changes nothing. Returns the refusal of the policy.
async fn refusal(client: &Client, method: &str, path: &str, body: &Value) -> Result<Option<String>> {
    let content = match (method, path.contains("/pods/")) {
        // Containers are merged by name.
        ("PATCH", true) => "application/strategic-merge-patch+json",
        ("PATCH", false) => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{path}?dryRun=All"))
        .header("content-type", content)
        .body(if method == "DELETE" { Vec::new() } else { body.to_string().into_bytes() })?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.message.contains("denied request: ") => {
            Ok(Some(status.message))
        }
        Err(error) => Err(error.into()),
    }
}

fn labels(is_owned: &str) -> Value {
    match is_owned {
        "owned" => json!({"steamer.dev/cluster": "main"}),
        _ => json!({"app": "x"}),
    }
}

fn object(version: &str, kind: &str, owned: &str, more: &Value) -> Value {
    let mut object =
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "new", "labels": labels(owned)}});
    // Kubernetes rejects a token Secret without it.
    object["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    object
}

fn stateful_set(owned: &str, account: &str, pod: &Value) -> Value {
    let container =
        json!({"name": "c", "image": "i", "securityContext": {"allowPrivilegeEscalation": false}});
    let mut spec = json!({"serviceAccountName": account, "containers": [container]});
    for (key, value) in pod.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let template = json!({"metadata": {"labels": {"a": "b", "steamer.dev/cluster": "main"}}, "spec": spec});
    let spec = json!({"serviceName": "x", "selector": {"matchLabels": {"a": "b"}}, "template": template});
    object("apps/v1", "StatefulSet", owned, &json!({"spec": spec}))
}

/// A Job with the pod of [`stateful_set`].
fn job(owned: &str, account: &str, pod: &Value) -> Value {
    let mut job = stateful_set(owned, account, pod);
    (job["apiVersion"], job["kind"]) = (json!("batch/v1"), json!("Job"));
    let mut pod = job["spec"]["template"]["spec"].take();
    pod["restartPolicy"] = json!("Never");
    let labels = json!({"steamer.dev/cluster": "main"});
    job["spec"] = json!({"template": {"metadata": {"labels": labels}, "spec": pod}});
    job
}

fn workload(kind: &str) -> Value {
    let container = json!({"name": "c", "image": "i"});
    let metadata = json!({"labels": {"a": "b"}, "annotations": {"theirs": "x"}});
    let mut spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": metadata, "spec": {"containers": [container]}}});
    if kind != "DaemonSet" {
        spec["replicas"] = json!(1);
    }
    object("apps/v1", kind, "foreign", &json!({"spec": spec}))
}

/// A patch of the annotations of a pod template.
fn annotated(annotations: Value) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": annotations}}}})
}

fn token(audiences: &[&str], seconds: i64) -> Value {
    let spec = json!({"audiences": audiences, "expirationSeconds": seconds});
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

/// A BaoStaticSecret with a controller of a kind.
fn static_secret(controller: &str) -> Value {
    let mut secret = own_kind("BaoStaticSecret", controller);
    secret["spec"] = json!({"mount": "kv", "path": "app", "type": "kv-v2", "destination": {"name": "app", "create": true}});
    secret
}

/// An object of Steamer with a controller of a kind.
fn own_kind(kind: &str, controller: &str) -> Value {
    let version = "steamer.dev/v1alpha1";
    let owner =
        json!({"apiVersion": version, "kind": controller, "name": "x", "uid": "x", "controller": true});
    let metadata = json!({"name": "new", "ownerReferences": [owner]});
    let spec = json!({"clusterRef": {"name": "main"}, "method": "Token", "token": {"secretRef": "x"}});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// Creates a pod of another owner, a pod of a managed cluster, and workloads of another owner.
async fn objects(case: &Case) -> Result<()> {
    for (name, owned) in [("foreign", "foreign"), ("node", "owned")] {
        let spec = json!({"serviceAccountName": "default", "containers": [{"name": "c", "image": "i"}]});
        let mut pod = object("v1", "Pod", owned, &json!({"spec": spec}));
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(case.namespace);
        apply(&case.client, pod).await?;
    }
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let mut workload = workload(kind);
        workload["metadata"]["name"] = json!("foreign");
        workload["metadata"]["namespace"] = json!(case.namespace);
        apply(&case.client, workload).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_admission_policy_refuses_all_writes_that_the_operator_does_not_make() -> Result<()> {
    let case = Case::new("admission-policy").await?;
    objects(&case).await?;
    let client = operator(&case).await?;
    let here = |resource: &str| format!("/api/v1/namespaces/{}/{resource}", case.namespace);
    let apis =
        |group: &str, resource: &str| format!("/apis/{group}/namespaces/{}/{resource}", case.namespace);
    let own_kinds = apis("steamer.dev/v1alpha1", "openbaoclusters");
    let synced = apis("steamer.dev/v1alpha1", "baostaticsecrets");
    let sets = apis("apps/v1", "statefulsets");
    let jobs = apis("batch/v1", "jobs");
    let rbac = "rbac.authorization.k8s.io/v1";
    let deployment = apis("apps/v1", "deployments/foreign");
    let restart = || annotated(json!({"steamer.dev/restarted-for": "{}"}));
    let own_token =
        format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts/{OPERATOR_ACCOUNT}/token");
    let none = json!({});
    let label = json!({"metadata": {"labels": {"steamer.dev/cluster": "main"}}});
    let image = json!({"spec": {"containers": [{"name": "c", "image": "other"}]}});
    let secret = |kind: &str| json!({"type": kind, "stringData": {"auth-extra-groups": "", "x": "y"}});
    let role_ref =
        json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}});
    let refused = [
        (
            "POST",
            here("pods"),
            object("v1", "Pod", "owned", &json!({"spec": {"containers": [{"name": "c", "image": "i"}]}})),
        ),
        ("PATCH", here("pods/foreign"), label.clone()),
        ("PATCH", here("pods/node"), image),
        ("PATCH", here("pods/node"), json!({"metadata": {"labels": {"steamer.dev/cluster": null}}})),
        ("DELETE", here("pods/foreign"), none.clone()),
        ("POST", sets.clone(), stateful_set("foreign", "main", &none)),
        ("POST", sets.clone(), stateful_set("owned", "default", &none)),
        ("POST", sets.clone(), stateful_set("owned", "main", &json!({"hostNetwork": true}))),
        ("POST", sets.clone(), stateful_set("owned", "main", &json!({"hostPID": true}))),
        (
            "POST",
            sets.clone(),
            stateful_set("owned", "main", &json!({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]})),
        ),
        (
            "POST",
            sets.clone(),
            stateful_set("owned", "main", &json!({"initContainers": [{"name": "x", "image": "i"}]})),
        ),
        ("POST", jobs.clone(), job("foreign", "main", &none)),
        ("POST", jobs.clone(), job("owned", "default", &none)),
        ("POST", jobs.clone(), job("owned", "other-validation", &none)),
        ("POST", jobs.clone(), job("owned", "main", &json!({"hostNetwork": true}))),
        (
            "POST",
            jobs.clone(),
            job("owned", "main", &json!({"initContainers": [{"name": "x", "image": "i"}]})),
        ),
        ("POST", here("configmaps"), object("v1", "ConfigMap", "foreign", &none)),
        ("POST", here("serviceaccounts"), object("v1", "ServiceAccount", "foreign", &none)),
        (
            "POST",
            here("services"),
            object("v1", "Service", "foreign", &json!({"spec": {"ports": [{"port": 1}]}})),
        ),
        (
            "POST",
            here("secrets"),
            object("v1", "Secret", "foreign", &secret("kubernetes.io/service-account-token")),
        ),
        (
            "POST",
            here("secrets"),
            object("v1", "Secret", "foreign", &secret("bootstrap.kubernetes.io/token")),
        ),
        ("POST", here("secrets"), object("v1", "Secret", "foreign", &secret("helm.sh/release.v1"))),
        ("POST", here("serviceaccounts/default/token"), token(&[], 600)),
        ("POST", here("serviceaccounts/default/token"), token(&[ISSUER], 600)),
        ("POST", here("serviceaccounts/default/token"), token(&[AUDIENCE, ISSUER], 600)),
        ("POST", here("serviceaccounts/default/token"), token(&["sts.amazonaws.com"], 600)),
        ("POST", own_token.clone(), token(&[ISSUER], 3600)),
        ("POST", apis(rbac, "roles"), object(rbac, "Role", "owned", &none)),
        ("POST", apis(rbac, "rolebindings"), object(rbac, "RoleBinding", "owned", &role_ref)),
        ("POST", format!("/apis/{rbac}/clusterroles"), object(rbac, "ClusterRole", "owned", &none)),
        (
            "POST",
            format!("/apis/{rbac}/clusterrolebindings"),
            object(rbac, "ClusterRoleBinding", "owned", &role_ref),
        ),
        ("POST", "/api/v1/namespaces".to_owned(), object("v1", "Namespace", "owned", &none)),
        ("PATCH", format!("/api/v1/namespaces/{}", case.namespace), label.clone()),
        ("PATCH", format!("{own_kinds}/main"), json!({"spec": {"allowedNamespaces": {"from": "Same"}}})),
        ("DELETE", format!("{own_kinds}/main"), none.clone()),
        ("POST", synced.clone(), static_secret("BaoAuth")),
        ("POST", apis("steamer.dev/v1alpha1", "baoauths"), own_kind("BaoAuth", "ClusterBaoStaticSecret")),
        ("POST", apis("apps/v1", "deployments"), workload("Deployment")),
        ("POST", apis("apps/v1", "daemonsets"), workload("DaemonSet")),
        ("DELETE", deployment.clone(), none.clone()),
        ("PATCH", deployment.clone(), annotated(json!({"steamer.dev/restarted-for": "{}", "other": "x"}))),
        ("PATCH", deployment.clone(), annotated(json!({"theirs": "y"}))),
        ("PATCH", deployment.clone(), annotated(json!({"theirs": null}))),
        ("PATCH", deployment.clone(), json!({"spec": {"replicas": 2}})),
        ("PATCH", deployment.clone(), json!({"spec": {"paused": true}})),
        ("PATCH", deployment.clone(), label.clone()),
        ("PATCH", deployment.clone(), json!({"metadata": {"annotations": {"other": "x"}}})),
        ("PATCH", deployment.clone(), json!({"metadata": {"finalizers": ["steamer.dev/x"]}})),
        (
            "PATCH",
            deployment.clone(),
            json!({"spec": {"template": {"metadata": {"labels": {"steamer.dev/cluster": "main"}}}}}),
        ),
        (
            "PATCH",
            deployment.clone(),
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}}),
        ),
        (
            "PATCH",
            apis("apps/v1", "statefulsets/foreign"),
            json!({"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}}),
        ),
        (
            "PATCH",
            apis("apps/v1", "daemonsets/foreign"),
            json!({"spec": {"template": {"spec": {"hostPID": true}}}}),
        ),
    ];
    for (method, path, body) in &refused {
        let refusal = refusal(&client, method, path, body).await?;
        ensure!(refusal.is_some(), "{method} {path} is not refused: {body}");
    }
    let rights = json!({"allowPrivilegeEscalation": false});
    let sidecar = json!({"name": "x", "image": "i", "restartPolicy": "Always", "securityContext": rights});
    let admitted = [
        ("PATCH", here("pods/node"), json!({"metadata": {"labels": {"leader": "true"}}})),
        ("DELETE", here("pods/node"), none.clone()),
        ("POST", sets, stateful_set("owned", "main", &none)),
        ("POST", jobs, job("owned", "main-validation", &json!({"initContainers": [sidecar]}))),
        ("POST", here("configmaps"), object("v1", "ConfigMap", "owned", &none)),
        ("POST", here("serviceaccounts"), object("v1", "ServiceAccount", "owned", &none)),
        ("POST", here("secrets"), object("v1", "Secret", "foreign", &secret("Opaque"))),
        ("POST", here("serviceaccounts/default/token"), token(&[AUDIENCE], 600)),
        ("POST", own_token, token(&[], 600)),
        ("PATCH", deployment, restart()),
        ("PATCH", apis("apps/v1", "statefulsets/foreign"), restart()),
        ("PATCH", apis("apps/v1", "daemonsets/foreign"), restart()),
        ("PATCH", format!("{own_kinds}/main"), json!({"metadata": {"finalizers": ["steamer.dev/x"]}})),
        ("POST", synced, static_secret("ClusterBaoStaticSecret")),
    ];
    for (method, path, body) in &admitted {
        let refusal = refusal(&client, method, path, body).await?;
        ensure!(refusal.is_none(), "{method} {path} is refused: {refusal:?}");
    }
    Ok(())
}
