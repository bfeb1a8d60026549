//! Replacement of a node's login that PostgreSQL refuses.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::incarnations;
use crate::database::login::{password_of, user_of};
use crate::database::roles::{FenceNote, parse_role};
use crate::effects::Effects;

/// Gives a node a new role if PostgreSQL refuses the login in its Secret: another client has changed the role or the
/// Secret.
pub(crate) async fn replace_refused_login(
    effects: &Effects<'_>,
    cluster: &Cluster,
    pod: &str,
    uid: &str,
) -> Result<(), Error> {
    let held = effects.child_api.read::<Secret>(&cluster.logins_secret()).await?;
    let entry = incarnations::entry(held.as_deref(), pod).unwrap_or_default();
    let Some(role_admin) = effects.guard_target.role_admin() else { return Ok(()) };
    let Some((role, ordinal)) = own_role(cluster, &entry) else { return Ok(()) };
    let Some(password) = password_of(&entry) else { return Ok(()) };
    let login = cluster.owner.as_role(role, password.to_owned().into());
    if Database::new(login, effects.context.runtime.metrics.clone()).accepts_login().await? {
        return Ok(());
    }
    let _turn = effects.guard_target.logins.lock().await;
    tracing::warn!(cluster = %cluster.name, pod, role, "PostgreSQL refuses the login of a node, which gets a new role");
    let note = FenceNote {
        since: Timestamp::now().as_second(),
        lock: String::new(),
        uid: uid.to_owned(),
        reason: "its login was refused".to_owned(),
    };
    role_admin.shut_out(role, &note).await?;
    role_admin.renew(effects.child_api, cluster, ordinal).await
}

/// The role of a node and its ordinal, unless the node uses the owner's login.
fn own_role<'a>(cluster: &Cluster, entry: &'a str) -> Option<(&'a str, u32)> {
    let user = user_of(entry).filter(|user| *user != cluster.owner.user)?;
    let (ordinal, _) = parse_role(user)?;
    Some((user, ordinal))
}
