//! The operator is killed between any two writes that it makes for an object of a general kind, to the API server or to OpenBao,
//! while objects of all these kinds are created, changed and deleted. Each change completes, and nothing is left.
//!
//! A fail point in its debug build ends the operator before its second write for any object, again and again. So no process makes
//! two writes for one object, and the operator starts much less often than it writes. A deletion repeats its requests after each
//! start: there, every process may make one write more than the one before it.

mod kills;
mod rotations;
mod sealed;
mod subjects;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::Session;
use steamer_testing::ground::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::drift::passes;
use crate::fields::same;
use crate::fixture::{Case, check_ready, ready_of};
use crate::openbao_outage::gone;
use crate::rig::Rig;
use kills::Kills;
use subjects::{START, State, Subject, complete, subjects};

/// Most starts of the operator for one change. More mean that the change does not end.
const MOST: usize = 80;
/// Lists of resources that the objects can create.
const LISTS: [&str; 16] = [
    "sys/policies/acl",
    "sys/namespaces",
    "sys/quotas/rate-limit",
    "identity/group/name",
    "crashed-group/identity/group/name",
    "transit/keys",
    "crashed-issuer/issuers",
    "crashed-issuer/keys",
    "pki/roles",
    "database/config",
    "database/roles",
    "database/static-roles",
    "auth/approle/role",
    "auth/userpass/users",
    "auth/kubernetes/role",
    "auth/gitea_jwt/role",
];

/// Creates what the objects need, and returns a session of the administrator.
async fn prepare(rig: &Rig) -> Result<Session> {
    rig.install_root_scope().await?;
    let admin = rig.case.admin()?;
    mounts(&admin).await?;
    let roles = "CREATE ROLE crashed_root LOGIN SUPERUSER; CREATE ROLE crashed_batch LOGIN; \
                 CREATE ROLE \"crashed-app_role\"";
    rig.case.ground.postgres.run("postgres", roles)?;
    let login = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "postgres", "namespace": rig.case.namespace},
        "stringData": {"username": "crashed_root", "password": "trusted"},
    });
    apply(&rig.case.client, login).await?;
    Ok(admin)
}

async fn mounts(admin: &Session) -> Result<()> {
    mount_kv(admin, "kvv2").await?;
    admin.request_any(Method::POST, "sys/namespaces/crashed-group", Some(json!({}))).await?;
    for (path, kind) in [
        ("sys/mounts/transit", "transit"),
        ("sys/mounts/pki", "pki"),
        ("sys/mounts/crashed-issuer", "pki"),
        ("sys/mounts/database", "database"),
        ("sys/auth/approle", "approle"),
        ("sys/auth/userpass", "userpass"),
        ("sys/auth/gitea_jwt", "jwt"),
        ("crashed-group/sys/auth/jwt", "jwt"),
    ] {
        let body = json!({"type": kind});
        admin.request_any(Method::POST, path, Some(body)).await.context(path)?;
    }
    Ok(())
}

/// The names of everything in OpenBao that the objects can create.
async fn inventory(admin: &Session) -> Result<BTreeMap<&'static str, Vec<Value>>> {
    let mut all = BTreeMap::new();
    for path in ["sys/mounts", "sys/auth"] {
        let answer = admin.request_any(Method::GET, path, None).await?;
        let names = answer["data"].as_object().into_iter().flatten().map(|(name, _)| json!(name));
        all.insert(path, names.collect());
    }
    for path in LISTS {
        let names = match admin.request_any(Method::from_bytes(b"LIST")?, path, None).await {
            Ok(answer) => answer["data"]["keys"].as_array().cloned().unwrap_or_default(),
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error).context(path),
        };
        all.insert(path, names);
    }
    Ok(all)
}

