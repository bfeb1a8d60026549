//! Two installations of Steamer, and an operator and a person, never alternate writes to one resource.

mod contests;

use std::path::Path;

use anyhow::{Context, Error, Result, ensure};
use futures::future::try_join_all;
use kube::api::DeleteParams;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::Session;
use steamer_testing::audit;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::drift::{self, nudge};
use crate::fixture::{Case, ready_of};
use crate::general::state;
use crate::openbao_outage::gone;
use crate::rig::Rig;
use contests::{BASE, Contest, LOGIN, MOUNTS, connection, contests, issuer_mount};

/// Audience of the second installation.
const AUDIENCE: &str = "openbao-second";
/// Status of an object with a write that has stopped, because another client undoes it each time.
const STOPPED: &str = "False/Conflict: another client undoes each change";
/// Equal repairs of one resource before the stop.
const REPAIRS: usize = 5;
/// Start of the names of the resources that two installations want, and of those that a person edits.
const PREFIXES: [&str; 2] = ["shared", "edited"];
/// Operations of requests that write.
const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];

/// Lets the operator of another Kubernetes cluster log in to the OpenBao of a rig, at the auth mount `second`.
async fn second_login(admin: &Session, other: &Case) -> Result<()> {
    let plane = &other.ground.plane;
    let reviewer = account_token(&other.client, OPERATOR_NAMESPACE, "openbao", &[]).await?;
    let post = async |path: &str, body: Value| admin.request_any(Method::POST, path, Some(body)).await;
    post("sys/auth/second", json!({"type": "kubernetes"})).await?;
    let config = json!({
        "kubernetes_host": plane.url, "kubernetes_ca_cert": plane.ca, "token_reviewer_jwt": reviewer,
        "disable_local_ca_jwt": true,
    });
    post("auth/second/config", config).await?;
    let role = json!({
        "bound_service_account_names": [OPERATOR_ACCOUNT], "bound_service_account_namespaces": [OPERATOR_NAMESPACE],
        "audience": AUDIENCE, "token_policies": ["steamer"], "token_ttl": "10m",
    });
    post("auth/second/role/steamer", role).await?;
    for (path, kind) in MOUNTS {
        post(path, json!({"type": kind})).await.context(path)?;
    }
    for prefix in PREFIXES {
        post(&format!("sys/mounts/{}", issuer_mount(prefix)), json!({"type": "pki"})).await?;
    }
    mount_kv(admin, "kvv2").await
}

/// A cluster of the second installation, at the OpenBao of the first one.
async fn second_cluster(rig: &Rig, other: &Case) -> Result<()> {
    let openbao = &rig.case.ground.openbao;
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "second-ca", "namespace": other.namespace},
        "stringData": {"ca.crt": openbao.ca},
    });
    steamer_testing::ground::apply(&other.client, ca).await?;
    let login = json!({"mount": "second", "role": "steamer", "audience": AUDIENCE});
    let external = json!({
        "address": openbao.url, "caSecretRef": {"name": "second-ca"}, "managementAuth": {"kubernetes": login},
    });
    let spec = json!({"external": external, "operatorScope": "Root"});
    other.object("OpenBaoCluster", "second", spec).await.map(drop)
}

/// Number of requests with one of the operations for a resource, from the audit log. `is_counted` gets the display name of the
/// token of the client, and the path.
fn requests(
    log: &Path,
    contest: &Contest,
    operations: &[&str],
    is_counted: impl Fn(&str, &str) -> bool,
) -> Result<usize> {
    let mut found = audit::entries(log, &contest.path)?;
    found.retain(|line| {
        let (asked, client) = (&line["request"], &line["auth"]["display_name"]);
        let path = asked["path"].as_str().unwrap_or_default();
        line["type"] == "response"
            && path.starts_with(&contest.path)
            && operations.iter().any(|operation| asked["operation"] == *operation)
            && is_counted(client.as_str().unwrap_or_default(), path)
    });
    Ok(found.len())
}

/// An installation with a cluster at the OpenBao of the rig.
struct Installation<'a> {
    case: &'a Case,
    cluster: &'a str,
    /// Start of the display name of its tokens: the auth mount of its login.
    client: &'a str,
    /// Audit log of the OpenBao.
    log: &'a Path,
}

