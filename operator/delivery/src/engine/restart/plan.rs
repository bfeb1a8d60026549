//! The workloads that are restarted now.

use super::progress::Progress;

/// State of a workload before its restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its restart is owed.
    Owed,
    /// It was restarted.
    Restarted(Progress),
    /// It cannot be restarted.
    Impossible,
}

/// Positions of the workloads to restart now: at most `limit` roll out at the same time.
pub(super) fn plan(states: &[State], limit: Option<usize>) -> Vec<usize> {
    let rolling = states.iter().filter(|state| **state == State::Restarted(Progress::Rolling)).count();
    let free = limit.map_or(usize::MAX, |limit| limit.saturating_sub(rolling));
    let owed = states.iter().enumerate().filter(|(_, state)| **state == State::Owed);
    owed.map(|(position, _)| position).take(free).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OWED: State = State::Owed;
    const ROLLING: State = State::Restarted(Progress::Rolling);
    const DONE: State = State::Restarted(Progress::RolledOut);
    const PAUSED: State = State::Restarted(Progress::Paused);

    #[rstest]
    #[case::no_limit(&[OWED, OWED, ROLLING], None, &[0, 1])]
    #[case::one_at_a_time(&[OWED, OWED], Some(1), &[0])]
    #[case::one_is_rolling(&[ROLLING, OWED, OWED], Some(1), &[])]
    #[case::one_is_done(&[DONE, OWED, OWED], Some(1), &[1])]
    #[case::a_paused_one_is_not_waited_for(&[PAUSED, OWED], Some(1), &[1])]
    #[case::more_are_rolling_than_allowed(&[ROLLING, ROLLING, OWED], Some(1), &[])]
    #[case::impossible(&[State::Impossible, OWED], Some(1), &[1])]
    fn a_limited_number_rolls_out_at_the_same_time(
        #[case] states: &[State],
        #[case] limit: Option<usize>,
        #[case] expected: &[usize],
    ) {
        assert_eq!(plan(states, limit), expected);
    }
}
