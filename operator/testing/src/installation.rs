//! Installation by an administrator: CustomResourceDefinitions and RBAC in Kubernetes, policy and login in OpenBao.

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_cluster::operator_policy::{self, PolicyScope};

use crate::cache;
use crate::control_plane::ControlPlane;
use crate::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE};
use crate::objects::{account_token, apply, yaml};
use crate::openbao::OpenBao;

/// Files of `config/` that an administrator installs.
const INSTALLED: [&str; 10] = [
    "rbac/service_account.yaml",
    "rbac/role.yaml",
    "rbac/delivery_role.yaml",
    "rbac/clusters_role.yaml",
    "rbac/restarts_role.yaml",
    "rbac/distribution_role.yaml",
    "rbac/role_binding.yaml",
    "rbac/leader_election_role.yaml",
    "rbac/user_roles.yaml",
    "admission/policy.yaml",
];

/// Installs the CustomResourceDefinitions, RBAC, ServiceAccount and admission policy from `config/`.
///
/// # Errors
/// When the API server rejects an object.
pub async fn install(client: &Client) -> Result<()> {
    // They are derived from all types, which takes a while.
    let definitions = steamer_api::definitions();
    for definition in &definitions {
        apply(client, serde_json::to_value(definition)?).await?;
    }
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}});
    apply(client, namespace).await?;
    for file in INSTALLED {
        let path = cache::checkout().join("config").join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for object in yaml(&text)? {
            apply(client, object).await?;
        }
    }
    established(client, &definitions).await
}

async fn established(client: &Client, definitions: &[CustomResourceDefinition]) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition.name_any();
        crate::wait::eventually("the CustomResourceDefinitions are established", || async {
            let found = api.get(&name).await.map_err(|error| error.to_string())?;
            let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
            let met = conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True");
            if met { Ok(()) } else { Err(format!("{name}: {conditions:?}")) }
        })
        .await?;
    }
    Ok(())
}

/// Creates the operator's policy and role, and the Kubernetes auth method that workloads also use.
///
/// # Errors
/// The error of OpenBao.
pub async fn set_up_openbao(plane: &ControlPlane, openbao: &OpenBao) -> Result<()> {
    let client = plane.client().await?;
    let reviewer = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "openbao", "namespace": OPERATOR_NAMESPACE},
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "openbao-reviews-tokens"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "openbao", "namespace": OPERATOR_NAMESPACE}],
    });
    apply(&client, reviewer).await?;
    apply(&client, binding).await?;
    let token = account_token(&client, OPERATOR_NAMESPACE, "openbao", &[]).await?;
    let admin = openbao.admin()?;
    let post = |path: &'static str, body: Value| admin.request_any(Method::POST, path, Some(body));
    post("sys/policies/acl/steamer", json!({"policy": operator_policy::text(&PolicyScope::Tenants)})).await?;
    post("sys/auth/kubernetes", json!({"type": "kubernetes"})).await?;
    let config = json!({
        "kubernetes_host": plane.url, "kubernetes_ca_cert": plane.ca, "token_reviewer_jwt": token,
        "disable_local_ca_jwt": true,
    });
    admin.request_any(Method::POST, "auth/kubernetes/config", Some(config)).await?;
    let role = json!({
        "bound_service_account_names": [OPERATOR_ACCOUNT], "bound_service_account_namespaces": [OPERATOR_NAMESPACE],
        "audience": openbao.audience, "token_policies": ["steamer"], "token_ttl": "10m", "token_max_ttl": "1h",
    });
    admin.request_any(Method::POST, "auth/kubernetes/role/steamer", Some(role)).await?;
    Ok(())
}

/// Writes the operator's policy for a cluster with `operatorScope: Root`.
///
/// # Errors
/// The error of OpenBao.
pub async fn install_root_scope(openbao: &OpenBao) -> Result<()> {
    root_policy(openbao, "steamer").await
}

/// Writes the operator's policy for a cluster with `operatorScope: Root`, with a name.
///
/// # Errors
/// The error of OpenBao.
pub async fn root_policy(openbao: &OpenBao, name: &str) -> Result<()> {
    let body = json!({"policy": operator_policy::text(&PolicyScope::Root)});
    openbao.admin()?.request_any(Method::POST, &format!("sys/policies/acl/{name}"), Some(body)).await?;
    Ok(())
}
