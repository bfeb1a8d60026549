//! The pod template of the StatefulSet. Pure.
//!
//! A StatefulSet creates each lost pod from its present template. While a change is on hold, and after it stopped, that is
//! the last template that served: a pod that is lost for another reason must not bring the change in.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;

use crate::nodes::members::Member;
use crate::nodes::rollout::Step;
use crate::objects::stateful_set::revision;

/// Annotation of the StatefulSet: the last template that served, until a node of the present one serves.
const SERVED: &str = "steamer.dev/served-template";
/// Annotation of the StatefulSet: revision of the desired template, if it is withheld.
const WITHHELD: &str = "steamer.dev/withheld-revision";

/// Facts that determine the template.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) live: Option<&'a StatefulSet>,
    /// Revision of the desired template.
    pub(crate) desired: &'a str,
    pub(crate) members: &'a [Member],
    /// Next step of a rollout of the desired template.
    pub(crate) step: &'a Step,
    /// The change is on hold.
    pub(crate) held: bool,
    /// The desired template has not passed its check: lost nodes get the one that served.
    pub(crate) unproven: bool,
    /// A seal migration is in progress: nodes of the earlier template cannot start anymore.
    pub(crate) migrating: bool,
    pub(crate) replicas: usize,
}

/// The template of the StatefulSet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    /// The template instead of the desired one.
    pub(crate) instead: Option<PodTemplateSpec>,
    /// Annotations of the StatefulSet. An empty one has no effect.
    pub(crate) memory: BTreeMap<&'static str, String>,
}

/// Chooses between the desired template and the last that served.
pub(crate) fn choose(facts: &Facts<'_>) -> Template {
    let Some(live) = facts.live else { return Template { instead: None, memory: BTreeMap::new() } };
    let instead = facts.instead(live);
    let memory = match &instead {
        Some(_) => [(SERVED, cleared(live, SERVED)), (WITHHELD, Some(facts.desired.to_owned()))],
        None => [(SERVED, facts.served_before(live)), (WITHHELD, cleared(live, WITHHELD))],
    };
    let memory = memory.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    Template { instead, memory }
}

/// Returns true if the StatefulSet does not have the desired template.
pub(crate) fn is_withheld(live: &StatefulSet) -> bool {
    note(live, WITHHELD).is_some()
}

/// Returns true if nodes of the present template have served.
pub(crate) fn has_served(live: &StatefulSet) -> bool {
    note(live, SERVED).is_none()
}

fn note<'a>(live: &'a StatefulSet, key: &str) -> Option<&'a str> {
    live.annotations().get(key).map(String::as_str).filter(|note| !note.is_empty())
}

/// An annotation that exists is emptied: the API server would keep a missing one until another change.
fn cleared(live: &StatefulSet, key: &str) -> Option<String> {
    live.annotations().get(key).map(|_| String::new())
}

fn template(live: &StatefulSet) -> Option<&PodTemplateSpec> {
    live.spec.as_ref().map(|spec| &spec.template)
}

impl Facts<'_> {
    fn instead(&self, live: &StatefulSet) -> Option<PodTemplateSpec> {
        if self.migrating {
            return None;
        }
        let is_applied = revision(live) == self.desired;
        match self.step {
            Step::Stop(_) if is_applied => served(live),
            _ if is_applied => served(live).filter(|_| self.held),
            _ if self.held => template(live).cloned(),
            Step::Replace { .. } | Step::Settled => None,
            // The change can be the reason why a missing pod can be created.
            Step::Wait(_) if self.is_incomplete() => None,
            Step::Wait(_) | Step::Stop(_) | Step::Repair { .. } => template(live).cloned(),
        }
    }

    /// Returns true if a pod is missing, and no pod terminates.
    fn is_incomplete(&self) -> bool {
        self.members.len() < self.replicas && !self.members.iter().any(Member::is_ending)
    }

    fn serves(&self, revision: &str) -> bool {
        self.members.iter().any(|member| member.revision() == Some(revision) && member.serves())
    }

    /// The template to return to, if nodes of the desired one do not serve.
    fn served_before(&self, live: &StatefulSet) -> Option<String> {
        let known = || live.annotations().get(SERVED).cloned();
        if revision(live) == self.desired {
            return if self.serves(self.desired) && !self.unproven { cleared(live, SERVED) } else { known() };
        }
        let present = template(live).filter(|_| self.serves(revision(live)));
        present.and_then(|template| serde_json::to_string(template).ok()).or_else(known)
    }
}

