//! Requests that OpenBao and Kubernetes deny to the operator's own identity.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::BaoPolicy;
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::Ground;
use steamer_testing::control_plane;
use steamer_testing::ground::{AUDIENCE, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::openbao::OpenBao;
use steamer_testing::operator_policy::{self, PolicyScope};

use crate::access_review::{Right, allowed};
use crate::fixture::Case;
use crate::root_scope::root_cluster;

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
        (Method::GET, p("secrets/kv/subkeys/explicit/A"), None),
        (Method::DELETE, p("secrets/kv/data/explicit/A"), None),
        (Method::PATCH, p("secrets/kv/data/explicit/A"), Some(json!({"data": {"value": "x"}}))),
        (Method::POST, p("secrets/kv/data/other/A"), Some(json!({"data": {"value": "x"}}))),
        (Method::POST, p("secrets/kv/data/explicit/A/B"), Some(json!({"data": {"value": "x"}}))),
        (Method::GET, p("secrets/kv/metadata/other/A"), None),
        (Method::from_bytes(b"LIST")?, p("secrets/kv/metadata/explicit"), None),
        (Method::from_bytes(b"LIST")?, p("secrets/kv/metadata"), None),
        (Method::POST, "sys/policies/acl/steamer".into(), write.clone()),
        (Method::GET, "sys/policies/acl/steamer".into(), None),
        (Method::POST, "sys/policies/acl/other".into(), write.clone()),
        (Method::POST, p("sys/policies/acl/admin"), write.clone()),
        (Method::POST, "org_701/sys/policies/acl/pipelines/x".into(), write.clone()),
        (Method::POST, "org_701/sys/policies/acl/users/x".into(), write.clone()),
        (Method::POST, p("sys/policies/acl/users"), write.clone()),
        (Method::POST, p("sys/policies/acl/apix/y"), write.clone()),
        (Method::POST, p("sys/auth/user_jwtx"), Some(json!({"type": "jwt"}))),
        (Method::POST, p("auth/user_jwt/tidy"), Some(json!({}))),
        (Method::POST, "auth/kubernetes/role/steamer".into(), Some(json!({"token_policies": ["root"]}))),
        (Method::POST, "auth/kubernetes/role/mine".into(), Some(json!({"token_policies": ["root"]}))),
        (Method::POST, "auth/kubernetes/config".into(), Some(json!({"kubernetes_host": "https://x"}))),
        (Method::POST, "auth/token/create".into(), Some(json!({}))),
        (Method::POST, "auth/token/create-orphan".into(), Some(json!({}))),
        (Method::POST, p("auth/token/create"), Some(json!({}))),
        (Method::from_bytes(b"LIST")?, "auth/token/accessors".into(), None),
        (Method::POST, "auth/token/lookup-accessor".into(), Some(json!({"accessor": "x"}))),
        (Method::POST, p("auth/token/lookup-accessor"), Some(json!({"accessor": "x"}))),
        (Method::POST, "auth/token/revoke-orphan".into(), Some(json!({"token": "x"}))),
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
    // A request that the operator makes is allowed. It writes secrets, and reads only their metadata.
    operator.request_any(Method::GET, &p("sys/policies/acl/pipelines/global"), None).await?;
    let body = Some(json!({"policies": ["default"], "ttl": "1m"}));
    for place in ["", &format!("{namespace}/")] {
        let path = |end: &str| format!("{place}auth/token/{end}");
        let issued = admin.request_any(Method::POST, &path("create"), body.clone()).await?;
        let accessor = json!({"accessor": issued["auth"]["accessor"]});
        for end in ["renew-accessor", "revoke-accessor", "revoke-accessor"] {
            let answer = operator.request_any(Method::POST, &path(end), Some(accessor.clone())).await;
            anyhow::ensure!(answer.is_ok(), "{}: {answer:?}", path(end));
        }
    }
    let versions = || Some(json!({"versions": [1]}));
    let allowed: Vec<(Method, &str, Option<Value>)> = vec![
        (Method::POST, "metadata/explicit/B", Some(json!({"custom_metadata": {"description": "b"}}))),
        (Method::POST, "data/explicit/B", Some(json!({"data": {"value": "x"}, "options": {"cas": 0}}))),
        (Method::POST, "data/explicit/B", Some(json!({"data": {"value": "y"}}))),
        (Method::GET, "metadata/explicit/B", None),
        (Method::from_bytes(b"LIST")?, "detailed-metadata/explicit/", None),
        (Method::POST, "delete/explicit/B", versions()),
        (Method::POST, "undelete/explicit/B", versions()),
        (Method::POST, "destroy/explicit/B", versions()),
        (Method::DELETE, "metadata/explicit/B", None),
    ];
    for (method, path, body) in allowed {
        let path = p(&format!("secrets/kv/{path}"));
        let answer = operator.request_any(method.clone(), &path, body).await;
        anyhow::ensure!(answer.is_ok(), "{method} {path}: {answer:?}");
    }
    for path in ["users/roles/50", "api/users/roles/50", "pipelines_gitea/global"] {
        let read = operator.request_any(Method::GET, &p(&format!("sys/policies/acl/{path}")), None).await;
        assert!(matches!(read, Err(Error::NotFound { .. })), "{path}: {read:?}");
    }
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
        ("patch", "batch", "jobs"),
        ("create", "batch", "cronjobs"),
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
    // The admission policy limits these patches to the annotation of a restart, the BaoStaticSecrets to those of a
    // ClusterBaoStaticSecret, and the Jobs to those of an OpenBaoCluster.
    let granted = [
        ("create", "steamer.dev", "baostaticsecrets"),
        ("delete", "steamer.dev", "baostaticsecrets"),
        ("create", "", "secrets"),
        ("create", "batch", "jobs"),
        ("patch", "apps", "deployments"),
        ("patch", "apps", "daemonsets"),
        ("patch", "argoproj.io", "rollouts"),
    ];
    for (verb, group, resource) in granted {
        assert!(allowed(verb, group, resource).await?, "{verb} {resource}.{group} is not allowed");
    }
    Ok(())
}

