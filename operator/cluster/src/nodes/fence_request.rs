//! Fence of a node on request: an annotation of the cluster names its pod. Pure.
//!
//! The annotation and the note of the fence in the database are the whole state: it survives every restart of the operator.

use k8s_openapi::api::core::v1::Secret;
use steamer_runtime::Reason;

use crate::cluster::{Cluster, FENCE};
use crate::database::incarnations::entry;
use crate::database::login::user_of;
use crate::database::roles::{FenceNote, NodeRole};
use crate::nodes::members::Member;

/// Facts that determine the next step of a requested fence.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) cluster: &'a Cluster,
    /// The roles of the nodes, if the nodes have their own.
    pub(crate) roles: Option<&'a [NodeRole]>,
    /// Secret with the logins of the nodes.
    pub(crate) logins: Option<&'a Secret>,
    pub(crate) members: &'a [Member],
}

/// A node to fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) pod: String,
    /// UID of the pod. Empty while no pod exists.
    pub(crate) uid: String,
    pub(crate) role: String,
}

/// State of a request to fence a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The annotation is not set.
    None,
    /// It cannot be carried out now.
    Refused(Reason, String),
    /// The node leads: leadership moves to another node first.
    Leads(Subject),
    /// Its login is blocked next.
    Due(Subject),
    /// The node is fenced. A pod that was recreated since has to be noted.
    InForce { pod: String, reason: String, recreated: Option<Subject> },
    /// The database is unreachable: whether the node is fenced is unknown.
    Unknown,
}

/// The state of the request. The first rule that applies.
pub(crate) fn request(facts: &Facts<'_>) -> Request {
    let Some(pod) = &facts.cluster.fence else { return Request::None };
    if !pods(facts.cluster).contains(pod) {
        return Request::Refused(Reason::Invalid, unknown(facts.cluster, pod));
    }
    let Some(role) = facts.roles.and_then(|roles| role_of(facts.logins, roles, pod)) else {
        return Request::Refused(Reason::Waiting, without_role(pod));
    };
    let member = facts.members.iter().find(|member| member.name() == *pod);
    let uid = member.map(Member::uid).unwrap_or_default();
    let subject = Subject { pod: pod.clone(), uid, role: role.name.clone() };
    // Each process of the node uses this role: none of them can log in.
    if let Some(note) = blocked(role) {
        let is_noted = subject.uid.is_empty() || note.uid == subject.uid;
        let recreated = (!is_noted).then_some(subject);
        return Request::InForce { pod: pod.clone(), reason: note.reason.clone(), recreated };
    }
    if !facts.members.iter().any(|other| other.name() != *pod && other.serves()) {
        return Request::Refused(Reason::Waiting, last_one(pod));
    }
    let leads = member.is_some_and(|member| member.answer.is_active());
    if leads { Request::Leads(subject) } else { Request::Due(subject) }
}

/// The note of a role that is blocked because a user requested it.
fn blocked(role: &NodeRole) -> Option<&FenceNote> {
    role.note.as_ref().filter(|note| note.is_requested() && !role.can_login)
}

/// Marks the nodes that are fenced on request: the pods in the notes, and those that were recreated with a blocked login.
pub(crate) fn mark(members: &mut [Member], roles: &[NodeRole], logins: Option<&Secret>) {
    let requested = |role: &NodeRole| role.note.clone().filter(|note| role.own && note.is_requested());
    let fenced: Vec<String> = roles.iter().filter_map(requested).map(|note| note.uid).collect();
    for member in members {
        let role = role_of(logins, roles, &member.name());
        member.is_fenced = fenced.contains(&member.uid()) || role.is_some_and(|role| blocked(role).is_some());
    }
}

/// The role with which the next process of a node logs in, if the node has its own.
fn role_of<'a>(logins: Option<&Secret>, roles: &'a [NodeRole], pod: &str) -> Option<&'a NodeRole> {
    let entry = entry(logins, pod)?;
    let user = user_of(&entry)?;
    roles.iter().find(|role| role.own && role.name == user)
}

