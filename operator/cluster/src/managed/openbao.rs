//! The OpenBao that the nodes serve: observed and changed through its API, after the nodes.
//!
//! Its requests can wait 20 s for a leader. A plan for the nodes must not be that old: it could replace a second node. Without
//! a leader, OpenBao is not asked: the status must not be that old either.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use steamer_api::Orphan;
use steamer_core::error::Error;
use steamer_runtime::describe;

use crate::cluster::{Cluster, Mode};
use crate::database::schema::ID_TABLE;
use crate::database::storage::Storage;
use crate::effects::{Effects, Sources};
use crate::first_start;
use crate::first_start::Start;
use crate::managed::fetch::Found;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::nodes::leader;
use crate::nodes::leader::StepDown;
use crate::nodes::members::Member;
use crate::nodes::standby_mark;
use crate::restore;
use crate::seal::recovery;
use crate::seal::recovery::{Facts, RecoveryKeys, Task};
use crate::server::Server;
use crate::server::fetch::fetch;
use crate::server::orphans;

/// The OpenBao of a cluster after its changes.
pub(crate) struct OpenBao {
    /// None if no node serves or leads.
    pub(crate) server: Option<Server>,
    pub(crate) removed_orphans: Vec<Orphan>,
    /// Reason why its data cannot be used.
    pub(crate) trouble: Option<Arc<Error>>,
}

/// Observes OpenBao, and applies the necessary changes.
///
/// # Errors
/// If OpenBao cannot be asked although the database is reachable, or a change fails.
pub(crate) async fn converge(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
) -> Result<OpenBao, Error> {
    let server = match observe(effects, input, observed).await {
        // A node that still answers cannot work without its database: the error of the database is reported.
        Err(_) if observed.storage.is_err() => None,
        server => server?,
    };
    let Some(server) = server else {
        return Ok(OpenBao { server: None, removed_orphans: Vec::new(), trouble: None });
    };
    let trouble = trouble(input, observed, &server).map(Arc::new);
    if let Ok(storage) = &observed.storage
        && trouble.is_none()
        && input.cluster.mode == Mode::Active
        && server.serves()
    {
        record_id(effects, storage, &server).await;
        let keys = recovery_keys(input.cluster, &server);
        let changes = plan(effects, (&keys, storage), observed, input.found);
        apply(effects, input, &keys, changes).await?;
    }
    let removed_orphans = match input.cluster.mode {
        // The data is that of another OpenBao, or incomplete.
        _ if trouble.is_some() => Vec::new(),
        Mode::Suspended => Vec::new(),
        Mode::Active | Mode::Restoring | Mode::Hibernating => {
            orphans::remove(effects.context, effects.dependencies, input.object, &server).await
        }
    };
    Ok(OpenBao { server: Some(server), removed_orphans, trouble })
}

/// The server, if a node serves and one leads.
async fn observe(
    sources: &Sources<'_>,
    input: Input<'_>,
    observed: &Observed,
) -> Result<Option<Server>, Error> {
    let leads = |member: &Member| member.answer.is_active();
    let is_lost = input.guard_report.leaderless_since.is_some() && !observed.members.iter().any(leads);
    if is_lost || !observed.members.iter().any(Member::serves) {
        // A restore can precede the next check.
        sources.policy_checks.forget(&input.cluster.name);
        return Ok(None);
    }
    fetch((sources.context, sources.policy_checks), sources.dependencies, input.object).await.map(Some)
}

/// Records the ID of OpenBao in the database: a restore checks it before a node starts. The next reconcile repeats what fails.
async fn record_id(effects: &Effects<'_>, storage: &Storage, server: &Server) {
    let id = server.health.as_ref().map_or("", |health| health.cluster_id.as_str());
    if id.is_empty() || storage.openbao_id.as_deref() == Some(id) {
        return;
    }
    let recorded = effects.guard_target.links.owner.record_openbao(id).await;
    let failed = recorded.as_ref().err().map(describe);
    // The next reconcile repeats it, and reports another error only.
    let last = std::mem::replace(&mut *effects.guard_target.unrecorded.lock(), failed.clone());
    if let Some(error) = failed.filter(|error| last.as_ref() != Some(error)) {
        let cluster = &effects.child_api.cluster;
        tracing::warn!(%cluster, error, "{}", unrecorded(storage.openbao_id.as_deref()));
    }
}

