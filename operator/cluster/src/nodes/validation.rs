//! Check of a rollout by a Job, after the first node of the new template serves. Pure.
//!
//! The state follows from the Job, which is named after the revision of the template: a restart of the operator repeats
//! nothing, and a change that is taken back needs no check.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::nodes::members::Member;
use crate::nodes::replace::Rollout;
use crate::nodes::rollout::Step;

/// Annotation of the StatefulSet: revision of the last template that passed its check, or that all nodes had.
const VALIDATED: &str = "steamer.dev/validated-revision";
/// Digits of the revision in the name of a Job.
const DIGITS: usize = 10;

/// State of the check of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// None is configured, or the template has passed it.
    Passed,
    /// No Job exists.
    Missing,
    Running,
    /// The API server does not return the Jobs.
    Unknown,
    /// The Job failed, for this reason.
    Failed(String),
}

/// Facts that determine the state.
pub(crate) struct Facts<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) live: Option<&'a StatefulSet>,
    /// Jobs of the cluster. None: unknown.
    pub(crate) jobs: Option<&'a [Job]>,
    /// Revision of the desired template.
    pub(crate) revision: &'a str,
}

impl Facts<'_> {
    pub(crate) fn check(&self) -> Check {
        let is_configured = self.cluster.spec.upgrade.validation.is_some();
        let Some(live) = self.live.filter(|_| is_configured) else { return Check::Passed };
        if live.annotations().get(VALIDATED).is_some_and(|validated| validated == self.revision) {
            return Check::Passed;
        }
        let name = name(self.cluster, self.revision);
        let Some(jobs) = self.jobs else { return Check::Unknown };
        jobs.iter().find(|job| job.name_any() == name).map_or(Check::Missing, state)
    }

    /// Records a template that needs no check again.
    pub(crate) fn record(&self, set: &mut StatefulSet, rollout: &Rollout) {
        if self.cluster.spec.upgrade.validation.is_none() {
            return;
        }
        let last = || self.live.and_then(|live| live.annotations().get(VALIDATED).cloned());
        let is_passed = rollout.step == Step::Settled;
        let validated = if is_passed { Some(self.revision.to_owned()) } else { last() };
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.extend(validated.map(|validated| (VALIDATED.to_owned(), validated)));
    }
}

/// Name of the Job for a revision.
pub(crate) fn name(cluster: &Cluster, revision: &str) -> String {
    let digits: String = revision.chars().take(DIGITS).collect();
    cluster.child(&format!("-validation-{digits}"))
}

/// The first updated node that serves.
pub(crate) fn canary(members: &[Member], revision: &str) -> Option<String> {
    let serves = |member: &&Member| member.revision() == Some(revision) && member.serves();
    members.iter().rev().find(serves).map(Member::name)
}

