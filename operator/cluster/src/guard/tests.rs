//! A guard beside reconciles that never return, and the guard of a cluster that left the cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rstest::rstest;
use steamer_api::OpenBaoCluster;
use steamer_runtime::Reconcile;

use crate::children::ChildApi;
use crate::controller::Controller;
use crate::database::lock::Lock;
use crate::database::login::Login;
use crate::database::operator_lock::Operator;
use crate::guard::case::{Holder, Suspect};
use crate::guard::fence::Fence;
use crate::guard::registry::Guards;
use crate::tests::kubernetes::{Fake, context};
use crate::tests::{cluster, owner_login, refusal};

#[tokio::test]
#[allow(clippy::disallowed_methods)]
async fn a_guard_observes_while_every_worker_of_the_reconciles_is_blocked() {
    let (context, guards) = (context(&Fake::default()).await, Guards::default());
    let mut cluster = cluster();
    cluster.owner = refused_login();
    let target = guards.target(&context, None, &cluster);
    target.lasting.operator_lock.set(Operator::This);
    let deadline = Instant::now() + Duration::from_secs(60);
    // Never awaits: the only worker of this runtime is blocked.
    while guards.watch(&context, target.clone()).storage.is_none() {
        assert!(Instant::now() < deadline, "the guard did not observe its database");
        std::thread::sleep(Duration::from_millis(5));
    }
    let checked = tokio::time::timeout(Duration::ZERO, target.lasting.operator_lock.check()).await;
    assert!(checked.is_err(), "the guard does not know which operator uses the database");
}

#[tokio::test]
async fn a_guard_does_not_wait_for_the_replacement_of_a_fenced_node() {
    let (context, guards) = (context(&Fake::default()).await, Guards::default());
    let mut cluster = cluster();
    cluster.admin = Some(refused_login());
    let target = guards.target(&context, None, &cluster);
    let child_api = ChildApi {
        client: context.client.clone(),
        stores: &context.cluster_objects,
        cluster: cluster.name.clone(),
        limit: &context.cluster_writes,
    };
    let fence = Fence { context: &context, target: &target, child_api: &child_api };
    let suspect = Suspect {
        lock: Lock::default(),
        holder: Holder::Node { role: "main_0_1".to_owned(), ordinal: 0 },
        pod: "main-0".to_owned(),
        uid: None,
        why: "it hangs".to_owned(),
        has_ended: false,
    };
    // A reconcile that waits for the API server.
    let _turn = target.lasting.logins.lock().await;
    let replaced = tokio::time::timeout(Duration::from_secs(30), fence.replace(&suspect)).await;
    assert!(replaced.is_ok(), "no observation of the lock in the meantime");
}

#[rstest]
#[case::deleted(false, false)]
#[case::refused(true, true)]
#[tokio::test]
async fn the_guard_of_a_cluster_stops_only_after_its_deletion(
    #[case] is_refused: bool,
    #[case] is_kept: bool,
) {
    let (context, mut cluster) = (context(&Fake::default()).await, cluster());
    cluster.owner = refused_login();
    let (clusters, namespace) = (context.stores.of::<OpenBaoCluster>(), cluster.name.namespace.clone());
    clusters.listed(Some(&namespace), 0);
    assert!(!is_refused || clusters.failed(Some(&namespace), &refusal()));
    let controller = Controller::new(context.clone(), Arc::default());
    let target = controller.guards.target(&context, None, &cluster);
    controller.guards.watch(&context, target);
    assert!(controller.guards.known(&cluster.name).is_some());
    controller.forget(&cluster.name);
    assert_eq!(controller.guards.known(&cluster.name).is_some(), is_kept);
}

/// A database at a port that refuses connections.
fn refused_login() -> Login {
    Login { host: "127.0.0.1".to_owned(), port: 1, ..owner_login() }
}
