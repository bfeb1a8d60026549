//! The next changes to the Kubernetes objects and the database of a cluster. Pure.

mod changes;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use steamer_api::Fencing;
use steamer_core::error::Error;
use steamer_runtime::describe;

use crate::cluster::{Cluster, Mode};
use crate::database::logins;
use crate::database::logins::Logins;
use crate::database::storage::Storage;
use crate::first_start;
use crate::first_start::{InitialAccess, Start};
use crate::managed::cause::{is_rolled_out, record};
use crate::managed::input::Input;
use crate::managed::last_valid;
use crate::managed::observe::Observed;
use crate::managed::rollouts::{Chosen, Rollouts};
use crate::nodes::configuration::{Configured, Facts, choose, unused};
use crate::nodes::replace::{Rollout, count_updated};
use crate::nodes::rollout::Step;
use crate::nodes::scale::{Scale, replicas};
use crate::nodes::template;
use crate::objects::configuration::{check_plugins, configuration};
use crate::objects::network_policy::outside_ports;
use crate::objects::seal::SealSettings;
use crate::objects::stateful_set::{Inputs, revision};
use crate::objects::validation_job;
use crate::restore;
use crate::seal::keys::StaticKeys;
use crate::seal::migration::Migration;
use crate::seal::{identity, keys, migration, rotation};

pub(crate) use changes::{Plan, PodChanges, Pods, SetChanges, Surroundings};

/// Plans the next changes.
pub(crate) fn plan(input: Input<'_>, observed: &Observed, now: Timestamp) -> Plan {
    let mut plan = Plan {
        keys: keys::recorded(input.cluster, input.found.last.seal.as_ref()),
        surroundings: None,
        pods: Pods::Unchanged,
        rollout: Rollout::waiting("objects are being created"),
        trouble: None,
    };
    let planner = Planner { input, observed, now, rollouts: Rollouts::new(input, observed, now) };
    match input.cluster.mode {
        Mode::Active => {}
        Mode::Suspended => {
            plan.pods = planner.maintain();
            plan.rollout.step = Step::Settled;
            return plan;
        }
        Mode::Restoring | Mode::Hibernating => plan.rollout.step = Step::Settled,
    }
    let trouble = planner.complete(&mut plan).err();
    plan.trouble = trouble.or_else(|| observed.contested());
    plan
}

/// The error of a plan without a certificate.
fn no_certificate(error: &Arc<Error>) -> Arc<Error> {
    match &**error {
        Error::Repeated(..) => Arc::clone(error),
        error => Arc::new(Error::Waiting(format!("certificates: {}", describe(error)))),
    }
}

/// Input of a plan.
struct Planner<'a> {
    input: Input<'a>,
    observed: &'a Observed,
    now: Timestamp,
    rollouts: Rollouts<'a>,
}

