//! Label of the leader's pod, and step-down of the leader on request.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::json;
use steamer_core::error::Error;
use steamer_openbao::Session;
use steamer_runtime::write_limit::{Write, digest};

use crate::cluster::{ACTIVE, Cluster};
use crate::effects::Effects;
use crate::nodes::members::Member;
use crate::paths;

/// Annotation of the StatefulSet: the last executed request to step down.
const STEPPED_DOWN: &str = "steamer.dev/stepped-down";

/// Writes the labels that the Service of the leader selects. OpenBao can do this itself, but then it neither starts nor
/// leads for minutes while the Kubernetes API is unreachable.
pub(crate) async fn label(effects: &Effects<'_>, leader: &str) -> Result<(), Error> {
    let api = effects.child_api.api::<Pod>();
    for (pod, active) in labels(&effects.child_api.all::<Pod>(), leader) {
        let (name, patch) =
            (pod.name_any(), json!({"metadata": {"uid": pod.uid(), "labels": {ACTIVE: active}}}));
        let written = async {
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                // The pod was deleted or recreated in the meantime.
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
                other => Ok(other.map(drop)?),
            }
        };
        let resource = format!("label {ACTIVE} of Pod {name}");
        effects.child_api.limited(&resource, labeling(pod, active), written).await?;
    }
    Ok(())
}

/// The write of a label. A recreated pod is another resource, and another leader another desired state.
fn labeling(pod: &Pod, active: &str) -> Write {
    let before = pod.labels().get(ACTIVE);
    Write { resource: digest(&(ACTIVE, pod.uid())), desired: digest(active), before: digest(&before) }
}

/// The pods whose label differs, and the desired values.
fn labels<'a>(pods: &'a [Arc<Pod>], leader: &str) -> Vec<(&'a Pod, &'static str)> {
    let desired = |pod: &Pod| if pod.name_any() == leader { "true" } else { "false" };
    let differs = |pod: &Pod| pod.labels().get(ACTIVE).map(String::as_str) != Some(desired(pod));
    pods.iter().map(|pod| &**pod).filter(|pod| differs(pod)).map(|pod| (pod, desired(pod))).collect()
}

/// A request to step down that is not executed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepDown {
    /// Value of the annotation.
    request: String,
    /// Pod of the leader.
    pod: String,
}

/// The request to step down, if it is new and a standby can take over. A cordoned Kubernetes node is no reason: the
/// eviction that follows is as fast, and a node that stepped down pauses for ten seconds before it stops.
pub(crate) fn step_down(cluster: &Cluster, live: &StatefulSet, members: &[Member]) -> Option<StepDown> {
    let request = cluster.step_down.as_ref()?;
    if live.annotations().get(STEPPED_DOWN) == Some(request) {
        return None;
    }
    let leader = members.iter().find(|member| member.answer.is_active())?;
    let has_standby = members.iter().any(|member| member.serves() && member.answer.is_standby());
    has_standby.then(|| StepDown { request: request.clone(), pod: leader.name() })
}

/// Makes the leader step down. The request is recorded first: a repeated step-down would move the leader again.
pub(crate) async fn execute(
    effects: &Effects<'_>,
    cluster: &Cluster,
    session: &Session,
    step_down: &StepDown,
) -> Result<(), Error> {
    let StepDown { request, pod } = step_down;
    let patch = json!({"metadata": {"annotations": {STEPPED_DOWN: request}}});
    let api = effects.child_api.api::<StatefulSet>();
    api.patch(cluster.name(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    tracing::info!(cluster = %cluster.name, pod, "the leader steps down");
    // Sent to this node: another node that leads by now must not step down, too.
    let node = effects.node(cluster, pod)?.session(session.identity().clone());
    node.request_any(Method::PUT, paths::STEP_DOWN, None).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rstest::rstest;
    use steamer_runtime::ObjectName;
    use steamer_runtime::write_limit::WriteLimit;

    use super::*;
    use crate::tests::{cluster, member};

    fn live(executed: Option<&str>) -> StatefulSet {
        let annotations = executed.map(|request| json!({STEPPED_DOWN: request}));
        serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
    }

    #[rstest]
    #[case::no_request(None, None, "ls", None)]
    #[case::new_request(Some("b"), Some("a"), "ls", Some("main-0"))]
    #[case::executed(Some("a"), Some("a"), "ls", None)]
    #[case::no_standby(Some("a"), None, "lx", None)]
    #[case::no_leader(Some("a"), None, "ss", None)]
    #[case::other_leader(Some("a"), None, "sl", Some("main-1"))]
    fn a_new_request_makes_the_leader_step_down_if_a_standby_serves(
        #[case] request: Option<&str>,
        #[case] executed: Option<&str>,
        #[case] nodes: &str,
        #[case] expected: Option<&str>,
    ) {
        let cluster = Cluster { step_down: request.map(str::to_owned), ..cluster() };
        let members: Vec<Member> = nodes.chars().enumerate().map(member).collect();
        let planned = step_down(&cluster, &live(executed), &members);
        assert_eq!(planned.map(|step_down| step_down.pod).as_deref(), expected);
    }

    #[test]
    fn only_a_label_that_is_removed_from_the_same_pod_again_and_again_is_limited() {
        let pod = |uid: &str, active: Option<&str>| {
            let pod = json!({"metadata": {"name": "main-0", "uid": uid, "labels": {ACTIVE: active}}});
            serde_json::from_value::<Pod>(pod).unwrap_or_default()
        };
        let (limit, name, now) = (WriteLimit::default(), ObjectName::new("ns", "main"), Instant::now());
        let write = |pod: &Pod, active: &str| {
            let write = labeling(pod, active);
            limit.admit(&name, write, now).is_ok_and(|()| {
                limit.record(&name, write, now);
                true
            })
        };
        let (led, follows) = (pod("a", Some("true")), pod("a", Some("false")));
        let failovers = (0..50).all(|_| write(&follows, "true") && write(&led, "false"));
        let recreated = (0..50).all(|number| write(&pod(&number.to_string(), Some("x")), "true"));
        assert!(failovers && recreated);
        assert!((0..50).filter(|_| write(&follows, "true")).count() < 10);
    }

    #[test]
    fn only_pods_with_another_label_are_labeled() {
        let pod = |name: &str, active: &str| {
            let pod = json!({"metadata": {"name": name, "labels": {ACTIVE: active}}});
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let pods = [pod("main-0", "true"), pod("main-1", "false"), pod("main-2", "false")];
        let changed = labels(&pods, "main-1");
        let changed: Vec<_> = changed.iter().map(|(pod, active)| (pod.name_any(), *active)).collect();
        assert_eq!(changed, [("main-0".to_owned(), "false"), ("main-1".to_owned(), "true")]);
    }
}
