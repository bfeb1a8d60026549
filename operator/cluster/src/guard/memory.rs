//! State that a guard keeps between observations: who holds the lock, with which process, and since when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_core::access::managed;
use steamer_runtime::ObjectName;

use crate::database::lock::Lock;
use crate::database::roles::node_of;
use crate::guard::case::{Case, Holder, Suspect};
use crate::guard::renewal::Renewals;
use crate::guard::takeover::Takeover;
use crate::nodes::members::{Answer, process};

/// Number of refused connections in a row that prove the end of a process.
const REFUSALS: u32 = 2;
/// Longest time for which a former leader reports itself as active after it lost the lock.
const ECHO: Duration = Duration::from_secs(5);

/// A pod and its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) pod: String,
    pub(crate) uid: Option<String>,
    process: Option<String>,
}

/// End of the process that holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its pod does not exist.
    PodGone,
    /// Kubernetes reports that another process runs, or none.
    Reported,
    /// Its address refuses connections.
    Refused,
}

/// Time for which one holder has the lock.
pub(crate) struct Term {
    value: String,
    /// First observation.
    pub(crate) since: Instant,
    pub(crate) holder: Holder,
    /// Node that holds the lock.
    pub(crate) node: Option<Node>,
    /// The node has been active with this lock.
    pub(crate) has_led: bool,
    /// The guard has seen its begin, and the node has answered since.
    is_complete: bool,
    /// UID of the pod that led before.
    former: Option<String>,
}

/// State that is kept between observations.
#[derive(Default)]
pub(crate) struct Memory {
    /// Pod that was active last.
    pub(crate) leader: Option<String>,
    pub(crate) fences: u32,
    /// Time since when no node is active.
    pub(crate) leaderless_since: Option<Instant>,
    pub(crate) term: Option<Term>,
    pub(crate) renewals: Renewals,
    /// A fence that failed, perhaps after its first step.
    pub(crate) unfinished: Option<Suspect>,
    refusals: u32,
}

impl Memory {
    /// Records the lock that was read.
    pub(crate) fn read(&mut self, now: Instant, lock: Option<&Lock>) {
        let is_complete = self.renewals.is_watching();
        self.renewals.observe(now, lock);
        self.unfinished.take_if(|suspect| lock.is_none_or(|lock| lock.value != suspect.lock.value));
        if self.term.as_ref().map(|term| &term.value) == lock.map(|lock| &lock.value) {
            return;
        }
        let former = self.term.take().and_then(|term| term.node?.uid);
        self.refusals = 0;
        self.term = lock.map(|lock| Term {
            value: lock.value.clone(),
            since: now,
            holder: Holder::Unknown,
            node: None,
            has_led: false,
            is_complete,
            former,
        });
    }

    /// Returns true if the holder of the lock is unknown.
    pub(crate) fn lacks_holder(&self) -> bool {
        self.term.as_ref().is_some_and(|term| term.holder == Holder::Unknown)
    }

    /// Records the login that holds the lock.
    pub(crate) fn identify(&mut self, cluster: &ObjectName, login: Option<String>) {
        let (Some(term), Some(login)) = (&mut self.term, login) else { return };
        let Some(ordinal) = node_of(&cluster.name, &login) else {
            term.holder = Holder::Shared;
            return;
        };
        let pod = managed::pod(cluster, i32::try_from(ordinal).unwrap_or(i32::MAX));
        term.node.take_if(|node| node.pod != pod);
        term.node.get_or_insert_with(|| Node { pod, ..Node::default() });
        term.holder = Holder::Node { role: login, ordinal };
    }

    /// Records the answers of the nodes. Returns the duration of a takeover that just ended.
    pub(crate) fn learn(&mut self, case: &Case<'_>) -> Option<Duration> {
        if let Some(term) = &mut self.term {
            // A node that was frozen or cut off does not take over in that time.
            let answers = term.answer(case).is_none_or(Answer::reports_state);
            term.is_complete &= answers;
        }
        let took = match self.active(case) {
            Some(pod) => self.led(pod, case.now),
            None => {
                self.leaderless_since.get_or_insert(case.now);
                None
            }
        };
        if let Some(term) = &mut self.term {
            term.pin(case.pods);
            let refuses = term.answer(case) == Some(&Answer::Refused);
            self.refusals = if refuses { self.refusals + 1 } else { 0 };
        }
        took
    }

