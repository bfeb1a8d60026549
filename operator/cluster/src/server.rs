use steamer_api::{OpenBaoCluster, Orphan};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout::OPERATOR_AUDIENCE;
use steamer_core::ownership::orphans;
use steamer_openbao::{Error as OpenBao, Health, Leader};
use steamer_runtime::Dependencies;

use crate::operator_policy;

/// What was seen of a server.
pub(crate) struct Seen {
    /// What it says of itself, or why it says nothing.
    pub(crate) health: Result<Health, OpenBao>,
    /// Who leads.
    pub(crate) leader: Option<Leader>,
    /// What the operator's policy lacks; none when it could not be asked.
    pub(crate) missing: Result<Vec<String>, Error>,
    /// Whether Steamer runs it.
    pub(crate) managed: bool,
}

impl Seen {
    pub(crate) fn serves(&self) -> bool {
        self.health.as_ref().is_ok_and(|health| health.initialized && !health.sealed) && self.has_leader()
    }

    pub(crate) fn has_leader(&self) -> bool {
        let led = |leader: &Leader| !leader.ha_enabled || leader.is_self || !leader.leader_address.is_empty();
        self.leader.as_ref().is_some_and(led)
    }
}

pub(crate) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    cluster: &OpenBaoCluster,
) -> Result<Seen, Error> {
    let auth = cluster.spec.external.as_ref().map(|external| &external.management_auth);
    let login = auth.and_then(|auth| auth.kubernetes.as_ref().or(auth.jwt.as_ref()));
    let audience = login.map_or(OPERATOR_AUDIENCE, |login| login.audience.as_str());
    context.safe_audiences(&[audience.to_owned()])?;
    let session = context.operator_session(dependencies, cluster).await?;
    let health = session.health().await;
    let mut seen =
        Seen { health, leader: None, missing: Ok(Vec::new()), managed: cluster.spec.managed.is_some() };
    if seen.health.as_ref().is_ok_and(|health| health.initialized && !health.sealed) {
        seen.leader = session.leader().await.ok();
        let needed = match &cluster.spec.managed {
            Some(_) => operator_policy::managed_rules(),
            None => operator_policy::rules(),
        };
        seen.missing = operator_policy::missing(&session, &needed).await.map_err(Error::from);
    }
    Ok(seen)
}

/// Removes what deleted tenants left behind; what is still left afterwards.
pub(crate) async fn remove_orphans(
    context: &Context,
    dependencies: &Dependencies,
    cluster: &OpenBaoCluster,
    seen: &Seen,
) -> Vec<Orphan> {
    let orphans = cluster.status.as_ref().map(|status| status.orphans.clone()).unwrap_or_default();
    if orphans.is_empty() || !seen.serves() {
        return orphans;
    }
    match context.operator_session(dependencies, cluster).await {
        Ok(session) => orphans::remove_orphans(context, &session, orphans).await,
        Err(_) => orphans,
    }
}
