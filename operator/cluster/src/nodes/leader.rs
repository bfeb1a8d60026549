//! Label of the leader's pod, and step-down of the leader on request.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::json;
use steamer_core::error::Error;
use steamer_openbao::Session;
use steamer_runtime::write_limit::{Write, digest};

use crate::children::{ChildApi, is_changed};
use crate::cluster::{ACTIVE, Cluster, LEADER_UNKNOWN, WITHDRAWN};
use crate::effects::Effects;
use crate::nodes::members::Member;
use crate::paths;

/// Annotation of the StatefulSet: the last executed request to step down.
const STEPPED_DOWN: &str = "steamer.dev/stepped-down";

/// Writes the labels that the Service of the leader selects. OpenBao can do this itself, but then it neither starts nor
/// leads for minutes while the Kubernetes API is unreachable.
///
/// # Errors
/// [`Error::Repeated`] if another client undoes a label. The other pods are labeled nevertheless.
pub(crate) async fn label(effects: &Effects<'_>, leader: &str, since: Timestamp) -> Result<(), Error> {
    let term = digest(&(leader, since));
    label_pods(effects.child_api, &effects.child_api.nodes(), leader, term).await
}

async fn label_pods(
    child_api: &ChildApi<'_>,
    pods: &[Arc<Pod>],
    leader: &str,
    term: u64,
) -> Result<(), Error> {
    let (api, mut contested) = (child_api.api::<Pod>(), None);
    for (pod, active) in labels(pods, leader) {
        let resource = format!("label {ACTIVE} of Pod {}", pod.name_any());
        let written =
            child_api.limited(&resource, labeling(pod, active, term), write(&api, pod, active)).await;
        Error::set_aside(written, &mut contested)?;
    }
    contested.map_or(Ok(()), Err)
}

/// Writes the label of a pod. Returns true if this changed the pod.
pub(crate) async fn write(api: &Api<Pod>, pod: &Pod, active: &str) -> Result<bool, Error> {
    let (name, patch) = (pod.name_any(), json!({"metadata": {"uid": pod.uid(), "labels": {ACTIVE: active}}}));
    match api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        // The pod was deleted or recreated in the meantime.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        written => Ok(is_changed(Some(pod), &written?)),
    }
}

/// The write of a label. A recreated pod is another resource. Each term of a leader is another desired state, also for
/// a leader that returns: the limit must not refuse a change of the leader.
fn labeling(pod: &Pod, active: &str, term: u64) -> Write {
    let before = pod.labels().get(ACTIVE);
    Write {
        resource: digest(&(ACTIVE, pod.uid())),
        desired: digest(&(active, term)),
        before: digest(&before),
        interval: Duration::ZERO,
    }
}

