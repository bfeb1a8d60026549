//! A PostgreSQL server that is known not to answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use steamer_api::DatabaseTlsMode;
use steamer_core::context::Context;
use tokio::net::TcpListener;

use crate::cluster::Cluster;
use crate::database::login::Login;
use crate::guard::registry::Guards;
use crate::guard::target::GuardTarget;
use crate::tests::kubernetes::{Fake, context};
use crate::tests::{cluster, owner_login};

/// A cluster whose server did not answer another cluster: a reconcile gets the last error, and asks nothing.
pub(crate) struct Outage {
    pub(crate) context: Arc<Context>,
    pub(crate) cluster: Cluster,
    pub(crate) target: Arc<GuardTarget>,
    connections: Arc<AtomicUsize>,
}

impl Outage {
    pub(crate) async fn new() -> Self {
        let (owner, connections) = closing().await;
        let (context, cluster) = (context(&Fake::default()).await, Cluster { owner, ..cluster() });
        let target = Guards::default().target(&context, None, &cluster);
        for _ in 0..2 {
            assert!(target.links.owner.client().await.is_err());
        }
        let outage = Self { context, cluster, target, connections };
        assert_eq!(outage.connections(), 1, "the server is not known to be down");
        outage
    }

    /// Number of connections to the server so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A server that closes each connection, and their number.
async fn closing() -> (Login, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let (host, tls) = ("127.0.0.1".to_owned(), DatabaseTlsMode::Disable);
    (Login { host, port, tls, ..owner_login() }, connections)
}
