//! The last writes, in order. Bounded: the oldest are dropped. A reader whose position was dropped is told so.

use std::collections::VecDeque;
use std::time::Instant;

use steamer_openbao::{AuditEntry, KvWrite, KvWrites};

/// Most writes.
const WRITES: usize = 16_384;
/// Most bytes of all writes.
const BYTES: usize = 4 << 20;
/// Most writes of one answer.
const ANSWER: usize = 1000;
/// Most bytes of the writes of one answer.
const ANSWER_BYTES: usize = 256 << 10;

/// The last writes.
pub(crate) struct Queue {
    epoch: String,
    /// Position of the oldest write.
    first: u64,
    writes: VecDeque<KvWrite>,
    bytes: usize,
    /// When the last audit entry arrived.
    last_entry: Option<Instant>,
}

impl Queue {
    pub(crate) fn new(epoch: String) -> Self {
        Self { epoch, first: 0, writes: VecDeque::new(), bytes: 0, last_entry: None }
    }

    /// Adds the content of an audit entry. Returns the next position.
    pub(crate) fn add(&mut self, entry: AuditEntry, now: Instant) -> u64 {
        self.last_entry = Some(now);
        match entry {
            AuditEntry::Write(write) => self.push(write),
            AuditEntry::Other => {}
            AuditEntry::Malformed => self.skip(),
        }
        self.next()
    }

    fn push(&mut self, write: KvWrite) {
        self.bytes += write.size();
        self.writes.push_back(write);
        while self.writes.len() > WRITES || self.bytes > BYTES {
            let Some(dropped) = self.writes.pop_front() else { return };
            self.bytes -= dropped.size();
            self.first += 1;
        }
    }

    /// Records a write that is not known: every position before it is dropped.
    fn skip(&mut self) {
        self.first = self.next() + 1;
        self.writes.clear();
        self.bytes = 0;
    }

    fn next(&self) -> u64 {
        self.first + self.writes.len() as u64
    }

    /// The writes from a position on. Without a known position: none, and the next position.
    pub(crate) fn after(&self, epoch: &str, position: u64, now: Instant) -> KvWrites {
        let is_known = epoch == self.epoch && (self.first..=self.next()).contains(&position);
        let writes = if is_known { self.from(position) } else { Vec::new() };
        let idle = self.last_entry.map(|last| now.saturating_duration_since(last).as_millis());
        KvWrites {
            epoch: self.epoch.clone(),
            next: if is_known { position + writes.len() as u64 } else { self.next() },
            lost: !is_known,
            idle_milliseconds: idle.map(|idle| u64::try_from(idle).unwrap_or(u64::MAX)),
            writes,
        }
    }

    fn from(&self, position: u64) -> Vec<KvWrite> {
        let skipped = usize::try_from(position - self.first).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = |write: &&KvWrite| {
            bytes += write.size();
            bytes <= ANSWER_BYTES
        };
        self.writes.iter().skip(skipped).take(ANSWER).take_while(fits).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(path: String) -> AuditEntry {
        AuditEntry::Write(KvWrite { namespace: String::new(), mount: "kv".to_owned(), path })
    }

    fn queue(count: usize) -> Queue {
        let mut queue = Queue::new("one".to_owned());
        for number in 0..count {
            queue.add(write(format!("data/{number}")), Instant::now());
        }
        queue
    }

    fn answer(queue: &Queue, epoch: &str, position: u64) -> (bool, u64, usize) {
        let KvWrites { next, lost, writes, .. } = queue.after(epoch, position, Instant::now());
        (lost, next, writes.len())
    }

    #[test]
    fn a_reader_gets_the_writes_from_its_position_on() {
        let queue = queue(3);
        assert_eq!(answer(&queue, "one", 1), (false, 3, 2));
        assert_eq!(queue.after("one", 2, Instant::now()).writes[0].path, "data/2");
        assert_eq!(answer(&queue, "one", 3), (false, 3, 0));
    }

    #[test]
    fn a_reader_with_an_unknown_position_is_told_that_writes_are_lost() {
        let mut queue = queue(3);
        assert_eq!(answer(&queue, "other", 1), (true, 3, 0), "another process");
        assert_eq!(answer(&queue, "one", 4), (true, 3, 0), "a position that was never reached");
        queue.add(AuditEntry::Malformed, Instant::now());
        assert_eq!(answer(&queue, "one", 3), (true, 4, 0), "an entry that cannot be parsed");
        queue.add(write("data/a".to_owned()), Instant::now());
        assert_eq!(answer(&queue, "one", 4), (false, 5, 1));
    }

    #[test]
    fn other_requests_occupy_no_position() {
        let mut queue = queue(1);
        assert!(Queue::new("one".to_owned()).after("one", 0, Instant::now()).idle_milliseconds.is_none());
        assert_eq!(queue.add(AuditEntry::Other, Instant::now()), 1);
        assert!(queue.after("one", 1, Instant::now()).idle_milliseconds.is_some());
    }

    #[test]
    fn an_answer_is_bounded() {
        assert_eq!(answer(&queue(1500), "one", 0), (false, 1000, 1000));
    }

    proptest! {
        /// A reader that is never told of a loss gets every write, in order.
        #[test]
        fn a_reader_misses_no_write_without_being_told(
            rounds in proptest::collection::vec((0_usize..40, 0_usize..3000), 1..60),
        ) {
            let (mut queue, mut written, mut position) = (Queue::new("one".to_owned()), 0_u64, 0_u64);
            for (count, length) in rounds {
                for _ in 0..count {
                    queue.add(write(format!("data/{written}/{}", "x".repeat(length * 4))), Instant::now());
                    written += 1;
                }
                prop_assert!(queue.bytes <= BYTES && queue.writes.len() <= WRITES);
                let answer = queue.after("one", position, Instant::now());
                if answer.lost {
                    prop_assert!(position < queue.first);
                } else {
                    for (write, number) in answer.writes.iter().zip(position..) {
                        let starts = format!("data/{number}/");
                        prop_assert!(write.path.starts_with(&starts));
                    }
                    prop_assert_eq!(answer.next, position + answer.writes.len() as u64);
                }
                position = answer.next;
            }
        }
    }
}
