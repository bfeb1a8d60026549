//! Opens the database of a cluster: checks the server, claims the tables, and reads their state.

use std::collections::BTreeSet;

use steamer_api::{DatabaseSchema, Fencing};
use steamer_core::error::Error;
use steamer_runtime::{Failure, describe};

use crate::cluster::{Cluster, Mode, RESTORE};
use crate::database::facts::{Contents, Server};
use crate::database::lock::LOCK_SECONDS;
use crate::database::login::Login;
use crate::database::rights::{Administration, Obstacle};
use crate::database::roles::{NodeRole, node_of};
use crate::database::schema::Occupant;
use crate::database::survey::{Data, Survey};
use crate::database::writers::Writers;
use crate::effects::Effects;
use crate::guard::target::GuardTarget;

/// State of a database that OpenBao can use.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) server: Server,
    pub(crate) timeline: Option<i64>,
    pub(crate) contents: Contents,
    /// ID of the key that wraps each value that the seal wraps. None if a value does not name it.
    pub(crate) wrapping_keys: Option<Vec<String>>,
    /// Cluster ID of the OpenBao that Steamer ran on this data, if the database records it.
    pub(crate) openbao_id: Option<String>,
    /// Roles of the nodes. None without database fencing, or if the admin login cannot manage roles.
    pub(crate) roles: Option<Vec<NodeRole>>,
    /// Roles that lack a right of a node.
    pub(crate) ungranted: Vec<String>,
    /// Reason why fencing is not possible or not reliable.
    pub(crate) obstacle: Option<Obstacle>,
}

/// Opens the database. Creates and marks the tables if they do not exist, unless the cluster is suspended. A database that
/// is in the desired state needs one statement of the owner, and one of the admin.
pub(crate) async fn open(effects: &Effects<'_>, cluster: &Cluster) -> Result<Storage, Error> {
    let target = effects.guard_target;
    let period = target.lasting.operator_lock.period();
    let survey = survey(target, cluster).await?;
    survey.server.check(cluster.spec.replicas, cluster.spec.storage.postgresql.max_connections_per_pod)?;
    let (survey, unrecorded) = claim(target, cluster, (survey, period)).await?;
    // Tables that another tool created, until OpenBao has served with them.
    if cluster.openbao_id.is_none() || cluster.takes_over {
        target.links.owner.check_indexes().await?;
    }
    let (roles, obstacle) = node_roles(target, cluster, &survey.logins).await?;
    let obstacle = obstacle.or(unrecorded.map(Obstacle::Unrecorded));
    let (openbao_id, Survey { server, ungranted, timeline, data, .. }) = (survey.schema.openbao_id(), survey);
    let Some(Data { contents, wrapping_keys }) = data else { return Err(no_tables(cluster)) };
    Ok(Storage { server, timeline, contents, wrapping_keys, openbao_id, roles, ungranted, obstacle })
}

async fn survey(target: &GuardTarget, cluster: &Cluster) -> Result<Survey, Error> {
    target.links.owner.survey(cluster.name(), &target.lasting.known).await
}

/// Step that makes the tables belong to a cluster.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    /// They are used as they are.
    Keep,
    /// They are marked. The login must own them.
    CheckOwner,
    Create,
    /// The data is that of another OpenBao.
    TakeOver,
}

/// Ensures that the tables exist and belong to this cluster. Returns the state of the database, and the reason why it does
/// not record the holder of the lock.
async fn claim(
    target: &GuardTarget,
    cluster: &Cluster,
    (found, period): (Survey, Option<u64>),
) -> Result<(Survey, Option<String>), Error> {
    let owner = &target.links.owner;
    plan_claim(cluster, &found.schema.tables(&owner.login, &target.mark)?.occupant)?;
    let found = alone(target, cluster, (found, period)).await?;
    let tables = found.schema.tables(&owner.login, &target.mark)?;
    let found = match plan_claim(cluster, &tables.occupant)? {
        Claim::Keep => found,
        Claim::CheckOwner => owned(found, &owner.login)?,
        Claim::Create => {
            owner.create_tables(&target.mark).await?;
            owned(survey(target, cluster).await?, &owner.login)?
        }
        Claim::TakeOver => {
            take_over(target, &tables.occupant).await?;
            survey(target, cluster).await?
        }
    };
    let unrecorded = if tables.records_holder { None } else { record(target, cluster).await? };
    Ok((found, unrecorded))
}

