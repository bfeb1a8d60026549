//! What the first start does once: ways in for the operator and the administrators, and nothing else.

use serde_json::{Value, json};
use steamer_api::Administrator;
use steamer_runtime::ObjectName;

use crate::cluster::Cluster;
use crate::objects::metadata;
use crate::operator_policy;
use steamer_core::layout::{OPERATOR_AUDIENCE, OPERATOR_MOUNT};

/// How long an administrator's token lasts.
const ADMINISTRATOR_TTL: &str = "8h";

/// Keys of an issuer that administrators log in with.
pub(crate) struct AdministratorIssuer {
    pub(crate) name: String,
    pub(crate) config: Value,
    pub(crate) audiences: Vec<String>,
}

fn request(name: String, path: String, data: Value) -> Value {
    json!({name: {"operation": "update", "path": path, "data": data}})
}

/// The stanza, as a file beside the configuration.
pub(crate) fn initialization(
    cluster: &Cluster,
    operator: &ObjectName,
    issuers: &[AdministratorIssuer],
) -> Value {
    let mut requests = vec![
        request(
            "operator_policy".to_owned(),
            "sys/policies/acl/steamer".to_owned(),
            json!({"policy": operator_policy::managed_text()}),
        ),
        request("kubernetes".to_owned(), format!("sys/auth/{OPERATOR_MOUNT}"), json!({"type": "jwt"})),
        request(
            "kubernetes_config".to_owned(),
            format!("auth/{OPERATOR_MOUNT}/config"),
            json!({"provider_config": {"provider": "kubernetes"}}),
        ),
        request(
            "operator_role".to_owned(),
            format!("auth/{OPERATOR_MOUNT}/role/steamer"),
            account_role(operator, "steamer", "10m"),
        ),
    ];
    for issuer in issuers {
        let mount = issuer_mount(&issuer.name);
        let id = issuer.name.replace(['.', '-'], "_");
        requests.push(request(format!("issuer_{id}"), format!("sys/auth/{mount}"), json!({"type": "jwt"})));
        requests.push(request(
            format!("issuer_config_{id}"),
            format!("auth/{mount}/config"),
            issuer.config.clone(),
        ));
    }
    let mut written = Vec::new();
    for administrator in &cluster.administrators {
        let Administrator { name, service_account, jwt, policy, rules } = administrator;
        if !written.contains(&policy) {
            written.push(policy);
            let rules = rules.clone().unwrap_or_else(everything);
            let path = format!("sys/policies/acl/{policy}");
            requests.push(request(format!("policy_{policy}"), path, json!({"policy": rules})));
        }
        if let Some(account) = service_account {
            let namespace = account.namespace.as_deref().unwrap_or(&cluster.name.namespace);
            let role = account_role(&ObjectName::new(namespace, &account.name), policy, ADMINISTRATOR_TTL);
            requests.push(request(
                format!("role_{name}"),
                format!("auth/{OPERATOR_MOUNT}/role/{name}"),
                role,
            ));
        }
        if let Some(subject) = jwt {
            let issuer = issuers.iter().find(|issuer| issuer.name == subject.issuer_ref.name);
            let audiences = issuer.map(|issuer| issuer.audiences.clone()).unwrap_or_default();
            let role = role(&subject.subject, json!(audiences), policy, ADMINISTRATOR_TTL);
            let mount = issuer_mount(&subject.issuer_ref.name);
            requests.push(request(format!("role_{name}"), format!("auth/{mount}/role/{name}"), role));
        }
    }
    json!({"initialize": [{"steamer": {"request": requests}}]})
}

fn issuer_mount(issuer: &str) -> String {
    format!("jwt_{issuer}")
}

fn account_role(account: &ObjectName, policy: &str, ttl: &str) -> Value {
    let subject = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    role(&subject, json!([OPERATOR_AUDIENCE]), policy, ttl)
}

fn role(subject: &str, audiences: Value, policy: &str, ttl: &str) -> Value {
    json!({
        "role_type": "jwt", "user_claim": "sub", "bound_subject": subject, "bound_audiences": audiences,
        "token_policies": [policy], "token_ttl": ttl, "token_max_ttl": ttl,
    })
}

fn everything() -> String {
    let all = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"];
    json!({"path": {"*": {"capabilities": all}}}).to_string()
}

/// As nodes find it, until there is something to open.
pub(crate) fn config_map(cluster: &Cluster, initialization: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(cluster, &cluster.child("-init")),
        "data": {"initialize.json": initialization.to_string()},
    })
}
