//! An operator with Roles instead of ClusterRoles, as the chart renders them for `watchNamespaces` and
//! `clusterNamespaces`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use steamer_testing::Ground;
use steamer_testing::cache::checkout;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token, apply, yaml};
use steamer_testing::operator::Operator;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::fixture::Case;

/// Objects of the chart for these namespaces.
fn chart() -> Result<Vec<Value>> {
    let mut helm = Command::new(tools::helm()?);
    helm.args(["template", "steamer", "--namespace", OPERATOR_NAMESPACE, "--kube-version", "1.34.0"])
        .args(["--set", "watchNamespaces={watched},clusterNamespaces={clusters}"])
        .arg(checkout().join("charts/steamer"));
    yaml(&tools::output(&mut helm)?)
}

async fn allowed(client: &Client, namespace: &str, verb: &str, resource: &str) -> Result<bool> {
    let attributes = json!({"verb": verb, "resource": resource, "namespace": namespace});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())?;
    let answer: Value = client.request(request).await?;
    Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
}

/// Verb, resource, and the namespaces in which the operator has the right.
const RIGHTS: [(&str, &str, &str); 7] = [
    ("patch", "secrets", "watched clusters steamer-system"),
    ("list", "secrets", "watched clusters steamer-system"),
    ("create", "serviceaccounts/token", "watched clusters steamer-system"),
    ("patch", "pods", "clusters"),
    ("create", "services", "clusters"),
    ("create", "serviceaccounts", "clusters"),
    ("create", "pods", ""),
];

#[tokio::test]
async fn an_operator_with_roles_in_its_namespaces_reconciles_these_namespaces_only() -> Result<()> {
    let ground = Ground::shared().empty("watch-namespaces").await?;
    let client = ground.client().await?;
    for definition in steamer_api::definitions() {
        apply(&client, serde_json::to_value(&definition)?).await?;
    }
    for name in [OPERATOR_NAMESPACE, "watched", "clusters", "other"] {
        apply(&client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
    }
    let objects = chart()?;
    let arguments = arguments(&objects).context("the Deployment has no arguments")?;
    for object in objects {
        apply(&client, object).await?;
    }
    let token = account_token(&client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
    let kubeconfig = ground.plane.kubeconfig_for("limited", &token)?;
    let limited = steamer_testing::control_plane::client(&kubeconfig).await?;
    for (verb, resource, namespaces) in RIGHTS {
        for namespace in [OPERATOR_NAMESPACE, "watched", "clusters", "other"] {
            let expected = namespaces.split_whitespace().any(|one| one == namespace);
            let answer = allowed(&limited, namespace, verb, resource).await?;
            ensure!(answer == expected, "{verb} {resource} in {namespace} is {answer}");
        }
    }
    let operator = Operator { kubeconfig, arguments, ..ground.operator.clone() };
    // Ready: every watch has listed its objects.
    let _running = ground.run(&operator).await?;
    let case = Case { ground, client, namespace: "watched".to_owned() };
    let spec = json!({"address": "https://127.0.0.1:1"});
    for namespace in ["other", "watched", "clusters"] {
        case.object_in(namespace, "BaoConnection", "x", spec.clone()).await?;
    }
    let status = async |namespace: &str| -> Result<Value> {
        let path = format!("/apis/steamer.dev/v1alpha1/namespaces/{namespace}/baoconnections/x");
        let object: Value = case.client.request(http::Request::get(path).body(Vec::new())?).await?;
        Ok(object["status"].clone())
    };
    for namespace in ["watched", "clusters"] {
        eventually("the connection has a status", || async {
            let status = status(namespace).await.map_err(|error| error.to_string())?;
            if status.is_null() { Err(format!("{namespace}: no status")) } else { Ok(()) }
        })
        .await?;
    }
    ensure!(status("other").await?.is_null(), "an object outside of the namespaces was reconciled");
    let spec = json!({"connectionRef": {"name": "x", "namespace": "other"}, "kubernetes": {"role": "x"}});
    case.object_in("watched", "BaoAuth", "x", spec).await?;
    case.condition_in("watched", "BaoAuth", "x", "add the namespace to --watch-namespaces").await?;
    Ok(())
}

/// Namespaces in the arguments of the Deployment.
fn arguments(objects: &[Value]) -> Option<Vec<String>> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment")?;
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args")?.as_array()?;
    let namespaces = arguments.iter().filter_map(Value::as_str).filter(|text| text.contains("-namespaces="));
    Some(namespaces.map(str::to_owned).collect())
}