impl Installation<'_> {
    /// Creates the connection that the database roles refer to. Both installations want it in the same state.
    async fn base(&self) -> Result<()> {
        let login = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": LOGIN, "namespace": self.case.namespace},
            "stringData": {"username": "root", "password": "unused"},
        });
        steamer_testing::ground::apply(&self.case.client, login).await?;
        let mut spec = connection(4);
        spec["clusterRef"] = json!({"name": self.cluster});
        spec["adopt"] = json!("IfUnowned");
        self.case.object("DatabaseConnection", BASE, spec).await?;
        self.case.ready::<steamer_api::DatabaseConnection>(BASE, "True/Applied").await.map(drop)
    }

    async fn apply(&self, contest: &Contest, spec: &Value, adopt: &str) -> Result<()> {
        let mut spec = spec.clone();
        // A DatabaseRole is where its connection is.
        if contest.kind != "DatabaseRole" {
            spec["clusterRef"] = json!({"name": self.cluster});
        }
        spec["adopt"] = json!(adopt);
        self.case.object(contest.kind, &contest.name, spec).await.map(drop)
    }

    async fn object(&self, contest: &Contest) -> Result<Value> {
        Ok(serde_json::to_value(self.case.dynamic(contest.kind)?.get(&contest.name).await?)?)
    }

    async fn state(&self, contest: &Contest) -> Result<String, String> {
        let object = self.object(contest).await.map_err(|error| format!("{error:#}"))?;
        Ok(ready_of(&object))
    }

    async fn says(&self, contest: &Contest, expected: &str) -> Result<()> {
        eventually(&format!("{} says {expected}", contest.name), || async {
            let seen = self.state(contest).await?;
            if seen.starts_with(expected) { Ok(()) } else { Err(seen) }
        })
        .await
    }

    fn requests(&self, contest: &Contest, operations: &[&str]) -> Result<usize> {
        requests(self.log, contest, operations, |client, _| client.starts_with(self.client))
    }

    /// Number of its passes over the resource that have read it.
    fn reads(&self, contest: &Contest) -> Result<usize> {
        requests(self.log, contest, &["read", "list"], |client, path| {
            // OpenBao adds a slash to the path of a list.
            client.starts_with(self.client) && path.trim_end_matches('/') == contest.read
        })
    }

    /// Waits for a complete pass over the object, as [`drift::passes`].
    async fn pass(&self, contest: &Contest) -> Result<()> {
        self.visit(contest).await?;
        self.visit(contest).await
    }

    /// Waits until a pass over the object has read the resource. The annotation requests a pass, but no other attempt of a stopped
    /// write.
    async fn visit(&self, contest: &Contest) -> Result<()> {
        let object = (contest.kind, contest.name.as_str());
        drift::visit(self.case, object, "steamer.dev/pass", || self.reads(contest)).await
    }
}

/// Both installations, and the administrator of their OpenBao.
struct Setting<'a> {
    ours: Installation<'a>,
    theirs: Installation<'a>,
    admin: Session,
}

impl<'a> Setting<'a> {
    fn of(rig: &'a Rig, other: &'a Case) -> Result<Self> {
        let log = rig.case.ground.openbao.audit.as_path();
        let ours = Installation { case: &rig.case, cluster: "main", client: "kubernetes-", log };
        let theirs = Installation { case: other, cluster: "second", client: "second-", log };
        Ok(Self { ours, theirs, admin: rig.case.admin()? })
    }

    /// Writes of all clients to the resource.
    fn writes(&self, contest: &Contest) -> Result<usize> {
        requests(self.ours.log, contest, &WRITES, |_, _| true)
    }

    async fn found(&self, contest: &Contest) -> Result<Value> {
        state(&self.admin, &contest.state).await?.with_context(|| format!("{} does not exist", contest.state))
    }
}

#[tokio::test]
async fn two_installations_and_a_person_never_alternate_writes() -> Result<()> {
    let other = Case::new("second-installation").await?;
    let mut rig = Rig::new("first-installation").await?;
    rig.install_root_scope().await?;
    second_login(&rig.case.admin()?, &other).await?;
    second_cluster(&rig, &other).await?;
    rig.start().await?;
    let [shared, edited] = PREFIXES.map(contests);
    alternated(&Setting::of(&rig, &other)?, &shared, &edited).await?;
    // The next process knows the stops from the statuses only.
    rig.kill().await?;
    rig.start().await?;
    ended(&Setting::of(&rig, &other)?, &shared, &edited).await
}

