//! The first start: what it is told, and how one is known that did not get through.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use steamer_core::error::Error;

use crate::database::storage::Storage;
use crate::managed::apply::{Done, Work};
use crate::managed::fetch::Found;
use crate::nodes::members::Member;
use crate::objects::{config_map, initialization};

/// Storage was initialised, and the operator was never let in: the first leader was not who initialised it.
pub(crate) fn half_way(found: &Found, done: &Done) -> Option<Error> {
    let initialized = done.storage.as_ref().is_ok_and(|storage| storage.contents.initialized);
    let refused = done.seen.as_ref().is_some_and(|seen| {
        seen.serves() && matches!(&seen.missing, Err(Error::OpenBao(steamer_openbao::Error::Login { .. })))
    });
    let first = found.last.initialized != Some(true) && !found.adopted;
    (initialized && refused && first && settled_down(&done.members)).then(half_initialized)
}

/// Whether no node can be about to initialise storage: it has to have become the leader within 35 s.
pub(crate) fn settled_down(members: &[Member]) -> bool {
    let long = std::time::Duration::from_secs(45);
    let past = |member: &Member| {
        member.backs_off() || member.running_for(Timestamp::now()).is_some_and(|running| running > long)
    };
    !members.is_empty() && members.iter().all(past)
}

pub(crate) fn half_initialized() -> Error {
    Error::Conflict(
        "self-initialisation failed half-way: look for the reason in the pods' logs, put it right, drop both tables of the \
         database (nothing is in them yet) and delete the pods"
            .to_owned(),
    )
}

impl Work<'_> {
    /// What the first start does, for as long as nothing has started.
    pub(crate) async fn initialization(&self, found: &Found, storage: &Storage) -> Result<(), Error> {
        let through = found.last.initialized == Some(true);
        if storage.contents.initialized && through {
            return self.child_api.remove::<ConfigMap>(&self.cluster.child("-init")).await;
        }
        if through {
            return Err(Error::Conflict(format!(
                "database `{}` is empty, and this cluster was initialised: restore its backup, or make another \
                 OpenBaoCluster to begin anew",
                self.guard_target.owner.login.database
            )));
        }
        let stanza = initialization::initialization(self.cluster, &self.context.operator, &found.issuers);
        self.child_api.keep::<ConfigMap>(&config_map::initialization(self.cluster, &stanza)).await.map(drop)
    }
}
