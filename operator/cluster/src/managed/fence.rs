//! Carries out a requested fence of a node. The annotation stays the request until a user removes it.

use jiff::Timestamp;
use steamer_api::OpenBaoCluster;
use steamer_core::error::Error;
use steamer_runtime::Reason;

use crate::cluster::{Cluster, FENCE, Mode};
use crate::database::incarnations::RoleAdmin;
use crate::database::lock::Lock;
use crate::database::roles::{FenceNote, requested};
use crate::effects::Effects;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::managed::requester::requester;
use crate::nodes::fence_request::{Facts, Request, Subject, request};
use crate::nodes::leader::{leading_node, send_step_down};

/// State of the request for the observed cluster.
pub(crate) fn state(cluster: &Cluster, observed: &Observed) -> Request {
    let Ok(storage) = &observed.storage else {
        return cluster.fence.as_ref().map_or(Request::None, |_| Request::Unknown);
    };
    request(&Facts {
        cluster,
        roles: storage.roles.as_deref(),
        logins: observed.logins.as_deref(),
        members: &observed.members,
    })
}

/// Carries out the next step of the request. The next reconcile continues.
pub(super) async fn carry_out(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
) -> Result<(), Error> {
    if input.cluster.mode != Mode::Active {
        return Ok(());
    }
    match state(input.cluster, observed) {
        Request::Leads(node) => match move_leadership(effects, input, &node.pod).await {
            Ok(()) => Ok(()),
            // A node that hangs, or an OpenBao that refuses the operator: the fence itself frees the lock.
            Err(error) => {
                warn(input, &node, &error);
                block(effects, input, &node).await
            }
        },
        Request::Due(node) | Request::InForce { recreated: Some(node), .. } => {
            block(effects, input, &node).await
        }
        Request::None | Request::Refused(..) | Request::InForce { .. } | Request::Unknown => Ok(()),
    }
}

fn warn(input: Input<'_>, node: &Subject, error: &Error) {
    let (cluster, pod, error) = (&input.cluster.name, &node.pod, error as &dyn std::error::Error);
    tracing::warn!(%cluster, pod, error, "the leader does not step down");
}

/// Makes the leader step down, unless another node leads by now.
async fn move_leadership(effects: &Effects<'_>, input: Input<'_>, pod: &str) -> Result<(), Error> {
    let session = effects.context.operator_session(effects.dependencies, input.object).await?;
    let Some(node) = leading_node(effects, input.cluster, &session, pod).await? else { return Ok(()) };
    tracing::info!(cluster = %input.cluster.name, pod, "the leader steps down before its fence");
    send_step_down(input.cluster, &node).await
}

/// Blocks the login of a node, ends its sessions, and frees the lock if it holds it.
async fn block(effects: &Effects<'_>, input: Input<'_>, node: &Subject) -> Result<(), Error> {
    let Some(role_admin) = effects.guard_target.role_admin() else { return Ok(()) };
    let api = effects.child_api.api::<OpenBaoCluster>();
    let asked_by = requester(&api, input.cluster.name(), FENCE).await?;
    let note = FenceNote {
        since: Timestamp::now().as_second(),
        lock: String::new(),
        uid: node.uid.clone(),
        reason: requested(asked_by.as_deref()),
    };
    let _turn = effects.guard_target.lasting.logins.lock().await;
    match held_lock(&role_admin, &node.role).await? {
        None => role_admin.shut_out(&node.role, &note).await?,
        Some(lock) => {
            let note = FenceNote { lock: lock.value.clone(), ..note.clone() };
            if !role_admin.fence(&node.role, &note, &lock).await? {
                let text = format!("the lock changed while {} was fenced: the fence is repeated", node.pod);
                return Err(Error::Waiting(text));
            }
        }
    }
    tracing::warn!(cluster = %input.cluster.name, pod = node.pod, why = note.reason, "a node is fenced on request");
    let text = format!("{} was fenced: {}", node.pod, note.reason);
    effects.context.runtime.events.warn(input.object, Reason::Fenced, &text).await;
    Ok(())
}

/// The lock, if a role holds it.
async fn held_lock(role_admin: &RoleAdmin<'_>, role: &str) -> Result<Option<Lock>, Error> {
    let Some(lock) = role_admin.owner.lock().await?.filter(|lock| lock.is_recorded) else { return Ok(None) };
    let holder = role_admin.owner.holder(&lock.value).await?;
    Ok((holder.as_deref() == Some(role)).then_some(lock))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tests::{cluster, observed};

    #[test]
    fn without_the_database_a_requested_fence_is_unknown() {
        let mut observed = observed("lss");
        observed.storage = Err(Arc::new(Error::Waiting("d".to_owned())));
        let asked = Cluster { fence: Some("main-1".to_owned()), ..cluster() };
        assert_eq!(state(&asked, &observed), Request::Unknown);
        assert_eq!(state(&cluster(), &observed), Request::None);
    }
}
