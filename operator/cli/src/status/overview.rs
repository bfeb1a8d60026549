//! View of all objects.

use jiff::Timestamp;
use serde::Serialize;
use steamer_api::{KindId, OpenBaoCluster};

use super::cluster::{ClusterView, view};
use crate::brief::{Brief, Late};
use crate::lists::{Answer, Listed};

/// State of all objects.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    pub(crate) clusters: Vec<ClusterView>,
    pub(crate) kinds: Vec<KindView>,
    /// Objects that are not Ready, except clusters.
    pub(crate) not_ready: Vec<Late>,
    /// What the overview lacks.
    pub(crate) notes: Vec<String>,
    #[serde(skip)]
    pub(crate) now: Timestamp,
}

/// Numbers of objects of a kind.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KindView {
    pub(crate) kind: &'static str,
    pub(crate) total: usize,
    pub(crate) ready: usize,
    pub(crate) suspended: usize,
}

impl Overview {
    /// Returns true if every object is Ready.
    pub(crate) fn is_good(&self) -> bool {
        self.not_ready.is_empty() && self.clusters.iter().all(|cluster| cluster.is_ready)
    }
}

/// The view of all objects. Stalled objects come first, then those that have not been Ready for the longest time.
pub(crate) fn overview(
    clusters: Answer<OpenBaoCluster>,
    objects: &[Listed<Brief>],
    now: Timestamp,
) -> Overview {
    let mut found = Overview { now, ..Overview::default() };
    match clusters {
        Answer::Objects(clusters) => found.clusters = clusters.iter().map(|it| view(it, now)).collect(),
        Answer::Denied => found.notes.push(denied(&["OpenBaoCluster"])),
        Answer::NotInstalled => found.notes.push(not_installed(&["OpenBaoCluster"])),
    }
    for Listed { kind, answer } in objects {
        if let Answer::Objects(objects) = answer {
            let late: Vec<Late> = objects.iter().filter_map(|object| object.late(*kind)).collect();
            found.kinds.extend((!objects.is_empty()).then(|| counts(*kind, objects, late.len())));
            found.not_ready.extend(late);
        }
    }
    found.not_ready.sort_by(|a, b| {
        (!a.stalled, a.since, &a.namespace, &a.name).cmp(&(!b.stalled, b.since, &b.namespace, &b.name))
    });
    let refused = kinds(objects, |answer| matches!(answer, Answer::Denied));
    let missing = kinds(objects, |answer| matches!(answer, Answer::NotInstalled));
    found.notes.extend((!refused.is_empty()).then(|| denied(&refused)));
    found.notes.extend((!missing.is_empty()).then(|| not_installed(&missing)));
    found
}

fn counts(kind: KindId, objects: &[Brief], late: usize) -> KindView {
    let total = objects.len();
    let suspended = objects.iter().filter(|object| object.is_suspended()).count();
    KindView { kind: kind.as_str(), total, ready: total - late, suspended }
}

fn kinds(objects: &[Listed<Brief>], is_chosen: impl Fn(&Answer<Brief>) -> bool) -> Vec<&'static str> {
    objects.iter().filter(|it| is_chosen(&it.answer)).map(|it| it.kind.as_str()).collect()
}

fn denied(kinds: &[&str]) -> String {
    format!("not shown, because you may not list them: {}", kinds.join(", "))
}

fn not_installed(kinds: &[&str]) -> String {
    format!("the CustomResourceDefinitions of these kinds are not installed: {}", kinds.join(", "))
}
