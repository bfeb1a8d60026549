//! The operator is killed before each request that changes something, while credentials, certificates and entries are
//! created and replaced: no credential in use is revoked, no lease is lost, and no restart is lost or repeated. Each kind
//! also costs no more requests than it needs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, BaoPKISecret, BaoPushSecret};
use steamer_openbao::Kv;
use steamer_testing::database::{self, Connection};
use steamer_testing::openbao::mount_kv;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::dynamic_secrets::{key, leases, roll_out, users};
use crate::fixture::Case;
use crate::openbao_outage::gone;
use crate::pki_secrets::{authorities, is_revoked, serial_of};
use crate::rig::Rig;
use crate::static_secrets::auth;
use crate::workload_restarts::workload;

/// Requests of one object each. The operator is killed before the same request of all of them.
const CLASSES: [(&str, &[&str]); 6] = [
    (
        "replaced",
        &[
            "/baodynamicsecrets/held",
            "/secrets/held",
            "creds/crheld",
            "/revoke-self",
            "/revoke-accessor",
            "/deployments/web",
        ],
    ),
    ("merged", &["/baodynamicsecrets/merged", "/secrets/foreign", "creds/crmerged"]),
    ("new", &["/baodynamicsecrets/new-", "creds/crnew", "\"name\":\"new-"]),
    ("certificate", &["/baopkisecrets/cert", "/secrets/cert", "/crash-pki/"]),
    ("pushed", &["/baopushsecrets/app", "/crash-kv/"]),
    ("unversioned", &["/baopushsecrets/v1-", "/crash-v1/"]),
];

/// The class of a request that changes something.
fn class(asked: &Asked) -> Option<&'static str> {
    let issues = asked.path.contains("/creds/");
    let reads = ["GET", "LIST", "HEAD"].contains(&asked.method.as_str());
    let quiet = ["/events", "coordination.k8s.io"].iter().any(|part| asked.path.contains(part));
    let login = ["/login", "/token", "/capabilities-self"].iter().any(|end| asked.path.ends_with(end));
    if quiet || login || (reads && !issues) {
        return None;
    }
    let text = format!("{} {}", asked.path, String::from_utf8_lossy(&asked.body));
    let is_of = |(_, needles): &&(&str, &[&str])| needles.iter().any(|needle| text.contains(needle));
    CLASSES.iter().find(is_of).map(|(class, _)| *class)
}

/// The object that a request is for, and what it does. Logins, watches and Events are not counted.
fn cost(asked: &Asked) -> Option<String> {
    let (path, method) = (asked.path.as_str(), asked.method.as_str());
    let body = String::from_utf8_lossy(&asked.body);
    let is_of = |name: &&str| {
        let parts = [format!("/{name}"), format!("/{name}/status")];
        let named = path.starts_with("/api") && parts.iter().any(|part| path.ends_with(part));
        let created = path.ends_with("/secrets") && body.contains(&format!("\"name\":\"{name}\""));
        let asked = path.contains(&format!("creds/cr{name}"))
            || (*name == "cert" && path.contains("/crash-pki/"))
            || (*name == "app" && path.contains("/crash-kv/"));
        named || created || asked
    };
    let name = ["held", "cert", "app"].into_iter().find(is_of)?;
    let what = match path {
        _ if path.contains("/secrets") && path.starts_with("/api/") => "Secret",
        _ if path.ends_with("/status") => "status",
        _ if path.starts_with("/apis/") => "finalizer",
        _ if path.contains("/metadata/") => "metadata",
        _ => "value",
    };
    Some(format!("{name}: {method} {what}"))
}

/// A new object costs one request for its value, one write of its Secret and one of its status. The status of a credential is also
/// written before the request, so that a crash loses no lease. After a restart, an object costs nothing until it is due.
async fn costs(rig: &mut Rig) -> Result<()> {
    let expected = [
        "app: GET metadata",
        "app: PATCH status",
        "app: POST metadata",
        "app: POST value",
        "cert: PATCH finalizer",
        "cert: PATCH status",
        "cert: POST Secret",
        "cert: POST value",
        "held: GET value",
        "held: PATCH finalizer",
        "held: PATCH status",
        "held: POST Secret",
    ];
    let mut expected: BTreeMap<String, usize> = expected.map(|what| (what.to_owned(), 1)).into();
    expected.insert("held: PATCH status".to_owned(), 2);
    ensure!(rig.kubernetes.count(cost) == expected, "{:#?}", rig.kubernetes.count(cost));
    rig.kill().await?;
    rig.kubernetes.forget();
    rig.start().await?;
    // It is reconciled after the objects that exist already.
    dynamic(&rig.case, "later", "crlater").await?;
    rig.case.ready::<BaoDynamicSecret>("later", "True/Applied").await?;
    ensure!(rig.kubernetes.count(cost).is_empty(), "after a restart: {:#?}", rig.kubernetes.count(cost));
    Ok(())
}

