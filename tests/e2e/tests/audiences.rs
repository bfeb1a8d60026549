//! No token is requested that the API server accepts, whichever kind names the audience. The audit log of the API server
//! shows each request.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{BaoAuth, BaoStaticSecret, JWTIssuer, OpenBaoCluster, SecretsProject, SecretsTenant};
use steamer_testing::audit;
use steamer_testing::control_plane::ISSUER;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, apply};

use crate::fixture::{Case, ready_in};
use crate::static_secrets::auth;

const NAMESPACE: &str = "audiences";

/// Returns the granted token requests of the operator in the audit log: ServiceAccount and requested audiences.
fn token_requests(case: &Case) -> Result<Vec<(String, Vec<String>)>> {
    let entries = audit::entries(&case.ground.plane.audit, "/serviceaccounts/")?;
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}");
    let granted = |entry: &Arc<Value>| {
        let url = entry["requestURI"].as_str().unwrap_or_default();
        url.contains("/token")
            && entry["responseStatus"]["code"] == 201
            && entry["user"]["username"] == operator.as_str()
    };
    entries
        .into_iter()
        .filter(granted)
        .map(|entry| {
            let audiences = serde_json::from_value(entry["requestObject"]["spec"]["audiences"].clone());
            let name = |field: &str| entry["objectRef"][field].as_str().unwrap_or_default().to_owned();
            Ok((format!("{}/{}", name("namespace"), name("name")), audiences.unwrap_or_default()))
        })
        .collect()
}

fn cluster(case: &Case, login: &Value) -> Value {
    json!({
        "external": {
            "address": case.ground.openbao.url, "caSecretRef": {"name": "main-ca"}, "managementAuth": login,
        },
        "jwtAudience": "https://bao.example.com", "allowedNamespaces": {"from": "All"},
    })
}

fn tenant(cluster: &str, group: i64) -> Value {
    json!({
        "clusterRef": {"name": cluster}, "organizationId": 1401, "groupId": group, "issuerRef": {"name": "gitlab"},
    })
}

fn static_secret(auth: &str) -> Value {
    json!({
        "authRef": {"name": auth}, "mount": "kv", "path": "app", "type": "kv-v2",
        "destination": {"name": auth, "create": true},
    })
}

#[tokio::test]
async fn no_kind_causes_a_request_for_a_token_that_the_api_server_accepts() -> Result<()> {
    let case = Case::new(NAMESPACE).await?;
    let issuer = json!({"oidcDiscoveryUrl": case.ground.issuer.url, "allowPlaintext": true});
    case.object("JWTIssuer", "gitlab", issuer).await?;
    case.ready::<JWTIssuer>("gitlab", "True/Applied").await?;

    // BaoAuth, and the objects that use it.
    let mut by_kubernetes = auth("any");
    by_kubernetes["kubernetes"]["audiences"] = json!(["openbao", ISSUER]);
    let by_jwt = json!({
        "clusterRef": {"name": "main"}, "method": "JWT",
        "jwt": {"role": "any", "serviceAccount": "default", "audiences": [ISSUER]},
    });
    for (name, spec) in [("by-kubernetes", by_kubernetes), ("by-jwt", by_jwt)] {
        case.object("BaoAuth", name, spec).await?;
        case.object("BaoStaticSecret", name, static_secret(name)).await?;
        case.ready::<BaoAuth>(name, "False/Invalid").await?;
        case.ready::<BaoStaticSecret>(name, "False/Invalid").await?;
    }

    // OpenBaoCluster, and the tenants in it.
    let login = json!({"role": "steamer", "audience": ISSUER});
    let logins = [("kubernetes", json!({"kubernetes": login})), ("jwt", json!({"jwt": login}))];
    for (group, (name, login)) in (1..).zip(&logins) {
        case.object("OpenBaoCluster", name, cluster(&case, login)).await?;
        case.object("SecretsTenant", name, tenant(name, group)).await?;
        case.ready::<OpenBaoCluster>(name, "False/Invalid").await?;
        case.ready::<SecretsTenant>(name, "False/Waiting: OpenBaoCluster audiences/").await?;
    }

    // SecretsProject: an audience of a workload, and a cluster that gets such an audience later.
    case.cluster("later", &case.ground.openbao).await?;
    case.object("SecretsTenant", "later", tenant("later", 7)).await?;
    let workload = json!({
        "name": "app", "serviceAccount": "default", "namespace": NAMESPACE, "audience": ISSUER, "secrets": ["A"],
    });
    let project =
        |workloads: &[&Value]| json!({"tenantRef": {"name": "later"}, "id": 42, "workloads": workloads});
    case.object("SecretsProject", "web", project(&[&workload])).await?;
    case.ready::<SecretsProject>("web", "False/Invalid").await?;
    case.object("BaoAuth", "by-workload", json!({"projectRef": {"name": "web"}, "workload": "app"})).await?;
    case.object("BaoStaticSecret", "by-workload", static_secret("by-workload")).await?;
    case.ready::<BaoStaticSecret>("by-workload", "False/").await?;
    case.object("SecretsProject", "web", project(&[])).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.object("OpenBaoCluster", "later", cluster(&case, &logins[0].1)).await?;
    case.ready::<OpenBaoCluster>("later", "False/Invalid").await?;
    let own = |(account, _): &(String, Vec<String>)| account.starts_with("audiences/");
    ensure!(!token_requests(&case)?.iter().any(own), "a ServiceAccount of the namespace got a token");
    let mut safe = workload.clone();
    safe["audience"] = json!("openbao");
    case.object("SecretsProject", "web", project(&[&safe])).await?;
    case.ready::<SecretsProject>("web", "False/").await?;

    let requests = token_requests(&case)?;
    let operators = requests.iter().filter(|(account, _)| account.ends_with(&format!("/{OPERATOR_ACCOUNT}")));
    ensure!(operators.count() > 0, "the audit log contains no token request of the operator");
    let unsafe_requests: Vec<_> = requests
        .iter()
        .filter(|(_, audiences)| audiences.iter().any(|audience| audience == ISSUER))
        .collect();
    ensure!(unsafe_requests.is_empty(), "{unsafe_requests:?}");
    Ok(())
}

