//! Limit of repeated writes. If another client undoes each write of an object, Steamer pauses it, or stops repeating it:
//! otherwise both would write as fast as the server answers, or once in each interval without end.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::{Locked, ObjectName, doubled};

/// Period in which repairs of any difference are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Shortest period in which repairs of the same difference are counted before a pause, for a resource that is compared at
/// intervals: the other client can be a tool that runs every few minutes.
const LONG_WINDOW: Duration = Duration::from_secs(3600);
/// Intervals in which repairs of the same difference are counted, if that is longer, up to [`LONGEST_WINDOW`]. The other client can
/// have a longer interval.
const INTERVALS: u32 = 12;
/// Longest period in which repairs are counted before a pause.
const LONGEST_WINDOW: Duration = Duration::from_secs(6 * 3600);
/// Shortest period in which repairs are counted before a stop, for a resource that is compared at intervals: the other client can be
/// a tool that runs every few hours.
const STOP_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Repairs of the same difference in a period.
const SAME: usize = 5;
/// Repairs of any difference in a minute: a manual change is repaired immediately, even many of them.
const ANY: usize = 20;
/// Repairs of any difference in a period before a stop: a client can write another state each time.
const MANY: usize = 50;
/// First pause. It doubles with each further one.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(3600);

/// A write: the resource, its desired state, and the difference that the write removes. All of them are digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Digest of the name of the resource, for objects that write several. Each resource has its own limit.
    pub resource: u64,
    /// Digest of the desired state. Writes of another desired state are not repetitions.
    pub desired: u64,
    /// Digest of the state before the write.
    pub before: u64,
    /// Interval at which the resource is compared. Zero for a resource whose every change is watched, and for a missing one: their
    /// repairs are counted for a minute.
    pub interval: Duration,
}

