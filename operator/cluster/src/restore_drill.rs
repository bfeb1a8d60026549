//! Restore drill: a restored copy of the database is opened with the seal and the recovery keys. [`observe`] reads; the rest is pure.
//!
//! An OpenBao that led on the copy would revoke leases and rotate passwords in systems that the present one uses. A process in
//! recovery mode runs no mount and no lease. The Secret of a drill is created first and deleted last, after the result is in
//! the status.

pub(crate) mod objects;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use steamer_api::{DrillResult, RestoreDrill, RestoreDrillState};
use steamer_core::windows::Schedule;
use steamer_runtime::ObjectName;

use crate::cluster::RESTORE_DRILL;
use crate::effects::Sources;

/// Suffix of the name of the Secret and of the Job.
const SUFFIX: &str = "-restore-drill";
/// Container that opens the copy.
pub(crate) const CONTAINER: &str = "drill";
/// Longest value of the annotation.
const LONGEST: usize = 63;
/// Time after the timeout in which the Job ends.
const MARGIN: Duration = Duration::from_secs(60);
/// Longest message in the status.
const MESSAGE: usize = 1000;
/// Annotation of the Secret: start, in seconds since the epoch.
const SINCE: &str = "steamer.dev/restore-drill-since";
/// Annotation of the Secret: time of the last renewal of the lock in the copy, in seconds since the epoch.
const DATA: &str = "steamer.dev/restore-drill-data";

/// A drill whose Secret exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Value of the annotation that requested it.
    pub(crate) request: Option<String>,
    pub(crate) since: Timestamp,
    /// Time of the last renewal of the lock in the copy, in seconds since the epoch.
    pub(crate) renewal: Option<i64>,
}

/// State of the Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Missing,
    Runs,
    /// It ended, with the message of its container.
    Ended(DrillResult, String),
}

/// Objects of a drill that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) begun: Option<Begun>,
    pub(crate) progress: Progress,
}

/// Next step of a drill.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// None is due.
    None,
    /// One is due, and cannot start now.
    Refused(String),
    /// One starts, for this value of the annotation.
    Start(Option<String>),
    /// The Job of a drill that was interrupted is created.
    Resume(Begun),
    Wait(Begun),
    /// The result is recorded.
    Record(RestoreDrillState),
    /// The objects are deleted.
    Remove,
}

/// Facts that determine the next step.
pub(crate) struct Facts<'a> {
    pub(crate) drill: Option<&'a RestoreDrill>,
    /// Value of the annotation.
    pub(crate) asked: Option<&'a str>,
    pub(crate) last: Option<&'a RestoreDrillState>,
    pub(crate) live: &'a Live,
    /// Creation of the cluster.
    pub(crate) created: Timestamp,
    /// Reason why none can start.
    pub(crate) obstacle: Option<String>,
    /// No process of the cluster may run.
    pub(crate) must_stop: bool,
    pub(crate) now: Timestamp,
}

impl Facts<'_> {
    pub(crate) fn step(&self) -> Step {
        let Some(begun) = &self.live.begun else { return self.idle() };
        let Some(drill) = self.drill.filter(|_| !self.must_stop && !self.is_recorded(begun)) else {
            return Step::Remove;
        };
        let is_late = self.now.duration_since(begun.since).unsigned_abs() > drill.timeout.get() + MARGIN;
        match &self.live.progress {
            Progress::Ended(result, message) => Step::Record(self.state(begun, *result, message)),
            _ if is_late => Step::Record(self.state(begun, DrillResult::Failed, "no result in time")),
            // For example, the cluster is suspended.
            Progress::Missing if self.obstacle.is_some() => Step::Wait(begun.clone()),
            Progress::Missing => Step::Resume(begun.clone()),
            Progress::Runs => Step::Wait(begun.clone()),
        }
    }

    fn is_recorded(&self, begun: &Begun) -> bool {
        self.last.is_some_and(|last| last.last_time.0 == begun.since)
    }

    fn idle(&self) -> Step {
        let Some(drill) = self.drill else { return Step::None };
        let recorded = self.last.and_then(|last| last.request.as_deref());
        let asked = self.asked.filter(|asked| recorded != Some(*asked));
        let is_due = asked.is_some() || self.scheduled(drill).is_some_and(|at| at <= self.now);
        match (&self.obstacle, asked) {
            _ if !is_due => Step::None,
            (_, Some(asked)) if asked.is_empty() || asked.len() > LONGEST => Step::Refused(format!(
                "set the annotation {RESTORE_DRILL} to a value of 1 to {LONGEST} characters, other than the last one"
            )),
            (Some(obstacle), _) => Step::Refused(obstacle.clone()),
            (None, asked) => Step::Start(asked.map(str::to_owned)),
        }
    }

    /// The next time of the schedule after the last drill.
    fn scheduled(&self, drill: &RestoreDrill) -> Option<Timestamp> {
        let schedule = drill.schedule.as_deref()?;
        let schedule = Schedule::parse(schedule, drill.time_zone.as_deref(), "").ok()?;
        schedule.next(self.last.map_or(self.created, |last| last.last_time.0))
    }

    /// The state of a drill that ended now.
    pub(crate) fn state(&self, begun: &Begun, result: DrillResult, message: &str) -> RestoreDrillState {
        let Begun { request, since, renewal } = begun;
        let before = self.last.and_then(|last| last.last_success.clone());
        let is_success = result == DrillResult::Succeeded;
        RestoreDrillState {
            last_time: Time(*since),
            request: request.clone().or_else(|| self.last.and_then(|last| last.request.clone())),
            result,
            message: message.chars().take(MESSAGE).collect(),
            duration_seconds: self.now.duration_since(*since).as_secs().max(0),
            data_age_seconds: renewal.map(|renewal| (since.as_second() - renewal).max(0)),
            last_success: if is_success { Some(Time(*since)) } else { before },
        }
    }
}