/// A consumer of a shared BaoAuth, and what its ServiceAccount must allow.
#[tokio::test]
async fn an_edited_shared_login_gets_no_token_without_the_consent_of_the_service_account() -> Result<()> {
    let case = Case::new("consent").await?;
    case.make_namespace("consent-reader", json!({})).await?;
    let address = json!({"address": case.ground.openbao.url, "caCertSecretRef": "main-ca"});
    case.object("BaoConnection", "direct", address).await?;
    let login = |server: &str, method: &str, audiences: &[&str]| {
        let block = json!({"role": "any", "serviceAccount": "default", "audiences": audiences});
        let (reference, name) = server.split_once('/').unwrap_or_default();
        json!({
            reference: {"name": name}, "method": method, method.to_lowercase(): block,
            "allowedNamespaces": {"from": "All"},
        })
    };
    let cases = [
        ("a", login("clusterRef/main", "Kubernetes", &["sts.example.com"])),
        ("b", login("clusterRef/main", "JWT", &["openbao", "sts.example.com"])),
        ("c", login("connectionRef/direct", "Kubernetes", &["sts.example.com"])),
        ("d", login("connectionRef/direct", "JWT", &["https://bao.example.com"])),
    ];
    let readers: Api<BaoStaticSecret> = Api::namespaced(case.client.clone(), "consent-reader");
    for (name, spec) in cases {
        case.object("BaoAuth", name, spec).await?;
        let mut reader = static_secret(name);
        reader["authRef"]["namespace"] = json!(case.namespace);
        case.object_in("consent-reader", "BaoStaticSecret", name, reader).await?;
        ready_in(
            &readers,
            name,
            "False/ReferenceDenied: ServiceAccount consent-reader/default does not allow",
        )
        .await?;
    }
    let of_reader = |case: &Case| -> Result<usize> {
        Ok(token_requests(case)?.iter().filter(|(account, _)| account.starts_with("consent-reader/")).count())
    };
    ensure!(of_reader(&case)? == 0, "a token was requested without consent");
    // The command of the message is sufficient. The role does not exist, so the login is rejected.
    let command = readers.get("a").await?;
    let command = crate::fixture::ready_of(&serde_json::to_value(&command)?);
    ensure!(command.contains("--overwrite steamer.dev/audiences=sts.example.com`"), "{command}");
    let accounts: Api<ServiceAccount> = Api::namespaced(case.client.clone(), "consent-reader");
    let annotation = json!({"metadata": {"annotations": {"steamer.dev/audiences": "sts.example.com"}}});
    accounts.patch("default", &PatchParams::default(), &Patch::Merge(&annotation)).await?;
    ready_in(&readers, "a", "False/PermissionDenied").await?;
    ensure!(of_reader(&case)? > 0, "no token was requested with consent");
    Ok(())
}

#[tokio::test]
async fn an_external_cluster_cannot_name_the_audience_or_the_server_of_another_namespace() -> Result<()> {
    let case = Case::new("rivals").await?;
    case.ready::<OpenBaoCluster>("main", "True/Applied").await?;
    case.make_namespace("rivals-other", json!({})).await?;
    let clusters: Api<OpenBaoCluster> = Api::namespaced(case.client.clone(), "rivals-other");
    // The same audience, for an address that the older cluster does not have.
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "main-ca", "namespace": "rivals-other"},
        "stringData": {"ca.crt": case.ground.openbao.ca},
    });
    apply(&case.client, ca).await?;
    let address = case.ground.openbao.url.replace("127.0.0.1", "localhost");
    ensure!(address != case.ground.openbao.url, "the address of OpenBao is {address}");
    let collector = json!({
        "external": {
            "address": address, "caSecretRef": {"name": "main-ca"},
            "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}},
        },
    });
    case.object_in("rivals-other", "OpenBaoCluster", "collector", collector).await?;
    ready_in(&clusters, "collector", "False/Conflict: audience `openbao` identifies the server of").await?;

    // The audience does not pass to a waiting cluster when its holder is deleted, and the holder can return.
    let server = |address: &str| {
        json!({
            "external": {
                "address": address, "caSecretRef": {"name": "main-ca"},
                "managementAuth": {"kubernetes": {"role": "steamer", "audience": "rivals.example.com"}},
            },
        })
    };
    let holder = server(&case.ground.openbao.url);
    case.object("OpenBaoCluster", "holder", holder.clone()).await?;
    case.object_in("rivals-other", "OpenBaoCluster", "waiting", server(&address)).await?;
    let conflict = |text: &str| {
        format!(
            "False/Conflict: audience `rivals.example.com` {text} the server of OpenBaoCluster rivals/holder"
        )
    };
    ready_in(&clusters, "waiting", &conflict("identifies")).await?;
    case.api::<OpenBaoCluster>().delete("holder", &DeleteParams::default()).await?;
    ready_in(&clusters, "waiting", &conflict("identified")).await?;
    case.object("OpenBaoCluster", "holder", holder).await?;
    ready_in(&clusters, "waiting", &conflict("identifies")).await?;
    Ok(())
}
