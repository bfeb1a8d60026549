//! A cluster that Steamer runs. A reconcile works in steps: first for the nodes, then for the OpenBao that they serve.

mod apply;
mod break_glass;
mod cause;
mod conditions;
mod delete;
pub(crate) mod fence;
pub(crate) mod fetch;
mod hold;
mod input;
pub(crate) mod last_valid;
pub(crate) mod observe;
mod openbao;
mod plan;
mod prepare;
mod punctual;
mod report;
mod requester;
mod restore_drill;
mod rollouts;
mod status;
mod summary;
mod validate;
mod verdict;
mod visit;
mod warnings;

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::OpenBaoCluster;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies};

use crate::children::{ChildApi, children_of};
use crate::cluster::{Cluster, FENCE, name};
use crate::effects::{Effects, Sources};
use crate::guard::registry::Guards;
use crate::guard::target::guard_key;
use crate::nodes::stateful_set;
use crate::nodes::turns::Turns;
use crate::nodes::withdrawal;
use crate::operator_policy::PolicyChecks;
use crate::relay::registry::Relays;
use crate::relay::target;
use apply::apply;
use delete::{Deletion, delete};
use fetch::{Found, fetch};
use input::Input;
use last_valid::{InForce, LastValid, Present, recorded};
use observe::observe;
use plan::plan;
use prepare::{guard, prepare};
use punctual::punctual;
use report::Report;
use status::status;
use summary::recorded_takeover;
use validate::{mode, validate};
use visit::next_visit;

/// Background tasks of all clusters.
#[derive(Clone, Copy)]
pub(crate) struct Background<'a> {
    pub(crate) guards: &'a Guards,
    pub(crate) relays: &'a Relays,
    pub(crate) turns: &'a Turns,
    pub(crate) policy_checks: &'a PolicyChecks,
    pub(crate) last_valid: &'a LastValid,
}

pub(crate) async fn reconcile(
    context: &Arc<Context>,
    background: Background<'_>,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Action, Error> {
    let name = name(object)?;
    dependencies.on(children_of(name.clone()));
    dependencies.on(guard_key(&name));
    let child_api = &ChildApi {
        client: context.client.clone(),
        stores: &context.cluster_objects,
        cluster: name,
        limit: &context.cluster_writes,
    };
    // First, because every other step can fail.
    let closed = break_glass::close_if_over(context, child_api, object).await;
    let scene = Scene { context, dependencies, child_api };
    let result = if object.metadata.deletion_timestamp.is_some() {
        background.relays.stop(context, &child_api.cluster);
        let Background { guards, .. } = background;
        delete(&Deletion { context, guards, dependencies, child_api }, object).await
    } else {
        reconcile_nodes(scene, background, object).await
    };
    punctual(closed, result)
}

/// Access to the cluster.
#[derive(Clone, Copy)]
struct Scene<'a> {
    context: &'a Arc<Context>,
    dependencies: &'a Dependencies,
    child_api: &'a ChildApi<'a>,
}

async fn reconcile_nodes(
    Scene { context, dependencies, child_api }: Scene<'_>,
    Background { guards, relays, turns, policy_checks, last_valid }: Background<'_>,
    object: &OpenBaoCluster,
) -> Result<Action, Error> {
    if !object.spec.suspend {
        context.add_finalizer(object).await?;
    }
    let present = valid(context, dependencies, object).await;
    let uid = object.metadata.uid.clone().unwrap_or_default();
    if present.is_err() && !last_valid.knows(&child_api.cluster, &uid) {
        let scene = Scene { context, dependencies, child_api };
        restore_last_valid(scene, last_valid, object).await;
    }
    let InForce { valid, refused } =
        last_valid.in_force((&child_api.cluster, &uid), present, now(context, object))?;
    let (found, cluster) = &*valid;
    let ca = context.managed_ca(dependencies, object).await.ok();
    let target = target::managed(context, cluster, ca.as_deref());
    relays.keep(context, dependencies, (&cluster.name, Ok(target)));
    let guard_target = &guards.target(context, ca, cluster);
    guard_target.lasting.takeovers.measured(recorded_takeover(&found.last));
    let guard_report = &guard(context, guards, cluster, guard_target);
    let sources = Sources { context, dependencies, child_api, guard_target, turns, policy_checks };
    let connections = last_valid.connections(&cluster.owner.address());
    let input = Input { object, cluster, found, guard_report, refused: refused.as_ref(), connections };
    converge(&Effects::new(sources), input).await
}

/// Reads the last valid spec from the StatefulSet: an earlier process of the operator accepted it.
async fn restore_last_valid(scene: Scene<'_>, last_valid: &LastValid, object: &OpenBaoCluster) {
    let Scene { context, dependencies, child_api } = scene;
    let name = &child_api.cluster;
    let live = stateful_set::live(child_api, object.metadata.uid.as_deref().unwrap_or_default());
    let Some(earlier) = live.and_then(|live| recorded(object, &live)) else { return };
    match valid(context, dependencies, &earlier.object).await {
        Ok((found, cluster)) => last_valid.restore(name, (found, earlier.with_image(cluster))),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(cluster = %name, error, "the last valid spec cannot be used");
        }
    }
}

/// Values that are in force also while the spec is refused.
fn now(context: &Context, object: &OpenBaoCluster) -> Present {
    let fence = object.annotations().get(FENCE).cloned();
    Present { mode: mode(object), fence, last: context.status(object) }
}

/// The spec and the objects that it refers to, if they are valid.
async fn valid(
    context: &Context,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<(Found, Cluster), Error> {
    let found = fetch(context, dependencies, object).await?;
    let cluster = validate(object, &found)?;
    Ok((found, cluster))
}

/// Brings a cluster closer to the desired state.
async fn converge(effects: &Effects<'_>, input: Input<'_>) -> Result<Action, Error> {
    let prepared = prepare(effects, input).await?;
    let observed = observe(effects, input, prepared).await;
    let plan = plan(input, &observed, Timestamp::now());
    let withdrawn = withdrawal::carry_out(effects, input.cluster, &observed.members).await;
    let mut applied = apply(effects, input, plan).await;
    let fenced = fence::carry_out(effects, input, &observed).await;
    let opened = break_glass::carry_out(effects, input, &observed, Timestamp::now()).await;
    let drill = restore_drill::carry_out(effects, input, &observed, Timestamp::now()).await;
    let (drill, failed) = drill.map_or_else(|error| (None, Err(error)), |drill| (Some(drill), Ok(())));
    let done = fenced.and(opened).and(failed).and(withdrawn);
    applied.trouble = applied.trouble.or_else(|| done.err().map(Arc::new));
    let openbao = openbao::converge(effects, input, &observed).await?;
    let report = Report { input, observed, applied, openbao, drill, now: Timestamp::now() };
    if !report.replaces_pods() {
        effects.turns.give_back(&input.cluster.name);
    }
    status(effects.context, &report).await?;
    Ok(next_visit(&report))
}