impl Begun {
    /// Annotations of the Secret.
    pub(crate) fn notes(&self) -> BTreeMap<String, String> {
        let Self { request, since, renewal } = self;
        let notes = [
            (RESTORE_DRILL, request.clone()),
            (SINCE, Some(since.as_second().to_string())),
            (DATA, renewal.map(|renewal| renewal.to_string())),
        ];
        notes.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// The drill of a Secret. A Secret without its annotations is of a drill that is over.
    pub(crate) fn of(secret: &Secret) -> Self {
        let note = |key| secret.annotations().get(key);
        let since = note(SINCE).and_then(|since| Timestamp::from_second(since.parse().ok()?).ok());
        Self {
            request: note(RESTORE_DRILL).cloned(),
            since: since.unwrap_or(Timestamp::UNIX_EPOCH),
            renewal: note(DATA).and_then(|renewal| renewal.parse().ok()),
        }
    }
}

impl Progress {
    /// The progress of a Job, with the message of its container.
    pub(crate) fn of(job: Option<&Job>, message: Option<String>) -> Self {
        let Some(job) = job else { return Self::Missing };
        let conditions =
            job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let is = |kind: &str| {
            conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")
        };
        match (is("Complete"), is("Failed")) {
            (Some(_), _) => Self::Ended(DrillResult::Succeeded, message.unwrap_or_default()),
            (None, Some(failed)) => {
                let reason = || failed.message.clone().unwrap_or_default();
                Self::Ended(DrillResult::Failed, message.unwrap_or_else(reason))
            }
            (None, None) => Self::Runs,
        }
    }
}

impl Step {
    /// Returns true if a step is due now.
    pub(crate) fn is_due(&self) -> bool {
        !matches!(self, Self::None | Self::Refused(_) | Self::Wait(_))
    }
}

/// The objects of a drill. Only a drill in progress costs a request.
pub(crate) async fn observe(sources: &Sources<'_>) -> Live {
    let name = name(&sources.child_api.cluster);
    let Some(secret) = sources.child_api.get::<Secret>(&name) else {
        return Live { begun: None, progress: Progress::Missing };
    };
    let progress = match sources.child_api.api::<Job>().get_opt(&name).await {
        Ok(job) => {
            let message = job.as_ref().and_then(|job| message(&sources.child_api.all::<Pod>(), job));
            Progress::of(job.as_ref(), message)
        }
        // The time limit applies in the meantime.
        Err(_) => Progress::Runs,
    };
    Live { begun: Some(Begun::of(&secret)), progress }
}

/// The message of the container that opens the copy.
fn message(pods: &[Arc<Pod>], job: &Job) -> Option<String> {
    let uid = job.metadata.uid.as_ref()?;
    let pod = pods.iter().find(|pod| pod.owner_references().iter().any(|owner| owner.uid == *uid))?;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == CONTAINER)?;
    status.state.as_ref()?.terminated.as_ref()?.message.clone()
}