/// Returns the digest of a part of a [`Write`].
#[must_use]
pub fn digest(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Recent writes of all objects.
#[derive(Default)]
pub struct WriteLimit(Locked<Meters>);

#[derive(Default)]
struct Meters {
    objects: HashMap<ObjectName, HashMap<u64, Meter>>,
    swept: Option<Instant>,
}

/// Recent writes of one resource.
#[derive(Default)]
struct Meter {
    desired: Option<u64>,
    interval: Duration,
    /// The last repairs, at most [`ANY`], or [`MANY`] if the writes stop.
    recent: VecDeque<(Instant, u64)>,
    pauses: u32,
    paused_until: Option<Instant>,
    /// Whether the writes stop. Otherwise they pause.
    stops: bool,
    /// Scope in which the resource is not written again.
    stopped: Option<u64>,
}

impl WriteLimit {
    /// Checks whether a write of an object may be made now.
    ///
    /// # Errors
    /// The remaining pause.
    pub fn admit(&self, object: &ObjectName, write: Write, now: Instant) -> Result<(), Duration> {
        let mut meters = self.0.lock();
        meters.sweep(now);
        meters.of(object, write).admit(write, now)
    }

    /// Checks whether a write of an object may be made. A resource over its limit is not written again, also after a pause, until
    /// the scope or the desired state is another one, or [`Self::settle`] finds that no write is needed.
    ///
    /// # Errors
    /// The number of repairs in the period before the stop.
    pub fn admit_in(&self, scope: u64, object: &ObjectName, write: Write, now: Instant) -> Result<(), usize> {
        let mut meters = self.0.lock();
        meters.sweep(now);
        meters.of(object, write).admit_in(scope, write, now)
    }

    /// Ends the stops of the resources of an object that need no write any more. Their repairs are still counted: a client that
    /// restores the desired state in each round gets no more writes by that.
    pub fn settle(&self, object: &ObjectName, needs_write: impl Fn(u64) -> bool) {
        if let Some(resources) = self.0.lock().objects.get_mut(object) {
            for (resource, meter) in resources {
                meter.stopped = meter.stopped.filter(|_| needs_write(*resource));
            }
        }
    }

    /// Counts a write that was made.
    pub fn record(&self, object: &ObjectName, write: Write, now: Instant) {
        self.0.lock().of(object, write).record(write, now);
    }

    /// Discards the writes of a resource that the object itself has deleted: its next creation is no repair.
    pub fn reset(&self, object: &ObjectName, resource: u64) {
        if let Some(resources) = self.0.lock().objects.get_mut(object) {
            resources.remove(&resource);
        }
    }

    /// Discards the writes of a deleted object.
    pub fn forget(&self, object: &ObjectName) {
        self.0.lock().objects.remove(object);
    }
}

impl Meters {
    fn of(&mut self, object: &ObjectName, write: Write) -> &mut Meter {
        self.objects.entry(object.clone()).or_default().entry(write.resource).or_default()
    }

    /// Discards what no longer limits anything, once in each period.
    fn sweep(&mut self, now: Instant) {
        let swept = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(swept) < WINDOW {
            return;
        }
        self.swept = Some(now);
        self.objects.retain(|_, meters| {
            meters.retain(|_, meter| !meter.is_idle(now));
            !meters.is_empty()
        });
    }
}

impl Meter {
    fn admit(&mut self, write: Write, now: Instant) -> Result<(), Duration> {
        self.follow(write);
        self.stops = false;
        if let Some(left) = self.paused_until.map(|until| until.saturating_duration_since(now))
            && !left.is_zero()
        {
            return Err(left);
        }
        if self.is_idle(now) {
            self.pauses = 0;
        }
        self.discard_old(now);
        if self.is_exceeded(write, now) {
            return Err(self.pause(now));
        }
        Ok(())
    }

    fn admit_in(&mut self, scope: u64, write: Write, now: Instant) -> Result<(), usize> {
        self.follow(write);
        self.stops = true;
        if self.stopped.is_some_and(|stopped| stopped != scope) {
            self.recent.clear();
            self.stopped = None;
        }
        if self.stopped.is_none() {
            self.discard_old(now);
            if !self.is_exceeded(write, now) {
                return Ok(());
            }
            self.stopped = Some(scope);
        }
        Err(self.recent.len())
    }

    /// Another desired state is no repetition.
    fn follow(&mut self, write: Write) {
        if self.desired.replace(write.desired) != Some(write.desired) {
            *self = Self { desired: Some(write.desired), ..Self::default() };
        }
        self.interval = write.interval;
    }

    fn discard_old(&mut self, now: Instant) {
        let window = self.window();
        self.recent.retain(|(at, _)| is_within(window, *at, now));
    }

    fn record(&mut self, write: Write, now: Instant) {
        let most = if self.stops { MANY } else { ANY };
        if self.recent.len() >= most {
            self.recent.pop_front();
        }
        self.recent.push_back((now, write.before));
    }

    /// Period in which repairs are counted.
    fn window(&self) -> Duration {
        let intervals = self.interval.saturating_mul(INTERVALS);
        match (self.interval.is_zero(), self.stops) {
            (true, _) => WINDOW,
            (false, true) => STOP_WINDOW.max(intervals),
            (false, false) => LONG_WINDOW.max(intervals).min(LONGEST_WINDOW),
        }
    }

    /// Returns true if no write was necessary for a whole period, and for a whole period after a pause. A stop has no end.
    fn is_idle(&self, now: Instant) -> bool {
        let window = self.window();
        self.stopped.is_none()
            && self.recent.iter().all(|(at, _)| !is_within(window, *at, now))
            && self.paused_until.is_none_or(|until| !is_within(window, until, now))
    }

    /// After a pause, one write tests whether the other client still undoes it.
    fn is_exceeded(&self, write: Write, now: Instant) -> bool {
        let (same, any) = if self.pauses == 0 { (SAME, ANY) } else { (1, 1) };
        let repeated = self.recent.iter().filter(|(_, before)| *before == write.before).count();
        let in_a_minute = self.recent.iter().filter(|(at, _)| is_within(WINDOW, *at, now)).count();
        repeated >= same || in_a_minute >= any || self.recent.len() >= MANY
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let pause = doubled(PAUSE, self.pauses, LONGEST);
        self.pauses += 1;
        self.paused_until = now.checked_add(pause);
        self.recent.clear();
        pause
    }
}

fn is_within(window: Duration, at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < window
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The repair of a resource whose every change is watched.
    const REPAIR: Write = Write { resource: 0, desired: 1, before: 2, interval: Duration::ZERO };

    fn write_to(limit: &WriteLimit, write: Write, now: Instant) -> Result<(), Duration> {
        let name = ObjectName::new("web", "app");
        limit.admit(&name, write, now).map(|()| limit.record(&name, write, now))
    }

    /// Number of writes in each minute if `before` is the state that each attempt finds, `step` apart.
    fn writes_by_minute(minutes: u64, step: Duration, before: fn(u64) -> Write) -> Vec<usize> {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let mut counts = vec![0; usize::try_from(minutes).unwrap()];
        let (mut passed, mut number) = (Duration::ZERO, 0);
        while passed < Duration::from_secs(60 * minutes) {
            let minute = usize::try_from(passed.as_secs() / 60).unwrap();
            counts[minute] += usize::from(write_to(&limit, before(number), start + passed).is_ok());
            passed += step;
            number += 1;
        }
        counts
    }

    #[test]
    fn a_write_that_is_always_undone_pauses_longer_and_longer() {
        let same = |_| REPAIR;
        let counts = writes_by_minute(240, Duration::from_millis(50), same);
        assert!(counts[0] <= SAME + 1, "{counts:?}");
        assert!(counts[1..].iter().all(|count| *count <= 1), "{counts:?}");
        assert!(counts.iter().sum::<usize>() <= 16, "{counts:?}");
        assert!(counts[120..].iter().sum::<usize>() <= 4, "{counts:?}");
    }

    #[test]
    fn a_client_that_always_writes_another_state_is_paused_too() {
        let other = |number| Write { before: number, ..REPAIR };
        let counts = writes_by_minute(60, Duration::from_millis(50), other);
        assert!(counts[0] <= ANY + 1 && counts.iter().sum::<usize>() <= ANY + 12, "{counts:?}");
    }

    #[test]
    fn new_values_and_rare_repairs_are_never_paused() {
        let values = |number| Write { desired: number + 1, before: number, ..REPAIR };
        assert_eq!(writes_by_minute(10, Duration::from_secs(1), values), vec![60; 10]);
        let repairs = |_| REPAIR;
        assert_eq!(writes_by_minute(10, Duration::from_secs(20), repairs), vec![3; 10]);
    }

    #[test]
    fn a_minute_without_writes_after_a_pause_resets_the_limit() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let write = REPAIR;
        for _ in 0..SAME {
            assert_eq!(write_to(&limit, write, start), Ok(()));
        }
        assert_eq!(write_to(&limit, write, start), Err(PAUSE));
        assert_eq!(write_to(&limit, write, start + PAUSE / 2), Err(PAUSE / 2));
        let calm = start + PAUSE + WINDOW;
        for _ in 0..SAME {
            assert_eq!(write_to(&limit, write, calm), Ok(()));
        }
        assert_eq!(write_to(&limit, write, calm), Err(PAUSE));
    }

    #[test]
    fn another_desired_state_ends_a_pause_and_a_refused_write_does_not_count() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let (name, write) = (ObjectName::new("web", "app"), REPAIR);
        for _ in 0..100 {
            assert_eq!(limit.admit(&name, write, start), Ok(()));
        }
        while write_to(&limit, write, start).is_ok() {}
        assert_eq!(write_to(&limit, Write { desired: 3, ..REPAIR }, start), Ok(()));
    }

    #[test]
    fn the_resources_of_an_object_are_limited_separately_and_swept_when_they_are_idle() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let contested = Write { resource: 1, ..REPAIR };
        while write_to(&limit, contested, start).is_ok() {}
        for resource in 2..200 {
            assert_eq!(write_to(&limit, Write { resource, ..contested }, start), Ok(()));
        }
        let known = || limit.0.lock().objects.values().map(HashMap::len).sum::<usize>();
        assert_eq!(known(), 199);
        // The pause must outlive the writes of the others.
        assert_eq!(write_to(&limit, Write { resource: 300, ..contested }, start + WINDOW), Ok(()));
        assert_eq!(known(), 2);
        assert_eq!(write_to(&limit, contested, start + WINDOW), Ok(()), "one attempt after the pause");
        assert_eq!(write_to(&limit, contested, start + WINDOW), Err(2 * PAUSE));
        let other = ObjectName::new("web", "other");
        let later = start + 10 * WINDOW;
        assert_eq!(limit.admit(&other, contested, later), Ok(()));
        assert_eq!(known(), 1);
    }

    /// Number of the first refused attempt, and number of writes, if another client undoes each write before the next attempt.
    fn alternated(write: Write, step: Duration, attempts: usize) -> (Option<usize>, usize) {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let (mut now, mut refused, mut writes) = (start, None, 0);
        for attempt in 0..attempts {
            match write_to(&limit, write, now) {
                Ok(()) => writes += 1,
                Err(_) => refused = refused.or(Some(attempt)),
            }
            now += step;
        }
        (refused, writes)
    }

    /// In a day, for a resource that is compared at an interval, and another client that undoes each repair after a time. Writes
    /// that only pause are limited if the other client is fast.
    #[rstest]
    #[case::shortest(1, 1, true)]
    #[case::fifteen_seconds(15, 16, true)]
    #[case::half_a_minute(30, 31, true)]
    #[case::default(300, 301, true)]
    #[case::slower_client(300, 600, true)]
    #[case::short_interval_and_slower_client(15, 600, true)]
    #[case::hour(3600, 3601, true)]
    #[case::two_hours(7200, 7201, false)]
    #[case::rare_edits(300, 900, false)]
    fn repeated_writes_pause_if_the_other_client_is_fast(
        #[case] interval: u64,
        #[case] undone_after: u64,
        #[case] is_limited: bool,
    ) {
        let write = Write { interval: Duration::from_secs(interval), ..REPAIR };
        let attempts = usize::try_from(86_400 / undone_after).unwrap();
        let (refused, writes) = alternated(write, Duration::from_secs(undone_after), attempts);
        assert_eq!(refused, is_limited.then_some(SAME), "{writes} writes");
        assert!(!is_limited || writes <= SAME + 34, "{writes} writes");
    }

    #[test]
    fn an_edit_of_each_day_is_repaired_at_once() {
        let write = Write { interval: Duration::from_secs(300), ..REPAIR };
        assert_eq!(alternated(write, Duration::from_secs(86_400), 365), (None, 365));
    }

    #[test]
    fn another_edit_after_a_pause_is_repaired_at_once() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let write = Write { interval: Duration::from_secs(300), ..REPAIR };
        while write_to(&limit, write, start).is_ok() {}
        let later = start + PAUSE + 2 * WINDOW;
        assert_eq!(write_to(&limit, write, later), Ok(()), "one attempt after the pause");
        assert_eq!(write_to(&limit, Write { before: 3, ..write }, later + 2 * WINDOW), Ok(()));
        assert_eq!(write_to(&limit, write, later + 4 * WINDOW), Err(2 * PAUSE));
        assert_eq!(write_to(&limit, write, later + 2 * LONG_WINDOW), Ok(()));
    }

    #[test]
    fn the_memory_of_an_object_is_bounded_and_ends_with_it() {
        let (limit, start, name) = (WriteLimit::default(), Instant::now(), ObjectName::new("web", "app"));
        for number in 0..10_000_u32 {
            let write = Write { before: number.into(), interval: Duration::from_secs(300), ..REPAIR };
            let _ = write_to(&limit, write, start + number * Duration::from_secs(4));
        }
        let known = |limit: &WriteLimit| {
            let meters = limit.0.lock();
            meters.objects.values().flat_map(HashMap::values).map(|it| it.recent.len()).sum::<usize>()
        };
        assert_eq!(known(&limit), ANY);
        limit.forget(&name);
        assert_eq!((known(&limit), limit.0.lock().objects.len()), (0, 0));
    }

    #[test]
    fn a_resource_that_its_object_has_deleted_starts_again() {
        let (limit, start, name) = (WriteLimit::default(), Instant::now(), ObjectName::new("web", "app"));
        let other = Write { resource: 1, ..REPAIR };
        while write_to(&limit, REPAIR, start).is_ok() {}
        while write_to(&limit, other, start).is_ok() {}
        limit.reset(&name, REPAIR.resource);
        assert_eq!(write_to(&limit, REPAIR, start), Ok(()));
        assert!(write_to(&limit, other, start).is_err());
    }

    fn write_in(scope: u64, limit: &WriteLimit, write: Write, now: Instant) -> Result<(), usize> {
        let name = ObjectName::new("web", "app");
        limit.admit_in(scope, &name, write, now).map(|()| limit.record(&name, write, now))
    }

    #[rstest]
    #[case::at_once(Duration::ZERO, 1)]
    #[case::each_interval(Duration::from_secs(300), 301)]
    #[case::slow_client(Duration::from_secs(300), 600)]
    fn a_stopped_write_is_not_made_again(#[case] interval: Duration, #[case] seconds: u64) {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let write = Write { interval, ..REPAIR };
        let at = |round: u64| start + Duration::from_secs(round * seconds);
        let results: Vec<_> = (0..2000).map(|round| write_in(1, &limit, write, at(round))).collect();
        assert!(results[..SAME].iter().all(Result::is_ok), "{results:?}");
        assert!(results[SAME..].iter().all(|it| *it == Err(SAME)), "{results:?}");
        let other = Write { desired: 3, ..write };
        assert_eq!(write_in(1, &limit, other, at(2000)), Ok(()), "another desired state");
    }

    /// Numbers of writes in ten days, if another client undoes each one after some seconds, or writes another state each time.
    fn writes_of_ten_days(interval: u64, undone_after: u64, is_same: bool) -> usize {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let rounds = 10 * 86_400 / undone_after;
        let writes = (0..rounds).filter(|round| {
            let before = if is_same { 2 } else { *round };
            let write = Write { interval: Duration::from_secs(interval), before, ..REPAIR };
            write_in(1, &limit, write, start + Duration::from_secs(round * undone_after)).is_ok()
        });
        writes.count()
    }

    #[rstest]
    #[case::short(15, 16)]
    #[case::default(300, 301)]
    #[case::rare_edits(300, 900)]
    #[case::hour(3600, 3601)]
    #[case::two_hours(7200, 7201)]
    #[case::slowest_client_that_is_stopped(300, 17_279)]
    #[case::long_interval(86_400, 86_401)]
    fn two_clients_never_alternate_writes(#[case] interval: u64, #[case] undone_after: u64) {
        assert_eq!(writes_of_ten_days(interval, undone_after, true), SAME);
    }

    #[rstest]
    #[case::default(300, 301)]
    #[case::rare_edits(300, 900)]
    #[case::slowest_client_that_is_stopped(300, 1727)]
    #[case::long_interval(86_400, 8640)]
    fn a_client_that_writes_another_state_each_time_is_stopped_too(
        #[case] interval: u64,
        #[case] undone_after: u64,
    ) {
        assert_eq!(writes_of_ten_days(interval, undone_after, false), MANY);
    }

    #[rstest]
    #[case::the_same_each_five_hours(18_000, true)]
    #[case::another_each_two_hours(7200, false)]
    #[case::once_a_day(86_400, true)]
    fn rare_edits_are_repaired_each_time(#[case] undone_after: u64, #[case] is_same: bool) {
        let edits = usize::try_from(10 * 86_400 / undone_after).unwrap();
        assert_eq!(writes_of_ten_days(300, undone_after, is_same), edits);
    }

    #[test]
    fn another_scope_ends_a_stop_once() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        for scope in 1..4 {
            let writes = (0..20).filter(|_| write_in(scope, &limit, REPAIR, start).is_ok()).count();
            assert_eq!(writes, SAME, "scope {scope}");
        }
    }

    #[test]
    fn another_scope_is_no_reason_to_count_again_before_a_stop() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let writes = (0..20).take_while(|scope| write_in(*scope, &limit, REPAIR, start).is_ok()).count();
        assert_eq!(writes, SAME);
    }

    #[test]
    fn a_stop_ends_when_no_write_is_needed_and_its_repairs_are_still_counted() {
        let (limit, start, name) = (WriteLimit::default(), Instant::now(), ObjectName::new("web", "app"));
        let write = Write { interval: Duration::from_secs(300), ..REPAIR };
        while write_in(1, &limit, write, start).is_ok() {}
        limit.settle(&name, |_| false);
        assert_eq!(write_in(1, &limit, write, start + STOP_WINDOW / 2), Err(SAME), "in the same window");
        limit.settle(&name, |resource| resource == write.resource);
        assert_eq!(write_in(1, &limit, write, start + 2 * STOP_WINDOW), Err(SAME), "it needs a write");
        limit.settle(&name, |_| false);
        assert_eq!(write_in(1, &limit, write, start + 3 * STOP_WINDOW), Ok(()));
    }
}
