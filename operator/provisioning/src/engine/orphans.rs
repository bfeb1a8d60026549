//! Removal of the resources that deleted children left in OpenBao.

use steamer_api::Orphan;
use steamer_core::ownership::orphans::remove_orphans;
use steamer_openbao::Session;

use super::pass::Pass;
use super::provision::Provision;

/// Removes the orphans that the last status lists. Returns those that no longer exist in OpenBao.
pub(super) async fn remove<K: Provision>(object: &K, session: &Session, pass: &Pass<'_>) -> Vec<Orphan> {
    let mut status: K::Status = pass.context.last(object);
    let Some(orphans) = K::orphans(&mut status) else {
        return Vec::new();
    };
    let known = std::mem::take(orphans);
    let left = remove_orphans(pass.context, session, known.clone()).await;
    known.into_iter().filter(|orphan| !left.contains(orphan)).collect()
}
