//! Completes fences that another process started, or that a promoted PostgreSQL server lost.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use steamer_api::Fenced;
use steamer_core::error::Error;

use crate::children::Ending;
use crate::cluster::Cluster;
use crate::database::incarnations;
use crate::database::incarnations::RoleAdmin;
use crate::database::login::user_of;
use crate::database::roles::{FenceNote, NodeRole};
use crate::effects::Effects;

/// A fence in the status that the database does not contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LostFence {
    role: String,
    note: FenceNote,
}

/// The fences of the status whose role can log in: the promoted server did not receive them.
pub(crate) fn lost(fenced: &[Fenced], roles: &[NodeRole]) -> Vec<LostFence> {
    let lost = |fenced: &Fenced| {
        let role = roles.iter().find(|role| Some(&role.name) == fenced.role.as_ref())?;
        (role.own && role.can_login).then(|| LostFence {
            role: role.name.clone(),
            note: FenceNote {
                since: fenced.since.0.as_second(),
                lock: String::new(),
                uid: fenced.uid.clone(),
                reason: fenced.reason.clone(),
            },
        })
    };
    fenced.iter().filter_map(lost).collect()
}

/// Fences roles again.
pub(super) async fn restore(
    role_admin: &RoleAdmin<'_>,
    cluster: &Cluster,
    lost: &[LostFence],
) -> Result<(), Error> {
    for LostFence { role, note } in lost {
        tracing::warn!(cluster = %cluster.name, role, "the database has lost a fence");
        role_admin.shut_out(role, note).await?;
    }
    Ok(())
}

/// Completes the fence of a role. The process that started it may have died.
pub(super) async fn finish(
    effects: &Effects<'_>,
    role_admin: &RoleAdmin<'_>,
    role: &NodeRole,
    held: Option<&Secret>,
) -> Result<(), Error> {
    let Some(note) = &role.note else { return Ok(()) };
    if role.can_login {
        role_admin.shut_out(&role.name, note).await?;
    } else if role_admin.owner.is_in_use(&role.name, &note.lock).await? {
        role_admin.complete_fence(&role.name, &note.lock).await?;
    }
    let nodes = effects.child_api.nodes();
    let Some(pod) = nodes.iter().find(|pod| pod.uid().as_ref() == Some(&note.uid)) else { return Ok(()) };
    let entry = incarnations::entry(held, &pod.name_any());
    // A pod that ends while the seal does not open cannot start again: it keeps its unsealed process.
    if entry.as_deref().and_then(user_of) == Some(&role.name) || !effects.guard_target.seal_opens() {
        return Ok(());
    }
    effects.child_api.end_pod(&pod.name_any(), &note.uid, Ending::AtOnce).await
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::fence_in_force("main_0_1", false, 0)]
    #[case::role_can_log_in("main_0_1", true, 1)]
    #[case::another_role("main_0_2", true, 0)]
    fn a_fence_is_lost_if_its_role_can_log_in(
        #[case] role: &str,
        #[case] can_login: bool,
        #[case] expected: usize,
    ) {
        let fenced = Fenced {
            pod: "main-0".to_owned(),
            uid: "u".to_owned(),
            role: Some("main_0_1".to_owned()),
            since: Time(jiff::Timestamp::UNIX_EPOCH),
            reason: "r".to_owned(),
        };
        let role = NodeRole {
            name: role.to_owned(),
            own: true,
            may_change: true,
            has_timeouts: true,
            can_login,
            note: None,
        };
        assert_eq!(lost(&[fenced], &[role]).len(), expected);
    }
}