    /// The active node. A former leader can report itself as active for seconds after it lost the lock.
    pub(crate) fn active<'a>(&self, case: &Case<'a>) -> Option<&'a Arc<Pod>> {
        let mut active = case.answers.iter().filter(|(_, answer)| answer.is_active()).map(|(pod, _)| pod);
        match &self.term {
            Some(term) => active.find(|pod| term.may_lead(pod, case.now)),
            None => active.next(),
        }
    }

    /// Pod that was active last, unless another node holds the lock.
    pub(crate) fn known_leader(&self) -> Option<String> {
        let holder = match &self.term {
            Some(Term { holder: Holder::Node { .. }, node, .. }) => node.as_ref(),
            _ => None,
        };
        self.leader.clone().filter(|leader| holder.is_none_or(|node| node.pod == *leader))
    }

    fn led(&mut self, pod: &Pod, now: Instant) -> Option<Duration> {
        self.leader = Some(pod.name_any());
        self.leaderless_since = None;
        let term = self.term.as_mut()?;
        term.node = Some(Node::of(pod));
        let is_first = !std::mem::replace(&mut term.has_led, true);
        (is_first && term.is_complete).then(|| now.saturating_duration_since(term.since))
    }

    /// Evidence that the process that holds the lock has ended.
    pub(crate) fn end(&self, term: &Term, case: &Case<'_>) -> Option<End> {
        let node = term.node.as_ref()?;
        if term.answer(case).is_some_and(Answer::is_active) {
            return None;
        }
        let Some(pod) = case.pods.iter().find(|pod| node.is(pod)) else { return Some(End::PodGone) };
        if node.process.is_some() && process(pod) != node.process.as_deref() {
            return Some(End::Reported);
        }
        let is_ending = pod.metadata.deletion_timestamp.is_some();
        (self.refusals >= REFUSALS && !is_ending).then_some(End::Refused)
    }

    /// The takeover in progress.
    pub(crate) fn takeover(&self) -> Option<Takeover> {
        let term = self.term.as_ref().filter(|term| !term.has_led)?;
        Some(Takeover { pod: term.node.as_ref()?.pod.clone(), since: term.since })
    }

    /// Records that the role of the holder is not one of this cluster.
    pub(crate) fn disown(&mut self) {
        if let Some(term) = &mut self.term {
            term.holder = Holder::Shared;
        }
    }

    /// Records a fence.
    pub(crate) fn fenced(&mut self) {
        self.fences += 1;
        self.leader = None;
    }
}

impl Term {
    /// Answer of the node that holds the lock.
    pub(crate) fn answer<'a>(&self, case: &Case<'a>) -> Option<&'a Answer> {
        let node = self.node.as_ref()?;
        case.answers.iter().find(|(pod, _)| node.is(pod)).map(|(_, answer)| answer)
    }

    fn may_lead(&self, pod: &Pod, now: Instant) -> bool {
        match &self.holder {
            Holder::Node { .. } => self.node.as_ref().is_some_and(|node| node.pod == pod.name_any()),
            Holder::Shared | Holder::Unknown => {
                let is_former = self.former.is_some() && self.former == pod.uid();
                !is_former || now.saturating_duration_since(self.since) >= ECHO
            }
        }
    }

    /// Records the process of a node that is known only by its role.
    fn pin(&mut self, pods: &[Arc<Pod>]) {
        let Some(node) = self.node.as_mut().filter(|node| node.process.is_none()) else { return };
        if let Some(pod) = pods.iter().find(|pod| node.is(pod)) {
            *node = Node::of(pod);
        }
    }
}

impl Node {
    fn of(pod: &Pod) -> Self {
        Self { pod: pod.name_any(), uid: pod.uid(), process: process(pod).map(str::to_owned) }
    }

    fn is(&self, pod: &Pod) -> bool {
        self.pod == pod.name_any() && (self.uid.is_none() || self.uid == pod.uid())
    }
}