/// Waits until no other operator uses the database. What was read while another one could use it is read again: `period` is
/// that of the lock before the survey.
async fn alone(
    target: &GuardTarget,
    cluster: &Cluster,
    (found, period): (Survey, Option<u64>),
) -> Result<Survey, Error> {
    let operator_lock = &target.lasting.operator_lock;
    operator_lock.check().await?;
    let was_alone = period.is_some() && operator_lock.period() == period;
    if was_alone { Ok(found) } else { survey(target, cluster).await }
}

fn owned(found: Survey, login: &Login) -> Result<Survey, Error> {
    found.schema.check_owner(login)?;
    Ok(found)
}

/// Error of a database whose tables another client drops.
fn no_tables(cluster: &Cluster) -> Error {
    Error::Waiting(format!("database `{}` does not contain OpenBao's tables", cluster.owner.database))
}

/// Makes the database record the holder of the lock. Returns the reason why it does not.
async fn record(target: &GuardTarget, cluster: &Cluster) -> Result<Option<String>, Error> {
    if cluster.fencing != Fencing::Database {
        return Ok(None);
    }
    if cluster.spec.storage.postgresql.schema == DatabaseSchema::Existing {
        let text = "`schema: Existing` tells Steamer not to create table steamer_guard and its trigger: create them with \
                    the statements in the documentation, or set `schema: Manage`";
        return Ok(Some(text.to_owned()));
    }
    if cluster.mode == Mode::Suspended {
        return Ok(Some("the trigger is created once the cluster is not suspended".to_owned()));
    }
    target.links.owner.create_recorder().await
}

/// The next step. A suspended cluster changes nothing. Data of another OpenBao requires consent.
fn plan_claim(cluster: &Cluster, occupant: &Occupant) -> Result<Claim, Error> {
    let manages = cluster.spec.storage.postgresql.schema == DatabaseSchema::Manage;
    let is_suspended = cluster.mode == Mode::Suspended;
    let database = &cluster.owner.database;
    match occupant {
        Occupant::Own => Ok(Claim::CheckOwner),
        Occupant::Vacant if is_suspended || !manages => Ok(Claim::Keep),
        Occupant::NoTables if !manages => Err(Error::Waiting(format!(
            "database `{database}` does not contain OpenBao's tables, and `schema: Existing` tells Steamer not to \
             create them: create them, or set `schema: Manage`"
        ))),
        Occupant::Other(_) if !cluster.takes_over => Err(Error::Conflict(format!(
            "database `{database}` contains the data of {}: use another database, or, to take it over once all its \
             nodes are stopped, annotate this OpenBaoCluster with {RESTORE}=<today>",
            other(occupant)
        ))),
        Occupant::NoTables if is_suspended => Err(Error::Waiting(format!(
            "database `{database}` does not contain OpenBao's tables: they are created once the cluster is not \
             suspended"
        ))),
        Occupant::Other(_) if is_suspended => Err(Error::Waiting(format!(
            "database `{database}` contains the data of {}: it is taken over once the cluster is not suspended",
            other(occupant)
        ))),
        Occupant::NoTables | Occupant::Vacant => Ok(Claim::Create),
        Occupant::Other(_) => Ok(Claim::TakeOver),
    }
}

fn other(occupant: &Occupant) -> String {
    match occupant {
        Occupant::Other(Some(mark)) => format!("`{mark}`"),
        _ => "an OpenBao that Steamer does not run".to_owned(),
    }
}

/// Takes over the data of another OpenBao. None of its nodes may run.
async fn take_over(target: &GuardTarget, occupant: &Occupant) -> Result<(), Error> {
    let owner = &target.links.owner;
    if let Some(lock) = owner.lock().await?.filter(|lock| lock.age < LOCK_SECONDS) {
        return Err(Error::Waiting(format!(
            "database `{}` is still used by {}: its leader renewed its lock {:.0} s ago; stop it",
            owner.login.database,
            other(occupant),
            lock.age
        )));
    }
    if let Some(Writers { login, sessions }) = owner.other_writers().await? {
        return Err(Error::Waiting(format!(
            "database `{}` is still used by {}: `{login}` has {sessions} sessions that can write; stop its nodes",
            owner.login.database,
            other(occupant)
        )));
    }
    owner.clear_locks().await?;
    Ok(owner.create_tables(&target.mark).await?)
}