/// The last template that served, if it is another one than the present.
fn served(live: &StatefulSet) -> Option<PodTemplateSpec> {
    serde_json::from_str(note(live, SERVED)?).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::children::Ending;
    use crate::cluster::REVISION;
    use crate::nodes::fault::Fault;
    use crate::tests::{TEMPLATE, member};

    fn template_of(revision: &str) -> Value {
        json!({"metadata": {"annotations": {REVISION: revision}}})
    }

    fn live(revision: &str, annotations: &Value) -> StatefulSet {
        let spec = json!({"serviceName": "x", "selector": {}, "template": template_of(revision)});
        serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": spec})).unwrap()
    }

    fn step(name: &str) -> Step {
        match name {
            "replace" => Step::Replace {
                pod: "main-2".to_owned(),
                uid: "u".to_owned(),
                why: "w".to_owned(),
                ending: Ending::Graceful,
            },
            "wait" => Step::Wait("w".to_owned()),
            "stop" => Step::Stop("s".to_owned()),
            "repair" => Step::Repair { pod: "main-2".to_owned(), uid: "u".to_owned(), fault: Fault::Silent },
            _ => Step::Settled,
        }
    }

    /// The revision that the StatefulSet gets, for a live one of revision `live` whose last served template is `before`.
    /// Nodes have revision `r`; `new` is desired.
    fn chosen(live_revision: &str, before: &str, text: &str) -> (String, Template) {
        let notes =
            if before.is_empty() { json!({}) } else { json!({SERVED: template_of(before).to_string()}) };
        let live = live(live_revision, &notes);
        let members: Vec<Member> =
            if text.contains("missing") { "ls" } else { "lss" }.chars().enumerate().map(member).collect();
        let (name, _) = text.split_once(' ').unwrap_or((text, ""));
        let step = step(name);
        let chosen = choose(&Facts {
            live: Some(&live),
            desired: "new",
            members: &members,
            step: &step,
            held: text.contains("held"),
            unproven: false,
            migrating: text.contains("migrating"),
            replicas: 3,
        });
        let instead =
            chosen.instead.as_ref().and_then(|template| template.metadata.as_ref()?.annotations.clone());
        (instead.map_or("new".to_owned(), |annotations| annotations[REVISION].clone()), chosen)
    }

    #[rstest]
    #[case::first_step(TEMPLATE, "", "replace", "new")]
    #[case::paused(TEMPLATE, "", "wait held", TEMPLATE)]
    #[case::repair_while_paused(TEMPLATE, "", "replace held", TEMPLATE)]
    #[case::a_pod_terminates(TEMPLATE, "", "wait", TEMPLATE)]
    #[case::a_pod_cannot_be_created(TEMPLATE, "", "wait missing", "new")]
    #[case::a_missing_pod_while_paused(TEMPLATE, "", "wait missing held", TEMPLATE)]
    #[case::repair_after_a_failed_canary(TEMPLATE, "", "repair", TEMPLATE)]
    #[case::canary_starts("new", TEMPLATE, "wait", "new")]
    #[case::canary_fails("new", TEMPLATE, "stop", TEMPLATE)]
    #[case::canary_failed(TEMPLATE, "", "stop", TEMPLATE)]
    #[case::paused_while_the_canary_starts("new", TEMPLATE, "wait held", TEMPLATE)]
    #[case::a_later_node_fails("new", "", "stop", "new")]
    #[case::a_later_node_waits("new", "", "replace held", "new")]
    #[case::seal_migration("new", TEMPLATE, "stop migrating", "new")]
    #[case::settled("new", "", "settled", "new")]
    fn the_set_has_the_last_template_that_served_unless_the_change_may_proceed(
        #[case] live: &str,
        #[case] before: &str,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        let (revision, chosen) = chosen(live, before, text);
        assert_eq!(revision, expected);
        assert_eq!(chosen.memory.get(WITHHELD).map(String::as_str), (expected != "new").then_some("new"));
    }

    #[test]
    fn the_template_before_is_kept_until_a_node_of_the_new_one_serves() {
        let (_, first) = chosen(TEMPLATE, "", "replace");
        assert_eq!(
            first.memory[SERVED],
            json!(serde_json::from_value::<PodTemplateSpec>(template_of(TEMPLATE)).unwrap()).to_string()
        );
        let (_, starting) = chosen("new", TEMPLATE, "wait");
        assert_eq!(starting.memory[SERVED], template_of(TEMPLATE).to_string());
        let live = live("new", &json!({SERVED: template_of(TEMPLATE).to_string(), WITHHELD: "new"}));
        let mut member = member((0, 's'));
        let mut pod = (*member.pod).clone();
        pod.annotations_mut().insert(REVISION.to_owned(), "new".to_owned());
        member.pod = std::sync::Arc::new(pod);
        let facts = Facts {
            live: Some(&live),
            desired: "new",
            members: &[member],
            step: &Step::Settled,
            held: false,
            unproven: false,
            migrating: false,
            replicas: 1,
        };
        let unproven = choose(&Facts { unproven: true, ..facts }).memory;
        assert_eq!(unproven[SERVED], template_of(TEMPLATE).to_string(), "kept until the check has passed");
        let served = choose(&facts).memory;
        assert_eq!((served[SERVED].as_str(), served[WITHHELD].as_str()), ("", ""));
        assert!(is_withheld(&live) && !has_served(&live));
    }

    #[test]
    fn the_first_set_has_the_desired_template() {
        let facts = Facts {
            live: None,
            desired: "new",
            members: &[],
            step: &Step::Wait("w".to_owned()),
            held: true,
            unproven: false,
            migrating: false,
            replicas: 3,
        };
        assert_eq!(choose(&facts), Template { instead: None, memory: BTreeMap::new() });
    }
}