/// The pods whose label differs, and the desired values. The leader comes first. A standby that is withdrawn stays so.
fn labels<'a>(pods: &'a [Arc<Pod>], leader: &str) -> Vec<(&'a Pod, &'static str)> {
    let desired = |pod: &Pod| if pod.name_any() == leader { "true" } else { "false" };
    let differs = |pod: &Pod| {
        let (label, desired) = (pod.labels().get(ACTIVE).map(String::as_str), desired(pod));
        let is_withdrawn = matches!(label, Some(WITHDRAWN | LEADER_UNKNOWN));
        label != Some(desired) && (desired == "true" || !is_withdrawn)
    };
    let mut labels: Vec<_> =
        pods.iter().map(|pod| &**pod).filter(|pod| differs(pod)).map(|pod| (pod, desired(pod))).collect();
    labels.sort_by_key(|(_, active)| *active != "true");
    labels
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

/// Makes the leader step down, unless another node leads by now: the next reconcile reads which one. The request is recorded
/// first: a repeated step-down would move the leader again.
pub(crate) async fn execute(
    effects: &Effects<'_>,
    cluster: &Cluster,
    session: &Session,
    step_down: &StepDown,
) -> Result<(), Error> {
    let StepDown { request, pod } = step_down;
    let Some(node) = leading_node(effects, cluster, session, pod).await? else { return Ok(()) };
    effects.patch_nodes(&json!({"metadata": {"annotations": {STEPPED_DOWN: request}}})).await?;
    tracing::info!(cluster = %cluster.name, pod, "the leader steps down");
    send_step_down(cluster, &node).await
}

/// Session with the node in a pod, if it leads. A standby would forward a step-down to another leader.
pub(crate) async fn leading_node(
    effects: &Effects<'_>,
    cluster: &Cluster,
    session: &Session,
    pod: &str,
) -> Result<Option<Session>, Error> {
    let node = effects.node(cluster, pod)?.session(session.identity().clone());
    let leads = node.leader().await?.is_self;
    Ok(leads.then_some(node))
}

/// Makes a node step down.
pub(crate) async fn send_step_down(cluster: &Cluster, node: &Session) -> Result<(), Error> {
    cluster.before_write();
    node.request_any(Method::PUT, paths::STEP_DOWN, None).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Instant;

    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use rstest::rstest;
    use steamer_core::Stores;
    use steamer_runtime::write_limit::WriteLimit;
    use steamer_runtime::{Locked, ObjectName};

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
            let write = labeling(pod, active, 1);
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

    /// Pods `main-0` and so on with these labels.
    fn pods(labels: [&str; 3]) -> [Arc<Pod>; 3] {
        [0, 1, 2].map(|index: usize| {
            let (name, labels) = (format!("main-{index}"), json!({ACTIVE: labels[index]}));
            let pod =
                json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": labels}});
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        })
    }

    /// A client of an API server that records the names of written objects, and changes each of them.
    fn client(written: &Arc<Locked<Vec<String>>>) -> Client {
        let written = written.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            written.lock().push(name);
            let answer = json!({"metadata": {"resourceVersion": "2"}}).to_string().into_bytes();
            async move { Ok::<_, Infallible>(Response::new(Body::from(answer))) }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn a_contested_label_stops_neither_other_labels_nor_a_change_of_the_leader() {
        let (stores, limit) = (Stores::default(), WriteLimit::default());
        let written = Arc::new(Locked::new(Vec::<String>::new()));
        let cluster = ObjectName::new("ns", "main");
        let child_api = ChildApi { client: client(&written), stores: &stores, cluster, limit: &limit };
        let contested = pods(["true", "true", "false"]);
        while label_pods(&child_api, &contested, "main-1", 1).await.is_ok() {}
        let taken = || std::mem::take(&mut *written.lock());
        assert!(taken().iter().all(|name| name == "main-0"));
        let also_new = label_pods(&child_api, &pods(["true", "true", ""]), "main-1", 1).await;
        assert!(matches!(also_new, Err(Error::Repeated(..))), "{also_new:?}");
        assert_eq!(taken(), ["main-2"]);
        assert!(label_pods(&child_api, &contested, "main-2", 2).await.is_ok());
        assert_eq!(taken(), ["main-2", "main-0", "main-1"]);
        // The same leader again: main-0 must be labeled although it was paused with the same desired label.
        while label_pods(&child_api, &pods(["true", "false", "true"]), "main-2", 2).await.is_ok() {}
        assert!(label_pods(&child_api, &pods(["true", "false", "true"]), "main-2", 3).await.is_ok());
    }

    #[test]
    fn only_pods_with_another_label_are_labeled() {
        let pods = pods(["true", "false", "false"]);
        let changed = labels(&pods, "main-1");
        let changed: Vec<_> = changed.iter().map(|(pod, active)| (pod.name_any(), *active)).collect();
        assert_eq!(changed, [("main-1".to_owned(), "true"), ("main-0".to_owned(), "false")]);
    }

    #[rstest]
    #[case::stale(WITHDRAWN)]
    #[case::leader_unknown(LEADER_UNKNOWN)]
    fn a_withdrawn_standby_is_labeled_only_if_it_leads(#[case] withdrawn: &str) {
        let pods = pods(["true", withdrawn, withdrawn]);
        assert!(labels(&pods, "main-0").is_empty());
        let changed = labels(&pods, "main-1");
        let changed: Vec<_> = changed.iter().map(|(pod, active)| (pod.name_any(), *active)).collect();
        assert_eq!(changed, [("main-1".to_owned(), "true"), ("main-0".to_owned(), "false")]);
    }
}
