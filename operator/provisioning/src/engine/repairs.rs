//! Writes of a plan, except those that another client undoes each time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use steamer_api::{Operation, StoppedWrite};
use steamer_core::error::Error;
use steamer_core::stops::Stops;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Locked, ObjectName};

use super::course::is_revoked;
use crate::write::{Progress, Write, execute};

/// Longest path in a message, in characters.
const LONGEST_PATH: usize = 200;

/// Executes the plans of one object.
pub(super) struct Repairs<'a> {
    pub(super) limit: &'a WriteLimit,
    pub(super) object: &'a ObjectName,
    /// Digest of the observed state.
    pub(super) before: u64,
    /// Interval at which the state is observed.
    pub(super) interval: Duration,
    /// The stopped writes of the last status.
    pub(super) stops: &'a Stops,
    /// What was written.
    pub(super) progress: Locked<Progress>,
    /// The writes of the plan that are stopped.
    pub(super) stopped: Locked<Vec<StoppedWrite>>,
}

/// A write that is stopped.
#[derive(Debug)]
struct Contested<'a>(&'a Write, StoppedWrite);

impl Contested<'_> {
    /// The error of the object. `root` is the root namespace of the cluster.
    fn into_error(self, root: &NamespacePath, stops: &Stops) -> Error {
        let Self(write, stop) = self;
        let path: String = write.described(root).path.chars().take(LONGEST_PATH).collect();
        stops.error(&path, write.operation == Operation::Create, &stop)
    }
}

impl Repairs<'_> {
    /// Executes the writes of a plan in their order. Returns [`Error::Repeated`] if one of them is stopped because
    /// another client undid it several times: all others are executed.
    ///
    /// # Errors
    /// The first error of a write. If a write is stopped, the error states both: the other one can follow from it.
    pub(super) async fn execute(&self, session: &Session, writes: &[Write]) -> Result<Option<Error>, Error> {
        let root = session.namespace();
        let (due, contested) = self.divided(root, writes, Instant::now());
        let executed = execute(session, &due, |write| self.record(write, Instant::now())).await;
        let contested = contested.map(|contested| contested.into_error(root, self.stops));
        match (executed, contested) {
            (Ok(()), contested) => Ok(contested),
            (Err(failed), None) => Err(failed),
            (Err(failed), Some(contested)) => Err(both(&contested, failed)),
        }
    }

    /// The writes that may be made, and the first stopped one.
    fn divided<'w>(
        &self,
        root: &NamespacePath,
        writes: &'w [Write],
        now: Instant,
    ) -> (Vec<&'w Write>, Option<Contested<'w>>) {
        let needed: BTreeSet<u64> = writes.iter().map(Write::resource).collect();
        self.limit.settle(self.object, |resource| needed.contains(&resource));
        let (mut due, mut contested) = (Vec::new(), None::<Contested<'w>>);
        for write in writes {
            match self.admit(root, write, now) {
                Ok(()) => due.push(write),
                Err(stop) => {
                    contested.get_or_insert(Contested(write, stop));
                }
            }
        }
        (due, contested)
    }

    fn admit(&self, root: &NamespacePath, write: &Write, now: Instant) -> Result<(), StoppedWrite> {
        if !write.is_repair() {
            return Ok(());
        }
        let (path, desired) = (root.path(&write.path()), write.desired());
        let repair = write.repetition_of(&desired, self.before, self.interval);
        let Some(stop) = self.stops.check((self.limit, self.object), (&path, &desired), repair, now) else {
            return Ok(());
        };
        self.progress.lock().paused.push(write.identity());
        self.stopped.lock().push(stop.clone());
        Err(stop)
    }

    fn record(&self, write: &Write, now: Instant) {
        match write.operation {
            Operation::Create => self.progress.lock().created.push(write.identity()),
            Operation::Update => self.progress.lock().updated.push(write.identity()),
            Operation::Delete => {}
        }
        if write.is_repair() {
            self.limit.record(self.object, write.repetition(self.before, self.interval), now);
        } else if write.is_removal() {
            for resource in write.resources() {
                self.limit.reset(self.object, resource);
            }
        }
    }
}

