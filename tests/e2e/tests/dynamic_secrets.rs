//! Credentials with leases: each is issued once, renewed, replaced before its end and revoked.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, BaoDynamicSecretStatus};
use steamer_openbao::Error;
use steamer_testing::database::{self, Connection};
use steamer_testing::wait::eventually;

use crate::dynamic_requests::leases_that_are_not_renewable_are_replaced;
use crate::fixture::{Case, ready_of};
use crate::observed::{planned, requests, written};
use crate::rig::Rig;
use crate::static_secrets::auth;
use crate::workload_restarts::workload;

/// Mounts the engine, and creates a login that may request its credentials and revoke leases.
pub async fn engine(case: &Case, mount: &str) -> Result<()> {
    let admin = case.admin()?;
    let url = database::url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    database::engine(&admin, mount, Connection { url: &url, user: "postgres", password: "trusted" }).await?;
    let paths = json!({
        format!("{mount}/*"): {"capabilities": ["read"]},
        "sys/leases/revoke": {"capabilities": ["update"]},
    });
    case.role(mount, paths, "2h").await?;
    case.object("BaoAuth", "default", auth(mount)).await.map(drop)
}

/// Applies an object that requests credentials of the role of the same name.
pub async fn dynamic(case: &Case, name: &str, changes: Value) -> Result<()> {
    let mut spec = json!({
        "mount": case.namespace, "path": format!("creds/{name}"), "revoke": true,
        "destination": {"name": name, "create": true},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    case.object("BaoDynamicSecret", name, spec).await.map(drop)
}

/// Users of a role in PostgreSQL: OpenBao creates one for each lease.
pub fn users(case: &Case, role: &str) -> Result<Vec<String>> {
    let sql = format!("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%-{role}-%' ORDER BY 1");
    Ok(case.ground.postgres.run("postgres", &sql)?.lines().map(str::to_owned).collect())
}

/// Waits until a role has exactly these users.
pub async fn has_users(case: &Case, role: &str, expected: &[&str]) -> Result<()> {
    eventually(&format!("{role} has the users {expected:?}"), || async {
        let seen = users(case, role).map_err(|error| error.to_string())?;
        let is_right =
            seen.len() == expected.len() && expected.iter().all(|user| seen.iter().any(|it| it == user));
        if is_right { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
}

/// IDs of the leases of a role.
pub async fn leases(case: &Case, mount: &str, role: &str) -> Result<usize> {
    let path = format!("sys/leases/lookup/{mount}/creds/{role}");
    match case.admin()?.request_any(Method::from_bytes(b"LIST")?, &path, None).await {
        Ok(answer) => Ok(answer["data"]["keys"].as_array().map_or(0, Vec::len)),
        Err(Error::NotFound { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

pub async fn key(case: &Case, name: &str, key: &str) -> Result<String> {
    let data = case.api::<Secret>().get(name).await?.data.unwrap_or_default();
    Ok(String::from_utf8_lossy(&data.get(key).context("the key is missing")?.0).into_owned())
}

pub async fn status(case: &Case, name: &str) -> Result<BaoDynamicSecretStatus> {
    case.api::<BaoDynamicSecret>().get(name).await?.status.context("no status")
}

/// Waits until the status fits, and returns it.
pub async fn reported(
    case: &Case,
    name: &str,
    expected: &str,
    fits: impl Fn(&BaoDynamicSecretStatus) -> bool + Sync,
) -> Result<BaoDynamicSecretStatus> {
    eventually(&format!("{name}: {expected}"), || async {
        let status = status(case, name).await.map_err(|error| error.to_string())?;
        if fits(&status) {
            Ok(status)
        } else {
            Err(format!("{:?} {:?}", status.lease, status.sync.last_sync))
        }
    })
    .await
}

pub fn reason(status: &BaoDynamicSecretStatus) -> &str {
    status.sync.last_sync.as_ref().map_or("", |sync| &sync.reason)
}

pub fn lease_id(status: &BaoDynamicSecretStatus) -> &str {
    status.lease.as_ref().map_or("", |lease| &lease.id)
}

/// Requests another credential and returns its user.
async fn replaced(case: &Case, name: &str, nudge: &str) -> Result<String> {
    let former = lease_id(&status(case, name).await?).to_owned();
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": nudge}}}));
    case.api::<BaoDynamicSecret>().patch(name, &PatchParams::default(), &patch).await?;
    reported(case, name, "another lease", |status| lease_id(status) != former).await?;
    key(case, name, "username").await
}

/// Plays the controller of Deployments: all pods run the current template.
pub async fn roll_out(case: &Case, name: &str) -> Result<()> {
    let deployments = case.api::<Deployment>();
    let generation = deployments.get(name).await?.metadata.generation;
    let status = json!({
        "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
    });
    let patch = Patch::Merge(json!({"status": status}));
    deployments.patch_status(name, &PatchParams::default(), &patch).await.map(drop).map_err(Into::into)
}

/// Changes a label of the Secret and waits until it has it: the object was reconciled.
async fn relabel(case: &Case, name: &str, value: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"destination": {"labels": {"round": value}}}}));
    case.api::<BaoDynamicSecret>().patch(name, &PatchParams::default(), &patch).await?;
    let secrets = case.api::<Secret>();
    eventually("the Secret has the label", || async {
        let secret = secrets.get(name).await.map_err(|error| error.to_string())?;
        let seen = secret.metadata.labels.unwrap_or_default().get("round").cloned();
        if seen.as_deref() == Some(value) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_credential_is_issued_once_renewed_replaced_and_revoked() -> Result<()> {
    let mut rig = Rig::new("dynamic").await?;
    engine(&rig.case, "dynamic").await?;
    let admin = rig.case.admin()?;
    // `dynrenew` is renewed, `dynmax` reaches its maximum after the first renewal.
    for (name, times) in [("dynapp", ("1h", "24h")), ("dynrenew", ("6s", "1h")), ("dynmax", ("5s", "7s"))] {
        database::role(&admin, &format!("dynamic/roles/{name}"), times).await?;
    }
    workload(&rig.case, "Deployment", "app", json!({})).await?;
    let restarts = json!({
        "rolloutRestartTargets": [{"kind": "Deployment", "name": "app"}], "rolloutRestart": {"debounce": "1s"},
    });
    dynamic(&rig.case, "dynapp", restarts).await?;
    for name in ["dynrenew", "dynmax"] {
        dynamic(&rig.case, name, json!({"renewalPercent": 50})).await?;
    }
    rig.start().await?;
    let case = &rig.case;
    for name in ["dynapp", "dynrenew", "dynmax"] {
        case.ready::<BaoDynamicSecret>(name, "True/Applied").await?;
    }
    let first = key(case, "dynapp", "username").await?;
    let renewing = status(case, "dynrenew").await?;
    let expiry = |status: &BaoDynamicSecretStatus| status.lease.as_ref().map(|lease| lease.expires_at.0);
    reported(case, "dynrenew", "renewed", |status| {
        lease_id(status) == lease_id(&renewing) && expiry(status) > expiry(&renewing)
    })
    .await?;
    reported(case, "dynmax", "replaced", |status| reason(status) == "RenewalDue").await?;

    // A lease that an administrator revoked is noticed at its renewal.
    let id = lease_id(&status(case, "dynrenew").await?).to_owned();
    admin.revoke_lease(&id).await?;
    reported(case, "dynrenew", "issued again", |status| reason(status) == "LeaseRevoked").await?;
    let deleted = |name: &'static str| {
        let objects = case.api::<BaoDynamicSecret>();
        async move { objects.delete(name, &DeleteParams::default()).await.map(drop) }
    };
    for name in ["dynrenew", "dynmax"] {
        deleted(name).await?;
        has_users(case, name, &[]).await?;
    }
    leases_that_are_not_renewable_are_replaced(&rig).await?;

    // Labels, the stamp and a restart of the operator issue nothing.
    relabel(case, "dynapp", "one").await?;
    let stamp = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/holds": "edited"}}}));
    case.api::<Secret>().patch("dynapp", &PatchParams::default(), &stamp).await?;
    relabel(case, "dynapp", "two").await?;
    rig.kill().await?;
    rig.start().await?;
    let case = &rig.case;
    relabel(case, "dynapp", "three").await?;
    let count = || {
        let is_request = |asked: &steamer_testing::proxy::Asked| asked.path.ends_with("/creds/dynapp");
        rig.openbao.number(is_request)
    };
    assert_eq!(count(), 1);
    has_users(case, "dynapp", &[&first]).await?;

    // The former lease is revoked when the pods run with the new one, here by the accessor of its token: the restart lost the
    // token.
    let second = replaced(case, "dynapp", "1").await?;
    eventually("the workload is restarted", || async {
        let restarts = status(case, "dynapp").await.map_err(|error| error.to_string())?.sync.restarts;
        let change = restarts.map(|restarts| restarts.change);
        if change == Some(1) { Ok(()) } else { Err(format!("{change:?}")) }
    })
    .await?;
    has_users(case, "dynapp", &[&first, &second]).await?;
    roll_out(case, "app").await?;
    has_users(case, "dynapp", &[&second]).await?;

    // A lost response leaves no lease, and the request is made again. The token of the first one is revoked when OpenBao can no
    // longer execute it.
    rig.openbao.lose("/creds/dynapp");
    let third = replaced(case, "dynapp", "2").await?;
    ensure!(third != second, "a new user");
    assert_eq!(count(), 4, "the request whose response was lost, and the one after it");
    has_users(case, "dynapp", &[&second, &third]).await?;
    eventually("the workload rolls out", || async {
        roll_out(case, "app").await.map_err(|error| error.to_string())?;
        let seen = users(case, "dynapp").map_err(|error| error.to_string())?;
        if seen == [third.clone()] { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;

    case.api::<BaoDynamicSecret>().delete("dynapp", &DeleteParams::default()).await?;
    has_users(case, "dynapp", &[]).await?;
    for name in ["dynapp", "dynrenew", "dynmax"] {
        assert_eq!(leases(case, "dynamic", name).await?, 0, "leases of {name}");
    }
    Ok(())
}

/// Restarts the operator and waits until the lease was renewed beyond the end of its token.
async fn renewed_after_a_restart(rig: &mut Rig, name: &str) -> Result<()> {
    let expiry = |status: &BaoDynamicSecretStatus| status.lease.as_ref().map(|lease| lease.expires_at.0);
    let before = status(&rig.case, name).await?;
    rig.kill().await?;
    rig.start().await?;
    let is_renewed = |status: &BaoDynamicSecretStatus| {
        lease_id(status) == lease_id(&before) && expiry(status) > expiry(&before)
    };
    reported(&rig.case, name, "renewed", is_renewed).await.map(drop)
}

#[tokio::test]
async fn a_restart_requests_nothing_although_tokens_end_before_leases() -> Result<()> {
    let mut rig = Rig::new("dynamic-token").await?;
    engine(&rig.case, "dynamic-token").await?;
    // Without the right to revoke leases, and with tokens that end long before them.
    let paths = json!({"dynamic-token/*": {"capabilities": ["read"]}});
    rig.case.role("dynamic-token", paths, "30s").await?;
    database::role(&rig.case.admin()?, "dynamic-token/roles/dyntoken", ("1h", "24h")).await?;
    // No workload uses the Secret: the former lease is revoked soon.
    let restarts = json!({"rolloutRestart": {"mode": "Consumers", "debounce": "100ms"}});
    dynamic(&rig.case, "dyntoken", restarts).await?;
    rig.start().await?;
    rig.case.ready::<BaoDynamicSecret>("dyntoken", "True/Applied").await?;
    let first = key(&rig.case, "dyntoken", "username").await?;
    for _ in 0..2 {
        renewed_after_a_restart(&mut rig, "dyntoken").await?;
    }
    let count = |end: &str| rig.openbao.seen().iter().filter(|asked| asked.path.ends_with(end)).count();
    assert_eq!(count("/creds/dyntoken"), 1);
    ensure!(count("/auth/token/renew-accessor") >= 2, "{}", count("/auth/token/renew-accessor"));
    has_users(&rig.case, "dyntoken", &[&first]).await?;

    // The answer to a request is lost, and then the operator is killed: no lease is left.
    rig.openbao.lose("/creds/dyntoken");
    let former = lease_id(&status(&rig.case, "dyntoken").await?).to_owned();
    let nudge = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": "1"}}}));
    rig.case.api::<BaoDynamicSecret>().patch("dyntoken", &PatchParams::default(), &nudge).await?;
    reported(&rig.case, "dyntoken", "a request is open", |status| status.open_requests.is_some()).await?;
    rig.kill().await?;
    rig.start().await?;
    let case = &rig.case;
    reported(case, "dyntoken", "all requests are complete", |status| {
        lease_id(status) != former && status.open_requests.is_none()
    })
    .await?;
    let second = key(case, "dyntoken", "username").await?;
    has_users(case, "dyntoken", &[&second]).await?;

    case.api::<BaoDynamicSecret>().delete("dyntoken", &DeleteParams::default()).await?;
    has_users(case, "dyntoken", &[]).await?;
    assert_eq!(leases(case, "dynamic-token", "dyntoken").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_former_lease_is_renewed_until_the_pods_run_with_the_new_one() -> Result<()> {
    let case = Case::new("dynamic-former").await?;
    engine(&case, "dynamic-former").await?;
    database::role(&case.admin()?, "dynamic-former/roles/dynforms", ("10s", "1h")).await?;
    workload(&case, "Deployment", "slow", json!({})).await?;
    let restarts = json!({
        "rolloutRestartTargets": [{"kind": "Deployment", "name": "slow"}], "rolloutRestart": {"debounce": "100ms"},
        "renewalPercent": 50,
    });
    dynamic(&case, "dynforms", restarts).await?;
    case.ready::<BaoDynamicSecret>("dynforms", "True/Applied").await?;
    let first = key(&case, "dynforms", "username").await?;
    let second = replaced(&case, "dynforms", "1").await?;
    // The rollout takes longer than two leases.
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    let is_later = |status: &BaoDynamicSecretStatus| {
        status.lease.as_ref().is_some_and(|lease| lease.expires_at.0 > later)
    };
    reported(&case, "dynforms", "renewed several times", is_later).await?;
    let seen = users(&case, "dynforms")?;
    ensure!(seen.len() == 2 && seen.contains(&first) && seen.contains(&second), "{seen:?}");
    eventually("the former lease is revoked after the rollout", || async {
        roll_out(&case, "slow").await.map_err(|error| error.to_string())?;
        let seen = users(&case, "dynforms").map_err(|error| error.to_string())?;
        if seen == [second.clone()] { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    case.api::<BaoDynamicSecret>().delete("dynforms", &DeleteParams::default()).await?;
    has_users(&case, "dynforms", &[]).await
}

/// Ends the frequent rotations, and compares the restarts with the new passwords. The next read follows the next rotation at once.
async fn one_restart_for_each_rotation(case: &Case) -> Result<()> {
    let role = json!({"db_name": "postgres", "username": "dynamic_static", "rotation_period": "24h"});
    case.admin()?.request_any(Method::POST, "dynamic-static/static-roles/app", Some(role)).await?;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(12);
    let is_known = |status: &BaoDynamicSecretStatus| status.next_read.as_ref().is_some_and(|at| at.0 > later);
    let status = reported(case, "app", "the longer period is known", is_known).await?;
    let restarts = eventually("one restart for each new password", || async {
        let count = |resource: &str| written(case, &[resource]).map(|writes| writes.len());
        let both = count("secrets").and_then(|secrets| Ok((secrets, count("deployments")?)));
        match both.map_err(|error| error.to_string())? {
            (secrets, restarts) if restarts > 0 && secrets == restarts + 1 => Ok(restarts),
            seen => Err(format!("{seen:?} writes of the Secret and the Deployment")),
        }
    })
    .await?;
    let generation = case.api::<Deployment>().get("app").await?.metadata.generation;
    assert_eq!(generation, Some(1 + i64::try_from(restarts)?));

    let rotated: jiff::Timestamp = key(case, "app", "last_vault_rotation").await?.parse()?;
    let pause = status.next_read.context("no next read")?.0.duration_since(rotated).as_secs() - 24 * 3600;
    ensure!((-2..30).contains(&pause), "the next read is {pause} seconds after the next rotation");

    // OpenBao has no schedules of rotations.
    let schedule =
        json!({"db_name": "postgres", "username": "dynamic_static", "rotation_schedule": "* * * * *"});
    let path = "dynamic-static/static-roles/scheduled";
    ensure!(case.admin()?.request_any(Method::POST, path, Some(schedule)).await.is_err());
    Ok(())
}

#[tokio::test]
async fn the_password_of_a_static_role_is_read_after_each_rotation() -> Result<()> {
    let case = Case::new("dynamic-static").await?;
    engine(&case, "dynamic-static").await?;
    let sql = "DROP ROLE IF EXISTS dynamic_static; CREATE ROLE dynamic_static LOGIN";
    case.ground.postgres.run("postgres", sql)?;
    let role = json!({"db_name": "postgres", "username": "dynamic_static", "rotation_period": "5s"});
    case.admin()?.request_any(Method::POST, "dynamic-static/static-roles/app", Some(role)).await?;
    // The consent to a static role is missing.
    dynamic(&case, "app", json!({"path": "static-creds/app"})).await?;
    case.ready::<BaoDynamicSecret>("app", "False/Invalid").await?;
    workload(&case, "Deployment", "app", json!({})).await?;
    let restarted = json!({
        "path": "static-creds/app", "allowStaticCreds": true, "rolloutRestart": {"debounce": "100ms"},
        "rolloutRestartTargets": [{"kind": "Deployment", "name": "app"}],
    });
    dynamic(&case, "app", restarted).await?;
    case.ready::<BaoDynamicSecret>("app", "True/Applied").await?;
    let first = key(&case, "app", "password").await?;
    assert_eq!(key(&case, "app", "username").await?, "dynamic_static");
    ensure!(key(&case, "app", "ttl").await.is_err(), "the remaining time is no part of the Secret");
    let status = reported(&case, "app", "rotated", |status| reason(status) == "ValueChanged").await?;
    ensure!(status.next_read.is_some() && status.lease.is_none(), "a static role has no lease");
    assert_ne!(key(&case, "app", "password").await?, first);
    one_restart_for_each_rotation(&case).await?;
    // An inline login has no token.
    let mut inline = auth("dynamic-static");
    inline["inline"] = json!("Always");
    case.object("BaoAuth", "default", inline).await?;
    case.ready::<BaoDynamicSecret>("app", "False/Invalid").await.map(drop)
}

#[tokio::test]
async fn an_object_that_observes_requests_no_credential_and_writes_nothing() -> Result<()> {
    let (case, mount) = (Case::new("dynamic-observe").await?, "dynamic-observe");
    engine(&case, mount).await?;
    database::role(&case.admin()?, "dynamic-observe/roles/dynobs", ("1h", "24h")).await?;
    let apply = async |mode: &str, template: Option<&str>, expected: &str| {
        let mut destination = json!({"name": "dynobs", "create": true});
        if let Some(text) = template {
            destination["transformation"] = json!({"excludes": [".*"], "templates": {"URL": {"text": text}}});
        }
        let targets = json!([{"kind": "Deployment", "name": "web"}]);
        let changes = json!({"mode": mode, "destination": destination, "rolloutRestartTargets": targets});
        dynamic(&case, "dynobs", changes).await?;
        case.ready::<BaoDynamicSecret>("dynobs", expected).await
    };
    let plan = |object: &BaoDynamicSecret| {
        object.status.as_ref().map(|status| planned(&status.plan)).unwrap_or_default()
    };
    let request = "Create dynamic-observe/creds/dynobs";

    // The keys of a credential are unknown, and those of templates are known.
    let open = apply("Observe", None, "True/Drifted").await?;
    assert_eq!(plan(&open), [request]);
    let message = ready_of(&serde_json::to_value(&open)?);
    ensure!(message.contains("only a request would show the keys of the value"), "{message}");
    let first = apply("Observe", Some("{{ .Secrets.username }}"), "True/Drifted").await?;
    assert_eq!(plan(&first), [request, "Create Secret/dynobs/URL"]);
    assert_eq!(requests(&case, "dynamic-observe/creds/")?, [""; 0]);
    assert_eq!(leases(&case, mount, "dynobs").await?, 0);
    assert_eq!(written(&case, &["secrets", "baodynamicsecrets"])?, [""; 0]);

    // An issued credential stays, and another template would request another one.
    let applied = apply("Enforce", Some("{{ .Secrets.username }}"), "True/Applied").await?;
    assert_eq!(plan(&applied), [""; 0]);
    let user = key(&case, "dynobs", "URL").await?;
    let issued = requests(&case, "dynamic-observe/creds/")?;
    assert_eq!(issued, ["read dynamic-observe/creds/dynobs"]);
    let writes = written(&case, &["secrets", "deployments"])?;
    let observed = apply("Observe", Some("{{ .Secrets.username }}"), "True/Observed").await?;
    assert_eq!(plan(&observed), [""; 0]);
    let edited = apply("Observe", Some("user={{ .Secrets.username }}"), "True/Drifted").await?;
    assert_eq!(plan(&edited), [request, "Update Secret/dynobs/URL", "Update Deployment/web"]);
    assert_eq!(requests(&case, "dynamic-observe/creds/")?, issued);
    assert_eq!(written(&case, &["secrets", "deployments"])?, writes);
    assert_eq!(key(&case, "dynobs", "URL").await?, user);

    // The deletion revokes what the object issued before.
    case.api::<BaoDynamicSecret>().delete("dynobs", &DeleteParams::default()).await?;
    has_users(&case, "dynobs", &[]).await
}
