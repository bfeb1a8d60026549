//! The template of the StatefulSet, the rollout to it, and the repair of nodes. Pure.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;

use crate::cluster::{Cluster, Relay};
use crate::managed::cause::cause;
use crate::managed::hold;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::nodes::node::Goal;
use crate::nodes::replace;
use crate::nodes::replace::{Rollout, Target};
use crate::nodes::rollout::Step;
use crate::nodes::template;
use crate::objects::stateful_set::{Inputs, relay_image, revision, stateful_set};
use crate::seal::migration::Migration;

/// The StatefulSet with its template, and the rollout to it.
pub(super) struct Chosen {
    pub(super) set: StatefulSet,
    pub(super) rollout: Rollout,
    /// The template is the desired one.
    pub(super) is_desired: bool,
}

/// Input of a rollout.
#[derive(Clone, Copy)]
pub(super) struct Rollouts<'a> {
    pub(super) input: Input<'a>,
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
}

impl Rollouts<'_> {
    /// The desired StatefulSet. If only the image of the relays differs, it stays: an upgrade of the operator replaces no pod.
    pub(super) fn stateful_set(&self, inputs: &Inputs<'_>) -> StatefulSet {
        let (cluster, live) = (self.cluster(), self.live());
        let desired = stateful_set(cluster, inputs);
        let is_chosen = cluster.relay.as_ref().is_some_and(|relay| relay.is_chosen);
        let Some((live, image)) = live.and_then(|live| Some((live, relay_image(live)?))) else {
            return desired;
        };
        let relay = cluster.relay.as_ref().filter(|_| !is_chosen).map(|_| Relay { image, is_chosen });
        let kept = stateful_set(&Cluster { relay, ..cluster.clone() }, inputs);
        if !is_chosen && revision(&kept) == revision(live) { kept } else { desired }
    }

    /// Withholds the desired template from the StatefulSet while no pod may be replaced because of it.
    pub(super) fn choose_template(&self, mut set: StatefulSet) -> Chosen {
        let (desired, goal) = (revision(&set).to_owned(), self.goal());
        let rollout = self.rollout(&desired);
        let chosen = template::choose(&template::Facts {
            live: self.live(),
            desired: &desired,
            members: &self.observed.members,
            step: &rollout.step,
            held: goal.hold.is_some(),
            migrating: self.is_migrating(),
            replicas: goal.replicas,
        });
        let memory = chosen.memory.into_iter().map(|(key, value)| (key.to_owned(), value));
        set.metadata.annotations.get_or_insert_default().extend(memory);
        let Some(instead) = chosen.instead else { return Chosen { set, rollout, is_desired: true } };
        if let Some(spec) = &mut set.spec {
            spec.template = instead;
        }
        let rollout = self.withheld(&set, rollout);
        Chosen { set, rollout, is_desired: false }
    }

    /// Progress of a rollout whose template is withheld: nodes of the present template are repaired.
    fn withheld(&self, set: &StatefulSet, rollout: Rollout) -> Rollout {
        let held = |step| match (step, self.goal().hold) {
            (Step::Replace { .. } | Step::Repair { .. }, hold) => Step::Wait(hold.unwrap_or_default()),
            (step, _) => step,
        };
        let step = self.repair_step(set).unwrap_or_else(|| held(rollout.step));
        Rollout { step, updated: rollout.updated }
    }

    /// The repair of a node of this StatefulSet.
    pub(super) fn repair_step(&self, set: &StatefulSet) -> Option<Step> {
        let target = Target { version: None, ..self.target(revision(set)) };
        replace::repair(&self.observed.members, target, &self.goal(), self.now)
    }

    pub(super) fn is_migrating(&self) -> bool {
        self.observed.migration == Migration::InProgress
    }

    /// Rollout of the live StatefulSet.
    pub(super) fn repair(&self) -> Option<Rollout> {
        self.live().map(|live| self.rollout_to(Target { version: None, ..self.target(revision(live)) }))
    }

    fn rollout(&self, revision: &str) -> Rollout {
        self.rollout_to(self.target(revision))
    }

    fn rollout_to(&self, target: Target<'_>) -> Rollout {
        let (members, revision) = (&self.observed.members, target.revision);
        let rollout = replace::plan(members, target, &self.goal(), self.now);
        hold::supervised(self.cluster(), rollout, members, revision)
    }

    fn target<'b>(&self, revision: &'b str) -> Target<'b> {
        Target { revision, version: Some(self.cluster().version), migrating: self.is_migrating() }
    }

    fn goal(&self) -> Goal {
        let spec = &self.cluster().spec;
        Goal {
            replicas: self.cluster().nodes(),
            hold: hold::hold(spec, self.observed, cause(self.input, self.observed), self.now),
            // During a migration a sealed node waits for recovery keys.
            seal_reachable: self.observed.can_start() && self.observed.migration == Migration::None,
            initialized: self.observed.has_data(),
            template_works: self.live().is_some_and(template::has_served),
            node_timeout: spec.upgrade.node_timeout.get(),
        }
    }

    fn cluster(&self) -> &Cluster {
        self.input.cluster
    }

    fn live(&self) -> Option<&StatefulSet> {
        self.observed.live.as_deref()
    }
}
