//! Requests for credentials with parameters, in other namespaces, and after the loss of their Secret.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, BaoDynamicSecretStatus, HasConditions};
use steamer_openbao::Error;
use steamer_testing::database::{self, Connection};
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;
use steamer_testing::{audit, demo};

use crate::dynamic_secrets::{dynamic, engine, has_users, key, lease_id, leases, reason, reported, status};
use crate::fixture::Case;
use crate::openbao_outage::gone;
use crate::pki_secrets::is_revoked;
use crate::rig::Rig;
use crate::static_secrets::auth;

/// Restarts without a workload that uses the Secret: the former lease is revoked soon.
fn restarts() -> Value {
    json!({"mode": "Consumers", "debounce": "100ms"})
}

/// Applies an object that requests a certificate with a lease.
async fn leased(case: &Case, name: &str, (method, ttl): (Option<&str>, &str)) -> Result<()> {
    let mut changes = json!({
        "authRef": {"name": "pki"}, "mount": "pki", "path": "issue/leased", "rolloutRestart": restarts(),
        "params": {"common_name": "web.example.com", "ttl": ttl},
    });
    if let Some(method) = method {
        changes["requestHTTPMethod"] = json!(method);
    }
    dynamic(case, name, changes).await
}

/// Methods of the requests for certificates with this life.
fn methods(requests: &[Asked], ttl: &str) -> Result<Vec<String>> {
    let expected = json!({"common_name": "web.example.com", "ttl": ttl});
    let mut methods = Vec::new();
    for asked in requests.iter().filter(|asked| asked.path.ends_with("/pki/issue/leased")) {
        if serde_json::from_slice::<Value>(&asked.body)? == expected {
            methods.push(asked.method.clone());
        }
    }
    Ok(methods)
}