/// Lets both installations, and an installation and a person, undo the writes of each other until the stop.
async fn alternated(setting: &Setting<'_>, shared: &[Contest], edited: &[Contest]) -> Result<()> {
    setting.ours.base().await?;
    setting.theirs.base().await?;
    try_join_all(shared.iter().map(|contest| async move {
        without_adoption(setting, contest).await.with_context(|| contest.path.clone())?;
        both_adopt(setting, contest).await.with_context(|| contest.path.clone())
    }))
    .await?;
    try_join_all(edited.iter().map(|contest| async move {
        a_person_edits_repeatedly(setting, contest).await.with_context(|| contest.path.clone())
    }))
    .await
    .map(drop)
}

/// After a restart of an operator, nothing is written, until a person ends the stop.
async fn ended(setting: &Setting<'_>, shared: &[Contest], edited: &[Contest]) -> Result<()> {
    let Setting { ours, theirs, .. } = setting;
    try_join_all(shared.iter().map(|contest| async move {
        let written = nothing_is_written(setting, contest, &[ours, theirs]).await;
        written.with_context(|| contest.path.clone())?;
        let theirs = theirs.case.dynamic(contest.kind)?;
        theirs.delete(&contest.name, &DeleteParams::default()).await?;
        gone(&theirs, &contest.name).await
    }))
    .await?;
    try_join_all(edited.iter().enumerate().map(|(number, contest)| async move {
        nothing_is_written(setting, contest, &[ours]).await.with_context(|| contest.path.clone())?;
        let retry = if number % 2 == 0 { Retry::Spec } else { Retry::Annotation };
        a_person_ends_the_stop(setting, contest, retry).await.with_context(|| contest.path.clone())
    }))
    .await
    .map(drop)
}

