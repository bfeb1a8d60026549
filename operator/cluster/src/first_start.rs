//! The first start: its self-initialization, and the detection of one that failed half-way.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::ObjectName;

use crate::cluster::Cluster;
use crate::database::facts::Contents;
use crate::effects::Effects;
use crate::nodes::members::Member;
use crate::objects::initialization::AdministratorIssuer;
use crate::objects::{config_map, initialization};
use crate::server::Server;

/// Time after which no running node can initialize storage any more: it must have become the leader within 35 s.
const SETTLED: Duration = Duration::from_secs(45);

/// Progress of the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The operator has not logged in yet.
    First,
    /// The operator has logged in once.
    Completed,
}

/// The ConfigMap with the self-initialization.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Initialization {
    /// It must exist until the first start is completed.
    Keep(Box<ConfigMap>),
    Remove,
}

/// Decides about the self-initialization.
///
/// # Errors
/// [`Error::Conflict`] if the database of a cluster that was initialized is empty.
pub(crate) fn plan(
    cluster: &Cluster,
    start: Start,
    contents: &Contents,
    access: &InitialAccess<'_>,
) -> Result<Initialization, Error> {
    match start {
        Start::Completed if contents.initialized => Ok(Initialization::Remove),
        Start::Completed => Err(Error::Conflict(format!(
            "database `{}` is empty, but this cluster was initialized: restore its backup, or create another \
             OpenBaoCluster to start with an empty database",
            cluster.owner.database
        ))),
        Start::First => {
            let stanza = initialization::initialization(cluster, access.operator, access.issuers);
            Ok(Initialization::Keep(Box::new(config_map::initialization(cluster, &stanza))))
        }
    }
}

/// Identities that the self-initialization grants access to.
#[derive(Clone, Copy)]
pub(crate) struct InitialAccess<'a> {
    /// ServiceAccount of the operator.
    pub(crate) operator: &'a ObjectName,
    /// Issuers of the administrators' JWTs.
    pub(crate) issuers: &'a [AdministratorIssuer],
}

/// Writes or removes the ConfigMap.
pub(crate) async fn apply(
    effects: &Effects<'_>,
    cluster: &Cluster,
    initialization: &Initialization,
) -> Result<(), Error> {
    match initialization {
        Initialization::Keep(config_map) => effects.child_api.keep(&**config_map).await.map(drop),
        Initialization::Remove => {
            effects.child_api.remove::<ConfigMap>(&cluster.initialization_config_map()).await
        }
    }
}

/// Returns true if no node can still be initializing storage.
pub(crate) fn is_settled(members: &[Member], now: Timestamp) -> bool {
    let is_past = |member: &Member| {
        member.backs_off() || member.running_for(now).is_some_and(|running| running > SETTLED)
    };
    !members.is_empty() && members.iter().all(is_past)
}

/// Returns true if the server serves but refuses the operator's login: another node than the first leader initialized
/// the storage.
pub(crate) fn refuses_operator(server: &Server) -> bool {
    server.serves() && matches!(&server.missing, Err(Error::OpenBao(OpenBao::Login { .. })))
}

/// Error of a self-initialization that failed half-way.
pub(crate) fn failed() -> Error {
    Error::Conflict(
        "self-initialization failed half-way: find the reason in the logs of the pods, correct it, drop both tables of the \
         database (they contain no data yet), and delete the pods"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;

    #[rstest]
    #[case::new_database(Start::First, false, "keep")]
    #[case::initialized_but_no_login_yet(Start::First, true, "keep")]
    #[case::completed(Start::Completed, true, "remove")]
    #[case::lost_data(Start::Completed, false, "is empty, but this cluster was initialized")]
    fn the_initialization_is_kept_until_the_operator_has_logged_in(
        #[case] start: Start,
        #[case] initialized: bool,
        #[case] expected: &str,
    ) {
        let contents = Contents { initialized, ..Contents::default() };
        let operator = ObjectName::new("steamer", "steamer");
        let access = InitialAccess { operator: &operator, issuers: &[] };
        let said = match plan(&cluster(), start, &contents, &access) {
            Ok(Initialization::Keep(_)) => "keep".to_owned(),
            Ok(Initialization::Remove) => "remove".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    }
}
