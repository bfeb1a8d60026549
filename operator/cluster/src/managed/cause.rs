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
use crate::seal::migration::Migration;

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

/// Cause of a difference between the pods and the desired ones. Without a leader, the cluster needs the change.
pub(crate) fn cause(input: Input<'_>, observed: &Observed) -> Cause {
    let rolled_out_for = observed.live.as_ref().and_then(|live| live.annotations().get(ROLLED_OUT_FOR));
    let leads = observed.members.iter().any(|member| member.answer.is_active());
    if leads && rolled_out_for == Some(&origin(input, observed)) { Cause::Steamer } else { Cause::Cluster }
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
    let keys = observed.keys.as_ref().ok().and_then(|keys| keys.as_ref()?.keys.clone());
    let headers = observed.headers.as_ref().ok();
    let headers = headers.map(|headers| headers.values().map(|header| &header.digest).collect::<Vec<_>>());
    let origin = json!({
        "generation": input.object.metadata.generation,
        "restart": input.cluster.restart,
        "start": observed.start_digest.as_ref().ok(),
        "key": keys.as_ref().map(|keys| &keys.in_use),
        "rotation": keys.as_ref().and_then(|keys| keys.rotating.as_ref()),
        "migrating": observed.migration == Migration::InProgress,
        "headers": headers,
    });
    digest(origin.to_string().as_bytes())[..16].to_owned()
}