/// State of a Job.
fn state(job: &Job) -> Check {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is = |kind: &str| {
        conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    match (is("Complete"), is("Failed")) {
        (Some(_), _) => Check::Passed,
        (None, Some(failed)) => {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            Check::Failed(format!("{}: {}", text(&failed.reason), text(&failed.message)))
        }
        (None, None) => Check::Running,
    }
}

/// The rollout, which replaces no further node before the check of its first one has passed.
pub(crate) fn gated(rollout: Rollout, check: &Check, job: &str) -> Rollout {
    // A node that was refused can be lost: the next one is not better.
    let is_first = rollout.updated == 0 && !matches!(check, Check::Failed(_));
    if is_first || !matches!(rollout.step, Step::Replace { .. }) {
        return rollout;
    }
    let step = match check {
        Check::Passed => return rollout,
        Check::Missing => Step::Wait(format!("Job {job} is created to check the first updated node")),
        Check::Running => Step::Wait(format!("Job {job} checks the first updated node")),
        Check::Unknown => {
            Step::Wait("the API server does not return the Job of upgrade.validation".to_owned())
        }
        Check::Failed(why) => Step::Stop(format!(
            "Job {job} refused the first updated node ({why}); see `kubectl logs job/{job}`. Correct or revert the spec, or \
             delete the Job to run it again"
        )),
    };
    Rollout { step, ..rollout }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::children::Ending;
    use crate::tests::{TEMPLATE, cluster_with, member};

    fn replace() -> Step {
        Step::Replace {
            pod: "main-1".to_owned(),
            uid: "u".to_owned(),
            why: "w".to_owned(),
            ending: Ending::Graceful,
        }
    }

    fn set(validated: Option<&str>) -> StatefulSet {
        let annotations: BTreeMap<_, _> = validated.map(|it| (VALIDATED, it)).into_iter().collect();
        serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
    }

    fn check(conditions: Option<Value>, validated: Option<&str>, configured: bool) -> Check {
        let upgrade = if configured { json!({"validation": {"job": {}}}) } else { json!({}) };
        let cluster = cluster_with(json!({"upgrade": upgrade}));
        let job = |conditions| {
            let name = name(&cluster, "0123456789abcdef");
            serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": conditions}}))
                .unwrap()
        };
        let jobs: Vec<Job> = conditions.map(job).into_iter().collect();
        let live = set(validated);
        Facts { cluster: &cluster, live: Some(&live), jobs: Some(&jobs), revision: "0123456789abcdef" }
            .check()
    }

    fn condition(kind: &str) -> Option<Value> {
        Some(json!([{"type": kind, "status": "True", "reason": "r", "message": "m"}]))
    }

    #[rstest]
    #[case::not_configured(None, None, false, Check::Passed)]
    #[case::no_job(None, Some("other"), true, Check::Missing)]
    #[case::runs(Some(json!([])), None, true, Check::Running)]
    #[case::complete(condition("Complete"), None, true, Check::Passed)]
    #[case::failed(condition("Failed"), None, true, Check::Failed("r: m".to_owned()))]
    #[case::template_of_before(None, Some("0123456789abcdef"), true, Check::Passed)]
    fn the_check_follows_from_the_job(
        #[case] conditions: Option<Value>,
        #[case] validated: Option<&str>,
        #[case] configured: bool,
        #[case] expected: Check,
    ) {
        assert_eq!(check(conditions, validated, configured), expected);
    }

    #[rstest]
    #[case::first_node(0, Check::Missing, "main-1 is replaced: w")]
    #[case::canary_serves(1, Check::Missing, "Job j is created to check the first updated node")]
    #[case::runs(1, Check::Running, "Job j checks the first updated node")]
    #[case::passed(1, Check::Passed, "main-1 is replaced: w")]
    #[case::failed_and_lost(0, Check::Failed("r".to_owned()), "stopped: Job j refused the first updated node (r)")]
    #[case::failed(1, Check::Failed("r".to_owned()), "stopped: Job j refused the first updated node (r)")]
    fn no_further_node_is_replaced_before_the_check(
        #[case] updated: usize,
        #[case] check: Check,
        #[case] expected: &str,
    ) {
        let text = gated(Rollout { step: replace(), updated }, &check, "j").step.text().unwrap();
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_wait_is_not_changed_and_the_canary_is_the_node_that_serves() {
        let waiting = Rollout { updated: 1, ..Rollout::waiting("main-2 starts") };
        assert_eq!(gated(waiting.clone(), &Check::Missing, "j"), waiting);
        let members: Vec<Member> = "lsx".chars().enumerate().map(member).collect();
        assert_eq!(canary(&members, TEMPLATE).as_deref(), Some("main-1"));
        assert_eq!(canary(&members, "other"), None);
    }

    #[rstest]
    #[case(Step::Settled, "new")]
    #[case(replace(), "old")]
    fn a_complete_rollout_is_recorded(#[case] step: Step, #[case] expected: &str) {
        let cluster = cluster_with(json!({"upgrade": {"validation": {"job": {}}}}));
        let live = set(Some("old"));
        let facts = Facts { cluster: &cluster, live: Some(&live), jobs: None, revision: "new" };
        let mut desired = StatefulSet::default();
        facts.record(&mut desired, &Rollout { step, updated: 1 });
        assert_eq!(desired.annotations()[VALIDATED], expected);
    }
}