/// Creates the engines, a login for all of them, and the objects that each round changes.
async fn prepare(case: &Case) -> Result<()> {
    let admin = case.admin()?;
    let url = database::url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    database::engine(&admin, "crash-db", Connection { url: &url, user: "postgres", password: "trusted" })
        .await?;
    for role in ["crheld", "crnew", "crlater", "crmerged"] {
        database::role(&admin, &format!("crash-db/roles/{role}"), ("1h", "24h")).await?;
    }
    authorities(case, "crash-pki").await?;
    mount_kv(&admin, "crash-kv").await?;
    let v1 = json!({"type": "kv", "options": {"version": "1"}});
    admin.request_any(Method::POST, "sys/mounts/crash-v1", Some(v1)).await?;
    let all = json!({"capabilities": ["create", "read", "update", "delete"]});
    let engines = ["crash-db", "crash-pki", "crash-kv", "crash-v1"];
    let mut paths: BTreeMap<String, Value> =
        engines.iter().map(|engine| (format!("{engine}/*"), all.clone())).collect();
    paths.insert("sys/leases/revoke".to_owned(), all);
    case.role("delivery-crash", json!(paths), "2h").await?;
    case.object("BaoAuth", "default", auth("delivery-crash")).await?;
    workload(case, "Deployment", "web", json!({})).await?;
    dynamic(case, "held", "crheld").await?;
    secret(case, "foreign", json!({"theirs": "1"})).await?;
    dynamic(case, "merged", "crmerged").await?;
    let pki = json!({
        "mount": "crash-pki", "role": "web", "commonName": "web.example.com", "revoke": true,
        "destination": {"name": "cert", "create": true},
        // No workload uses the Secret: the former certificate is revoked soon.
        "rolloutRestart": {"mode": "Consumers", "debounce": "100ms"},
    });
    case.object("BaoPKISecret", "cert", pki).await?;
    source(case, 0).await?;
    let data = json!([{"mount": "crash-kv", "path": "app", "type": "kv-v2"}]);
    case.object("BaoPushSecret", "app", json!({"secretRef": {"name": "source"}, "data": data}))
        .await
        .map(drop)
}

async fn dynamic(case: &Case, name: &str, role: &str) -> Result<()> {
    let mut spec = json!({
        "mount": "crash-db", "path": format!("creds/{role}"), "revoke": true,
        "destination": {"name": name, "create": true},
    });
    if name == "held" {
        spec["rolloutRestartTargets"] = json!([{"kind": "Deployment", "name": "web"}]);
        spec["rolloutRestart"] = json!({"debounce": "100ms"});
    }
    if name == "merged" {
        spec["destination"] = json!({"name": "foreign", "create": false});
        // No workload uses the Secret: the former lease is revoked soon.
        spec["rolloutRestart"] = json!({"mode": "Consumers", "debounce": "100ms"});
    }
    case.object("BaoDynamicSecret", name, spec).await.map(drop)
}

/// Writes the Secret that is pushed.
async fn source(case: &Case, round: i64) -> Result<()> {
    secret(case, "source", json!({"v": round.to_string()})).await
}

/// Writes a Secret of another client.
async fn secret(case: &Case, name: &str, data: Value) -> Result<()> {
    let metadata = json!({"name": name, "namespace": case.namespace});
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    steamer_testing::ground::apply(&case.client, object).await.map(drop)
}

/// ID of the lease of an object.
async fn lease(case: &Case, name: &str) -> Result<String> {
    let status = case.api::<BaoDynamicSecret>().get(name).await?.status.context("no status")?;
    Ok(status.lease.context("no lease")?.id)
}

/// The state before a round, and its expectations.
struct Round {
    number: i64,
    lease: String,
    merged: String,
    serial: String,
}

impl Round {
    /// Changes all objects.
    async fn begin(&self, case: &Case) -> Result<()> {
        let number = self.number;
        let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": number.to_string()}}});
        let (nudge, parameters) = (Patch::Merge(nudge), PatchParams::default());
        for name in ["held", "merged"] {
            case.api::<BaoDynamicSecret>().patch(name, &parameters, &nudge).await?;
        }
        case.api::<BaoPKISecret>().patch("cert", &parameters, &nudge).await?;
        source(case, number).await?;
        dynamic(case, &format!("new-{number}"), "crnew").await?;
        let data = json!([{"mount": "crash-v1", "path": format!("p{number}"), "type": "kv-v1"}]);
        let spec = json!({"secretRef": {"name": "source"}, "data": data, "deletionPolicy": "Delete"});
        case.object("BaoPushSecret", &format!("v1-{number}"), spec).await.map(drop)
    }

