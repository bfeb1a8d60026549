//! Periods of time, as kubectl writes them.

use jiff::Timestamp;

/// The time since `then`, such as `3d4h`.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> String {
    period(now.as_second().saturating_sub(then.as_second()))
}

/// A number of seconds, such as `5m`. Negative numbers count as zero.
pub(crate) fn period(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{minutes}m"),
        7_200..172_800 => format!("{hours}h"),
        172_800..864_000 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(-5, "0s")]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(7_199, "119m")]
    #[case(7_200, "2h")]
    #[case(172_800, "2d")]
    #[case(273_600, "3d4h")]
    #[case(8_640_000, "100d")]
    fn a_period_has_one_or_two_units(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(period(seconds), expected);
    }
}
