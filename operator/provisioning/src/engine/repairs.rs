//! Writes of a plan, except those that another client undoes each time.

use std::time::{Duration, Instant};

use steamer_api::Operation;
use steamer_core::error::Error;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Locked, ObjectName};

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
    /// What was written.
    pub(super) progress: Locked<Progress>,
}

/// A write that is paused, and for how long.
#[derive(Debug)]
struct Contested<'a>(&'a Write, Duration);

impl Contested<'_> {
    /// The error of the object. `root` is the root namespace of the cluster.
    fn into_error(self, root: &NamespacePath) -> Error {
        let Self(write, pause) = self;
        let path: String = write.described(root).path.chars().take(LONGEST_PATH).collect();
        let text = if write.operation == Operation::Create {
            format!(
                "{path} in OpenBao is missing after each creation: find its deletion in the audit log of OpenBao"
            )
        } else {
            format!(
                "another client undoes each change of {path} in OpenBao: find it in the audit log of OpenBao, and stop it"
            )
        };
        Error::Repeated(text, pause)
    }
}

impl Repairs<'_> {
    /// Executes the writes of a plan in their order. Returns [`Error::Repeated`] if one of them is paused because
    /// another client undid it several times: all others are executed.
    ///
    /// # Errors
    /// The first error of a write.
    pub(super) async fn execute(&self, session: &Session, writes: &[Write]) -> Result<Option<Error>, Error> {
        let (due, contested) = self.divided(writes, Instant::now());
        execute(session, &due, |write| self.record(write, Instant::now())).await?;
        Ok(contested.map(|contested| contested.into_error(session.namespace())))
    }

    /// The writes that may be made now, and the paused one that is due first.
    fn divided<'w>(&self, writes: &'w [Write], now: Instant) -> (Vec<&'w Write>, Option<Contested<'w>>) {
        let (mut due, mut contested) = (Vec::new(), None::<Contested<'w>>);
        for write in writes {
            match self.admit(write, now) {
                Ok(()) => due.push(write),
                Err(pause) if contested.as_ref().is_none_or(|Contested(_, first)| pause < *first) => {
                    contested = Some(Contested(write, pause));
                }
                Err(_) => {}
            }
        }
        (due, contested)
    }

    fn admit(&self, write: &Write, now: Instant) -> Result<(), Duration> {
        if !write.is_repair() {
            return Ok(());
        }
        let admitted = self.limit.admit(self.object, write.repetition(self.before, self.interval), now);
        if admitted.is_err() {
            self.progress.lock().paused.push(write.path());
        }
        admitted
    }

    fn record(&self, write: &Write, now: Instant) {
        if write.operation == Operation::Create {
            self.progress.lock().created.push(write.path());
        }
        if write.is_repair() {
            self.limit.record(self.object, write.repetition(self.before, self.interval), now);
        } else if write.is_removal() {
            self.limit.reset(self.object, write.resource());
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_openbao::Cas;

    use super::*;
    use crate::write::{Call, DIFFERS, UNDESIRED, WITHDRAWN};

    fn policy(name: &str, text: &str, version: i64) -> Write {
        let call =
            Call::PutPolicy { name: name.to_owned(), text: text.to_owned(), cas: Cas::Version(version) };
        Write::update(&NamespacePath::new("org_1"), call, DIFFERS)
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
            let progress = Locked::default();
            let repairs = Repairs { limit: &limit, object: &object, before, interval, progress };
            let now = start + interval * u32::try_from(round).unwrap();
            let (due, contested) = repairs.divided(&writes, now);
            assert_eq!(due.len() < writes.len(), contested.is_some());
            assert_eq!(due.len() + repairs.progress.lock().paused.len(), writes.len());
            due.iter().for_each(|write| repairs.record(write, now));
            executed += due.len();
        }
        executed
    }

    #[test]
    fn a_write_that_is_undone_each_time_is_paused_and_the_others_are_executed() {
        let undone = |round: i64| vec![policy("a", "same", round), policy("b", &round.to_string(), round)];
        let writes = executed(60, |round| (undone(round), 0));
        assert!((61..=70).contains(&writes), "{writes}");
    }

    #[rstest]
    #[case::short(2)]
    #[case::tests(30)]
    #[case::default(300)]
    #[case::long(3600)]
    fn a_write_that_is_undone_before_each_pass_is_paused(#[case] seconds: u64) {
        let writes =
            executed_each(Duration::from_secs(seconds), 24, |round| (vec![policy("a", "same", round)], 0));
        assert!((6..=15).contains(&writes), "{writes}");
    }

    #[test]
    fn a_resource_that_the_object_itself_removes_and_creates_again_is_never_paused() {
        let path = || "sys/policies/acl/a".to_owned();
        let removal = || Write::delete(&NamespacePath::new("org_1"), path(), UNDESIRED);
        let plan = |round: i64| vec![if round % 2 == 0 { policy("a", "same", round) } else { removal() }];
        assert_eq!(executed(60, |round| (plan(round), 0)), 60);
    }

    #[test]
    fn new_specs_and_manual_changes_are_never_paused() {
        let specs = executed(60, |round| (vec![policy("a", &round.to_string(), round)], 0));
        let toggled = executed(60, |round| (vec![policy("a", &(round % 2).to_string(), round)], 0));
        let manual = executed(20, |round| (vec![policy("a", "same", round)], round.unsigned_abs()));
        let others = executed(60, |round| (vec![policy(&round.to_string(), "same", round)], 0));
        assert_eq!((specs, toggled, manual, others), (60, 60, 20, 60));
    }

    #[test]
    fn a_paused_write_is_reported_with_its_path_and_pause() {
        let write = policy("a", "same", 1);
        let error = Contested(&write, Duration::from_secs(30)).into_error(&NamespacePath::new("teams"));
        let is_repeated = matches!(&error, Error::Repeated(_, pause) if *pause == Duration::from_secs(30));
        assert!(is_repeated && error.to_string().contains("teams/org_1/sys/policies/acl/a"), "{error}");
        let call = Call::PutPolicy { name: "a".to_owned(), text: String::new(), cas: Cas::Absent };
        let write = Write::create(&NamespacePath::root(), call);
        let error = Contested(&write, Duration::ZERO).into_error(&NamespacePath::root());
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
