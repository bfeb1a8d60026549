//! Removal of the resources that deleted tenants and projects left in a server.

use steamer_api::{OpenBaoCluster, Orphan};
use steamer_core::context::Context;
use steamer_core::ownership::orphans;
use steamer_runtime::{Dependencies, ObjectName};

use crate::server::Server;

/// Removes the orphans in the status of a cluster. Returns those that were removed: orphans that are handed over in the
/// meantime stay in the status.
pub(crate) async fn remove(
    context: &Context,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
    server: &Server,
) -> Vec<Orphan> {
    let known = context.status(object).orphans;
    if known.is_empty() || !server.serves() {
        return Vec::new();
    }
    let Ok(session) = context.operator_session(dependencies, object).await else { return Vec::new() };
    let left = orphans::remove_orphans(context, &session, (&ObjectName::of(object), known.clone())).await;
    without(known, &left)
}

/// The orphans that are not among the others.
pub(crate) fn without(mut orphans: Vec<Orphan>, others: &[Orphan]) -> Vec<Orphan> {
    orphans.retain(|orphan| !others.contains(orphan));
    orphans
}

#[cfg(test)]
mod tests {
    use steamer_api::DeletionPolicy;

    use super::*;

    fn orphan(namespace: &str) -> Orphan {
        Orphan {
            kind: "SecretsProject".to_owned(),
            namespace: "team".to_owned(),
            name: namespace.to_owned(),
            openbao_namespace: namespace.to_owned(),
            deletion_policy: DeletionPolicy::Delete,
            resources: Vec::new(),
            seal: None,
        }
    }

    #[test]
    fn an_orphan_that_is_handed_over_during_a_removal_stays() {
        let at_start = vec![orphan("a"), orphan("b")];
        let removed = without(at_start, &[orphan("b")]);
        let at_end = vec![orphan("a"), orphan("b"), orphan("c")];
        assert_eq!(without(at_end, &removed), [orphan("b"), orphan("c")]);
    }
}
