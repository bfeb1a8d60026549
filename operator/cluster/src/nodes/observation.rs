//! Reads the state of all nodes.

use std::time::Duration;

use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::effects::Sources;
use crate::nodes::members::Member;
use crate::nodes::{health, members};

/// The nodes of a cluster. All are asked at the same time.
pub(crate) async fn observe(sources: &Sources<'_>, cluster: &Cluster) -> Vec<Member> {
    let client = |pod: &str| sources.node(cluster, pod);
    let asked = sources.child_api.nodes().into_iter().map(|pod| async move {
        let answer = members::ask(&pod, client(&pod.name_any())).await;
        Member {
            pod,
            answer,
            unhealthy_for: Duration::ZERO,
            is_pausing: false,
            is_stale: false,
            is_current: false,
            knows_leader: false,
            is_fenced: false,
        }
    });
    let mut members = futures::future::join_all(asked).await;
    health::observe(&mut members, &sources.guard_target.unhealthy, client).await;
    members
}