/// Folder of the mounts. No namespace has this name.
const MOUNTS: &str = "rights-mounts/";

/// Method, path in a namespace, body.
type Request = (&'static str, String, Value);

/// Requests of general kinds in a namespace, in an order in which each one succeeds. `at` is the folder of the mounts.
fn of_general_kinds(at: &str) -> Vec<Request> {
    let requests = [
        ("POST", "sys/mounts/{at}transit", json!({"type": "transit"})),
        ("POST", "sys/mounts/{at}transit/tune", json!({"description": "tuned"})),
        ("POST", "{at}transit/keys/web", json!({})),
        ("POST", "{at}transit/keys/web/config", json!({"min_decryption_version": 1})),
        ("GET", "{at}transit/keys/web", Value::Null),
        ("LIST", "{at}transit/keys", Value::Null),
        ("POST", "sys/mounts/{at}pki", json!({"type": "pki"})),
        ("POST", "{at}pki/root/generate/internal", json!({"common_name": "rights"})),
        ("POST", "{at}pki/config/urls", json!({"issuing_certificates": ["https://ca.example.com"]})),
        ("GET", "{at}pki/issuer/default", Value::Null),
        ("POST", "{at}pki/roles/web", json!({"allow_any_name": true})),
        ("GET", "{at}pki/roles/web", Value::Null),
        ("POST", "sys/mounts/{at}database", json!({"type": "database"})),
        (
            "POST",
            "{at}database/config/main",
            json!({
                "plugin_name": "postgresql-database-plugin", "verify_connection": false, "allowed_roles": "*",
                "connection_url": "postgresql://{{username}}:{{password}}@localhost/x", "username": "u", "password": "p",
            }),
        ),
        ("POST", "{at}database/roles/web", json!({"db_name": "main", "creation_statements": "SELECT 1"})),
        ("LIST", "{at}database/roles", Value::Null),
        ("POST", "sys/mounts/{at}kv", json!({"type": "kv", "options": {"version": "2"}})),
        ("POST", "sys/auth/{at}approle", json!({"type": "approle"})),
        ("POST", "sys/auth/{at}approle/tune", json!({"description": "tuned"})),
        ("POST", "auth/{at}approle/role/web", json!({"token_policies": ["web"]})),
        ("GET", "auth/{at}approle/role/web/role-id", Value::Null),
        ("LIST", "auth/{at}approle/role", Value::Null),
        ("POST", "auth/token/roles/rights", json!({"allowed_policies": ["web"]})),
        (
            "POST",
            "sys/policies/acl/rights/web",
            json!({"policy": "path \"kv/data/web\" { capabilities = [\"read\"] }"}),
        ),
        ("GET", "sys/policies/acl/rights/web", Value::Null),
        ("LIST", "sys/policies/acl", Value::Null),
        ("POST", "identity/group", json!({"name": "rights", "policies": ["rights/web"]})),
        ("GET", "identity/group/name/rights", Value::Null),
        ("POST", "sys/namespaces/rights-below", json!({})),
        ("DELETE", "sys/namespaces/rights-below", Value::Null),
    ];
    requests.map(|(method, path, body)| (method, path.replace("{at}", at), body)).to_vec()
}

/// Requests for values, tokens and the like in the same namespace.
fn of_nobody(at: &str) -> Vec<Request> {
    let requests = [
        ("GET", "{at}kv/data/web", Value::Null),
        ("GET", "{at}kv/data/config", Value::Null),
        ("GET", "{at}kv/data/roles/web", Value::Null),
        ("GET", "{at}config/data/web", Value::Null),
        ("GET", "{at}configx/data/web", Value::Null),
        ("GET", "{at}keys/data/web", Value::Null),
        ("GET", "{at}keys/data/config", Value::Null),
        ("GET", "{at}roles/data/web", Value::Null),
        ("GET", "{at}role/data/web", Value::Null),
        ("GET", "{at}issuer/data/web", Value::Null),
        ("GET", "{at}key/data/web", Value::Null),
        ("POST", "{at}config/data/web", json!({"data": {"a": "b"}})),
        ("POST", "{at}keys/data/web", json!({"data": {"a": "b"}})),
        ("GET", "{at}kv/metadata/config", Value::Null),
        ("LIST", "{at}kv/metadata", Value::Null),
        ("POST", "{at}kv/data/config", json!({"data": {"a": "b"}})),
        ("DELETE", "{at}kv/metadata/config", Value::Null),
        ("POST", "{at}transit/keys/web/rotate", json!({})),
        ("POST", "{at}transit/keys/web/trim", json!({"min_available_version": 1})),
        ("POST", "{at}transit/keys/new/import", json!({"ciphertext": "x"})),
        ("POST", "{at}pki/root/rotate/internal", json!({"common_name": "x"})),
        ("POST", "{at}pki/root/replace", json!({"default": "x"})),
        ("POST", "identity/lookup/group", json!({"name": "rights"})),
        ("POST", "{at}transit/encrypt/web", json!({"plaintext": "YQ=="})),
        ("POST", "{at}transit/sign/web", json!({"input": "YQ=="})),
        ("GET", "{at}transit/export/encryption-key/web", Value::Null),
        ("GET", "{at}transit/backup/web", Value::Null),
        ("POST", "{at}pki/issue/web", json!({"common_name": "a.example.com"})),
        ("POST", "{at}pki/sign-verbatim/web", json!({"csr": "x"})),
        ("POST", "{at}pki/issuer/default/issue/web", json!({"common_name": "a.example.com"})),
        ("POST", "{at}pki/issuer/default/sign-verbatim", json!({"csr": "x"})),
        ("POST", "{at}pki/root/generate/exported", json!({"common_name": "x"})),
        ("POST", "{at}pki/keys/generate/exported", json!({"key_type": "ec"})),
        ("GET", "{at}database/creds/web", Value::Null),
        ("GET", "{at}database/creds/config", Value::Null),
        ("POST", "auth/{at}approle/role/web/secret-id", json!({})),
        ("LIST", "auth/{at}approle/role/web/secret-id", Value::Null),
        ("POST", "auth/token/create", json!({"policies": ["default"]})),
        ("POST", "auth/token/create/rights", json!({})),
        ("POST", "auth/token/create-orphan", json!({})),
        ("LIST", "auth/token/accessors", Value::Null),
        ("GET", "identity/oidc/token/config", Value::Null),
        ("POST", "sys/policies/password/rights", json!({"policy": "length = 20"})),
        ("POST", "sys/namespaces/rights-below/seal", json!({})),
    ];
    requests.map(|(method, path, body)| (method, path.replace("{at}", at), body)).to_vec()
}

/// Requests for tokens and values of a namespace whose name is a folder of the operator's policy. OpenBao has `sys/seal` in the
/// root namespace only.
fn in_a_namespace() -> Vec<Request> {
    let requests = [
        ("POST", "auth/token/create", json!({"policies": ["default"]})),
        ("GET", "kv/data/web", Value::Null),
        ("GET", "kv/data/a/b/c", Value::Null),
        ("GET", "database/creds/web", Value::Null),
    ];
    requests.map(|(method, path, body)| (method, path.to_owned(), body)).to_vec()
}

/// Requests for the server as a whole.
fn of_the_server() -> Vec<Request> {
    let requests = [
        ("GET", "sys/raw/core/keyring", Value::Null),
        ("POST", "sys/rotate/keyring", json!({})),
        ("POST", "sys/remount", json!({"from": "rights-x", "to": "rights-y"})),
        ("GET", "sys/audit", Value::Null),
        ("POST", "sys/audit/rights", json!({"type": "file"})),
        ("GET", "sys/config/state/sanitized", Value::Null),
        ("GET", "sys/plugins/catalog/secret/kv", Value::Null),
        ("GET", "sys/leases/lookup/rights", Value::Null),
        ("POST", "sys/seal", json!({})),
    ];
    requests.map(|(method, path, body)| (method, path.to_owned(), body)).to_vec()
}

/// A session with the policy of a scope only.
async fn operator_with(openbao: &OpenBao, name: &str, scope: &PolicyScope) -> Result<Session> {
    let admin = openbao.admin()?;
    let policy = Some(json!({"policy": operator_policy::text(scope)}));
    admin.request_any(Method::POST, &format!("sys/policies/acl/{name}"), policy).await?;
    let token = Some(json!({"policies": [name], "ttl": "1h"}));
    let answer = admin.request_any(Method::POST, "auth/token/create", token).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(openbao.client()?.session(Identity::Token(token.into())))
}

async fn request(session: &Session, namespace: &str, request: &Request) -> Result<Value, Error> {
    let (method, path, body) = request;
    let path = if namespace.is_empty() { path.clone() } else { format!("{namespace}/{path}") };
    let body = Some(body.clone()).filter(|body| !body.is_null());
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    session.request_any(method, &path, body).await
}

async fn all_allowed(operator: &Session, namespace: &str, requests: Vec<Request>) -> Result<()> {
    for sent in requests {
        if let Err(error) = request(operator, namespace, &sent).await {
            anyhow::bail!("{} {} in `{namespace}` fails: {error:?}", sent.0, sent.1);
        }
    }
    Ok(())
}

async fn all_denied(operator: &Session, namespace: &str, requests: Vec<Request>) -> Result<()> {
    for sent in requests {
        match request(operator, namespace, &sent).await {
            Err(Error::Denied { .. }) => {}
            other => anyhow::bail!("{} {} in `{namespace}` is not denied: {other:?}", sent.0, sent.1),
        }
    }
    Ok(())
}

/// Writes the values that [`of_nobody`] asks for, also in mounts whose names are folders of the operator's policy.
async fn write_values(admin: &Session, namespace: &str) -> Result<()> {
    for mount in ["config", "configx", "keys", "roles", "role", "issuer", "key"] {
        let engine = json!({"type": "kv", "options": {"version": "2"}});
        let mounted = ("POST", format!("sys/mounts/{MOUNTS}{mount}"), engine);
        request(admin, namespace, &mounted).await?;
    }
    let value =
        |path: &str| ("POST", format!("{MOUNTS}kv/data/{path}"), json!({"data": {"value": "secret"}}));
    all_allowed(admin, namespace, ["web", "config", "roles/web"].map(value).to_vec()).await
}

#[tokio::test]
async fn a_wide_scope_permits_general_kinds_and_no_values() -> Result<()> {
    let ground = Ground::shared();
    let admin = ground.openbao.admin()?;
    for namespace in [
        "rights",
        "rights/web",
        "rights-other",
        "rights-other/config",
        "rights-other/configx",
        "rights-other/keys",
    ] {
        let (parent, name) = namespace.rsplit_once('/').unwrap_or(("", namespace));
        request(&admin, parent, &("POST", format!("sys/namespaces/{name}"), json!({}))).await?;
    }
    let listed = PolicyScope::Namespaces(vec!["rights".to_owned()]);
    let listed = operator_with(&ground.openbao, "rights-listed", &listed).await?;
    let root = operator_with(&ground.openbao, "rights-root", &PolicyScope::Root).await?;
    for (operator, namespace) in
        [(&listed, "rights"), (&listed, "rights/web"), (&root, "rights-other"), (&root, "")]
    {
        all_allowed(operator, namespace, of_general_kinds(MOUNTS)).await?;
        write_values(&admin, namespace).await?;
        all_denied(operator, namespace, of_nobody(MOUNTS)).await?;
    }
    for namespace in ["rights-other/config", "rights-other/configx", "rights-other/keys"] {
        all_denied(&root, namespace, in_a_namespace()).await?;
    }
    for namespace in ["", "rights-other"] {
        all_denied(&listed, namespace, of_general_kinds(MOUNTS)).await?;
        all_denied(&listed, namespace, of_nobody(MOUNTS)).await?;
    }
    let quota = || {
        let body = json!({"rate": 100_000.0, "path": format!("{MOUNTS}transit")});
        vec![("POST", "sys/quotas/rate-limit/rights".to_owned(), body)]
    };
    all_denied(&listed, "", quota()).await?;
    all_allowed(&root, "", quota()).await?;
    for operator in [&listed, &root] {
        all_denied(operator, "", of_the_server()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_denied_request_names_the_line_that_the_policy_lacks() -> Result<()> {
    let case = Case::new("operator-rights-line").await?;
    // The scope of the cluster is wider than the policy of its role.
    operator_with(&case.ground.openbao, "rights-narrow", &PolicyScope::Tenants).await?;
    root_cluster(&case, "narrow", "rights-narrow").await?;
    let spec = json!({
        "clusterRef": {"name": "narrow"}, "name": "rights-denied",
        "rules": [{"path": "kv/data/web", "capabilities": ["read"]}],
    });
    case.object("BaoPolicy", "denied", spec).await?;
    let expected = "False/PermissionDenied: OpenBao denies GET sys/policies/acl/rights-denied: an administrator must add \
                    to the policy of the operator: path \"sys/policies/acl/rights-denied\" { capabilities = [\"create\", \
                    \"read\", \"update\", \"delete\"] }";
    case.ready::<BaoPolicy>("denied", expected).await.map(drop)
}
