//! Replacement of a node's login: one that PostgreSQL refuses, or one that a node must not use anymore.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::database::incarnations;
use crate::database::login::{password_of, user_of};
use crate::database::roles::{FenceNote, parse_role};
use crate::effects::Effects;

/// Gives a node a new role if PostgreSQL refuses the login in its Secret: another client has changed the role or the
/// Secret.
pub(crate) async fn replace_refused_login(
    effects: &Effects<'_>,
    cluster: &Cluster,
    (pod, uid): (&str, &str),
) -> Result<(), Error> {
    let Some(login) = login(effects, cluster, pod).await? else { return Ok(()) };
    if effects.guard_target.links.owner.as_role(&login.role, login.password).accepts_login().await? {
        return Ok(());
    }
    block(effects, cluster, (pod, uid), "its login was refused").await.map(drop)
}

/// Blocks the access of a node to the database, and gives its next incarnation a new role. Returns false if the node has no
/// role of its own.
pub(crate) async fn block(
    effects: &Effects<'_>,
    cluster: &Cluster,
    (pod, uid): (&str, &str),
    why: &str,
) -> Result<bool, Error> {
    let Some(role_admin) = effects.guard_target.role_admin() else { return Ok(false) };
    let Some(Login { role, ordinal, .. }) = login(effects, cluster, pod).await? else { return Ok(false) };
    let _turn = effects.guard_target.lasting.logins.lock().await;
    tracing::warn!(cluster = %cluster.name, pod, role, why, "a node gets a new role");
    let note = FenceNote {
        since: Timestamp::now().as_second(),
        lock: String::new(),
        uid: uid.to_owned(),
        reason: why.to_owned(),
    };
    role_admin.shut_out(&role, &note).await?;
    role_admin.renew(effects.child_api, cluster, ordinal).await?;
    Ok(true)
}

/// Login of a node that does not use the owner's login.
struct Login {
    role: String,
    password: SecretString,
    ordinal: u32,
}

async fn login(effects: &Effects<'_>, cluster: &Cluster, pod: &str) -> Result<Option<Login>, Error> {
    let held = effects.child_api.read::<Secret>(&cluster.logins_secret()).await?;
    let entry = incarnations::entry(held.as_deref(), pod).unwrap_or_default();
    let (Some((role, ordinal)), Some(password)) = (own_role(cluster, &entry), password_of(&entry)) else {
        return Ok(None);
    };
    Ok(Some(Login { role: role.to_owned(), password: password.to_owned().into(), ordinal }))
}

/// The role of a node and its ordinal, unless the node uses the owner's login.
fn own_role<'a>(cluster: &Cluster, entry: &'a str) -> Option<(&'a str, u32)> {
    let user = user_of(entry).filter(|user| *user != cluster.owner.user)?;
    let (ordinal, _) = parse_role(user)?;
    Some((user, ordinal))
}