    /// Waits until the objects of a class are in the desired state.
    async fn end(&self, case: &Case, class: &str) -> Result<()> {
        eventually(&format!("round {} of {class} is complete", self.number), || async {
            let seen = match class {
                "replaced" => self.replaced(case).await,
                "merged" => self.merged(case).await,
                "new" => self.created(case).await,
                "certificate" => self.certificate(case).await,
                "pushed" => self.pushed(case).await,
                _ => self.unversioned(case).await,
            };
            seen.map_err(|error| format!("{error:#}"))
        })
        .await
    }

    /// The former credential is revoked, and the workload was restarted for the new one.
    async fn replaced(&self, case: &Case) -> Result<()> {
        let status = case.api::<BaoDynamicSecret>().get("held").await?.status.context("no status")?;
        let lease = status.lease.context("no lease")?.id;
        ensure!(lease != self.lease, "the former lease");
        let restarts = status.sync.restarts.map(|restarts| restarts.change);
        ensure!(restarts == Some(self.number), "{restarts:?}");
        let (user, users) = (key(case, "held", "username").await?, users(case, "crheld")?);
        ensure!(users == [user.clone()], "{user} of {users:?}");
        Ok(())
    }

    /// Waits until only the revocation of the former credential is missing. Its request is one of the class `replaced`: it contains an
    /// accessor and does not name the object.
    async fn revokes(&self, case: &Case) -> Result<()> {
        eventually(&format!("round {} of merged revokes", self.number), || async {
            let replaced = lease(case, "merged").await.map_err(|error| format!("{error:#}"))?;
            if replaced == self.merged { Err(replaced) } else { Ok(()) }
        })
        .await
    }

    /// The former credential is revoked, and the new one is in the Secret of the other client.
    async fn merged(&self, case: &Case) -> Result<()> {
        let lease = lease(case, "merged").await?;
        ensure!(lease != self.merged, "the former lease");
        let (user, users) = (key(case, "foreign", "username").await?, users(case, "crmerged")?);
        ensure!(users == [user.clone()], "{user} of {users:?}");
        ensure!(key(case, "foreign", "theirs").await? == "1", "a key of the other client");
        Ok(())
    }

    async fn created(&self, case: &Case) -> Result<()> {
        let name = format!("new-{}", self.number);
        let status = case.api::<BaoDynamicSecret>().get(&name).await?.status.context("no status")?;
        ensure!(status.lease.is_some(), "no lease");
        let (user, users) = (key(case, &name, "username").await?, users(case, "crnew")?);
        let expected = usize::try_from(self.number)?;
        ensure!(users.contains(&user) && users.len() == expected, "{user} of {users:?}, not {expected}");
        Ok(())
    }

    async fn certificate(&self, case: &Case) -> Result<()> {
        let serial = serial_of(&case.api::<BaoPKISecret>().get("cert").await?)?;
        ensure!(serial != self.serial, "the former certificate");
        ensure!(key(case, "cert", "serial_number").await? == serial, "another certificate in the Secret");
        let admin = case.admin()?;
        ensure!(is_revoked(&admin, "crash-pki", &self.serial).await?, "the former one is not revoked");
        ensure!(!is_revoked(&admin, "crash-pki", &serial).await?, "the certificate in use is revoked");
        Ok(())
    }

    /// The entry has one version for each value.
    async fn pushed(&self, case: &Case) -> Result<()> {
        let found = case.admin()?.kv_metadata("crash-kv", "app").await?.context("no entry")?;
        ensure!(found.current_version == self.number + 1, "version {}", found.current_version);
        let status = case.api::<BaoPushSecret>().get("app").await?.status.unwrap_or_default();
        let recorded = status.entries.first().and_then(|entry| entry.version);
        ensure!(recorded == Some(self.number + 1), "{recorded:?}");
        Ok(())
    }

    async fn unversioned(&self, case: &Case) -> Result<()> {
        let object = case.api::<BaoPushSecret>().get(&format!("v1-{}", self.number)).await?;
        let ready = crate::fixture::ready_of(&serde_json::to_value(object)?);
        ensure!(ready == "True/Applied: 1 entry in OpenBao up to date", "{ready}");
        Ok(())
    }

