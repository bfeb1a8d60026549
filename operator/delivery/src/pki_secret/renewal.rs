//! When a certificate is renewed. The times come from the certificate, so that a restart changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use steamer_core::Error;

use crate::engine::jitter;

/// Shortest time between two certificates.
const SHORTEST: Duration = Duration::from_secs(1);

/// Settings of renewals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Renewal {
    /// Time before the expiration.
    pub(super) offset: Option<Duration>,
    /// Time at which each certificate expires, if the spec states it.
    pub(super) fixed: Option<Timestamp>,
}

impl Renewal {
    /// When a certificate that was issued at the first time and expires at the second one is renewed.
    pub(super) fn at(&self, serial: &str, (issued, not_after): (Timestamp, Timestamp)) -> Timestamp {
        // A new certificate would not be valid for longer.
        if self.fixed.is_some_and(|fixed| fixed <= not_after) {
            return not_after;
        }
        let lifetime = Duration::try_from(not_after.duration_since(issued)).unwrap_or_default();
        let planned = lifetime - self.window(lifetime);
        // Certificates that were issued at the same time are not renewed at the same time.
        let wait = (planned - jitter(&serial, planned) / 2).max(SHORTEST);
        issued.checked_add(wait).unwrap_or(not_after)
    }

    /// The end of a lifetime in which the certificate is renewed. An offset of almost the whole lifetime would issue
    /// certificates without pause.
    fn window(&self, lifetime: Duration) -> Duration {
        self.offset.filter(|offset| !offset.is_zero() && *offset <= lifetime / 10 * 9).unwrap_or(lifetime / 3)
    }

    /// Refuses a request for a certificate that would have expired.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the fixed time has passed.
    pub(super) fn admit(&self, now: Timestamp) -> Result<(), Error> {
        match self.fixed.filter(|fixed| *fixed <= now) {
            Some(fixed) => Err(Error::Invalid(format!(
                "notAfter {fixed} has passed: set a later time, or replace notAfter by ttl, which renews the certificate"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Seconds until the renewal of a certificate, and without jitter.
    fn renewed(offset: Option<u64>, lifetime: i64) -> (i64, i64) {
        let renewal = Renewal { offset: offset.map(Duration::from_secs), fixed: None };
        let issued = at(1_000_000);
        let seconds =
            renewal.at("4a:01", (issued, at(1_000_000 + lifetime))).as_second() - issued.as_second();
        let lifetime = Duration::from_secs(lifetime.unsigned_abs());
        (seconds, i64::try_from((lifetime - renewal.window(lifetime)).as_secs()).unwrap())
    }

    #[rstest]
    #[case::default(None, 3000, 2000)]
    #[case::zero_is_unset(Some(0), 3000, 2000)]
    #[case::before_the_expiration(Some(600), 3000, 2400)]
    #[case::almost_the_lifetime(Some(2700), 3000, 300)]
    #[case::too_close_to_the_lifetime(Some(2701), 3000, 2000)]
    #[case::the_lifetime(Some(3000), 3000, 2000)]
    #[case::more_than_the_lifetime(Some(86_400), 3000, 2000)]
    fn a_certificate_is_renewed_before_it_expires(
        #[case] offset: Option<u64>,
        #[case] lifetime: i64,
        #[case] expected: i64,
    ) {
        let (seconds, planned) = renewed(offset, lifetime);
        assert_eq!(planned, expected);
        assert!((expected * 95 / 100..=expected).contains(&seconds), "{seconds}");
    }

    proptest! {
        #[test]
        fn renewals_have_a_pause_and_precede_the_expiration(
            offset in proptest::option::of(0_u64..100_000_000), lifetime in 3_i64..100_000_000,
        ) {
            let (seconds, _) = renewed(offset, lifetime);
            prop_assert!(seconds >= (lifetime * 9 / 100).max(1), "{seconds} of {lifetime}");
            prop_assert!(seconds < lifetime);
        }
    }

    #[test]
    fn the_serial_number_shifts_the_renewal_and_nothing_else_does() {
        let renewal = Renewal::default();
        let times: std::collections::BTreeSet<_> =
            (0..20).map(|serial| renewal.at(&format!("4a:{serial}"), (at(0), at(3_000_000)))).collect();
        assert!(times.len() > 10, "{times:?}");
        assert_eq!(
            renewal.at("4a:01", (at(0), at(3_000_000))),
            Renewal::default().at("4a:01", (at(0), at(3_000_000)))
        );
    }

    #[test]
    fn a_certificate_with_a_fixed_end_is_kept_until_then_and_not_issued_after_it() {
        let renewal = Renewal { offset: Some(Duration::from_secs(600)), fixed: Some(at(5000)) };
        assert_eq!(renewal.at("4a:01", (at(0), at(5000))), at(5000));
        // The CA expires first.
        assert!(renewal.at("4a:01", (at(0), at(4000))) <= at(3400));
        assert!(renewal.admit(at(4999)).is_ok());
        let refused = renewal.admit(at(5000)).unwrap_err().to_string();
        assert!(refused.contains("1970-01-01T01:23:20Z has passed"), "{refused}");
    }

    #[test]
    fn a_certificate_of_another_clock_causes_no_loop() {
        assert_eq!(Renewal::default().at("4a:01", (at(100), at(40))), at(101));
    }
}
