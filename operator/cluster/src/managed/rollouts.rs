//! The template of the StatefulSet, the rollout to it, and the repair of nodes. Pure.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::cluster::{Cluster, Helper};
use crate::managed::cause::cause;
use crate::managed::fence;
use crate::managed::hold;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::nodes::members::Member;
use crate::nodes::node::Goal;
use crate::nodes::replace;
use crate::nodes::replace::{Rollout, Target};
use crate::nodes::rollout::Step;
use crate::nodes::template;
use crate::nodes::validation;
use crate::nodes::validation::Check;
use crate::objects::stateful_set::{Inputs, image_of, revision, stateful_set};
use crate::objects::{audit_volume, relay};

/// The StatefulSet with its template, and the rollout to it.
pub(super) struct Chosen {
    pub(super) set: StatefulSet,
    pub(super) rollout: Rollout,
    /// The template is the desired one.
    pub(super) is_desired: bool,
    /// Name of the Job that has to check the node in a pod.
    pub(super) check: Option<(String, String)>,
}

/// A rollout and the check of its first node.
struct Gate {
    rollout: Rollout,
    check: Check,
    /// The check does not permit the next step.
    is_closed: bool,
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
            waits: observed.waits,
            lacking: Vec::new(),
        };
        Self { cluster, observed, now, goal }
    }

    /// The desired StatefulSet. If only the image of Steamer differs, it stays: an upgrade of the operator replaces no pod.
    pub(super) fn stateful_set(&self, inputs: &Inputs<'_>) -> StatefulSet {
        self.with_live_helpers(inputs).unwrap_or_else(|| stateful_set(self.cluster, inputs))
    }

    /// The StatefulSet with the present image of Steamer, if only this image differs from the desired one.
    fn with_live_helpers(&self, inputs: &Inputs<'_>) -> Option<StatefulSet> {
        let live = self.live()?;
        let kept = |helper: &Option<Helper>, container| {
            let helper = helper.as_ref()?;
            let image = image_of(live, container).filter(|_| !helper.is_chosen);
            Some(image.map_or_else(|| helper.clone(), |image| Helper { image, is_chosen: false }))
        };
        let Cluster { relay, rotator, .. } = self.cluster;
        let (live_relay, live_rotator) =
            (kept(relay, relay::CONTAINER), kept(rotator, audit_volume::CONTAINER));
        if (&live_relay, &live_rotator) == (relay, rotator) {
            return None;
        }
        let cluster = Cluster { relay: live_relay, rotator: live_rotator, ..self.cluster.clone() };
        let kept = stateful_set(&cluster, inputs);
        (revision(&kept) == revision(live)).then_some(kept)
    }

    /// Withholds the desired template from the StatefulSet while no pod may be replaced because of it.
    pub(super) fn choose_template(&self, mut set: StatefulSet) -> Chosen {
        let desired = revision(&set).to_owned();
        let target = self.target(&desired);
        let Gate { rollout, check, is_closed } = self.gate(&set, target);
        let missing = self.missing(&desired).filter(|_| is_closed && check == Check::Missing);
        self.facts(&desired).record(&mut set, &rollout);
        let chosen = template::choose(&template::Facts {
            live: self.live(),
            desired: &desired,
            members: &self.observed.members,
            step: &rollout.step,
            held: self.goal.hold.is_some() || is_closed,
            unproven: check != Check::Passed,
            migrating: target.migrating,
            replicas: self.goal.replicas,
        });
        let memory = chosen.memory.into_iter().map(|(key, value)| (key.to_owned(), value));
        set.metadata.annotations.get_or_insert_default().extend(memory);
        let Some(instead) = chosen.instead else {
            return Chosen { set, rollout, is_desired: true, check: missing };
        };
        self.withhold(&mut set, instead);
        let step = self.repair_step(&set).unwrap_or_else(|| self.withheld(target, rollout.step));
        Chosen { set, rollout: Rollout { step, ..rollout }, is_desired: false, check: missing }
    }

    /// Gives the StatefulSet another template, with the volumes of that template.
    fn withhold(&self, set: &mut StatefulSet, instead: PodTemplateSpec) {
        if let Some(spec) = &mut set.spec {
            spec.template = instead;
        }
        audit_volume::fit(set, self.live());
    }

    /// The rollout, as far as the check of its first node permits it.
    fn gate(&self, set: &StatefulSet, target: Target<'_>) -> Gate {
        let check = self.facts(target.revision).check();
        let before = self.rollout_to(set, target);
        let job = validation::name(self.cluster, target.revision);
        let rollout = validation::gated(before.clone(), &check, &job);
        Gate { is_closed: rollout != before, rollout, check }
    }

    /// Name of the Job that checks the first updated node, and the pod of this node.
    fn missing(&self, revision: &str) -> Option<(String, String)> {
        let pod = validation::canary(&self.observed.members, revision)?;
        Some((validation::name(self.cluster, revision), pod))
    }

    fn facts<'b>(&'b self, revision: &'b str) -> validation::Facts<'b> {
        let jobs = self.observed.jobs.as_ref().ok().map(Vec::as_slice);
        validation::Facts { cluster: self.cluster, live: self.live(), jobs, revision }
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
        replace::repair(&self.observed.members, self.target_of(set), &self.goal_of(set), self.now)
    }

    /// Rollout of the live StatefulSet.
    pub(super) fn repair(&self) -> Option<Rollout> {
        self.live().map(|live| self.rollout_to(live, self.target_of(live)))
    }

    fn rollout_to(&self, set: &StatefulSet, target: Target<'_>) -> Rollout {
        let (members, revision) = (&self.observed.members, target.revision);
        let rollout = replace::plan(members, target, &self.goal_of(set), self.now);
        hold::supervised(self.cluster, rollout, members, revision)
    }

    /// The goal with the pods that lack a volume of the StatefulSet.
    fn goal_of(&self, set: &StatefulSet) -> Goal {
        let lacks = |member: &&Member| {
            let volumes = member.pod.spec.as_ref().and_then(|pod| pod.volumes.as_deref());
            !audit_volume::has_claims(volumes.unwrap_or_default(), set)
        };
        let lacking = self.observed.members.iter().filter(lacks).map(Member::name).collect();
        Goal { lacking, ..self.goal.clone() }
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
