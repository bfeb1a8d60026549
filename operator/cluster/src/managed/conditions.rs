//! Conditions of a managed cluster.

use steamer_api::Fencing;
use steamer_core::error::Error;
use steamer_runtime::conditions::{Conditions, State};
use steamer_runtime::{Failure, Reason, describe};

use crate::break_glass::State as BreakGlass;
use crate::certificates::keep::Certificate;
use crate::database::rights::Obstacle;
use crate::managed::hold::is_deferred;
use crate::managed::report::Report;
use crate::managed::warnings;
use crate::nodes::fence_request::Request;
use crate::nodes::members::{Answer, Member};
use crate::nodes::rollout::Step;
use crate::seal::check::SealCheck;
use crate::server;

/// Sets the conditions of a cluster.
pub(crate) fn set(conditions: &mut Conditions<'_>, report: &Report<'_>) {
    set_storage(conditions, report);
    set_seal(conditions, &report.observed.seal);
    set_certificates(conditions, report);
    set_upgrade(conditions, &report.applied.rollout.step);
    set_degraded(conditions, report);
    set_fenced(conditions, &report.fence());
    set_break_glass(conditions, &report.break_glass());
    warnings::set_audit(conditions, &report.input.cluster.spec.audit, report.server());
    match report.server() {
        Some(server) => server::conditions::set(conditions, server),
        None => set_unavailable(conditions, report),
    }
}

fn set_error(conditions: &mut Conditions<'_>, kind: &str, error: &Error) {
    conditions.set(kind, State::False, error.reason(), &describe(error));
}

fn set_storage(conditions: &mut Conditions<'_>, report: &Report<'_>) {
    let cluster = report.input.cluster;
    match &report.observed.storage {
        Ok(storage) => {
            let text = format!("PostgreSQL {} at {}", storage.server.version, cluster.owner.address());
            let scarce = scarce(report.input.connections, storage.server.max_connections);
            let text = scarce.map_or_else(|| text.clone(), |scarce| format!("{text}: {scarce}"));
            conditions.set("StorageReachable", State::True, Reason::Applied, &text);
            set_fencing(conditions, cluster.fencing, storage.obstacle.as_ref());
        }
        Err(error) => set_error(conditions, "StorageReachable", error),
    }
}

/// Text about a server that has fewer connections than its clusters may open.
fn scarce(connections: i32, limit: i32) -> Option<String> {
    (connections > limit).then(|| {
        format!(
            "the OpenBaoClusters at this server may open {connections} connections, and its max_connections is {limit}: raise it, \
             or lower maxConnectionsPerPod, or a node cannot start when the others are busy"
        )
    })
}

fn set_fencing(conditions: &mut Conditions<'_>, fencing: Fencing, obstacle: Option<&Obstacle>) {
    const KIND: &str = "FencingReady";
    match (fencing, obstacle) {
        (Fencing::Database, None) => {
            let text = "a lost leader is fenced at the database";
            conditions.set(KIND, State::True, Reason::Applied, text);
        }
        (Fencing::Database, Some(obstacle)) => {
            conditions.set(KIND, State::False, Reason::PermissionDenied, &obstacle.to_string());
        }
        (Fencing::ProcessEnd, _) => {
            let text = "without storage.postgresql.adminSecretRef a lost leader is replaced before its lock expires only \
                        if its process has ended";
            conditions.set(KIND, State::False, Reason::Waiting, text);
        }
        (Fencing::None, _) => conditions.clear(KIND),
    }
}

fn set_seal(conditions: &mut Conditions<'_>, seal: &SealCheck) {
    let (state, reason) = match seal {
        SealCheck::Opens(_) => (State::True, Reason::Applied),
        SealCheck::Unknown(_) => (State::Unknown, Reason::Waiting),
        SealCheck::Failing(_) | SealCheck::Unreachable(_) => (State::False, Reason::Unreachable),
        SealCheck::Refused(_) => (State::False, Reason::Invalid),
    };
    conditions.set("SealReachable", state, reason, seal.text());
}