/// The error of a stopped write, and that of another one. An error that does not follow from the stop stays alone: OpenBao is out of
/// reach, or a right is missing.
fn both(contested: &Error, failed: Error) -> Error {
    if failed.is_out_of_reach() || is_revoked(&failed) {
        return failed;
    }
    Error::stopped(format!("{contested}; another write failed: {failed}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::{BaoPolicy, KindId, RECONCILE_ANNOTATION};
    use steamer_core::mac::Mac;
    use steamer_core::ownership::{Mark, Owner};
    use steamer_openbao::{Cas, Error as OpenBao};

    use super::*;
    use crate::write::{Call, DIFFERS, UNDESIRED, WITHDRAWN};

    fn policy(name: &str, text: &str, version: i64) -> Write {
        let call =
            Call::PutPolicy { name: name.to_owned(), text: text.to_owned(), cas: Cas::Version(version) };
        Write::update(&NamespacePath::new("org_1"), call, DIFFERS)
    }

    /// Generation of the object, and value of its reconcile annotation.
    type Version = (i64, &'static str);

    /// Version of the object before any change.
    const FIRST: Version = (1, "");

    /// Stops of a version of the object, with those of its last status.
    fn stops((generation, request): Version, known: Vec<StoppedWrite>) -> Stops {
        let spec = json!({"clusterRef": {"name": "main"}, "policy": ""});
        let mut object = BaoPolicy::new("web", serde_json::from_value(spec).unwrap());
        object.metadata.namespace = Some("ns".to_owned());
        object.metadata.generation = Some(generation);
        object.metadata.annotations =
            Some([(RECONCILE_ANNOTATION.to_owned(), request.to_owned())].into_iter().collect());
        let (owner, name) = (Owner::Object(KindId::BaoPolicy), ObjectName::new("ns", "web"));
        let mark = Mark { installation: "i".to_owned(), owner, name };
        Stops::new(&Mac::new(&[7; 32]), &mark, &object, known)
    }

    /// An operator, with what its status and its memory contain.
    struct Operator {
        limit: WriteLimit,
        status: Vec<StoppedWrite>,
    }

    impl Operator {
        /// Starts with the status of an earlier process.
        fn starting(status: Vec<StoppedWrite>) -> Self {
            Self { limit: WriteLimit::default(), status }
        }

        /// Number of executed writes of a plan.
        fn pass(&mut self, version: Version, writes: &[Write], now: Instant) -> usize {
            let (object, stops) = (ObjectName::new("ns", "web"), stops(version, self.status.clone()));
            let repairs = Repairs {
                limit: &self.limit,
                object: &object,
                before: 0,
                interval: Duration::from_secs(300),
                stops: &stops,
                progress: Locked::default(),
                stopped: Locked::default(),
            };
            let (due, contested) = repairs.divided(&NamespacePath::root(), writes, now);
            assert_eq!(due.len() < writes.len(), contested.is_some());
            due.iter().for_each(|write| repairs.record(write, now));
            let (executed, stopped) = (due.len(), repairs.stopped.lock().clone());
            assert_eq!(executed + stopped.len(), writes.len());
            self.status = stopped;
            executed
        }
    }

    #[rstest]
    #[case::same_process(FIRST, false, false, 0)]
    #[case::restart_or_another_leader(FIRST, true, false, 0)]
    #[case::changed_spec((2, ""), false, false, 5)]
    #[case::changed_spec_after_a_restart((2, ""), true, false, 5)]
    #[case::request((1, "now"), false, false, 5)]
    #[case::request_after_a_restart((1, "now"), true, false, 5)]
    #[case::equal_in_the_meantime(FIRST, false, true, 0)]
    fn a_stopped_write_is_made_again_only_after_a_change_of_the_spec_or_a_request(
        #[case] version: Version,
        #[case] restarts: bool,
        #[case] is_equal_once: bool,
        #[case] expected: usize,
    ) {
        let (mut operator, start) = (Operator::starting(Vec::new()), Instant::now());
        let writes = [policy("a", "same", 1)];
        let first: usize = (0..20).map(|_| operator.pass(FIRST, &writes, start)).sum();
        assert_eq!((first, operator.status.len(), operator.status[0].writes), (5, 1, 5));
        if restarts {
            operator = Operator::starting(operator.status);
        }
        if is_equal_once {
            assert_eq!(operator.pass(FIRST, &[], start), 0);
            assert_eq!(operator.status, Vec::new(), "OpenBao has the desired state");
        }
        let again: usize = (0..20).map(|_| operator.pass(version, &writes, start)).sum();
        assert_eq!(again, expected);
        assert_eq!(operator.status.len(), 1);
    }

    #[test]
    fn a_stopped_write_is_possible_again_a_window_after_the_desired_state_was_found() {
        let (mut operator, start) = (Operator::starting(Vec::new()), Instant::now());
        let writes = [policy("a", "same", 1)];
        while operator.pass(FIRST, &writes, start) > 0 {}
        let later = start + Duration::from_secs(86_400);
        assert_eq!(operator.pass(FIRST, &writes, later), 0);
        assert_eq!(operator.pass(FIRST, &[], later), 0);
        assert_eq!(operator.pass(FIRST, &writes, later), 1);
    }

    /// Number of executed writes of `rounds` plans, one each second. `plan` makes a plan, and the state that it observed.
    fn executed(rounds: i64, plan: impl Fn(i64) -> (Vec<Write>, u64)) -> usize {
        executed_each(Duration::from_secs(1), rounds, plan)
    }

    /// As [`executed`], with one plan in each interval.
    fn executed_each(interval: Duration, rounds: i64, plan: impl Fn(i64) -> (Vec<Write>, u64)) -> usize {
        let (limit, object, start) = (WriteLimit::default(), ObjectName::new("ns", "web"), Instant::now());
        let mut executed = 0;
        for round in 0..rounds {
            let (writes, before) = plan(round);
            let (stops, progress, stopped) =
                (&stops(FIRST, Vec::new()), Locked::default(), Locked::default());
            let repairs =
                Repairs { limit: &limit, object: &object, before, interval, stops, progress, stopped };
            let now = start + interval * u32::try_from(round).unwrap();
            let (due, contested) = repairs.divided(&NamespacePath::root(), &writes, now);
            assert_eq!(due.len() < writes.len(), contested.is_some());
            assert_eq!(due.len() + repairs.progress.lock().paused.len(), writes.len());
            due.iter().for_each(|write| repairs.record(write, now));
            executed += due.len();
        }
        executed
    }

    #[test]
    fn a_write_that_is_undone_each_time_is_stopped_and_the_others_are_executed() {
        let undone = |round: i64| vec![policy("a", "same", round), policy("b", &round.to_string(), round)];
        let writes = executed(60, |round| (undone(round), 0));
        assert_eq!(writes, 60 + 5);
    }

    #[rstest]
    #[case::short(2)]
    #[case::tests(30)]
    #[case::default(300)]
    #[case::long(3600)]
    fn a_write_that_is_undone_before_each_pass_is_stopped(#[case] seconds: u64) {
        let writes =
            executed_each(Duration::from_secs(seconds), 24, |round| (vec![policy("a", "same", round)], 0));
        assert_eq!(writes, 5);
    }

    /// Changes of three parts of a mount, which are requests to the same path.
    fn parts() -> Vec<Write> {
        let part = |name: &str| policy("a", name, 1).of_resource(&format!("sys/policies/acl/a/{name}"));
        ["one", "two", "three"].map(part).into()
    }

    #[test]
    fn writes_of_several_parts_at_one_path_are_stopped_separately() {
        assert_eq!(executed_each(Duration::from_secs(300), 24, |_| (parts(), 0)), 3 * 5);
        let (mut operator, start) = (Operator::starting(Vec::new()), Instant::now());
        while operator.pass(FIRST, &parts(), start) > 0 {}
        assert_eq!(operator.status.len(), 3);
        operator = Operator::starting(operator.status);
        assert_eq!(operator.pass(FIRST, &parts(), start), 0, "after a restart");
        assert_eq!(operator.pass(FIRST, &parts()[..2], start), 0);
        assert_eq!(operator.status.len(), 2, "the third part has the desired state");
    }

    #[test]
    fn a_creation_and_the_change_that_follows_it_are_stopped_separately() {
        let creation = || {
            let call = Call::PutPolicy { name: "a".to_owned(), text: String::new(), cas: Cas::Absent };
            Write::create(&NamespacePath::new("org_1"), call)
        };
        assert_eq!(executed(24, |_| (vec![creation(), policy("a", "same", 1)], 0)), 2 * 5);
    }

    #[rstest]
    #[case::invalid(Error::Invalid("later".to_owned()), true)]
    #[case::sealed(OpenBao::Sealed.into(), false)]
    fn a_failed_write_does_not_hide_a_stopped_one(#[case] failed: Error, #[case] states_both: bool) {
        let text = failed.to_string();
        let error = both(&Error::stopped("stopped".to_owned()), failed);
        assert!(error.to_string().contains(&text), "{error}");
        assert_eq!(error.to_string().contains("stopped"), states_both, "{error}");
        assert_eq!(matches!(error, Error::Repeated(_, pause) if pause == Duration::MAX), states_both);
    }

    #[test]
    fn a_resource_that_the_object_itself_removes_and_creates_again_is_never_stopped() {
        let path = || "sys/policies/acl/a".to_owned();
        let removal = || Write::delete(&NamespacePath::new("org_1"), path(), UNDESIRED);
        let plan = |round: i64| vec![if round % 2 == 0 { policy("a", "same", round) } else { removal() }];
        assert_eq!(executed(60, |round| (plan(round), 0)), 60);
    }

    #[test]
    fn new_specs_and_manual_changes_are_never_stopped() {
        let specs = executed(60, |round| (vec![policy("a", &round.to_string(), round)], 0));
        let toggled = executed(60, |round| (vec![policy("a", &(round % 2).to_string(), round)], 0));
        let manual = executed(20, |round| (vec![policy("a", "same", round)], round.unsigned_abs()));
        let others = executed(60, |round| (vec![policy(&round.to_string(), "same", round)], 0));
        assert_eq!((specs, toggled, manual, others), (60, 60, 20, 60));
    }

    #[test]
    fn a_stopped_write_is_reported_with_its_path_and_what_to_do() {
        let (write, stops) = (policy("a", "same", 1), stops(FIRST, Vec::new()));
        let error =
            Contested(&write, stops.stop("a", "b", 5)).into_error(&NamespacePath::new("teams"), &stops);
        assert!(matches!(&error, Error::Repeated(_, pause) if *pause == Duration::MAX));
        let expected = ["teams/org_1/sys/policies/acl/a", "5 times", "kubectl steamer sync baopolicy/web"];
        assert!(expected.iter().all(|it| error.to_string().contains(it)), "{error}");
        let call = Call::PutPolicy { name: "a".to_owned(), text: String::new(), cas: Cas::Absent };
        let write = Write::create(&NamespacePath::root(), call);
        let error = Contested(&write, stops.stop("a", "b", 5)).into_error(&NamespacePath::root(), &stops);
        assert!(!error.to_string().contains("another client"), "{error}");
    }

    #[rstest]
    #[case::ended(WITHDRAWN)]
    #[case::created_by_another_client(UNDESIRED)]
    fn access_that_is_not_granted_is_removed_each_time(#[case] reason: &'static str) {
        let delete = || Write::delete(&NamespacePath::root(), "auth/jwt/role/a".to_owned(), reason);
        assert_eq!(executed(60, |_| (vec![delete()], 0)), 60);
    }
}