fn pods(cluster: &Cluster) -> Vec<String> {
    (0..cluster.spec.replicas).map(|ordinal| cluster.pod(ordinal)).collect()
}

fn unknown(cluster: &Cluster, pod: &str) -> String {
    let pod: String = pod.chars().take(63).collect();
    format!(
        "no node is fenced: `{pod}` is not a pod of this cluster. Set the annotation {FENCE} to one of {}",
        pods(cluster).join(", ")
    )
}

fn without_role(pod: &str) -> String {
    format!(
        "{pod} is not fenced: it has no database role of its own, which the fence blocks. Set \
         spec.managed.storage.postgresql.adminSecretRef, and see the condition FencingReady"
    )
}

fn last_one(pod: &str) -> String {
    format!("{pod} is not fenced: no other node serves. It is fenced as soon as another one does")
}

impl Request {
    /// Returns true if a step is due now.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self, Self::Leads(_) | Self::Due(_) | Self::InForce { recreated: Some(_), .. })
    }

    /// Reason why other changes of the pods wait.
    pub(crate) fn hold(&self) -> Option<String> {
        match self {
            Self::Leads(Subject { pod, .. }) | Self::Due(Subject { pod, .. }) | Self::InForce { pod, .. } => {
                Some(format!("a change waits: {pod} is fenced until the annotation {FENCE} is removed"))
            }
            Self::None | Self::Refused(..) | Self::Unknown => None,
        }
    }

    /// Text for a status.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::None | Self::Unknown => None,
            Self::Refused(_, why) => Some(why.clone()),
            Self::Leads(Subject { pod, .. }) => {
                Some(format!("{pod} leads: the leadership moves before it is fenced"))
            }
            Self::Due(Subject { pod, .. }) => Some(format!("{pod} is being fenced")),
            Self::InForce { pod, reason, .. } => {
                Some(format!("{pod} is fenced: {reason}. Remove the annotation and it returns"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::database::incarnations::secret;
    use crate::database::roles::requested;
    use crate::tests::{cluster, member};

    fn role(ordinal: usize, note: Option<FenceNote>) -> NodeRole {
        NodeRole {
            name: format!("main_{ordinal}_1"),
            own: true,
            can_login: note.is_none(),
            may_change: true,
            has_timeouts: true,
            note,
        }
    }

    fn note(uid: &str, reason: String) -> FenceNote {
        FenceNote { since: 1, lock: String::new(), uid: uid.to_owned(), reason }
    }

    /// Nodes in these states, their roles, and the Secret with their logins. The role of node 1 has the note.
    fn world(nodes: &str, note: Option<FenceNote>) -> (Vec<Member>, Vec<NodeRole>, Secret) {
        let cluster = cluster();
        let roles: Vec<NodeRole> =
            (0..3).map(|ordinal| role(ordinal, note.clone().filter(|_| ordinal == 1))).collect();
        let login = |role: &NodeRole| cluster.owner.as_role(&role.name, "hush".to_owned().into());
        let entries = roles
            .iter()
            .enumerate()
            .map(|(ordinal, role)| (format!("main-{ordinal}"), login(role).service_file("ca")));
        let logins = secret(&cluster, &entries.collect());
        let mut members: Vec<Member> = nodes.chars().enumerate().map(member).collect();
        mark(&mut members, &roles, Some(&logins));
        (members, roles, logins)
    }

    /// The request for a pod.
    fn asked(pod: Option<&str>, nodes: &str, note: Option<FenceNote>) -> Request {
        let cluster = Cluster { fence: pod.map(str::to_owned), ..cluster() };
        let (members, roles, logins) = world(nodes, note);
        request(&Facts { cluster: &cluster, roles: Some(&roles), logins: Some(&logins), members: &members })
    }

    fn said(request: &Request) -> String {
        let name = match request {
            Request::None => "none",
            Request::Refused(Reason::Invalid, _) => "invalid",
            Request::Refused(..) => "refused",
            Request::Leads(_) => "leads",
            Request::Due(_) => "due",
            Request::InForce { recreated: Some(_), .. } => "in force and recreated",
            Request::InForce { .. } => "in force",
            Request::Unknown => "unknown",
        };
        name.to_owned()
    }

    #[rstest]
    #[case::not_requested(None, "lss", "none")]
    #[case::standby(Some("main-1"), "lss", "due")]
    #[case::leader(Some("main-0"), "lss", "leads")]
    #[case::silent_node(Some("main-1"), "lxs", "due")]
    #[case::no_leader(Some("main-1"), "sss", "due")]
    #[case::another_cluster(Some("other-0"), "lss", "invalid")]
    #[case::too_high(Some("main-3"), "lss", "invalid")]
    #[case::the_last_one_that_serves(Some("main-0"), "lxx", "refused")]
    #[case::no_other_serves(Some("main-1"), "xsx", "refused")]
    fn a_request_is_carried_out_if_another_node_serves(
        #[case] pod: Option<&str>,
        #[case] nodes: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(said(&asked(pod, nodes, None)), expected);
    }

    #[rstest]
    #[case::in_force("uid-1", requested(Some("kubectl-annotate")), "lxs", "in force")]
    #[case::although_it_was_the_last_one("uid-1", requested(None), "xxx", "in force")]
    #[case::pod_is_missing("uid-1", requested(None), "l", "in force")]
    #[case::recreated_pod("uid-before", requested(None), "lxs", "in force and recreated")]
    #[case::recreated_and_the_last_one("uid-before", requested(None), "xxx", "in force and recreated")]
    #[case::fence_of_a_lost_leader("uid-1", "it hangs".to_owned(), "lxs", "due")]
    fn a_fence_is_in_force_while_the_role_of_the_node_is_blocked(
        #[case] uid: &str,
        #[case] reason: String,
        #[case] nodes: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(said(&asked(Some("main-1"), nodes, Some(note(uid, reason)))), expected);
    }

    #[rstest]
    #[case::noted_pod("uid-1", requested(None), true)]
    #[case::recreated_pod("uid-before", requested(None), true)]
    #[case::recreated_after_a_fence_of_a_lost_leader("uid-before", "it hangs".to_owned(), false)]
    fn a_fenced_node_is_not_repaired(#[case] uid: &str, #[case] reason: String, #[case] expected: bool) {
        let (members, ..) = world("lxs", Some(note(uid, reason)));
        let fenced: Vec<bool> = members.iter().map(|member| member.is_fenced).collect();
        assert_eq!(fenced, [false, expected, false]);
    }

    #[test]
    fn the_texts_name_the_pod_and_what_to_do() {
        let text = |request: Request| request.text().unwrap_or_default();
        assert_eq!(
            text(asked(Some("db-1"), "lss", None)),
            "no node is fenced: `db-1` is not a pod of this cluster. Set the annotation steamer.dev/fence to one of main-0, \
             main-1, main-2"
        );
        assert_eq!(
            text(asked(Some("main-0"), "lxx", None)),
            "main-0 is not fenced: no other node serves. It is fenced as soon as another one does"
        );
        let in_force = asked(Some("main-1"), "lxs", Some(note("uid-1", requested(Some("kubectl-annotate")))));
        assert_eq!(
            text(in_force),
            "main-1 is fenced: the annotation steamer.dev/fence requests it, field manager kubectl-annotate. Remove the \
             annotation and it returns"
        );
    }

    #[test]
    fn without_roles_no_node_is_fenced() {
        let cluster = Cluster { fence: Some("main-1".to_owned()), ..cluster() };
        let members: Vec<Member> = "lss".chars().enumerate().map(member).collect();
        let facts = Facts { cluster: &cluster, roles: None, logins: None, members: &members };
        assert!(request(&facts).text().unwrap().contains("adminSecretRef"));
    }
}