fn set_certificates(conditions: &mut Conditions<'_>, report: &Report<'_>) {
    const KIND: &str = "CertificatesValid";
    let now = report.now.as_second();
    match &report.observed.certificate {
        Ok(Certificate { ends: None, .. }) => conditions.clear(KIND),
        Ok(certificate @ Certificate { ends: Some(ends), .. }) if *ends > now => {
            let warning: Option<String> =
                certificate.is_near(now).then(|| warnings::certificate(report.input.cluster, *ends));
            let reason = if warning.is_some() { Reason::Waiting } else { Reason::Applied };
            conditions.set(KIND, State::True, reason, warning.as_deref().unwrap_or_default());
        }
        Ok(Certificate { ends: Some(_), .. }) => {
            let text = "the certificate of the nodes has expired";
            conditions.set(KIND, State::False, Reason::Expired, text);
        }
        Err(error) => set_error(conditions, KIND, error),
    }
}

fn set_upgrade(conditions: &mut Conditions<'_>, step: &Step) {
    const KIND: &str = "UpgradeInProgress";
    match (step, step.text()) {
        (step, Some(text)) if is_deferred(step) => conditions.set(KIND, State::False, Reason::Waiting, &text),
        (Step::Stop(why), _) => conditions.set(KIND, State::False, Reason::Failed, why),
        (_, Some(text)) => conditions.set(KIND, State::True, Reason::RollingOut, &text),
        (_, None) => conditions.clear(KIND),
    }
}

fn set_degraded(conditions: &mut Conditions<'_>, report: &Report<'_>) {
    let (serving, desired) = (report.serving().count(), report.input.cluster.nodes());
    let fenced = report.observed.members.iter().find(|member| member.is_fenced).map(Member::name);
    let fenced = fenced.map(|pod| format!("; {pod} is fenced on request")).unwrap_or_default();
    let text = format!("{serving} of {desired} nodes serve{fenced}");
    if serving < desired {
        conditions.set("Degraded", State::True, Reason::Waiting, &text);
    } else {
        conditions.set("Degraded", State::False, Reason::Applied, &text);
    }
}

/// Reports a fence that the annotation of a user requests.
fn set_fenced(conditions: &mut Conditions<'_>, request: &Request) {
    const KIND: &str = "Fenced";
    let (state, reason) = match request {
        Request::None => return conditions.clear(KIND),
        // The last condition stays.
        Request::Unknown => return,
        Request::Refused(reason, _) => (State::False, *reason),
        Request::Leads(_) | Request::Due(_) => (State::False, Reason::Waiting),
        Request::InForce { .. } => (State::True, Reason::Fenced),
    };
    conditions.set(KIND, state, reason, &request.text().unwrap_or_default());
}

/// Reports whether `generate-root` is open because of the annotation of a user.
fn set_break_glass(conditions: &mut Conditions<'_>, break_glass: &BreakGlass) {
    const KIND: &str = "BreakGlass";
    let (state, reason) = match break_glass {
        BreakGlass::None => return conditions.clear(KIND),
        BreakGlass::Refused(_) | BreakGlass::Due(_) => (State::False, Reason::Waiting),
        BreakGlass::Open(_) | BreakGlass::Closing(_) => (State::True, Reason::BreakGlass),
        BreakGlass::Over => (State::False, Reason::Disabled),
    };
    conditions.set(KIND, state, reason, &break_glass.text());
}

fn set_unavailable(conditions: &mut Conditions<'_>, report: &Report<'_>) {
    conditions.set("Available", State::False, Reason::Waiting, "no node serves");
    let health = report.observed.members.iter().find_map(|member| match &member.answer {
        Answer::Health(health) => Some(health),
        _ => None,
    });
    if let Some(health) = health {
        server::conditions::set_health(conditions, health);
    }
    let takeover = report.observed.takeover.as_deref().unwrap_or_default();
    conditions.set("LeaderElected", State::False, Reason::NoLeader, takeover);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_server_with_too_few_connections_for_all_its_clusters_is_reported() {
        assert_eq!(scarce(100, 100), None);
        assert!(scarce(101, 100).is_some_and(|text| text.contains("may open 101 connections")));
    }

    #[test]
    fn a_fence_stays_in_the_status_while_the_database_is_unreachable() {
        let mut list = Vec::new();
        let mut kinds_after = |request: &Request| {
            set_fenced(&mut Conditions::new(&mut list, 1, Timestamp::now()), request);
            list.iter()
                .map(|condition| format!("{}={}", condition.type_, condition.status))
                .collect::<Vec<_>>()
        };
        let (pod, reason) = ("main-1".to_owned(), "r".to_owned());
        assert_eq!(kinds_after(&Request::InForce { pod, reason, recreated: None }), ["Fenced=True"]);
        assert_eq!(kinds_after(&Request::Unknown), ["Fenced=True"]);
        assert!(kinds_after(&Request::None).is_empty());
    }
}
