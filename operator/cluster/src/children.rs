//! Objects that Steamer creates for clusters: watches, reads and writes.

mod api;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use steamer_api::OpenBaoCluster;
use steamer_core::access::managed::{ca_key, tls_secret};
use steamer_core::tasks::{Tasks, Watched};
use steamer_core::{Context, Error};
use steamer_runtime::{Edges, Key, ObjectName, Presence, Scope, Store};

use crate::cluster::CLUSTER_LABEL;

use api::cluster_of;
pub(crate) use api::{Child, ChildApi, Ending, delete, is_changed, is_of, only};

macro_rules! children {
    ($($kind:ident with $edges:ident, $run:ident);+ $(;)?) => {
        $(impl Child for $kind {})+

        /// Adds the watches of the objects that Steamer creates for clusters: only those with the cluster label, and
        /// only if the cluster exists.
        pub(crate) fn watch(tasks: &mut Tasks) {
            let context = tasks.context();
            let (stores, namespaces) = (&context.cluster_objects, &context.managed_namespaces);
            let clusters = context.stores.of::<OpenBaoCluster>();
            $({
                let watched = Watched::new(stores.of::<$kind>(), $edges).labelled(CLUSTER_LABEL);
                let watched = watched.scoped(of_managed_clusters(&clusters)).within(namespaces.clone());
                tasks.watch($run(watched));
            })+
        }

        /// Waits until the caches contain the objects of every cluster that exists now. They can be older than their
        /// cluster, for example after a restore of the cluster alone.
        pub(crate) async fn complete(context: &Context) {
            let clusters = context.stores.of::<OpenBaoCluster>().added();
            $(context.cluster_objects.of::<$kind>().covers(clusters).await;)+
        }

        /// Returns a kind whose objects in a namespace are unknown: no list contains them, because the namespace is not
        /// watched or the API server refuses the list.
        fn unknown(context: &Context, namespace: &str) -> Option<&'static str> {
            $(if !context.cluster_objects.of::<$kind>().knows(namespace) {
                return Some(stringify!($kind));
            })+
            None
        }
    };
}
children! {
    Pod with edges, urgent;
    StatefulSet with edges, ordinary;
    Service with edges, ordinary;
    ConfigMap with edges, ordinary;
    Secret with secret_edges, ordinary;
    ServiceAccount with edges, ordinary;
    PodDisruptionBudget with edges, ordinary;
    NetworkPolicy with edges, ordinary;
}

/// Checks that the objects of a cluster are known. Otherwise it would look as if no node ran, and a deletion or a restore would
/// change the database below running nodes.
///
/// # Errors
/// [`Error::Waiting`] names a kind that is unknown.
pub(crate) fn known(context: &Context, namespace: &str) -> Result<(), Error> {
    match unknown(context, namespace) {
        None => Ok(()),
        Some(kind) => Err(Error::Waiting(format!(
            "the operator cannot list objects of kind {kind} in namespace {namespace}: add the namespace to clusterNamespaces \
             and install the operator's Role there"
        ))),
    }
}

/// Runs a watch on the thread of the failover, which decides with the pods.
fn urgent<K>(watched: Watched<K>) -> Watched<K> {
    watched.urgent()
}

fn ordinary<K>(watched: Watched<K>) -> Watched<K> {
    watched
}

/// Objects of managed clusters. Everyone can create objects with the cluster label: they must not be kept in memory.
fn of_managed_clusters<K: Child>(clusters: &Store<OpenBaoCluster>) -> Scope<K> {
    let known = clusters.clone();
    Scope::new(clusters, move |object| {
        cluster_of(object).is_some_and(|cluster| may_be_managed(&known, &cluster))
    })
}

/// Returns true if the cluster is managed, or unknown because the API server refuses the list of OpenBaoClusters: its
/// guard still runs, and treats a pod that is not in the cache as lost.
fn may_be_managed(clusters: &Store<OpenBaoCluster>, name: &ObjectName) -> bool {
    match clusters.get(name) {
        Some(cluster) => cluster.spec.managed.is_some(),
        None => clusters.presence(name) == Presence::Unknown,
    }
}

/// Key of all objects of a cluster: a change requeues the cluster.
pub(crate) fn children_of(cluster: ObjectName) -> Key {
    Key::new("ClusterChildren", cluster)
}

/// Requeues the cluster.
pub(crate) fn edges<K: Resource>(object: &K) -> Edges {
    Edges { by_any_change: cluster_of(object).map(children_of).into_iter().collect(), by_spec: Vec::new() }
}

/// Requeues the cluster, and the objects that trust the CA in the Secret.
pub(crate) fn secret_edges(object: &Secret) -> Edges {
    let mut edges = edges(object);
    let authority = cluster_of(object).filter(|cluster| tls_secret(cluster) == ObjectName::of(object));
    edges.by_any_change.extend(authority.map(ca_key));
    edges
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::tests::refusal;

    #[rstest]
    #[case::known(false, false)]
    #[case::refused(true, true)]
    fn objects_of_a_missing_cluster_are_kept_only_while_it_may_exist(
        #[case] is_refused: bool,
        #[case] expected: bool,
    ) {
        let clusters = Store::<OpenBaoCluster>::default();
        clusters.listed(Some("ns"), 0);
        assert!(!is_refused || clusters.failed(Some("ns"), &refusal()));
        assert_eq!(may_be_managed(&clusters, &ObjectName::new("ns", "main")), expected);
    }

    #[rstest]
    #[case::certificate("main-tls", "main", true)]
    #[case::authority("main-ca", "main", false)]
    #[case::certificate_of_another_cluster("main-tls", "other", false)]
    fn only_the_secret_with_the_trusted_ca_requeues_its_users(
        #[case] name: &str,
        #[case] cluster: &str,
        #[case] expected: bool,
    ) {
        let metadata = json!({"name": name, "namespace": "ns", "labels": {CLUSTER_LABEL: cluster}});
        let secret: Secret = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let users = ca_key(ObjectName::new("ns", cluster));
        assert_eq!(secret_edges(&secret).by_any_change.contains(&users), expected);
    }
}
