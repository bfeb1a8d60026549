//! OpenBao's self-initialization at the first start: logins for the operator and the administrators, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steamer_api::Administrator;
use steamer_core::access::server_audience::managed_audience;
use steamer_core::layout::{OPERATOR_MOUNT, OPERATOR_ROLE, TOKEN_REVIEW_MOUNT};
use steamer_runtime::ObjectName;

use crate::cluster::Cluster;
use crate::operator_policy;

/// Lifetime of an administrator's token.
const ADMINISTRATOR_TTL: &str = "8h";
/// Lifetime of the operator's token.
const OPERATOR_TTL: &str = "10m";

/// Issuer of the tokens that administrators log in with.
#[derive(Clone)]
pub(crate) struct AdministratorIssuer {
    pub(crate) name: String,
    /// Configuration of its auth mount, with its keys.
    pub(crate) config: Value,
    pub(crate) audiences: Vec<String>,
}

impl AdministratorIssuer {
    /// Port of the server that publishes its keys. None if the mount contains the keys.
    pub(crate) fn port(&self) -> Option<u16> {
        let url = self.config.get("oidc_discovery_url").or_else(|| self.config.get("jwks_url"))?.as_str()?;
        reqwest::Url::parse(url).ok()?.port_or_known_default()
    }
}

/// The stanza, as JSON for a file of its own beside the configuration.
pub(crate) fn initialization(
    cluster: &Cluster,
    operator: &ObjectName,
    issuers: &[AdministratorIssuer],
) -> Value {
    let mut requests = operator_requests(cluster, operator);
    if cluster.spec.token_review {
        requests.extend(token_review_requests());
    }
    requests.extend(issuers.iter().flat_map(issuer_requests));
    requests.extend(administrator_requests(cluster, issuers));
    json!({"initialize": [{"steamer": {"request": requests}}]})
}

fn request(name: &str, path: &str, data: Value) -> Value {
    json!({name: {"operation": "update", "path": path, "data": data}})
}

/// Policy, auth mount and role of the operator.
fn operator_requests(cluster: &Cluster, operator: &ObjectName) -> Vec<Value> {
    let audience = managed_audience(&cluster.spec, &cluster.name);
    let policy = json!({"policy": operator_policy::managed_text(&cluster.scope)});
    let config = json!({"provider_config": {"provider": "kubernetes"}});
    let role = role(&account_subject(operator), json!([audience]), OPERATOR_ROLE, OPERATOR_TTL);
    vec![
        request("operator_policy", &format!("sys/policies/acl/{OPERATOR_ROLE}"), policy),
        request("kubernetes", &format!("sys/auth/{OPERATOR_MOUNT}"), json!({"type": "jwt"})),
        request("kubernetes_config", &format!("auth/{OPERATOR_MOUNT}/config"), config),
        request("operator_role", &format!("auth/{OPERATOR_MOUNT}/role/{OPERATOR_ROLE}"), role),
    ]
}

/// Auth mount that reviews the tokens of applications, with the ServiceAccount of the pods.
fn token_review_requests() -> [Value; 2] {
    let config = json!({"kubernetes_host": "https://kubernetes.default.svc"});
    [
        request("token_review", &format!("sys/auth/{TOKEN_REVIEW_MOUNT}"), json!({"type": "kubernetes"})),
        request("token_review_config", &format!("auth/{TOKEN_REVIEW_MOUNT}/config"), config),
    ]
}

/// Auth mount of an issuer.
fn issuer_requests(issuer: &AdministratorIssuer) -> [Value; 2] {
    let mount = issuer_mount(&issuer.name);
    let id = issuer.name.replace(['.', '-'], "_");
    [
        request(&format!("issuer_{id}"), &format!("sys/auth/{mount}"), json!({"type": "jwt"})),
        request(&format!("issuer_config_{id}"), &format!("auth/{mount}/config"), issuer.config.clone()),
    ]
}

/// Policy and role of each administrator. Administrators can share a policy, which is written once.
fn administrator_requests(cluster: &Cluster, issuers: &[AdministratorIssuer]) -> Vec<Value> {
    let mut requests = Vec::new();
    let mut written = BTreeSet::new();
    for administrator in &cluster.administrators {
        if written.insert(&administrator.policy) {
            requests.push(policy_request(administrator));
        }
        requests.extend(account_request(administrator, cluster));
        requests.extend(jwt_request(administrator, issuers));
    }
    requests
}

fn policy_request(administrator: &Administrator) -> Value {
    let policy = &administrator.policy;
    let rules = administrator.rules.clone().unwrap_or_else(everything);
    request(&format!("policy_{policy}"), &format!("sys/policies/acl/{policy}"), json!({"policy": rules}))
}

