//! Two installations of Steamer, and an operator and a person, never alternate writes to one resource.

mod contests;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use kube::api::DeleteParams;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::Session;
use steamer_testing::audit;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::wait::eventually;

use crate::drift::{nudge, passes};
use crate::fixture::{Case, ready_of};
use crate::general::state;
use crate::openbao_outage::gone;
use crate::rig::Rig;
use contests::{Contest, contests};

/// Audience of the second installation.
const AUDIENCE: &str = "openbao-second";
/// Status of an object with a write that is paused, because another client undoes it each time.
const PAUSED: &str = "False/Conflict: another client undoes each change";
/// Seconds after which the first pause ends.
const PAUSE: u64 = 30;
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
    // What the objects need.
    post("sys/mounts/transit", json!({"type": "transit"})).await?;
    post("sys/auth/approle", json!({"type": "approle"})).await?;
    Ok(())
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

/// Number of requests with one of the operations for a resource, from the audit log, of clients that are counted by the display
/// name of their tokens.
fn requests(
    log: &Path,
    contest: &Contest,
    operations: &[&str],
    is_counted: impl Fn(&str) -> bool,
) -> Result<usize> {
    let mut found = audit::entries(log, &contest.path)?;
    found.retain(|line| {
        let (asked, client) = (&line["request"], &line["auth"]["display_name"]);
        line["type"] == "response"
            && asked["path"].as_str().is_some_and(|path| path.starts_with(&contest.path))
            && operations.iter().any(|operation| asked["operation"] == *operation)
            && is_counted(client.as_str().unwrap_or_default())
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
    async fn apply(&self, contest: &Contest, spec: &Value, adopt: &str) -> Result<()> {
        let mut spec = spec.clone();
        spec["clusterRef"] = json!({"name": self.cluster});
        spec["adopt"] = json!(adopt);
        self.case.object(contest.kind, &contest.name, spec).await.map(drop)
    }

    async fn state(&self, contest: &Contest) -> Result<String, String> {
        let api = self.case.dynamic(contest.kind).map_err(|error| error.to_string())?;
        let object = api.get(&contest.name).await.map_err(|error| error.to_string())?;
        Ok(ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?))
    }

    async fn says(&self, contest: &Contest, expected: &str) -> Result<()> {
        eventually(&format!("{} says {expected}", contest.name), || async {
            let seen = self.state(contest).await?;
            if seen.starts_with(expected) { Ok(()) } else { Err(seen) }
        })
        .await
    }

    fn requests(&self, contest: &Contest, operations: &[&str]) -> Result<usize> {
        requests(self.log, contest, operations, |client| client.starts_with(self.client))
    }

    /// Waits for a complete pass over the object.
    async fn pass(&self, contest: &Contest) -> Result<()> {
        passes(self.case, contest.kind, &contest.name, || self.requests(contest, &["read"])).await
    }

    /// Waits until a pass over the object has started.
    async fn visit(&self, contest: &Contest) -> Result<()> {
        let before = self.requests(contest, &["read"])?;
        nudge(self.case, contest.kind, &contest.name).await?;
        eventually(&format!("{} is read", contest.path), || async {
            let now = self.requests(contest, &["read"]).map_err(|error| error.to_string())?;
            if now > before { Ok(()) } else { Err(format!("{now} reads")) }
        })
        .await
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
        requests(self.ours.log, contest, &WRITES, |_| true)
    }

    async fn found(&self, contest: &Contest) -> Result<Value> {
        state(&self.admin, &contest.path).await?.with_context(|| format!("{} does not exist", contest.path))
    }
}

#[tokio::test]
async fn two_installations_and_a_person_never_alternate_writes_without_end() -> Result<()> {
    let other = Case::new("second-installation").await?;
    let mut rig = Rig::new("first-installation").await?;
    rig.install_root_scope().await?;
    second_login(&rig.case.admin()?, &other).await?;
    second_cluster(&rig, &other).await?;
    rig.start().await?;
    let setting = &Setting::of(&rig, &other)?;
    let (shared, edited) = (contests("shared"), contests("edited"));
    try_join_all(shared.iter().map(|contest| async move {
        two_installations(setting, contest).await.with_context(|| contest.path.clone())
    }))
    .await?;
    try_join_all(edited.iter().map(|contest| async move {
        a_person_edits_repeatedly(setting, contest).await.with_context(|| contest.path.clone())
    }))
    .await
    .map(drop)
}

async fn two_installations(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    without_adoption(setting, contest).await?;
    both_adopt(setting, contest).await?;
    let theirs = setting.theirs.case.dynamic(contest.kind)?;
    theirs.delete(&contest.name, &DeleteParams::default()).await?;
    gone(&theirs, &contest.name).await
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

/// Two administrators who adopt the same resource get a bounded number of writes, and then a conflict.
async fn both_adopt(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    let (before, started) = (setting.writes(contest)?, Instant::now());
    setting.theirs.apply(contest, &contest.specs[1], "IfUnowned").await?;
    a_conflict_is_reported(setting, contest).await?;
    // Each installation can have a write in progress; then no person writes. Each pause ends with one write.
    let paused = setting.writes(contest)?;
    for _ in 0..3 {
        setting.ours.pass(contest).await?;
        setting.theirs.pass(contest).await?;
    }
    let last = setting.writes(contest)?;
    println!("{} writes of two installations that adopt {}", last - before, contest.path);
    let most = 2 + 2 * usize::try_from(started.elapsed().as_secs() / PAUSE)?;
    ensure!(last - paused <= most, "{} writes after the conflict was reported", last - paused);
    ensure!((5..=40).contains(&(last - before)), "{} writes", last - before);
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
        if states.iter().any(|it| it.starts_with(PAUSED)) { Ok(()) } else { Err(states.join("; ")) }
    })
    .await
}

/// A person who edits the resource after each repair gets a bounded number of repairs, and then the conflict is reported.
async fn a_person_edits_repeatedly(setting: &Setting<'_>, contest: &Contest) -> Result<()> {
    let ours = &setting.ours;
    ours.apply(contest, &contest.specs[0], "Never").await?;
    ours.says(contest, "True/Applied").await?;
    let (right, created) = (setting.found(contest).await?, ours.requests(contest, &WRITES)?);
    let mut repairs = 0;
    let is_paused = loop {
        let is_paused = an_edit_stays(setting, contest, &right).await?;
        repairs += usize::from(!is_paused);
        if is_paused || repairs > 12 {
            break is_paused;
        }
    };
    let written = ours.requests(contest, &WRITES)? - created;
    println!("{repairs} repairs of one edit of {}", contest.path);
    ensure!(is_paused && repairs >= 3, "paused: {is_paused}, after {repairs} repairs");
    ensure!((repairs..=repairs + 1).contains(&written), "{written} writes for {repairs} repairs");
    Ok(())
}

/// Makes the edit. Returns false when it is repaired, and true when the object reports the conflict instead.
async fn an_edit_stays(setting: &Setting<'_>, contest: &Contest, right: &Value) -> Result<bool> {
    let ((path, body), ours) = (&contest.edit, &setting.ours);
    setting.admin.request_any(Method::POST, path, Some(body.clone())).await?;
    nudge(ours.case, contest.kind, &contest.name).await?;
    eventually("the resource is repaired, or the object reports the conflict", || async {
        if ours.state(contest).await?.starts_with(PAUSED) {
            return Ok(true);
        }
        let found = setting.found(contest).await.map_err(|error| format!("{error:#}"))?;
        if found == *right { Ok(false) } else { Err(found.to_string()) }
    })
    .await
}