async fn exists(admin: &Session, path: &str) -> Result<bool> {
    match admin.request_any(Method::GET, path, None).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn object(case: &Case, kind: &str, name: &str) -> Result<Value> {
    Ok(serde_json::to_value(case.dynamic(kind)?.get(name).await?)?)
}

/// Goal of a change of all objects.
#[derive(Clone, Copy)]
enum Goal {
    Ready,
    Gone,
}

impl Goal {
    async fn is_reached(self, case: &Case, subjects: &[Subject]) -> Result<(), String> {
        // One after another: while the change is not complete, a look costs few requests.
        for subject in subjects {
            let seen = self.seen(case, subject).await.unwrap_or_else(|error| Err(format!("{error:#}")));
            seen.map_err(|seen| format!("{} {}: {seen}", subject.kind, subject.name))?;
        }
        Ok(())
    }

    /// The inner error is the observed state of an object that has not reached the goal.
    async fn seen(self, case: &Case, subject: &Subject) -> Result<Result<(), String>> {
        let found = case.dynamic(subject.kind)?.get_opt(subject.name).await?;
        let found = found.map(serde_json::to_value).transpose()?;
        Ok(match (self, found) {
            (Self::Ready, Some(object)) => check_ready(&object, "True/Applied"),
            (Self::Ready, None) => Err("absent".to_owned()),
            (Self::Gone, Some(object)) => Err(ready_of(&object)),
            (Self::Gone, None) => Ok(()),
        })
    }
}

/// Starts the operator until a change is complete. Returns how often the fail point has ended it.
async fn completed(rig: &mut Rig, subjects: &[Subject], goal: Goal) -> Result<Kills> {
    let mut kills = Kills::default();
    for number in 0..MOST {
        let fails_at = match goal {
            Goal::Ready => 2,
            Goal::Gone => 2 + number,
        };
        rig.kubernetes.forget();
        rig.openbao.forget();
        let process = rig.start_failing(&format!("{START}*:{fails_at}")).await?;
        let case = &rig.case;
        let ended = eventually("the operator ends, or the change is complete", || async {
            match process.alive() {
                Err(ended) => Ok(Some(format!("{ended:#}"))),
                Ok(()) => goal.is_reached(case, subjects).await.map(|()| None),
            }
        })
        .await
        .with_context(|| format!("after {number} kills"))?;
        rig.kill().await?;
        kills.add(rig);
        let Some(ended) = ended else {
            kills.number = number;
            return Ok(kills);
        };
        ensure!(ended.contains("SIGABRT"), "{ended}");
    }
    bail!("the change is not complete after {MOST} starts");
}

/// OpenBao has the values of the specs, and each object owns what it has created.
async fn check(rig: &Rig, admin: &Session, (subjects, state): (&[Subject], State)) -> Result<()> {
    for Subject { kind, name, values, .. } in subjects {
        for (path, pointer, expected) in values {
            let answer = admin.request_any(Method::GET, path, None).await;
            let answer = answer.with_context(|| format!("{kind} {name}: {path}"))?;
            let (expected, found) = (&expected[state as usize], answer["data"].pointer(pointer));
            ensure!(
                found.is_some_and(|found| same(expected, found)),
                "{path}{pointer} is {found:?} instead of {expected}"
            );
        }
        let object = object(&rig.case, kind, name).await?;
        let owned = object.pointer("/status/owned/resources").and_then(Value::as_array);
        let is_confirmed = |it: &Value| it["pending"] != true;
        ensure!(owned.is_some_and(|it| !it.is_empty() && it.iter().all(is_confirmed)), "{object}");
    }
    let password = json!({"password": "trusted"});
    let login = admin.request_any(Method::POST, "auth/userpass/login/secret-user", Some(password)).await;
    login.map(drop).context("the password of the user is not in force")
}

/// A restart and a further pass over each object write nothing.
async fn settled(rig: &mut Rig, subjects: &[Subject]) -> Result<()> {
    rig.kubernetes.forget();
    rig.openbao.forget();
    rig.start().await?;
    let (case, openbao) = (&rig.case, &rig.openbao);
    try_join_all(subjects.iter().map(|subject| async move {
        let is_read = |asked: &Asked| !asked.writes() && asked.path.ends_with(subject.read);
        let reads = || Ok(openbao.number(is_read));
        passes(case, subject.kind, subject.name, reads).await
    }))
    .await?;
    let mut writes = rig.writes(|path| !path.ends_with("/login") && !path.ends_with("-self"));
    let objects = rig.kubernetes.seen().into_iter();
    let objects = objects.filter(|asked| asked.writes() && asked.path.contains("/crashed-"));
    writes.extend(objects.map(|asked| format!("{} {}", asked.method, asked.path)));
    ensure!(writes.is_empty(), "settled objects were written: {writes:?}");
    rig.kill().await
}

/// Starts the operator once, until it reaches a fail point.
async fn killed(rig: &mut Rig, fails_at: &str) -> Result<()> {
    let process = rig.start_failing(fails_at).await?;
    eventually("the operator ends", || async { process.alive().err().ok_or("it runs") }).await?;
    rig.kill().await
}

/// An object is deleted after the operator was killed between the creation of its resource and the status. The deletion removes
/// a resource that is as the object has announced it, but no values, because these can be those of someone else.
async fn unconfirmed(rig: &mut Rig, admin: &Session) -> Result<()> {
    let policy = ("BaoPolicy", "crashed-lost", json!({"policy": subjects::policy("lost")}));
    let engine = ("SecretEngine", "crashed-kept", json!({"type": "kv-v1"}));
    for ((kind, name, spec), path, is_kept) in
        [(policy, "sys/policies/acl/crashed-lost", false), (engine, "sys/mounts/crashed-kept", true)]
    {
        rig.case.object(kind, name, complete(kind, spec)).await?;
        // The writes before are the finalizer, the record of what will be created, and the creation.
        killed(rig, &format!("{name}:4")).await?;
        let found = object(&rig.case, kind, name).await?;
        ensure!(found.pointer("/status/owned/resources/0/pending") == Some(&json!(true)), "{found}");
        ensure!(exists(admin, path).await?, "{path} was not created");
        let api = rig.case.dynamic(kind)?;
        api.delete(name, &DeleteParams::default()).await?;
        rig.start().await?;
        gone(&api, name).await?;
        ensure!(exists(admin, path).await? == is_kept, "{path} after the deletion: kept is not {is_kept}");
        rig.kill().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_operator_that_is_killed_between_any_two_writes_reaches_the_same_state() -> Result<()> {
    let mut rig = Rig::new("general-crash").await?;
    let admin = prepare(&rig).await?;
    let before = inventory(&admin).await?;
    let subjects = subjects(rig.case.ground.postgres.port);
    for Subject { kind, name, spec, .. } in &subjects {
        rig.case.object(kind, name, spec.clone()).await?;
    }
    let created = completed(&mut rig, &subjects, Goal::Ready).await.context("creation")?;
    check(&rig, &admin, (&subjects, State::Created)).await?;
    settled(&mut rig, &subjects).await?;
    for Subject { kind, name, change, .. } in &subjects {
        let patch = Patch::Merge(json!({"spec": change}));
        rig.case.dynamic(kind)?.patch(name, &PatchParams::default(), &patch).await?;
    }
    let changed = completed(&mut rig, &subjects, Goal::Ready).await.context("change")?;
    check(&rig, &admin, (&subjects, State::Changed)).await?;
    rotations::replaced(&admin).await?;
    rotations::rotated(&mut rig).await?;
    for Subject { kind, name, .. } in &subjects {
        rig.case.dynamic(kind)?.delete(name, &DeleteParams::default()).await?;
    }
    let deleted = completed(&mut rig, &subjects, Goal::Gone).await.context("deletion")?;
    println!(
        "killed {} times during the creation, {} during the change, {} during the deletion",
        created.number, changed.number, deleted.number
    );
    // The writes of a creation are at least the finalizer, the record, the resource and the status, and those of a change the
    // resource and the status. A deletion repeats its writes, so that an object can be gone with the process that starts it.
    created.check(&subjects, |subject| 2 + usize::from(subject.is_counted()))?;
    changed.check(&subjects, |subject| usize::from(subject.is_counted()))?;
    // The SecretsApp alone needs so many for its creation and its deletion: its writes are those of ten and eight processes. The
    // change of the PKIIssuer, which rotates it, needs ten.
    ensure!(
        created.number >= 9 && changed.number >= 9 && deleted.number >= 7,
        "the operator was killed too rarely"
    );
    sealed::sealed(&mut rig, &admin).await?;
    assert_eq!(inventory(&admin).await?, before, "something is left in OpenBao");
    unconfirmed(&mut rig, &admin).await
}
