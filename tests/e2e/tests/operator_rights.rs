//! Requests that OpenBao and Kubernetes deny to the operator's own identity.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Identity};
use steamer_testing::control_plane;
use steamer_testing::ground::{AUDIENCE, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};

use crate::access_review::{Right, allowed};
use crate::fixture::Case;

#[tokio::test]
async fn the_operators_policy_in_openbao_is_least_privilege() -> Result<()> {
    let case = Case::new("operator-rights").await?;
    let namespace = case.project(701).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let admin = case.admin()?;
    admin
        .request_any(
            Method::POST,
            "sys/mounts/foreign-701",
            Some(json!({"type": "kv", "options": {"version": "2"}})),
        )
        .await?;
    let jwt = account_token(&case.client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[AUDIENCE]).await?;
    let anonymous = case.ground.openbao.client()?.session(Identity::Anonymous);
    let body = json!({"role": "steamer", "jwt": jwt});
    let answer = anonymous.request_any(Method::POST, "auth/kubernetes/login", Some(body)).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).unwrap_or_default().to_owned();
    let operator = case.ground.openbao.client()?.session(Identity::Token(token.into()));
    let p = |path: &str| format!("{namespace}/{path}");
    let write = Some(json!({"policy": "path \"*\" { capabilities = [\"sudo\"] }"}));
    let refused: Vec<(Method, String, Option<Value>)> = vec![
        (Method::GET, p("secrets/kv/data/explicit/A"), None),
        (Method::GET, p("secrets/kv/metadata/explicit/A"), None),
        (Method::GET, p("secrets/kv/subkeys/explicit/A"), None),
        (Method::POST, p("secrets/kv/data/explicit/A"), Some(json!({"data": {"value": "x"}}))),
        (Method::DELETE, p("secrets/kv/metadata/explicit/A"), None),
        (Method::POST, "sys/policies/acl/steamer".into(), write.clone()),
        (Method::GET, "sys/policies/acl/steamer".into(), None),
        (Method::POST, "sys/policies/acl/other".into(), write.clone()),
        (Method::POST, p("sys/policies/acl/admin"), write.clone()),
        (Method::POST, "org_701/sys/policies/acl/pipelines/x".into(), write.clone()),
        (Method::POST, "auth/kubernetes/role/steamer".into(), Some(json!({"token_policies": ["root"]}))),
        (Method::POST, "auth/kubernetes/role/mine".into(), Some(json!({"token_policies": ["root"]}))),
        (Method::POST, "auth/kubernetes/config".into(), Some(json!({"kubernetes_host": "https://x"}))),
        (Method::POST, "auth/token/create".into(), Some(json!({}))),
        (Method::POST, "auth/token/create-orphan".into(), Some(json!({}))),
        (Method::POST, p("auth/token/create"), Some(json!({}))),
        (Method::POST, "sys/seal".into(), None),
        (Method::POST, "sys/step-down".into(), None),
        (Method::POST, "sys/rotate/root".into(), None),
        (Method::GET, "sys/raw/core/keyring".into(), None),
        (Method::GET, "sys/mounts".into(), None),
        (Method::POST, "sys/mounts/mine".into(), Some(json!({"type": "kv"}))),
        (Method::DELETE, "sys/mounts/foreign-701".into(), None),
        (Method::GET, "foreign-701/config".into(), None),
        (Method::GET, "foreign-701/data/x".into(), None),
        (Method::POST, p("sys/mounts/theirs"), Some(json!({"type": "kv"}))),
        (Method::POST, p("sys/auth/userpass"), Some(json!({"type": "userpass"}))),
        (Method::POST, "sys/auth/pipeline_jwt".into(), Some(json!({"type": "jwt"}))),
        (Method::POST, "sys/namespaces/other".into(), Some(json!({}))),
        (Method::POST, p("sys/namespaces/below"), Some(json!({}))),
        (Method::POST, "identity/group".into(), Some(json!({"name": "x", "policies": ["root"]}))),
        (Method::GET, "sys/audit".into(), None),
        (Method::POST, "sys/remount".into(), Some(json!({"from": "foreign-701", "to": "x"}))),
    ];
    for (method, path, body) in refused {
        match operator.request_any(method.clone(), &path, body).await {
            Err(Error::Denied { .. }) => {}
            other => anyhow::bail!("{method} {path} is not denied: {other:?}"),
        }
    }
    // A request that the operator makes is allowed.
    operator.request_any(Method::GET, &p("sys/policies/acl/pipelines/global"), None).await?;
    Ok(())
}

#[tokio::test]
async fn the_operators_rbac_permissions_are_least_privilege() -> Result<()> {
    let case = Case::new("operator-rights-kubernetes").await?;
    let client = control_plane::client(&case.ground.operator.kubeconfig).await?;
    let allowed = async |verb: &str, group: &str, resource: &str| {
        allowed(&client, &Right { namespace: "default", verb, group, resource }).await
    };
    let refused = [
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("create", "", "pods/eviction"),
        ("update", "", "secrets"),
        ("deletecollection", "", "secrets"),
        ("update", "", "serviceaccounts"),
        ("update", "steamer.dev", "secretsprojects"),
        ("create", "steamer.dev", "pipelinepolicies"),
        ("create", "steamer.dev", "clusterbaostaticsecrets"),
        ("delete", "steamer.dev", "clusterbaostaticsecrets"),
        ("deletecollection", "steamer.dev", "baostaticsecrets"),
        ("create", "steamer.dev", "baopushsecrets"),
        ("create", "rbac.authorization.k8s.io", "clusterroles"),
        ("create", "rbac.authorization.k8s.io", "roles"),
        ("create", "rbac.authorization.k8s.io", "rolebindings"),
        ("get", "", "nodes"),
        ("impersonate", "", "users"),
        ("escalate", "rbac.authorization.k8s.io", "roles"),
        ("bind", "rbac.authorization.k8s.io", "roles"),
        ("update", "", "nodes"),
        ("create", "apps", "deployments"),
        ("update", "apps", "deployments"),
        ("delete", "apps", "daemonsets"),
        ("patch", "apps", "replicasets"),
        ("create", "argoproj.io", "rollouts"),
        ("create", "batch", "jobs"),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
        ("update", "coordination.k8s.io", "leases"),
        ("create", "authentication.k8s.io", "tokenreviews"),
        ("patch", "", "namespaces"),
        // Only with the chart value serveVSO.
        ("list", "secrets.hashicorp.com", "vaultstaticsecrets"),
        ("patch", "secrets.hashicorp.com", "vaultauths"),
    ];
    for (verb, group, resource) in refused {
        assert!(!allowed(verb, group, resource).await?, "{verb} {resource}.{group} is allowed");
    }
    // The admission policy limits these patches to the annotation of a restart, and the BaoStaticSecrets to those of a
    // ClusterBaoStaticSecret.
    let granted = [
        ("create", "steamer.dev", "baostaticsecrets"),
        ("delete", "steamer.dev", "baostaticsecrets"),
        ("create", "", "secrets"),
        ("patch", "apps", "deployments"),
        ("patch", "apps", "daemonsets"),
        ("patch", "argoproj.io", "rollouts"),
    ];
    for (verb, group, resource) in granted {
        assert!(allowed(verb, group, resource).await?, "{verb} {resource}.{group} is not allowed");
    }
    Ok(())
}