fn account_request(administrator: &Administrator, cluster: &Cluster) -> Option<Value> {
    let Administrator { name, service_account, jwt: _, policy, rules: _ } = administrator;
    let account = service_account.as_ref()?;
    let namespace = account.namespace.as_deref().unwrap_or(&cluster.name.namespace);
    let subject = account_subject(&ObjectName::new(namespace, &account.name));
    let audiences = json!([managed_audience(&cluster.spec, &cluster.name)]);
    let role = role(&subject, audiences, policy, ADMINISTRATOR_TTL);
    Some(request(&format!("role_{name}"), &format!("auth/{OPERATOR_MOUNT}/role/{name}"), role))
}

fn jwt_request(administrator: &Administrator, issuers: &[AdministratorIssuer]) -> Option<Value> {
    let Administrator { name, service_account: _, jwt, policy, rules: _ } = administrator;
    let subject = jwt.as_ref()?;
    let issuer = issuers.iter().find(|issuer| issuer.name == subject.issuer_ref.name);
    let audiences = issuer.map(|issuer| issuer.audiences.clone()).unwrap_or_default();
    let role = role(&subject.subject, json!(audiences), policy, ADMINISTRATOR_TTL);
    let mount = issuer_mount(&subject.issuer_ref.name);
    Some(request(&format!("role_{name}"), &format!("auth/{mount}/role/{name}"), role))
}

fn issuer_mount(issuer: &str) -> String {
    format!("jwt_{issuer}")
}

fn account_subject(account: &ObjectName) -> String {
    format!("system:serviceaccount:{}:{}", account.namespace, account.name)
}

fn role(subject: &str, audiences: Value, policy: &str, ttl: &str) -> Value {
    json!({
        "role_type": "jwt", "user_claim": "sub", "bound_subject": subject, "bound_audiences": audiences,
        "token_policies": [policy], "token_ttl": ttl, "token_max_ttl": ttl,
    })
}

/// Rules of an administrator without rules in the spec.
fn everything() -> String {
    let all = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"];
    json!({"path": {"*": {"capabilities": all}}}).to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::operator_policy::PolicyScope;
    use crate::tests::cluster;

    #[test]
    fn applications_have_an_auth_mount_with_token_review() {
        let operator = ObjectName::new("steamer", "operator");
        let text = |cluster: &Cluster| initialization(cluster, &operator, &[]).to_string();
        assert!(!text(&cluster()).contains("token_review"));
        let text = text(&crate::tests::cluster_with(json!({"tokenReview": true})));
        assert!(text.contains(r#""path":"sys/auth/token_review""#), "{text}");
        assert!(text.contains(r#""path":"auth/token_review/config""#), "{text}");
    }

    #[rstest]
    #[case(json!({"oidc_discovery_url": "https://git-lab.com"}), Some(443))]
    #[case(json!({"oidc_discovery_url": "http://gitlab.gitlab.svc:8080/a"}), Some(8080))]
    #[case(json!({"jwks_url": "https://git-lab.com:8443/keys"}), Some(8443))]
    #[case(json!({"jwt_validation_pubkeys": ["PEM"]}), None)]
    fn nodes_connect_to_the_server_with_the_keys_of_an_issuer(
        #[case] config: Value,
        #[case] expected: Option<u16>,
    ) {
        let issuer = AdministratorIssuer { name: "a".to_owned(), config, audiences: Vec::new() };
        assert_eq!(issuer.port(), expected);
    }

    #[test]
    fn operator_and_administrators_can_log_in_after_the_first_start() {
        let mut cluster = cluster();
        cluster.scope = PolicyScope::Root;
        let administrators = json!([
            {"name": "ops", "serviceAccount": {"name": "ops", "namespace": "ops"}, "policy": "admin"},
            {"name": "deputy", "serviceAccount": {"name": "deputy"}, "policy": "admin"},
            {"name": "jane", "jwt": {"issuerRef": {"name": "git-lab.com"}, "subject": "jane"}, "policy": "audit",
             "rules": "path \"sys/audit\" {}"},
        ]);
        cluster.administrators = serde_json::from_value(administrators).unwrap();
        let issuer = AdministratorIssuer {
            name: "git-lab.com".to_owned(),
            config: json!({"oidc_discovery_url": "https://git-lab.com"}),
            audiences: vec!["bao".to_owned()],
        };
        let mut stanza = initialization(&cluster, &ObjectName::new("steamer", "operator"), &[issuer]);
        // The policy of the operator has a snapshot of its own.
        let policy =
            &mut stanza["initialize"][0]["steamer"]["request"][0]["operator_policy"]["data"]["policy"];
        assert_eq!(policy.take(), operator_policy::managed_text(&PolicyScope::Root));
        insta::assert_yaml_snapshot!(stanza);
    }
}
