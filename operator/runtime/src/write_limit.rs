//! Limit of repeated writes. If another client undoes each write of an object, Steamer stops to repeat it: otherwise both
//! would write as fast as the server answers.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::{Locked, ObjectName, doubled};

/// Period in which writes are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Repairs of the same difference in a period.
const SAME: usize = 5;
/// Repairs of any difference in a period: a manual change is repaired immediately, even many of them.
const ANY: usize = 20;
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
    recent: VecDeque<(Instant, u64)>,
    pauses: u32,
    paused_until: Option<Instant>,
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

    /// Counts a write that was made.
    pub fn record(&self, object: &ObjectName, write: Write, now: Instant) {
        self.0.lock().of(object, write).recent.push_back((now, write.before));
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
        if self.desired.replace(write.desired) != Some(write.desired) {
            *self = Self { desired: Some(write.desired), ..Self::default() };
        }
        if let Some(left) = self.paused_until.map(|until| until.saturating_duration_since(now))
            && !left.is_zero()
        {
            return Err(left);
        }
        if self.is_idle(now) {
            self.pauses = 0;
        }
        self.recent.retain(|(at, _)| is_recent(*at, now));
        if self.is_exceeded(write) {
            return Err(self.pause(now));
        }
        Ok(())
    }

    /// Returns true if no write was necessary for a whole period, and for a whole period after a pause.
    fn is_idle(&self, now: Instant) -> bool {
        let since_pause = |until: Instant| !is_recent(until, now);
        self.recent.iter().all(|(at, _)| !is_recent(*at, now)) && self.paused_until.is_none_or(since_pause)
    }

    /// After a pause, one write tests whether the other client still undoes it.
    fn is_exceeded(&self, write: Write) -> bool {
        let (same, any) = if self.pauses == 0 { (SAME, ANY) } else { (1, 1) };
        let repeated = self.recent.iter().filter(|(_, before)| *before == write.before).count();
        repeated >= same || self.recent.len() >= any
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let pause = doubled(PAUSE, self.pauses, LONGEST);
        self.pauses += 1;
        self.paused_until = now.checked_add(pause);
        self.recent.clear();
        pause
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let same = |_| Write { resource: 0, desired: 1, before: 2 };
        let counts = writes_by_minute(240, Duration::from_millis(50), same);
        assert!(counts[0] <= SAME + 1, "{counts:?}");
        assert!(counts[1..].iter().all(|count| *count <= 1), "{counts:?}");
        assert!(counts.iter().sum::<usize>() <= 16, "{counts:?}");
        assert!(counts[120..].iter().sum::<usize>() <= 4, "{counts:?}");
    }

    #[test]
    fn a_client_that_always_writes_another_state_is_paused_too() {
        let other = |number| Write { resource: 0, desired: 1, before: number };
        let counts = writes_by_minute(60, Duration::from_millis(50), other);
        assert!(counts[0] <= ANY + 1 && counts.iter().sum::<usize>() <= ANY + 12, "{counts:?}");
    }

    #[test]
    fn new_values_and_rare_repairs_are_never_paused() {
        let values = |number| Write { resource: 0, desired: number + 1, before: number };
        assert_eq!(writes_by_minute(10, Duration::from_secs(1), values), vec![60; 10]);
        let repairs = |_| Write { resource: 0, desired: 1, before: 2 };
        assert_eq!(writes_by_minute(10, Duration::from_secs(20), repairs), vec![3; 10]);
    }

    #[test]
    fn a_minute_without_writes_after_a_pause_resets_the_limit() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let write = Write { resource: 0, desired: 1, before: 2 };
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
        let (name, write) = (ObjectName::new("web", "app"), Write { resource: 0, desired: 1, before: 2 });
        for _ in 0..100 {
            assert_eq!(limit.admit(&name, write, start), Ok(()));
        }
        while write_to(&limit, write, start).is_ok() {}
        assert_eq!(write_to(&limit, Write { resource: 0, desired: 3, before: 2 }, start), Ok(()));
    }

    #[test]
    fn the_resources_of_an_object_are_limited_separately_and_swept_when_they_are_idle() {
        let (limit, start) = (WriteLimit::default(), Instant::now());
        let contested = Write { resource: 1, desired: 1, before: 2 };
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
}