/// OpenBao does not renew the leases of certificates. The requests for them have parameters and a method.
pub async fn leases_that_are_not_renewable_are_replaced(rig: &Rig) -> Result<()> {
    let case = &rig.case;
    let admin = case.admin()?;
    demo::pki(&admin).await?;
    let role = json!({
        "allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "720h", "key_type": "ec",
        "generate_lease": true,
    });
    admin.request_any(Method::POST, "pki/roles/leased", Some(role)).await?;
    case.role("dynamic-pki", json!({"pki/issue/leased": {"capabilities": ["update"]}}), "2h").await?;
    case.object("BaoAuth", "pki", auth("dynamic-pki")).await?;
    leased(case, "short", (Some("PUT"), "8s")).await?;
    leased(case, "long", (None, "1h")).await?;
    for name in ["short", "long"] {
        case.ready::<BaoDynamicSecret>(name, "True/Applied").await?;
        let is_renewable = status(case, name).await?.lease.map(|lease| lease.renewable);
        ensure!(is_renewable == Some(false), "{name}: {is_renewable:?}");
    }
    reported(case, "short", "replaced", |status| reason(status) == "RenewalDue").await?;

    let serial = key(case, "long", "serial_number").await?;
    let objects: Api<BaoDynamicSecret> = case.api();
    for name in ["short", "long"] {
        objects.delete(name, &DeleteParams::default()).await?;
        gone(&objects, name).await?;
    }
    eventually("the certificate is revoked with its lease", || async {
        match is_revoked(&admin, "pki", &serial).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let seen = rig.openbao.seen();
    let short = methods(&seen, "8s")?;
    ensure!(short.len() >= 2 && short.iter().all(|method| method == "PUT"), "{short:?}");
    assert_eq!(methods(&seen, "1h")?, ["POST"]);
    let renews = |asked: &Asked| {
        asked.path.ends_with("/sys/leases/renew")
            && String::from_utf8_lossy(&asked.body).contains("pki/issue/")
    };
    ensure!(!seen.iter().any(renews), "a lease that is not renewable was renewed");
    Ok(())
}

#[tokio::test]
async fn a_lost_or_renamed_secret_gets_another_credential_and_the_former_one_is_revoked() -> Result<()> {
    let (case, mount) = (Case::new("dynamic-lost").await?, "dynamic-lost");
    engine(&case, mount).await?;
    for name in ["dynlost", "dynkept"] {
        database::role(&case.admin()?, &format!("{mount}/roles/{name}"), ("1h", "24h")).await?;
    }
    dynamic(&case, "dynlost", json!({"rolloutRestart": restarts()})).await?;
    dynamic(&case, "dynkept", json!({"revoke": false})).await?;
    for name in ["dynlost", "dynkept"] {
        case.ready::<BaoDynamicSecret>(name, "True/Applied").await?;
    }
    let secrets: Api<Secret> = case.api();
    let first = status(&case, "dynlost").await?;
    secrets.delete("dynlost", &DeleteParams::default()).await?;
    let is_second = |status: &BaoDynamicSecretStatus| lease_id(status) != lease_id(&first);
    let second = reported(&case, "dynlost", "a second lease", is_second).await?;
    assert_eq!(reason(&second), "DestinationMissing");
    let user = key(&case, "dynlost", "username").await?;
    has_users(&case, "dynlost", &[&user]).await?;

    let renamed = Patch::Merge(json!({"spec": {"destination": {"name": "renamed"}}}));
    let objects: Api<BaoDynamicSecret> = case.api();
    objects.patch("dynlost", &PatchParams::default(), &renamed).await?;
    let is_third = |status: &BaoDynamicSecretStatus| lease_id(status) != lease_id(&second);
    reported(&case, "dynlost", "a third lease", is_third).await?;
    gone(&secrets, "dynlost").await?;
    let user = key(&case, "renamed", "username").await?;
    has_users(&case, "dynlost", &[&user]).await?;
    // OpenBao drops the user before it deletes the lease.
    eventually("only the third lease is left", || async {
        let count = leases(&case, mount, "dynlost").await.map_err(|error| error.to_string())?;
        if count == 1 { Ok(()) } else { Err(format!("{count} leases")) }
    })
    .await?;

    // Without `revoke`, the lease stays.
    let user = key(&case, "dynkept", "username").await?;
    objects.delete("dynkept", &DeleteParams::default()).await?;
    gone(&objects, "dynkept").await?;
    has_users(&case, "dynkept", &[&user]).await?;
    assert_eq!(leases(&case, mount, "dynkept").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_delivered_credential_is_renewed_while_the_spec_is_wrong() -> Result<()> {
    let (case, mount) = (Case::new("dynamic-wrong").await?, "dynamic-wrong");
    engine(&case, mount).await?;
    let wrong = [
        ("dynwrole", json!({"path": "creds/missing"})),
        (
            "dynwform",
            json!({"destination": {"transformation": {"transformationRefs": [{"name": "missing"}]}}}),
        ),
    ];
    for (name, _) in &wrong {
        database::role(&case.admin()?, &format!("{mount}/roles/{name}"), ("10s", "1h")).await?;
        dynamic(&case, name, json!({"renewalPercent": 50})).await?;
    }
    for (name, spec) in wrong {
        case.ready::<BaoDynamicSecret>(name, "True/Applied").await?;
        let first = status(&case, name).await?;
        let objects: Api<BaoDynamicSecret> = case.api();
        objects.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        let ends = |status: &BaoDynamicSecretStatus| status.lease.as_ref().map(|lease| lease.expires_at.0);
        let later = ends(&first).map(|at| at + jiff::SignedDuration::from_secs(15));
        let is_renewed = |status: &BaoDynamicSecretStatus| ends(status) > later && !status.is_ready();
        let last = reported(&case, name, "renewed several times", is_renewed).await?;
        assert_eq!(lease_id(&last), lease_id(&first));
        let user = key(&case, name, "username").await?;
        has_users(&case, name, &[&user]).await?;
        // The corrected object does not need another credential.
        let spec = json!({"path": format!("creds/{name}"), "destination": {"transformation": null}});
        objects.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        case.ready::<BaoDynamicSecret>(name, "True/Applied").await?;
        assert_eq!(key(&case, name, "username").await?, user);
        objects.delete(name, &DeleteParams::default()).await?;
        has_users(&case, name, &[]).await?;
    }
    Ok(())
}

/// OpenBao namespace, and Kubernetes namespace of its test.
const CHILD: &str = "dynamic-child";

/// Creates a database engine in the child namespace, and a login of the root namespace that may use it.
async fn child_engine(case: &Case) -> Result<()> {
    let admin = case.admin()?;
    admin.create_namespace(CHILD, &BTreeMap::new()).await?;
    let inside = admin.within(CHILD);
    let url = database::url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    let connection = Connection { url: &url, user: "postgres", password: "trusted" };
    database::engine(&inside, "db", connection).await?;
    database::role(&inside, "db/roles/dynchild", ("6s", "1h")).await?;
    let update = json!({"capabilities": ["update"]});
    let paths = json!({
        format!("{CHILD}/db/creds/*"): {"capabilities": ["read"]},
        format!("{CHILD}/sys/leases/renew"): update, format!("{CHILD}/sys/leases/revoke"): update,
    });
    case.role(CHILD, paths, "2h").await?;
    case.object("BaoAuth", "default", auth(CHILD)).await.map(drop)
}

/// Number of renewals in the child namespace, from the audit log.
fn renewals(case: &Case) -> Result<usize> {
    let entries = audit::entries(&case.ground.openbao.audit, &format!("{CHILD}/"))?;
    let is_renewal = |entry: &Value| {
        let path = entry["request"]["path"].as_str().unwrap_or_default();
        entry["type"] == "response" && path.ends_with("sys/leases/renew") && entry["error"].is_null()
    };
    Ok(entries.iter().filter(|entry| is_renewal(entry)).count())
}

/// Number of leases in the child namespace.
async fn child_leases(case: &Case) -> Result<usize> {
    let (list, path) = (Method::from_bytes(b"LIST")?, "sys/leases/lookup/db/creds/dynchild");
    match case.admin()?.within(CHILD).request_any(list, path, None).await {
        Ok(answer) => Ok(answer["data"]["keys"].as_array().map_or(0, Vec::len)),
        Err(Error::NotFound { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn a_lease_of_a_child_namespace_is_renewed_and_revoked_there() -> Result<()> {
    let case = Case::new(CHILD).await?;
    child_engine(&case).await?;
    let changes = json!({
        "namespace": CHILD, "mount": "db", "renewalPercent": 50, "rolloutRestart": restarts(),
    });
    dynamic(&case, "dynchild", changes).await?;
    case.ready::<BaoDynamicSecret>("dynchild", "True/Applied").await?;
    let first = status(&case, "dynchild").await?;
    let expiry = |status: &BaoDynamicSecretStatus| status.lease.as_ref().map(|lease| lease.expires_at.0);
    let is_renewed = |status: &BaoDynamicSecretStatus| {
        lease_id(status) == lease_id(&first) && expiry(status) > expiry(&first)
    };
    reported(&case, "dynchild", "renewed", is_renewed).await?;
    ensure!(renewals(&case)? > 0, "no renewal in the namespace");
    has_users(&case, "dynchild", &[&key(&case, "dynchild", "username").await?]).await?;
    assert_eq!(child_leases(&case).await?, 1);

    case.api::<BaoDynamicSecret>().delete("dynchild", &DeleteParams::default()).await?;
    has_users(&case, "dynchild", &[]).await?;
    assert_eq!(child_leases(&case).await?, 0);
    Ok(())
}
