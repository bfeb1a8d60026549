//! Removal of the resources that deleted children left in OpenBao.

use steamer_api::Orphan;
use steamer_core::ownership::orphans::{is_child, remove_orphans};
use steamer_openbao::Session;
use steamer_runtime::Reason;

use super::pass::Pass;
use super::provision::Provision;

/// Event of an orphan that the object does not contain.
const FOREIGN: &str =
    "removed orphans outside of its OpenBao namespace from status.orphans: nothing was deleted for them";

/// Removes the orphans that the last status lists. Returns those that no longer exist in OpenBao, and those that the
/// namespace of the object does not contain: a status can be forged.
pub(super) async fn remove<K: Provision>(object: &K, session: &Session, pass: &Pass<'_>) -> Vec<Orphan> {
    let mut status: K::Status = pass.context.status(object);
    let Some(orphans) = K::orphans(&mut status) else {
        return Vec::new();
    };
    let known = std::mem::take(orphans);
    let footprint = object.footprint(&status);
    let namespace = footprint.as_ref().map(|footprint| footprint.namespace.clone());
    let cluster = footprint.map(|footprint| footprint.cluster).unwrap_or_default();
    // Only the status of a cluster lists orphans by path.
    let is_marked = |orphan: &Orphan| orphan.resources.is_empty();
    let own = |orphan: &Orphan| {
        is_marked(orphan) && namespace.as_ref().is_some_and(|parent| is_child(orphan, parent))
    };
    let (honored, foreign): (Vec<_>, Vec<_>) = known.into_iter().partition(own);
    if !foreign.is_empty() && namespace.is_some() {
        pass.context.runtime.events.warn(object, Reason::Conflict, FOREIGN).await;
    }
    let left = remove_orphans(pass.context, session, (&cluster, honored.clone())).await;
    let removed = honored.into_iter().filter(|orphan| !left.contains(orphan));
    removed.chain(foreign).collect()
}