/// Name of the Secret and of the Job.
pub(crate) fn name(cluster: &ObjectName) -> String {
    format!("{}{SUFFIX}", cluster.name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn begun(since: i64) -> Begun {
        Begun { request: Some("a".to_owned()), since: at(since), renewal: Some(since - 90) }
    }

    fn last(since: i64, request: Option<&str>) -> RestoreDrillState {
        RestoreDrillState {
            last_time: Time(at(since)),
            request: request.map(str::to_owned),
            result: DrillResult::Succeeded,
            message: String::new(),
            duration_seconds: 1,
            data_age_seconds: None,
            last_success: Some(Time(at(since))),
        }
    }

    fn drill(schedule: Value) -> RestoreDrill {
        serde_json::from_value(json!({"schedule": schedule, "databaseSecretRef": {"name": "copy"}})).unwrap()
    }

    fn said(step: &Step) -> String {
        match step {
            Step::None => "none".to_owned(),
            Step::Refused(why) => why.clone(),
            Step::Start(request) => format!("start {}", request.as_deref().unwrap_or("scheduled")),
            Step::Resume(_) => "resume".to_owned(),
            Step::Wait(_) => "wait".to_owned(),
            Step::Record(state) => format!("{:?} {}", state.result, state.message),
            Step::Remove => "remove".to_owned(),
        }
    }

    fn facts<'a>(drill: &'a RestoreDrill, live: &'a Live) -> Facts<'a> {
        Facts {
            drill: Some(drill),
            asked: None,
            last: None,
            live,
            created: at(NOW - 60),
            obstacle: None,
            must_stop: false,
            now: at(NOW),
        }
    }

    fn none() -> Live {
        Live { begun: None, progress: Progress::Missing }
    }

    #[rstest]
    #[case::nothing_requested(Value::Null, None, "none")]
    #[case::requested(Value::Null, Some("a"), "start a")]
    #[case::empty_request(Value::Null, Some(""), "set the annotation steamer.dev/restore-drill to a value")]
    // It is 13:46:40.
    #[case::due(json!("46 13 * * *"), None, "start scheduled")]
    #[case::not_due(json!("47 13 * * *"), None, "none")]
    #[case::requested_before_it_is_due(json!("47 13 * * *"), Some("a"), "start a")]
    fn a_drill_starts_on_request_or_on_schedule(
        #[case] schedule: Value,
        #[case] asked: Option<&str>,
        #[case] expected: &str,
    ) {
        let (drill, live) = (drill(schedule), none());
        let text = said(&Facts { asked, ..facts(&drill, &live) }.step());
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_request_and_a_time_start_one_drill() {
        let (drill, live, last) = (drill(json!("46 13 * * *")), none(), last(NOW - 10, Some("a")));
        let asked = || Facts { asked: Some("a"), ..facts(&drill, &live) };
        assert_eq!(said(&asked().step()), "start a");
        assert_eq!(said(&Facts { last: Some(&last), ..asked() }.step()), "none");
        let obstacle = Some("no recovery keys".to_owned());
        assert_eq!(said(&Facts { obstacle, ..asked() }.step()), "no recovery keys");
    }

    #[rstest]
    #[case::runs(Progress::Runs, NOW - 60, "wait")]
    #[case::interrupted(Progress::Missing, NOW - 60, "resume")]
    #[case::succeeded(Progress::Ended(DrillResult::Succeeded, "ok".to_owned()), NOW - 60, "Succeeded ok")]
    #[case::failed(Progress::Ended(DrillResult::Failed, "no".to_owned()), NOW - 60, "Failed no")]
    #[case::late(Progress::Runs, NOW - 661, "Failed no result in time")]
    #[case::result_was_deleted(Progress::Missing, NOW - 661, "Failed no result in time")]
    fn the_result_is_recorded_and_an_interrupted_drill_continues(
        #[case] progress: Progress,
        #[case] since: i64,
        #[case] expected: &str,
    ) {
        let (drill, live) = (drill(Value::Null), Live { begun: Some(begun(since)), progress });
        assert_eq!(said(&facts(&drill, &live).step()), expected);
    }

    #[test]
    fn an_interrupted_drill_does_not_continue_while_the_cluster_is_suspended() {
        let live = Live { begun: Some(begun(NOW - 60)), progress: Progress::Missing };
        let (drill, obstacle) = (drill(Value::Null), Some("suspended".to_owned()));
        assert_eq!(said(&Facts { obstacle, ..facts(&drill, &live) }.step()), "wait");
    }

    #[test]
    fn objects_are_removed_once_the_result_is_recorded_or_not_wanted() {
        let live = Live { begun: Some(begun(NOW - 60)), progress: Progress::Runs };
        let (drill, recorded) = (drill(Value::Null), last(NOW - 60, Some("a")));
        let facts = || facts(&drill, &live);
        assert_eq!(Facts { drill: None, ..facts() }.step(), Step::Remove);
        assert_eq!(Facts { must_stop: true, ..facts() }.step(), Step::Remove);
        assert_eq!(Facts { last: Some(&recorded), ..facts() }.step(), Step::Remove);
    }

    #[test]
    fn the_status_contains_age_and_duration_and_keeps_the_last_success() {
        let (drill, live, before) = (drill(Value::Null), none(), last(NOW - 9000, None));
        let facts = Facts { last: Some(&before), ..facts(&drill, &live) };
        let state = facts.state(&begun(NOW - 60), DrillResult::Failed, "no");
        assert_eq!((state.duration_seconds, state.data_age_seconds), (60, Some(90)));
        assert_eq!(state.last_success, Some(Time(at(NOW - 9000))));
        assert_eq!(state.request.as_deref(), Some("a"));
    }

    #[test]
    fn a_drill_is_found_again_by_its_secret() {
        let mut secret = Secret::default();
        secret.metadata.annotations = Some(begun(NOW).notes());
        assert_eq!(Begun::of(&secret), begun(NOW));
        assert_eq!(Begun::of(&Secret::default()).since, Timestamp::UNIX_EPOCH);
    }
}