    /// What a completed round must not have done.
    async fn check(&self, case: &Case) -> Result<()> {
        let web = case.api::<Deployment>().get("web").await?;
        ensure!(web.metadata.generation == Some(self.number + 1), "restarts: {:?}", web.metadata.generation);
        // Equal values do not prove who wrote them, but the status does.
        let (objects, name) = (case.api::<BaoPushSecret>(), format!("v1-{}", self.number));
        objects.delete(&name, &DeleteParams::default()).await?;
        gone(&objects, &name).await?;
        let left = case.admin()?.read_kv1("crash-v1", &format!("p{}", self.number)).await?;
        ensure!(matches!(left, Kv::Absent), "the entry of {name} is left");
        Ok(())
    }
}

/// Plays the controller of Deployments and the pods: they use the credential that the Secret contained at their rollout.
async fn pods(case: &Case) -> Result<()> {
    let mut user = key(case, "held", "username").await?;
    loop {
        let users = users(case, "crheld")?;
        ensure!(users.contains(&user), "the credential {user} of the pods is revoked: {users:?}");
        let web = case.api::<Deployment>().get("web").await?;
        let rolled_out = web.status.unwrap_or_default().observed_generation;
        if rolled_out != web.metadata.generation {
            let next = key(case, "held", "username").await?;
            roll_out(case, "web").await?;
            user = next;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Runs a round and kills the operator before the request of each class that follows `requests` others. Returns the classes
/// with such a request.
async fn run(rig: &mut Rig, round: &Round, requests: usize) -> Result<Vec<&'static str>> {
    rig.kubernetes.forget();
    rig.kubernetes.cut_each_after(requests, class);
    round.begin(&rig.case).await?;
    let (case, gate) = (&rig.case, &rig.kubernetes);
    let held = try_join_all(CLASSES.map(|(class, _)| async move {
        tokio::select! {
            biased;
            () = gate.holds(class) => anyhow::Ok(Some(class)),
            ended = round.end(case, class) => ended.map(|()| None),
            ended = async { gate.holds("replaced").await; round.revokes(case).await }, if class == "merged" => ended.map(|()| None),
        }
    }));
    let held: Vec<&str> = held.await?.into_iter().flatten().collect();
    if held.is_empty() {
        rig.kubernetes.open();
        return Ok(held);
    }
    rig.kill().await?;
    rig.kubernetes.open();
    rig.start().await?;
    let case = &rig.case;
    try_join_all(CLASSES.map(|(class, _)| round.end(case, class))).await?;
    Ok(held)
}

#[tokio::test]
async fn an_operator_killed_at_any_request_revokes_no_credential_in_use_and_loses_no_lease() -> Result<()> {
    let mut rig = Rig::with_one_gate("delivery-crash").await?;
    prepare(&rig.case).await?;
    rig.start().await?;
    let case = &rig.case;
    for name in ["held", "merged"] {
        case.ready::<BaoDynamicSecret>(name, "True/Applied").await?;
    }
    case.ready::<BaoPKISecret>("cert", "True/Applied").await?;
    case.ready::<BaoPushSecret>("app", "True/Applied").await?;
    costs(&mut rig).await?;
    let case = &rig.case;
    let playing = Case::of(case.ground.clone(), case.client.clone(), &case.namespace);
    let mut playing = tokio::spawn(async move { pods(&playing).await });
    let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
    for requests in 0.. {
        let (held, merged) = (lease(&rig.case, "held").await?, lease(&rig.case, "merged").await?);
        let serial = serial_of(&rig.case.api::<BaoPKISecret>().get("cert").await?)?;
        let number = i64::try_from(requests)? + 1;
        let round = Round { number, lease: held, merged, serial };
        let killed = tokio::select! {
            killed = run(&mut rig, &round, requests) => {
                killed.with_context(|| format!("killed after {requests} requests"))?
            }
            found = &mut playing => return found?,
        };
        round
            .check(&rig.case)
            .await
            .with_context(|| format!("killed after {requests} requests: {killed:?}"))?;
        for class in &killed {
            *kills.entry(class).or_default() += 1;
        }
        if killed.is_empty() {
            break;
        }
    }
    playing.abort();
    println!("kills: {kills:?}");
    let expected =
        [("replaced", 7), ("merged", 4), ("new", 4), ("certificate", 4), ("pushed", 2), ("unversioned", 3)];
    for (class, least) in expected {
        let kills = kills.get(class).copied().unwrap_or_default();
        ensure!(kills >= least, "{class} was killed only {kills} times");
    }
    // One kill falls between the request for a credential and the write of its Secret: its lease was revoked, too.
    let case = &rig.case;
    let objects = case.api::<BaoDynamicSecret>();
    objects.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    for role in ["crheld", "crmerged", "crnew"] {
        // OpenBao revokes the leases of a revoked token in the background.
        eventually(&format!("no lease of {role} is left"), || async {
            match leases(case, "crash-db", role).await {
                Ok(0) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    gone(&objects, "held").await?;
    gone(&case.api::<Secret>(), "held").await
}
