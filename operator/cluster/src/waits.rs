//! Waiting times that depend on the duration of a takeover. All of them are listed here.
//!
//! A node that takes over loads every namespace. With thousands of namespaces, it starts, answers and stops late, and a time
//! that is right for a small cluster would replace a node that works. Each time is a multiple of the takeover that is expected:
//! the longest one that was measured (`status.failover.takeoverSeconds`), or that of the number of namespaces. The lower bound
//! is the time of a cluster with short takeovers.
//!
//! A measurement is never forgotten. For all times but that of a failed takeover, it counts up to twice the takeover of the number
//! of namespaces, or up to 60 s: [`Waits::limited`].
//!
//! | Time | Formula |
//! |---|---|
//! | A takeover has failed: [`Waits::failed`] | 3 takeovers, 30 s or more |
//! | The problem of a node lasts, and the node is repaired: [`Waits::problem`] | 2 takeovers, 30 s or more |
//! | Pause after the first repair of a node: [`Waits::pause`] | 2 takeovers, 30 s or more |
//! | Longest pause between two repairs of a node: [`Waits::longest_pause`] | 20 takeovers, 5 min or more |
//! | Grace period of a node that Steamer stops: [`Waits::grace`] | 2 takeovers, 60 s or more |
//! | Turn of a cluster whose pods are replaced: [`Waits::turn`] | Grace period and time of a problem, 10 min or more |
//!
//! Other times do not depend on a takeover, and are constants where they are used: the times of OpenBao's lock
//! (`database::lock`, `guard::renewal`), of a standby that discovers the leader or receives its changes (`nodes::members`,
//! `nodes::standby_mark`), of a kubelet that confirms the end of a pod (`nodes::fault`), of the first start, which has no
//! namespaces (`first_start`), and the intervals between observations. `failover.detection` and `upgrade.nodeTimeout` are in
//! the spec: a replaced node is ready as a standby, before it takes over.

use std::time::Duration;

/// Grace period in the template of the pods, in seconds.
///
/// It must not follow the takeover: another template replaces the pods of a cluster. Evictions and the StatefulSet use it, and
/// Steamer itself stops a node with [`Waits::grace`].
pub(crate) const GRACE: u32 = 60;

/// Lower bounds.
const FAILED: Duration = Duration::from_secs(30);
const PROBLEM: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
const TURN: Duration = Duration::from_secs(600);

/// Shortest limit of the takeover from which the times other than [`Waits::failed`] derive.
const LIKELY: Duration = Duration::from_secs(60);

/// Waiting times of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    takeover: Duration,
    /// The takeover without an implausible measurement.
    likely: Duration,
}

impl Waits {
    /// Waiting times of a cluster whose next takeover is expected to take this long.
    pub(crate) fn of(takeover: Duration) -> Self {
        Self { takeover, likely: takeover }
    }

    /// The same, with a limit for all times but [`Waits::failed`]: one wrong measurement must not delay repairs for good.
    /// `estimated` is the takeover that the number of namespaces suggests.
    pub(crate) fn limited(self, estimated: Duration) -> Self {
        Self { likely: self.likely.min(LIKELY.max(estimated * 2)), ..self }
    }

    /// Time after which a takeover has failed.
    pub(crate) fn failed(self) -> Duration {
        FAILED.max(self.takeover * 3)
    }

    /// Time for which a node must have had its problem, while database and seal were usable. A node that starts or takes over
    /// may not answer for as long as a takeover.
    pub(crate) fn problem(self) -> Duration {
        PROBLEM.max(self.likely * 2)
    }

    /// Pause after the first repair of a node. It doubles with each further one.
    pub(crate) fn pause(self) -> Duration {
        PAUSE.max(self.likely * 2)
    }

    /// Longest pause between two repairs of a node.
    pub(crate) fn longest_pause(self) -> Duration {
        LONGEST_PAUSE.max(self.likely * 20)
    }

    /// Grace period in seconds of a node that Steamer stops: it unloads every namespace. None: that of the template.
    pub(crate) fn grace(self) -> Option<u32> {
        let seconds = u32::try_from((self.likely * 2).as_secs()).unwrap_or(u32::MAX);
        (seconds > GRACE).then_some(seconds)
    }

    /// Time after which a cluster ends its turn although a node does not serve: other clusters must not wait for it. The node ends,
    /// and may then start for as long as a node that is not repaired.
    pub(crate) fn turn(self) -> Duration {
        let grace = Duration::from_secs(self.grace().unwrap_or(GRACE).into());
        TURN.max(grace + self.problem())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn seconds(takeover: u64) -> [u64; 6] {
        let waits = Waits::of(Duration::from_secs(takeover));
        let grace = u64::from(waits.grace().unwrap_or(GRACE));
        let times = [waits.failed(), waits.problem(), waits.pause(), waits.longest_pause(), waits.turn()];
        let [failed, problem, pause, longest_pause, turn] = times.map(|time| time.as_secs());
        [failed, problem, pause, longest_pause, grace, turn]
    }

    #[rstest]
    #[case::nothing_known(0, [30, 30, 30, 300, 60, 600])]
    #[case::short(3, [30, 30, 30, 300, 60, 600])]
    #[case::at_the_first_bound(10, [30, 30, 30, 300, 60, 600])]
    #[case::at_most_bounds(15, [45, 30, 30, 300, 60, 600])]
    #[case::two_thousand_namespaces(22, [66, 44, 44, 440, 60, 600])]
    #[case::ten_thousand_namespaces(110, [330, 220, 220, 2200, 220, 600])]
    #[case::the_longest_that_counts(900, [2700, 1800, 1800, 18_000, 1800, 3600])]
    fn waiting_times_have_the_constants_as_lower_bounds(#[case] takeover: u64, #[case] expected: [u64; 6]) {
        assert_eq!(seconds(takeover), expected);
    }

    proptest! {
        #[test]
        fn no_waiting_time_is_shorter_than_a_takeover(takeover in 0_u64..100_000, longer in 0_u64..100_000) {
            let (times, later) = (seconds(takeover), seconds(takeover + longer));
            prop_assert!(times.iter().all(|time| *time >= takeover));
            prop_assert!(times.iter().zip(later).all(|(time, later)| *time <= later));
            prop_assert!(times[2] <= times[3], "the first pause is the shortest");
        }
    }
}