/// No pass of the installations that have an object for the resource writes it, and one of them reports the stop.
async fn nothing_is_written(
    setting: &Setting<'_>,
    contest: &Contest,
    installations: &[&Installation<'_>],
) -> Result<()> {
    let (before, found) = (setting.writes(contest)?, setting.found(contest).await?);
    for _ in 0..2 {
        for installation in installations {
            installation.pass(contest).await?;
        }
    }
    let (writes, now) = (setting.writes(contest)? - before, setting.found(contest).await?);
    ensure!(writes == 0 && now == found, "{writes} writes after the stop: {now} instead of {found}");
    let mut states = Vec::new();
    for installation in installations {
        states.push(installation.state(contest).await.map_err(Error::msg)?);
    }
    ensure!(states.iter().any(|state| state.starts_with(STOPPED)), "no conflict is reported: {states:?}");
    Ok(())
}

/// The resource belongs to the installation that created it. The other one reports a conflict and writes nothing.
async fn without_adoption(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    let Setting { ours, theirs, .. } = setting;
    ours.apply(contest, &contest.specs[0], "Never").await?;
    ours.says(contest, "True/Applied").await?;
    theirs.apply(contest, &contest.specs[1], "Never").await?;
    theirs.says(contest, "False/Conflict").await?;
    let (before, right) = (setting.writes(contest)?, setting.found(contest).await?);
    for _ in 0..2 {
        ours.pass(contest).await?;
        theirs.pass(contest).await?;
        ours.says(contest, "True/Applied").await?;
        theirs.says(contest, "False/Conflict").await?;
    }
    let found = setting.found(contest).await?;
    ensure!(
        setting.writes(contest)? == before && found == right && found.to_string().contains(contest.mark),
        "the resource was written: {found}"
    );
    ensure!(theirs.requests(contest, &WRITES)? == 0, "the second installation has written the resource");
    Ok(())
}

/// Two administrators who adopt the same resource get a bounded number of writes, then a conflict, and no further write.
async fn both_adopt(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    let before = setting.writes(contest)?;
    setting.theirs.apply(contest, &contest.specs[1], "IfUnowned").await?;
    a_conflict_is_reported(setting, contest).await?;
    // The other installation can have a write in progress.
    let Setting { ours, theirs, .. } = setting;
    ours.pass(contest).await?;
    theirs.pass(contest).await?;
    nothing_is_written(setting, contest, &[ours, theirs]).await?;
    let writes = setting.writes(contest)? - before;
    println!("{writes} writes of two installations that adopt {}", contest.path);
    ensure!((REPAIRS..=2 * REPAIRS).contains(&writes), "{writes} writes");
    Ok(())
}

/// Lets both installations look at the resource until one of them reports the conflict.
async fn a_conflict_is_reported(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    let Setting { ours, theirs, .. } = setting;
    eventually("one of the installations reports a conflict", || async {
        for installation in [ours, theirs] {
            installation.visit(contest).await.map_err(|error| format!("{error:#}"))?;
        }
        let states = [ours.state(contest).await?, theirs.state(contest).await?];
        if states.iter().any(|it| it.starts_with(STOPPED)) { Ok(()) } else { Err(states.join("; ")) }
    })
    .await
}

/// A person who edits the resource after each repair gets a bounded number of repairs. Then the conflict is reported, and nothing is
/// written.
async fn a_person_edits_repeatedly(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    let ours = &setting.ours;
    ours.apply(contest, &contest.specs[0], "Never").await?;
    ours.says(contest, "True/Applied").await?;
    let (right, created) = (setting.found(contest).await?, ours.requests(contest, &WRITES)?);
    let mut repairs = 0;
    while !an_edit_stays(setting, contest, &right).await? {
        repairs += 1;
        ensure!(repairs <= REPAIRS, "{repairs} repairs, and no conflict is reported");
    }
    let written = ours.requests(contest, &WRITES)? - created;
    println!("{repairs} repairs of one edit of {}", contest.path);
    ensure!(repairs == REPAIRS && written == REPAIRS, "{repairs} repairs, {written} writes");
    let (object, message) = (ours.object(contest).await?, ours.state(contest).await.unwrap_or_default());
    let stopped = object.pointer("/status/stopped/0").context("status.stopped is empty")?;
    ensure!(stopped["writes"] == REPAIRS, "{stopped}");
    for expected in [stopped["path"].as_str().unwrap_or("-"), "5 times", "kubectl steamer sync"] {
        ensure!(message.contains(expected), "{message} lacks {expected}");
    }
    nothing_is_written(setting, contest, &[ours]).await?;
    ensure!(setting.found(contest).await? != right, "the edit of the person was repaired");
    Ok(())
}

/// Makes the edit. Returns false when it is repaired, and true when the object reports the conflict instead.
async fn an_edit_stays(setting: &Setting<'_>, contest: &Contest, right: &Value) -> Result<bool> {
    let ((method, path, body), ours) = (&contest.edit, &setting.ours);
    setting.admin.request_any(method.clone(), path, Some(body.clone())).await?;
    ours.visit(contest).await?;
    eventually("the resource is repaired, or the object reports the conflict", || async {
        if ours.state(contest).await?.starts_with(STOPPED) {
            return Ok(true);
        }
        let found = setting.found(contest).await.map_err(|error| format!("{error:#}"))?;
        if found == *right { Ok(false) } else { Err(found.to_string()) }
    })
    .await
}

/// How a person ends a stop, after the edits have ended.
#[derive(Clone, Copy)]
enum Retry {
    /// Another spec.
    Spec,
    /// The annotation that `kubectl steamer sync` sets.
    Annotation,
}

async fn a_person_ends_the_stop(setting: &Setting<'_>, contest: &Contest, retry: Retry) -> Result<()> {
    let ours = &setting.ours;
    let (before, edited) = (ours.requests(contest, &WRITES)?, setting.found(contest).await?);
    let is_first = matches!(retry, Retry::Annotation);
    match retry {
        Retry::Spec => ours.apply(contest, &contest.specs[1], "Never").await?,
        Retry::Annotation => nudge(ours.case, contest.kind, &contest.name).await?,
    }
    ours.says(contest, "True/Applied").await?;
    let (found, writes) = (setting.found(contest).await?, ours.requests(contest, &WRITES)? - before);
    ensure!(writes == 1 && found != edited, "{writes} writes: {found}");
    ensure!(found.to_string().contains(contest.mark) == is_first, "another state: {found}");
    ensure!(ours.object(contest).await?.pointer("/status/stopped").is_none(), "the stop is still listed");
    Ok(())
}
