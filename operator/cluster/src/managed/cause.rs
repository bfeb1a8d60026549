//! Cause of a change of the pods: the cluster and what it refers to, or only another version of Steamer. Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use serde_json::json;
use steamer_core::digest::digest;

use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::nodes::members::Member;
use crate::nodes::replace::count_updated;
use crate::objects::stateful_set::revision;
use crate::seal::rotation::Keys;

/// Annotation of the StatefulSet: digest of everything that its last complete rollout was for.
const ROLLED_OUT_FOR: &str = "steamer.dev/rolled-out-for";

/// Cause of a change of the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The cluster, or an object that it refers to.
    Cluster,
    /// Another version of Steamer creates other pods for the same cluster.
    Steamer,
}

/// Cause of a difference between the pods and the desired ones. A cluster in which no node can lead needs the change, as does
/// a rotation, whose steps have no other origin.
pub(crate) fn cause(input: Input<'_>, observed: &Observed) -> Cause {
    let is_lost = input.guard_report.leaderless_for() > observed.waits.failed();
    let rotates = keys(observed).is_some_and(|keys| keys.rotating.is_some());
    if is_lost || rotates || !is_rolled_out(input, observed) { Cause::Cluster } else { Cause::Steamer }
}

/// Returns true if the last complete rollout was for the present cluster.
pub(crate) fn is_rolled_out(input: Input<'_>, observed: &Observed) -> bool {
    let rolled_out_for = observed.live.as_ref().and_then(|live| live.annotations().get(ROLLED_OUT_FOR));
    rolled_out_for == Some(&origin(input, observed))
}

fn keys(observed: &Observed) -> Option<&Keys> {
    observed.keys.as_ref().ok()?.as_ref()?.keys.as_ref()
}

/// Records on the desired StatefulSet what its rollout is for, once all nodes are updated and one of them leads: a
/// configuration with which none can lead is replaced by the last that worked.
pub(crate) fn record(input: Input<'_>, observed: &Observed, set: &mut StatefulSet) {
    let leads = |member: &Member| member.answer.is_active() && member.revision() == Some(revision(set));
    let is_complete = count_updated(&observed.members, revision(set)) == input.cluster.nodes()
        && observed.members.iter().any(leads);
    let last = observed.live.as_ref().and_then(|live| live.annotations().get(ROLLED_OUT_FOR).cloned());
    let recorded = if is_complete { Some(origin(input, observed)) } else { last };
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.extend(recorded.map(|recorded| (ROLLED_OUT_FOR.to_owned(), recorded)));
}

/// Digest of everything outside of Steamer that determines the pods.
fn origin(input: Input<'_>, observed: &Observed) -> String {
    let keys = keys(observed);
    let headers = observed.headers.as_ref().ok();
    let headers = headers.map(|headers| headers.values().map(|header| &header.digest).collect::<Vec<_>>());
    let mut origin = json!({
        "generation": input.cluster.generation,
        "restart": input.cluster.restart,
        "start": observed.start_digest.as_ref().ok(),
        "key": keys.map(|keys| &keys.in_use),
        "rotation": keys.and_then(|keys| keys.rotating.as_ref()),
        "migrating": observed.is_migrating(),
        "headers": headers,
    });
    if let Some(image) = &input.cluster.catalog_image {
        origin["image"] = json!(image);
    }
    digest(origin.to_string().as_bytes())[..16].to_owned()
}
