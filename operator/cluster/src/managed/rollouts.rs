//! The template of the StatefulSet, the rollout to it, and the repair of nodes. Pure.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;

use crate::cluster::{Cluster, Relay};
use crate::managed::cause::cause;
use crate::managed::fence;
use crate::managed::hold;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::nodes::node::Goal;
use crate::nodes::replace;
use crate::nodes::replace::{Rollout, Target};
use crate::nodes::rollout::Step;
use crate::nodes::template;
use crate::objects::stateful_set::{Inputs, relay_image, revision, stateful_set};

/// The StatefulSet with its template, and the rollout to it.
pub(super) struct Chosen {
    pub(super) set: StatefulSet,
    pub(super) rollout: Rollout,
    /// The template is the desired one.
    pub(super) is_desired: bool,
}

/// Input of a rollout.
pub(super) struct Rollouts<'a> {
    cluster: &'a Cluster,
    observed: &'a Observed,
    now: Timestamp,
    goal: Goal,
}

impl<'a> Rollouts<'a> {
    pub(super) fn new(input: Input<'a>, observed: &'a Observed, now: Timestamp) -> Self {
        let (cluster, spec) = (input.cluster, &input.cluster.spec);
        let goal = Goal {
            replicas: cluster.nodes(),
            hold: fence::state(cluster, observed)
                .hold()
                .or_else(|| hold::hold(spec, observed, cause(input, observed), now)),
            // During a migration a sealed node waits for recovery keys.
            seal_reachable: observed.can_start() && !observed.is_migrating(),
            initialized: observed.has_data(),
            template_works: observed.live.as_deref().is_some_and(template::has_served),
            node_timeout: spec.upgrade.node_timeout.get(),
        };
        Self { cluster, observed, now, goal }
    }

    /// The desired StatefulSet. If only the image of the relays differs, it stays: an upgrade of the operator replaces no pod.
    pub(super) fn stateful_set(&self, inputs: &Inputs<'_>) -> StatefulSet {
        self.with_live_relays(inputs).unwrap_or_else(|| stateful_set(self.cluster, inputs))
    }

    /// The StatefulSet with the present image of the relays, if only this image differs from the desired one.
    fn with_live_relays(&self, inputs: &Inputs<'_>) -> Option<StatefulSet> {
        let desired = self.cluster.relay.as_ref().filter(|relay| !relay.is_chosen)?;
        let live = self.live()?;
        let image = relay_image(live).filter(|image| *image != desired.image)?;
        let relay = Some(Relay { image, is_chosen: false });
        let kept = stateful_set(&Cluster { relay, ..self.cluster.clone() }, inputs);
        (revision(&kept) == revision(live)).then_some(kept)
    }

    /// Withholds the desired template from the StatefulSet while no pod may be replaced because of it.
    pub(super) fn choose_template(&self, mut set: StatefulSet) -> Chosen {
        let desired = revision(&set).to_owned();
        let target = self.target(&desired);
        let rollout = self.rollout_to(target);
        let chosen = template::choose(&template::Facts {
            live: self.live(),
            desired: &desired,
            members: &self.observed.members,
            step: &rollout.step,
            held: self.goal.hold.is_some(),
            migrating: target.migrating,
            replicas: self.goal.replicas,
        });
        let memory = chosen.memory.into_iter().map(|(key, value)| (key.to_owned(), value));
        set.metadata.annotations.get_or_insert_default().extend(memory);
        let Some(instead) = chosen.instead else { return Chosen { set, rollout, is_desired: true } };
        if let Some(spec) = &mut set.spec {
            spec.template = instead;
        }
        let step = self.repair_step(&set).unwrap_or_else(|| self.withheld(target, rollout.step));
        Chosen { set, rollout: Rollout { step, ..rollout }, is_desired: false }
    }

    /// The step of a rollout whose template is withheld: no node is replaced for it, and its nodes are not repaired, because
    /// the template can be the cause.
    fn withheld(&self, target: Target<'_>, step: Step) -> Step {
        let (Step::Replace { pod, .. } | Step::Repair { pod, .. }) = &step else { return step };
        if let Some(hold) = &self.goal.hold {
            return Step::Wait(hold.clone());
        }
        match replace::without_repair(&self.observed.members, target, &self.goal, self.now) {
            step @ (Step::Wait(_) | Step::Stop(_)) => step,
            _ => Step::Wait(format!("{pod} is not replaced while the desired template is withheld")),
        }
    }

    /// The repair of a node of this StatefulSet.
    pub(super) fn repair_step(&self, set: &StatefulSet) -> Option<Step> {
        replace::repair(&self.observed.members, self.target_of(set), &self.goal, self.now)
    }

    /// Rollout of the live StatefulSet.
    pub(super) fn repair(&self) -> Option<Rollout> {
        self.live().map(|live| self.rollout_to(self.target_of(live)))
    }

    fn rollout_to(&self, target: Target<'_>) -> Rollout {
        let (members, revision) = (&self.observed.members, target.revision);
        let rollout = replace::plan(members, target, &self.goal, self.now);
        hold::supervised(self.cluster, rollout, members, revision)
    }

    fn target<'b>(&self, revision: &'b str) -> Target<'b> {
        Target { revision, version: Some(self.cluster.version), migrating: self.observed.is_migrating() }
    }

    /// The target of nodes whose StatefulSet is not changed.
    fn target_of<'b>(&self, set: &'b StatefulSet) -> Target<'b> {
        Target { version: None, ..self.target(revision(set)) }
    }

    fn live(&self) -> Option<&StatefulSet> {
        self.observed.live.as_deref()
    }
}
