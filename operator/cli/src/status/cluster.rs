//! View of an OpenBaoCluster.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use steamer_api::{Fenced, MemberRole, OpenBaoCluster, OpenBaoClusterStatus, SealState, StorageState};
use steamer_runtime::ObjectName;

use crate::age::{period, since};
use crate::style::line;

/// Conditions that report a problem while they are `True`. All others report one while they are `False`.
const PROBLEMS: [&str; 4] = ["Degraded", "Stalled", "Fenced", "BreakGlass"];
/// Conditions that the view shows elsewhere.
const ELSEWHERE: [&str; 3] = ["Ready", "Reconciling", "UpgradeInProgress"];

/// State of a cluster.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterView {
    pub(crate) name: String,
    /// `Ready`, or the reason why it is not.
    pub(crate) state: String,
    pub(crate) is_ready: bool,
    /// Time since the state changed.
    pub(crate) age: String,
    pub(crate) message: String,
    pub(crate) server: String,
    /// Name and value of each fact.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) nodes: Vec<NodeView>,
    /// Conditions that report a problem.
    pub(crate) problems: Vec<String>,
}

/// State of a node.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    pub(crate) pod: String,
    pub(crate) role: &'static str,
    pub(crate) version: String,
    pub(crate) machine: String,
    pub(crate) state: &'static str,
}

/// The view of a cluster.
pub(crate) fn view(cluster: &OpenBaoCluster, now: Timestamp) -> ClusterView {
    let default = OpenBaoClusterStatus::default();
    let status = cluster.status.as_ref().unwrap_or(&default);
    let conditions = &status.common.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let is_ready = ready.is_some_and(|ready| ready.status == "True");
    ClusterView {
        name: ObjectName::of(cluster).to_string(),
        state: match ready {
            Some(_) if is_ready => "Ready".to_owned(),
            Some(ready) => ready.reason.clone(),
            None => "Waiting".to_owned(),
        },
        is_ready,
        age: ready.map(|ready| since(ready.last_transition_time.0, now)).unwrap_or_default(),
        message: ready.map_or_else(
            || "the operator has not reconciled the object: check that it runs".to_owned(),
            |ready| line(&ready.message),
        ),
        server: server(cluster, status),
        facts: facts(status, now),
        nodes: nodes(status),
        problems: conditions.iter().filter_map(problem).collect(),
    }
}

fn server(cluster: &OpenBaoCluster, status: &OpenBaoClusterStatus) -> String {
    let version = status.version.as_deref().unwrap_or("of an unknown version");
    let Some(managed) = &cluster.spec.managed else {
        return format!("OpenBao {version} at {}", cluster.address());
    };
    let serving = status.members.iter().filter(|member| member.ready).count();
    format!("OpenBao {version}, {serving} of {} nodes serve", managed.replicas)
}

fn facts(status: &OpenBaoClusterStatus, now: Timestamp) -> Vec<(&'static str, String)> {
    let certificate = status.certificates.as_ref().map(|it| {
        let end = it.not_after.0;
        let left = end.as_second().saturating_sub(now.as_second());
        let date = end.to_zoned(jiff::tz::TimeZone::UTC).date();
        if left > 0 { format!("{} left ({date})", period(left)) } else { format!("expired on {date}") }
    });
    let upgrade = status.upgrade.as_ref().map(|it| {
        let from = it.from.as_deref().filter(|from| *from != it.to).map(|from| format!("{from} to "));
        format!("{}{}, updated nodes: {}: {}", from.unwrap_or_default(), it.to, it.updated, line(&it.step))
    });
    let mut facts = vec![("Leader", leader(status, now))];
    facts.extend(status.seal.as_ref().map(|seal| ("Seal", described(seal))));
    facts.extend(status.storage.as_ref().map(|it| ("Storage", storage(it))));
    facts.extend(certificate.map(|text| ("Cert", text)));
    facts.extend(upgrade.map(|text| ("Rollout", text)));
    facts.extend(status.fenced.iter().map(|it| ("Fenced", fenced(it, now))));
    if status.members.is_empty() && status.leader.is_none() {
        facts.remove(0);
    }
    facts
}

fn leader(status: &OpenBaoClusterStatus, now: Timestamp) -> String {
    let on = |pod: &str| {
        let member = status.members.iter().find(|member| member.pod == pod);
        member.and_then(|member| member.node.as_deref()).map(|node| format!(" on {node}")).unwrap_or_default()
    };
    match (&status.leader, &status.last_leader) {
        (Some(leader), _) => format!(
            "{}{}, since {}; {} changes",
            leader.pod,
            on(&leader.pod),
            since(leader.since.0, now),
            status.leadership_changes.unwrap_or_default()
        ),
        (None, Some(last)) => format!("none; the last one was {}", last.pod),
        (None, None) => "none".to_owned(),
    }
}

fn described(seal: &SealState) -> String {
    let mut text = seal.kind.clone();
    text.extend(seal.key_id.as_ref().map(|key| format!(", key {key}")));
    text.extend(seal.rotating.as_ref().map(|it| format!(", rotates to {} ({:?})", it.to, it.phase)));
    text.extend(seal.migrating_to.as_ref().map(|kind| format!(", migrates to {kind}")));
    text
}

fn storage(storage: &StorageState) -> String {
    let mut text = storage.host.clone();
    text.extend(storage.version.as_ref().map(|version| format!(", PostgreSQL {version}")));
    text.extend(storage.timeline.map(|timeline| format!(", timeline {timeline}")));
    text
}

fn fenced(fenced: &Fenced, now: Timestamp) -> String {
    format!("{}, {} ago: {}", fenced.pod, since(fenced.since.0, now), line(&fenced.reason))
}

fn nodes(status: &OpenBaoClusterStatus) -> Vec<NodeView> {
    let node = |member: &steamer_api::MemberStatus| NodeView {
        pod: member.pod.clone(),
        role: match member.role {
            MemberRole::Leader => "leader",
            MemberRole::Standby => "standby",
            MemberRole::Unknown => "unknown",
        },
        version: member.version.clone().unwrap_or_else(|| "-".to_owned()),
        machine: member.node.clone().unwrap_or_else(|| "-".to_owned()),
        state: match (member.ready, member.sealed) {
            (true, _) => "serves",
            (false, Some(true)) => "sealed",
            (false, None) => "no answer",
            (false, Some(false)) => "not ready",
        },
    };
    status.members.iter().map(node).collect()
}

fn problem(condition: &Condition) -> Option<String> {
    let Condition { type_, status, reason, message, .. } = condition;
    let reports = if PROBLEMS.contains(&type_.as_str()) { "True" } else { "False" };
    let is_shown = status == reports && !ELSEWHERE.contains(&type_.as_str());
    is_shown.then(|| {
        let message = if message.is_empty() { reason } else { message };
        format!("{type_}={status}: {}", line(message))
    })
}