/// The effect of a failure to record the ID of OpenBao.
fn unrecorded(present: Option<&str>) -> String {
    let effect = match present {
        None => "a restore cannot check the ID before a node starts".to_owned(),
        Some(present) => format!(
            "the comment still names OpenBao {present}: once all nodes are stopped, none starts until it is corrected or removed"
        ),
    };
    format!(
        "the ID of OpenBao is not recorded in the comment on table {ID_TABLE}; Steamer tries again: {effect}"
    )
}

/// Changes that need a leader.
struct Changes {
    recovery: Option<Task>,
    step_down: Option<StepDown>,
    /// Another mark for the standbys is due.
    marks: bool,
}

/// The recovery keys of the OpenBao that serves now.
fn recovery_keys<'a>(cluster: &'a Cluster, server: &'a Server) -> RecoveryKeys<'a> {
    let id = server.health.as_ref().ok().map(|health| health.cluster_id.as_str());
    RecoveryKeys { id: id.filter(|id| !id.is_empty()), ..RecoveryKeys::last(cluster) }
}

fn plan(
    sources: &Sources<'_>,
    (keys, storage): (&RecoveryKeys<'_>, &Storage),
    observed: &Observed,
    found: &Found,
) -> Changes {
    let (cluster, secrets) = (keys.cluster, sources.child_api.all());
    let facts = Facts {
        initialized: storage.contents.initialized,
        exist: storage.contents.recovery_keys,
        recorded: found.last.recovery_keys.is_some(),
        may_be_unwritten: keys.may_be_unwritten(&secrets),
        unmarked: keys.unmarked(&secrets),
    };
    let live = observed.live.as_ref();
    Changes {
        recovery: recovery::plan(facts),
        step_down: live.and_then(|live| leader::step_down(cluster, live, &observed.members)),
        marks: cluster.spec.standby_reads
            && standby_mark::is_due(&sources.guard_target.standby_mark, Instant::now()),
    }
}

async fn apply(
    effects: &Effects<'_>,
    input: Input<'_>,
    keys: &RecoveryKeys<'_>,
    changes: Changes,
) -> Result<(), Error> {
    let Changes { recovery, step_down, marks } = changes;
    if recovery.is_none() && step_down.is_none() && !marks {
        return Ok(());
    }
    let session = effects.context.operator_session(effects.dependencies, input.object).await?;
    if let Some(task) = recovery {
        recovery::execute(keys, &session, &effects.child_api.api(), task).await?;
    }
    if let Some(step_down) = step_down {
        leader::execute(effects, input.cluster, &session, &step_down).await?;
    }
    if marks {
        standby_mark::write(&session, &effects.guard_target.standby_mark).await;
    }
    Ok(())
}

/// Reason why the data of this OpenBao cannot be used: a failed self-initialization, or data of another OpenBao.
fn trouble(input: Input<'_>, observed: &Observed, server: &Server) -> Option<Error> {
    let Input { cluster, found, .. } = input;
    let is_first = input.start() == Start::First && !cluster.takes_over;
    if is_first
        && observed.has_data()
        && first_start::refuses_operator(server)
        && first_start::is_settled(&observed.members, Timestamp::now())
    {
        return Some(first_start::failed());
    }
    let health = server.health.as_ref().ok()?;
    restore::foreign_data(cluster, found.last.cluster_id.as_deref(), Some(health.cluster_id.as_str()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_comment(None, "a restore cannot check the ID before a node starts")]
    #[case::another_id(
        Some("b"),
        "the comment still names OpenBao b: once all nodes are stopped, none starts"
    )]
    fn a_failed_record_is_reported_with_its_place_and_its_effect(
        #[case] present: Option<&str>,
        #[case] expected: &str,
    ) {
        let text = unrecorded(present);
        assert!(text.contains("comment on table openbao_ha_locks"), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}
