//! An operator with Roles instead of ClusterRoles, as the chart renders them for `watchNamespaces` and
//! `clusterNamespaces`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use steamer_api::{BaoAuth, BaoConnection};
use steamer_testing::Ground;
use steamer_testing::cache::checkout;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token, apply, yaml};
use steamer_testing::operator::Operator;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::access_review::{Right, allowed};
use crate::fixture::{Case, ready_in};

/// Objects of the chart for these namespaces.
fn chart() -> Result<Vec<Value>> {
    let mut helm = Command::new(tools::helm()?);
    helm.args(["template", "steamer", "--namespace", OPERATOR_NAMESPACE, "--kube-version", "1.34.0"])
        .args(["--set", "watchNamespaces={watched},clusterNamespaces={clusters},metrics.authentication=true"])
        .arg(checkout().join("charts/steamer"));
    yaml(&tools::output(&mut helm)?)
}

/// Verb, group, resource, and the namespaces in which the operator has the right.
const RIGHTS: [(&str, &str, &str, &str); 8] = [
    ("patch", "", "secrets", "watched clusters steamer-system"),
    ("list", "", "secrets", "watched clusters steamer-system"),
    ("create", "", "serviceaccounts/token", "watched clusters steamer-system"),
    ("patch", "apps", "deployments", "watched clusters steamer-system"),
    ("patch", "", "pods", "clusters"),
    ("create", "", "services", "clusters"),
    ("create", "", "serviceaccounts", "clusters"),
    ("create", "", "pods", ""),
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
    for (verb, group, resource, namespaces) in RIGHTS {
        for namespace in [OPERATOR_NAMESPACE, "watched", "clusters", "other"] {
            let expected = namespaces.split_whitespace().any(|one| one == namespace);
            let answer = allowed(&limited, &Right { namespace, verb, group, resource }).await?;
            ensure!(answer == expected, "{verb} {resource} in {namespace} is {answer}");
        }
    }
    let operator = Operator { kubeconfig, arguments, ..ground.operator.clone() };
    // Ready: every watch has listed its objects.
    let running = ground.run(&operator).await?;
    let case = Case::of(ground, client, "watched");
    let spec = json!({"address": "https://127.0.0.1:1"});
    for namespace in ["other", "watched", "clusters"] {
        case.object_in(namespace, "BaoConnection", "x", spec.clone()).await?;
    }
    for namespace in ["watched", "clusters"] {
        reconciled(&case, namespace, "x").await?;
    }
    // The schema has defaults for the status of a new object.
    let status = api(&case, "other").get("x").await?.status.unwrap_or_default();
    ensure!(
        status.common.conditions.is_empty(),
        "an object outside of the namespaces was reconciled: {status:?}"
    );
    // An object in a namespace that is not watched is unknown, not absent.
    let kubernetes = json!({"role": "x", "serviceAccount": "default", "audiences": ["openbao"]});
    let reference = json!({"name": "x", "namespace": "other"});
    let spec = json!({"connectionRef": reference, "method": "Kubernetes", "kubernetes": kubernetes});
    case.object("BaoAuth", "x", spec).await?;
    case.ready::<BaoAuth>("x", "False/Waiting: BaoConnection other/x is unknown").await?;
    readers(&case, &running.admin).await?;
    // A namespace without its RoleBinding does not stop the others, also not after a restart.
    drop(running);
    let bindings: Api<RoleBinding> = Api::namespaced(case.client.clone(), "watched");
    bindings.delete("steamer-system-steamer-delivery", &DeleteParams::default()).await?;
    let _running = case.ground.run(&operator).await?;
    let spec = json!({"address": "https://127.0.0.1:2"});
    case.object_in("clusters", "BaoConnection", "y", spec).await?;
    reconciled(&case, "clusters", "y").await
}

fn api(case: &Case, namespace: &str) -> Api<BaoConnection> {
    Api::namespaced(case.client.clone(), namespace)
}

async fn reconciled(case: &Case, namespace: &str, name: &str) -> Result<()> {
    ready_in(&api(case, namespace), name, "False/").await.map(drop)
}

/// The metrics are served to a ServiceAccount as soon as it has the role of the chart.
async fn readers(case: &Case, admin: &str) -> Result<()> {
    let url = format!("{admin}/metrics");
    ensure!(reqwest::get(&url).await?.status() == 401, "the metrics are served without a token");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": "watched"}});
    apply(&case.client, account).await?;
    let token = account_token(&case.client, "watched", "reader", &[]).await?;
    let client = reqwest::Client::new();
    let read = async || client.get(&url).bearer_auth(&token).send().await.map(|answer| answer.status());
    ensure!(read().await? == 403, "the metrics are served to a user without the right");
    ensure!(client.get(&url).bearer_auth("x").send().await?.status() == 401, "an unknown token is accepted");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reader"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "steamer-system-steamer-metrics-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "watched"}],
    });
    apply(&case.client, binding).await?;
    eventually("the metrics are served", || async {
        let status = read().await.map_err(|error| error.to_string())?;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await
}

/// Namespaces in the arguments of the Deployment.
fn arguments(objects: &[Value]) -> Option<Vec<String>> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment")?;
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args")?.as_array()?;
    let namespaces = arguments
        .iter()
        .filter_map(Value::as_str)
        .filter(|text| text.contains("-namespaces=") || *text == "--metrics-authentication");
    Some(namespaces.map(str::to_owned).collect())
}
