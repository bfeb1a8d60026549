//! Restarts of the workloads of an object, step by step.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use steamer_runtime::{Key, Locked, ObjectName};

use super::batches::{Batches, Selected};
use super::outcome::{MOST, Outcome, Seen};
use super::owed::Owed;
use super::plan::{State, plan};
use super::problem::{Problem, is_missing};
use super::progress::Progress;
use super::selection;
use super::workload::{Found, Workload, resource};

/// Field manager of the writes.
const MANAGER: &str = "steamer-restarts";
/// How often a restart is repeated that another client overtook.
const ATTEMPTS: usize = 4;
/// How often the rollouts are looked at on which others wait.
const POLL: Duration = Duration::from_secs(5);

/// The restarts of all objects.
pub(crate) struct Restarts {
    client: Client,
    batches: Locked<Batches>,
}

impl Restarts {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, batches: Locked::default() }
    }

    /// Discards the restarts of an object that owes none.
    pub(crate) fn forget(&self, object: &Key) {
        self.batches.lock().forget(object);
    }

    /// Makes the next step. Returns the pause before it, or its outcome.
    pub(crate) async fn step(&self, owed: &Owed<'_>) -> Result<Outcome, Duration> {
        let selected = self.selected(owed).await;
        if let Some(pause) = self.batches.lock().pause(&owed.object, Instant::now()) {
            return Err(pause);
        }
        Ok(self.restart(owed, selected).await)
    }

    /// The pause after an outcome. None if no restart is owed anymore.
    pub(crate) fn pause_after(&self, owed: &Owed<'_>, outcome: &Outcome) -> Option<Duration> {
        let mut batches = self.batches.lock();
        if outcome.is_failed() {
            return Some(batches.failed(&owed.object));
        }
        if outcome.is_finished() {
            batches.forget(&owed.object);
            return None;
        }
        Some(POLL)
    }

    /// The workloads that a change restarts. Kinds that cannot be listed are omitted.
    pub(crate) async fn chosen(&self, owed: &Owed<'_>) -> Vec<String> {
        let selected = selection::selected(&self.client, owed).await;
        selected.workloads.iter().map(ToString::to_string).collect()
    }

    /// Looks at the targets of an object that owes no restart, and restarts nothing. Returns the problems that remain.
    pub(crate) async fn review(&self, owed: &Owed<'_>) -> Outcome {
        let Selected { workloads, mut problems } = selection::targeted(&self.client, owed).await;
        for workload in &workloads {
            if owed.names(workload)
                && let Seen::Problem(problem) = self.look(owed, workload).await
            {
                problems.push(problem);
            }
        }
        let restarted = owed.restarted().map(|workload| (workload, Seen::Restarted(Progress::RolledOut)));
        Outcome { workloads: restarted.collect(), problems }
    }

    /// Whether no workload that was restarted for the last change runs pods with the former value.
    pub(crate) async fn are_rolled_out(&self, owed: &Owed<'_>) -> bool {
        let Some(workloads) = self.restarted(owed).await else {
            return false;
        };
        for workload in workloads {
            let is_replaced = match self.api(&workload).get_opt(&workload.name.name).await {
                Ok(Some(object)) => Found::new(workload.kind, object).is_replaced(),
                Ok(None) => true,
                Err(_) => false,
            };
            if !is_replaced {
                return false;
            }
        }
        true
    }

    /// The workloads that were restarted for the last change. The status lists a limited number: beyond it, they are selected
    /// again. None if they cannot be read.
    async fn restarted(&self, owed: &Owed<'_>) -> Option<Vec<Workload>> {
        let mut restarted: Vec<Workload> = owed.restarted().collect();
        if restarted.len() >= MOST {
            let Selected { workloads, problems } = selection::selected(&self.client, owed).await;
            if problems.iter().any(|problem| !problem.is_final) {
                return None;
            }
            restarted.extend(workloads);
        }
        Some(restarted)
    }

    async fn selected(&self, owed: &Owed<'_>) -> Selected {
        let known = self.batches.lock().selected(&owed.object, &owed.change, owed.generation);
        if let Some(selected) = known {
            return selected;
        }
        let selected = selection::selected(&self.client, owed).await;
        self.batches.lock().note(owed.object.clone(), owed.pending(selected.clone()), Instant::now());
        selected
    }

    async fn restart(&self, owed: &Owed<'_>, Selected { workloads, problems }: Selected) -> Outcome {
        let mut outcome = Outcome { workloads: Vec::new(), problems };
        for workload in workloads {
            let seen = self.look(owed, &workload).await;
            outcome.workloads.push((workload, seen));
        }
        let states: Vec<State> = outcome.workloads.iter().map(|(_, seen)| seen.state()).collect();
        for position in plan(&states, owed.limit()) {
            let (workload, seen) = &mut outcome.workloads[position];
            if let Seen::Owed(found) = std::mem::replace(seen, Seen::Gone) {
                *seen = self.patched(owed, workload, found).await;
            }
        }
        outcome
    }

    /// The state of a workload. One that the status lists is read only if others wait for its rollout.
    async fn look(&self, owed: &Owed<'_>, workload: &Workload) -> Seen {
        let is_recorded = owed.is_recorded(workload);
        if is_recorded && owed.limit().is_none() {
            return Seen::Restarted(Progress::RolledOut);
        }
        let object = match self.api(workload).get(&workload.name.name).await {
            Ok(object) => object,
            Err(kube::Error::Api(status)) if is_missing(&status) && owed.names(workload) => {
                return Seen::Problem(Problem::missing(workload));
            }
            Err(kube::Error::Api(status)) if is_missing(&status) => return Seen::Gone,
            Err(error) => {
                return Seen::Problem(Problem::of(workload.kind, &format!("read {workload}"), error));
            }
        };
        let found = Found::new(workload.kind, object);
        if is_recorded || found.is_restarted(owed.secret, &owed.change) {
            return Seen::Restarted(found.progress());
        }
        if found.is_of_cluster() {
            return Seen::Problem(Problem::of_cluster(workload));
        }
        Seen::Owed(Box::new(found))
    }

    /// Restarts a workload for all changes that wait.
    async fn patched(&self, owed: &Owed<'_>, workload: &Workload, mut found: Box<Found>) -> Seen {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        for _ in 0..ATTEMPTS {
            let mut changes = self.batches.lock().changes(workload);
            changes.insert(owed.secret.to_owned(), owed.change.clone());
            let patch = Patch::Merge(found.patch(&changes, Timestamp::now()));
            match self.api(workload).patch(&workload.name.name, &parameters, &patch).await {
                Ok(object) => {
                    tracing::info!(%workload, secret = owed.secret, "workload restarted");
                    return Seen::Patched(Found::new(workload.kind, object).progress());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(error) => {
                    return Seen::Problem(Problem::of(workload.kind, &format!("restart {workload}"), error));
                }
            }
            match self.look(owed, workload).await {
                Seen::Owed(again) => found = again,
                seen => return seen,
            }
        }
        Seen::Problem(Problem::contended(workload))
    }

    fn api(&self, workload: &Workload) -> Api<DynamicObject> {
        let ObjectName { namespace, .. } = &workload.name;
        Api::namespaced_with(self.client.clone(), namespace, &resource(workload.kind))
    }
}