impl Planner<'_> {
    /// Adds changes to the plan. The first error ends it and prevents only the later changes.
    fn complete(&self, plan: &mut Plan) -> Result<(), Arc<Error>> {
        let Self { input: Input { cluster, .. }, observed, .. } = *self;
        match self.keys() {
            Ok(Some(keys)) => plan.keys = keys,
            Ok(None) => {}
            Err(error) => {
                plan.pods = self.maintain();
                return Err(error);
            }
        }
        let seal = migration::settings(cluster, plan.keys.keys.as_ref(), observed.migration)?;
        check_plugins(cluster, &seal)?;
        plan.surroundings = Some(Surroundings {
            ports: outside_ports(&seal, &self.input.found.issuers),
            keeps_egress: !is_rolled_out(self.input, observed),
        });
        if let Err(error) = &observed.certificate {
            return Err(no_certificate(error));
        }
        let Ok(storage) = &observed.storage else {
            // Running nodes continue without the database. The StatefulSet is neither created nor changed.
            let repair = self.rollouts.repair().filter(|_| !cluster.mode.stops_nodes());
            plan.pods = repair.map_or(Pods::Unchanged, |repair| Pods::Repaired(None, repair));
            return Ok(());
        };
        self.check_pods_may_change(storage)?;
        self.change_pods(plan, storage, &seal)
    }

    /// The keys of a static seal after the next step of a rotation, if they are known.
    fn keys(&self) -> Result<Option<StaticKeys>, Arc<Error>> {
        let Observed { keys, seal, members, live, storage, .. } = self.observed;
        let keys = match keys {
            // Without its Secret nothing is decided: running nodes continue.
            Err(error) if matches!(**error, Error::NotFound { .. }) => {
                return Err(Arc::new(Error::Waiting(seal.text().to_owned())));
            }
            keys => keys.as_ref().map_err(Arc::clone)?,
        };
        let (Some(keys), Ok(storage)) = (keys, storage) else { return Ok(None) };
        let updated = live.as_ref().map(|live| count_updated(members, revision(live)));
        let facts = rotation::Facts {
            rolled_out: updated == Some(self.cluster().nodes())
                && !live.as_deref().is_some_and(template::is_withheld),
            rewrapped: keys.rewrapped,
            recovery_keys: storage.contents.recovery_keys,
        };
        Ok(Some(keys::plan(self.cluster(), keys, facts)?))
    }

    /// Refuses to create or change pods that could not start.
    fn check_pods_may_change(&self, storage: &Storage) -> Result<(), Error> {
        let Observed { live, seal, members, .. } = self.observed;
        if (live.is_none() || self.is_stopped()) && !seal.opens() {
            return Err(Error::Waiting(format!("no pod is created before the seal opens: {}", seal.text())));
        }
        let migration = migration::state(self.cluster(), &storage.contents)?;
        if migration == Migration::InProgress && !storage.contents.recovery_keys {
            return Err(Error::Waiting(
                "changing the seal type needs recovery keys, which do not exist yet".to_owned(),
            ));
        }
        if storage.contents.self_init_failed && first_start::is_settled(members, self.now) {
            return Err(first_start::failed());
        }
        if self.is_stopped() { self.check_data(storage, migration) } else { Ok(()) }
    }

    /// Returns true if no node runs, as before the first start, and after a restore or a hibernation.
    fn is_stopped(&self) -> bool {
        self.are_absent() && self.live_replicas().unwrap_or(0) == 0
    }

    /// Returns true if no pod exists, except for pods whose end is overdue: a restore does not wait for these either.
    fn are_absent(&self) -> bool {
        self.observed.members.iter().all(|member| restore::is_overdue(&member.pod, self.now))
    }

    /// Refuses to start the first node with the data of another OpenBao, or with a key other than that of the data.
    fn check_data(&self, storage: &Storage, migration: Migration) -> Result<(), Error> {
        let Input { cluster, found, .. } = self.input;
        let last = found.last.cluster_id.as_deref();
        if let Some(error) = restore::foreign_record(cluster, last, storage.openbao_id.as_deref()) {
            return Err(error);
        }
        if cluster.takes_over {
            return Ok(());
        }
        let seal = migration::previous(cluster, migration).unwrap_or_else(|| migration::own(cluster));
        let stored = storage.wrapping_keys.as_deref().unwrap_or_default();
        identity::check(seal, &cluster.spec.pod_template.env, stored)
    }

    fn change_pods(&self, plan: &mut Plan, storage: &Storage, seal: &SealSettings) -> Result<(), Arc<Error>> {
        let Input { cluster, found, .. } = self.input;
        let changes =
            PodChanges { logins: self.logins(storage), initialization: None, set: None, repair: None };
        plan.pods = Pods::Changed(Box::new(changes));
        let Pods::Changed(changes) = &mut plan.pods else { return Ok(()) };
        let access = InitialAccess { operator: &found.operator, issuers: &found.issuers };
        let initialization = first_start::plan(cluster, self.input.start(), &storage.contents, &access)?;
        changes.initialization = Some(initialization);
        changes.repair = self.rollouts.repair();
        let (set, refused) = self.change_set(storage, seal)?;
        changes.set = Some(set);
        refused.map_or(Ok(()), |error| Err(Arc::new(error)))
    }

    /// The desired StatefulSet, and the reason why its configuration is not the desired one.
    fn change_set(
        &self,
        storage: &Storage,
        seal: &SealSettings,
    ) -> Result<(SetChanges, Option<Error>), Arc<Error>> {
        let Observed { headers, start_digest, members, .. } = self.observed;
        let cluster = self.cluster();
        // Without fences, the process in a pod whose end is overdue can still have the lock.
        let fences = cluster.fencing == Fencing::Database;
        let headers = headers.as_ref().map_err(Arc::clone)?;
        let chosen = choose(&self.configuration_facts(), configuration(cluster, seal, headers));
        let Configured { configuration, memory, write, refused } = chosen;
        let inputs = Inputs {
            configuration: &configuration,
            seal,
            started_with: start_digest.as_ref().map_err(Arc::clone)?,
            replicas: replicas(self.scale(storage)),
            annotations: &memory,
        };
        let mut set = self.rollouts.stateful_set(&inputs);
        record(self.input, self.observed, &mut set);
        last_valid::record(self.input, self.live(), &mut set);
        let Chosen { set, rollout, is_desired, check } = self.rollouts.choose_template(set);
        let changes = SetChanges {
            configuration: write.filter(|_| is_desired),
            clears_locks: self.live_replicas() == Some(0)
                && (members.is_empty() || fences && self.are_absent())
                && self.live().is_some_and(restore::is_blocked),
            rollout,
            check: check.and_then(|(job, pod)| self.check(&job, &pod)),
            unseal: if self.observed.is_migrating() { migration::sealed(members) } else { Vec::new() },
            unused: if storage.contents.initialized { self.unused(&set) } else { Vec::new() },
            is_desired,
            stateful_set: set,
        };
        Ok((changes, refused))
    }

    /// The Job that checks the node in a pod.
    fn check(&self, name: &str, pod: &str) -> Option<Box<Job>> {
        let validation = self.cluster().spec.upgrade.validation.as_ref()?;
        Some(Box::new(validation_job::job(self.cluster(), validation, name, pod)))
    }

    /// Duties that go on without a change: interrupted fences, and the repair of nodes.
    fn maintain(&self) -> Pods {
        let step = self
            .live()
            .filter(|_| !self.cluster().mode.stops_nodes())
            .and_then(|live| self.rollouts.repair_step(live));
        let storage = self.observed.storage.as_ref().ok();
        let logins = storage.map(|storage| self.logins(storage));
        Pods::Repaired(logins, Rollout { step: step.unwrap_or(Step::Settled), updated: 0 })
    }

    fn logins(&self, storage: &Storage) -> Logins {
        logins::plan(self.cluster(), storage, self.observed.logins.as_deref(), &self.input.found.last.fenced)
    }

    fn unused(&self, set: &StatefulSet) -> Vec<String> {
        let pods = self.observed.members.iter().map(|member| &*member.pod);
        unused(self.cluster(), &self.observed.config_maps, set, pods)
    }

    fn configuration_facts(&self) -> Facts<'_> {
        Facts {
            cluster: self.cluster(),
            live: self.live(),
            members: &self.observed.members,
            config_maps: &self.observed.config_maps,
            can_start: self.observed.can_start(),
            migrating: self.observed.is_migrating(),
            leaderless_for: self.input.guard_report.leaderless_for(),
            patience: self.observed.waits.failed(),
            now: self.now,
        }
    }

    fn scale(&self, storage: &Storage) -> Scale {
        Scale {
            live: self.live_replicas(),
            desired: self.cluster().spec.replicas,
            initialized: self.input.start() == Start::Completed,
            has_data: storage.contents.initialized,
            seal_opens: self.observed.seal.opens(),
        }
    }

    fn cluster(&self) -> &Cluster {
        self.input.cluster
    }

    fn live(&self) -> Option<&StatefulSet> {
        self.observed.live.as_deref()
    }

    fn live_replicas(&self) -> Option<i32> {
        self.live()?.spec.as_ref()?.replicas
    }
}

#[cfg(test)]
mod tests;
