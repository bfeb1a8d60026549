//! Logins that OpenBao rejects recover after their cause is corrected, long before the token expires, and an operator that
//! ends leaves no token.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::BaoStaticSecret;
use steamer_testing::ground::apply;

use crate::fixture::{Case, ready_in};
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

#[tokio::test]
async fn a_recreated_service_account_and_a_changed_role_lead_to_a_new_login() -> Result<()> {
    let case = Case::new("logins").await?;
    engine(&case, "logins").await?;
    case.admin()?.write_kv2("logins", "app", &json!({"a": "1"})).await?;
    let accounts: Api<ServiceAccount> = case.api();
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "again", "namespace": case.namespace},
    });
    let mut spec = auth("logins");
    // The audience is that of the cluster.
    spec["kubernetes"] = json!({"role": "logins", "serviceAccount": "again"});
    case.object("BaoAuth", "default", spec).await?;
    let spec = json!({
        "mount": "logins", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;

    // A missing ServiceAccount is named, and its creation is noticed, however often.
    for _ in 0..2 {
        let missing = "False/ReferenceNotFound: ServiceAccount logins/again does not exist";
        case.ready::<BaoStaticSecret>("app", missing).await?;
        apply(&case.client, account.clone()).await?;
        case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
        accounts.delete("again", &DeleteParams::default()).await?;
    }
    apply(&case.client, account).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;

    // A token keeps the policies of its login: a corrected role needs a new login, whatever the age of the token.
    let role = |policy: &str| {
        json!({
            "bound_service_account_names": ["again"], "bound_service_account_namespaces": ["logins"],
            "audience": "openbao", "token_policies": [policy], "token_ttl": "1h",
        })
    };
    let path = "auth/kubernetes/role/logins";
    let admin = case.admin()?;
    admin.request_any(Method::POST, path, Some(role("none"))).await?;
    admin.request_any(Method::DELETE, "sys/policies/acl/logins", None).await?;
    case.ready::<BaoStaticSecret>("app", "False/PermissionDenied").await?;
    engine_policy(&case).await?;
    admin.request_any(Method::POST, path, Some(role("logins"))).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn a_namespace_that_is_recreated_under_its_name_logs_in_with_its_new_account() -> Result<()> {
    const AGAIN: &str = "logins-again";
    let case = Case::new("logins-namespace").await?;
    engine(&case, "logins-namespace").await?;
    let admin = case.admin()?;
    admin.write_kv2("logins-namespace", "app", &json!({"a": "1"})).await?;
    // Tokens that end soon: the next login needs a JWT of the new ServiceAccount.
    let role = json!({
        "bound_service_account_names": ["default"], "bound_service_account_namespaces": [AGAIN],
        "audience": "openbao", "token_policies": ["logins-namespace"], "token_ttl": "20s", "token_max_ttl": "20s",
    });
    admin.request_any(Method::POST, "auth/kubernetes/role/logins-namespace", Some(role)).await?;
    let mut login = auth("logins-namespace");
    login["clusterRef"] = json!({"name": "main", "namespace": case.namespace});
    let spec = json!({
        "mount": "logins-namespace", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "app", "create": true},
    });
    let objects: Api<BaoStaticSecret> = Api::namespaced(case.client.clone(), AGAIN);
    let namespaces: Api<Namespace> = Api::all(case.client.clone());
    for _ in 0..3 {
        case.make_namespace(AGAIN, json!({})).await?;
        case.object_in(AGAIN, "BaoAuth", "default", login.clone()).await?;
        case.object_in(AGAIN, "BaoStaticSecret", "app", spec.clone()).await?;
        ready_in(&objects, "app", "True/Applied").await?;
        namespaces.delete(AGAIN, &DeleteParams::default()).await?;
        gone(&namespaces, AGAIN).await?;
    }
    Ok(())
}

async fn engine_policy(case: &Case) -> Result<()> {
    let policy = json!({"path": {"logins/*": {"capabilities": ["read"]}}}).to_string();
    let body = json!({"policy": policy});
    case.admin()?.request_any(Method::POST, "sys/policies/acl/logins", Some(body)).await?;
    Ok(())
}

/// Number of tokens in OpenBao.
async fn tokens(case: &Case) -> Result<usize> {
    let list = Method::from_bytes(b"LIST")?;
    let answer = case.admin()?.request_any(list, "auth/token/accessors", None).await?;
    answer["data"]["keys"].as_array().map(Vec::len).context("no list of accessors")
}

#[tokio::test]
async fn an_operator_that_ends_revokes_its_tokens() -> Result<()> {
    let mut rig = Rig::new("logins-end").await?;
    engine(&rig.case, "logins-end").await?;
    rig.case.admin()?.write_kv2("logins-end", "app", &json!({"a": "1"})).await?;
    rig.case.object("BaoAuth", "default", auth("logins-end")).await?;
    let destination = json!({"name": "app", "create": true});
    let spec = json!({"mount": "logins-end", "path": "app", "type": "kv-v2", "destination": destination});
    rig.case.object("BaoStaticSecret", "app", spec).await?;
    let before = tokens(&rig.case).await?;
    rig.start().await?;
    rig.case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    // One of the operator, and one of the object.
    let during = tokens(&rig.case).await?;
    ensure!(during >= before + 2, "{before} tokens before the operator started, {during} while it runs");
    let mut running = rig.running.take().context("no operator")?;
    ensure!(running.process.terminate()?, "the operator did not exit cleanly");
    assert_eq!(tokens(&rig.case).await?, before);
    Ok(())
}
