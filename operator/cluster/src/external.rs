use jiff::Timestamp;
use steamer_api::{ClusterPhase, OpenBaoCluster, OpenBaoClusterStatus, Orphan};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::conditions::{Conditions, State, Verdict};
use steamer_runtime::{Failure, Reason};

use crate::server::Seen;

pub(crate) async fn suspended(context: &Context, cluster: &OpenBaoCluster) -> Result<(), Error> {
    context.report(cluster, context.last::<_, OpenBaoClusterStatus>(cluster), &Verdict::Suspended).await
}

pub(crate) async fn status(
    context: &Context,
    cluster: &OpenBaoCluster,
    seen: &Seen,
    orphans: Vec<Orphan>,
) -> Result<(), Error> {
    let mut status: OpenBaoClusterStatus = context.last(cluster);
    let generation = cluster.metadata.generation.unwrap_or(0);
    facts(&mut Conditions::new(&mut status.conditions, generation, Timestamp::now()), seen);
    if let Ok(health) = &seen.health {
        status.version =
            Some(health.version.clone()).filter(|version| !version.is_empty()).or(status.version);
        status.initialized = Some(health.initialized);
    }
    status.phase = Some(if seen.serves() { ClusterPhase::Running } else { ClusterPhase::Unavailable });
    status.endpoint = Some(cluster.spec.external_url.clone().unwrap_or_else(|| cluster.address()));
    status.orphans = orphans;
    context.report(cluster, status, &server_verdict(&cluster.address(), seen)).await
}

pub(crate) fn facts(conditions: &mut Conditions<'_>, seen: &Seen) {
    let available = if seen.serves() { "OpenBao serves requests" } else { "OpenBao serves no requests" };
    let reason = if seen.serves() { Reason::Applied } else { problem(seen) };
    conditions.set("Available", State::from(seen.serves()), reason, available);
    let Ok(health) = &seen.health else { return };
    let state = |holds| if holds { Reason::Applied } else { Reason::Waiting };
    conditions.set("Initialized", health.initialized.into(), state(health.initialized), "");
    let reason = if health.sealed { Reason::Sealed } else { Reason::Applied };
    conditions.set("Unsealed", (!health.sealed).into(), reason, "");
    if !health.sealed {
        let reason = if seen.has_leader() { Reason::Applied } else { Reason::NoLeader };
        conditions.set("LeaderElected", seen.has_leader().into(), reason, "");
    }
    match &seen.missing {
        Ok(missing) if missing.is_empty() && seen.serves() => {
            conditions.set(
                "OperatorPolicyCurrent",
                State::True,
                Reason::Applied,
                "the operator may do its work",
            );
        }
        Ok(missing) if !missing.is_empty() => {
            conditions.set(
                "OperatorPolicyCurrent",
                State::False,
                Reason::PermissionDenied,
                &lacking(seen, missing),
            );
        }
        _ => {}
    }
}

/// What an administrator runs, exactly.
fn lacking(seen: &Seen, missing: &[String]) -> String {
    let which = if seen.managed { " --managed" } else { "" };
    format!(
        "the operator's policy in OpenBao lacks {}; an administrator runs `steamer openbao-policy{which} | bao policy write \
         steamer -`",
        missing.join(", ")
    )
}

fn problem(seen: &Seen) -> Reason {
    match &seen.health {
        Ok(health) if health.sealed => Reason::Sealed,
        Ok(health) if !health.initialized => Reason::Waiting,
        Ok(_) => Reason::NoLeader,
        Err(OpenBao::Unreachable { .. }) => Reason::Unreachable,
        Err(_) => Reason::Failed,
    }
}

/// What a server comes to, as its API shows it.
pub(crate) fn server_verdict(address: &str, seen: &Seen) -> Verdict {
    match (&seen.health, &seen.missing) {
        (Err(OpenBao::Server { .. }), _) => {
            Verdict::Retrying(Reason::Failed, format!("OpenBao at {address} cannot reach its storage"))
        }
        (Err(_), _) => Verdict::Retrying(problem(seen), format!("OpenBao at {address} cannot be reached")),
        (Ok(health), _) if !health.initialized => {
            Verdict::Progressing(Reason::Waiting, format!("OpenBao at {address} is not initialized"))
        }
        (Ok(health), _) if health.sealed => {
            Verdict::Retrying(Reason::Sealed, format!("OpenBao at {address} is sealed"))
        }
        _ if !seen.has_leader() => {
            Verdict::Retrying(Reason::NoLeader, format!("OpenBao at {address} has no leader"))
        }
        (_, Err(error)) => error.verdict(),
        (_, Ok(missing)) if !missing.is_empty() => {
            Verdict::Stalled(Reason::PermissionDenied, lacking(seen, missing))
        }
        (Ok(health), _) => {
            Verdict::Ready(Reason::Applied, format!("OpenBao {} serves at {address}", health.version))
        }
    }
}