async fn node_roles(
    target: &GuardTarget,
    cluster: &Cluster,
    logins: &[String],
) -> Result<(Option<Vec<NodeRole>>, Option<Obstacle>), Error> {
    let fences = cluster.fencing == Fencing::Database;
    let Some(admin) = target.links.admin.as_ref().filter(|_| fences) else { return Ok((None, None)) };
    let Administration { obstacle, roles } = match admin.administration(cluster.name(), &target.mark).await {
        Ok(administration) => administration,
        Err(error) if error.stalled() => return Ok((None, Some(Obstacle::Rights(describe(&error))))),
        Err(error) => return Err(error.into()),
    };
    let lacks_rights = matches!(obstacle, Some(Obstacle::Rights(_)));
    let are_used = roles.iter().any(|role| role.own);
    let obstacle = obstacle.or_else(|| {
        let mut usable = roles.iter().filter(|role| role.own && role.note.is_none());
        let rights = usable.find_map(|role| admin.not_changeable(role)).map(Obstacle::Rights);
        // A fence needs a role of the node.
        rights.or_else(|| owner_logins(cluster, logins).map(Obstacle::OwnerLogin))
    });
    Ok(((!lacks_rights || are_used).then_some(roles), obstacle))
}

/// Text about nodes that still use the owner's login.
fn owner_logins(cluster: &Cluster, logins: &[String]) -> Option<String> {
    let with_role: BTreeSet<u32> = logins.iter().filter_map(|login| node_of(cluster.name(), login)).collect();
    let (nodes, user) = (cluster.nodes(), &cluster.owner.user);
    let others = nodes.saturating_sub(with_role.len());
    (others > 0 && logins.contains(user)).then(|| {
        format!(
            "{others} of {nodes} nodes still log in as `{user}`: such a node is not fenced while its process runs; it gets \
             its own role when its pod is replaced"
        )
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;

    /// `e` existing schema, `s` suspended, `r` takeover requested.
    #[rstest]
    #[case::own("", Occupant::Own, "CheckOwner")]
    #[case::own_and_suspended("s", Occupant::Own, "CheckOwner")]
    #[case::no_tables("", Occupant::NoTables, "Create")]
    #[case::no_tables_and_suspended(
        "s",
        Occupant::NoTables,
        "they are created once the cluster is not \
             suspended"
    )]
    #[case::no_tables_of_the_user("e", Occupant::NoTables, "set `schema: Manage`")]
    #[case::vacant("", Occupant::Vacant, "Create")]
    #[case::vacant_and_suspended("s", Occupant::Vacant, "Keep")]
    #[case::vacant_tables_of_the_user("e", Occupant::Vacant, "Keep")]
    #[case::other("", Occupant::Other(Some("i/x".to_owned())), "the data of `i/x`: use another database")]
    #[case::other_without_a_mark(
        "s",
        Occupant::Other(None),
        "that Steamer does not run: use another database"
    )]
    #[case::takeover("r", Occupant::Other(None), "TakeOver")]
    #[case::takeover_and_suspended(
        "rs",
        Occupant::Other(None),
        "taken over once the cluster is not suspended"
    )]
    fn tables_are_claimed_unless_the_cluster_is_suspended(
        #[case] state: &str,
        #[case] occupant: Occupant,
        #[case] expected: &str,
    ) {
        let mut cluster = cluster();
        cluster.takes_over = state.contains('r');
        if state.contains('s') {
            cluster.mode = Mode::Suspended;
        }
        if state.contains('e') {
            cluster.spec.storage.postgresql.schema = DatabaseSchema::Existing;
        }
        let text = match plan_claim(&cluster, &occupant) {
            Ok(claim) => format!("{claim:?}"),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(expected), "{text}");
    }

    #[rstest]
    #[case::own_roles(&["main_0_1", "main_1_4", "main_2_1"], None)]
    #[case::no_node_runs(&[], None)]
    #[case::all_as_owner(&["bao"], Some("3 of 3"))]
    #[case::one_has_a_role(&["bao", "main_2_1", "main_2_2"], Some("2 of 3"))]
    #[case::a_query_of_a_person(&["bao", "main_0_1", "main_1_1", "main_2_1"], None)]
    #[case::roles_of_another_cluster(&["bao", "other_0_1", "other_1_1", "other_2_1"], Some("3 of 3"))]
    fn nodes_that_log_in_as_the_owner_are_counted(#[case] logins: &[&str], #[case] expected: Option<&str>) {
        let logins: Vec<String> = logins.iter().map(|login| (*login).to_owned()).collect();
        let text = owner_logins(&cluster(), &logins);
        assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
        assert!(expected.is_none_or(|expected| text.unwrap_or_default().starts_with(expected)));
    }
}
