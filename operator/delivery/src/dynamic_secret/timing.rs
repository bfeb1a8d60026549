//! Times of leases, tokens and rotations.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steamer_openbao::TokenLife;
use steamer_runtime::ObjectName;
use steamer_runtime::conditions::whole_second;

use crate::engine::{Due, Held, TokenHeld, jitter};

/// Latest part of a lease after which it is renewed or replaced, in percent.
const LATEST: u32 = 95;
/// Shortest time until the next request.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// The time now, in seconds, as statuses and stamps contain it.
pub(super) fn now() -> Timestamp {
    whole_second(Timestamp::now())
}

/// The time that is `duration` after `now`.
pub(super) fn after(now: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| now.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// A token that was created now. None if it does not expire.
pub(super) fn token_held(life: TokenLife, now: Timestamp) -> Option<TokenHeld> {
    let TokenLife { duration, renewable } = life;
    (!duration.is_zero()).then(|| TokenHeld {
        ends: after(now, duration),
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        renewable,
    })
}

/// A token that was renewed now.
pub(super) fn renewed_token(token: TokenHeld, life: TokenLife, now: Timestamp) -> Option<TokenHeld> {
    token_held(life, now).map(|renewed| TokenHeld { seconds: token.seconds, ..renewed })
}

/// A token that cannot be renewed.
pub(super) fn final_token(token: TokenHeld) -> TokenHeld {
    TokenHeld { renewable: false, ..token }
}

/// When a value is due.
pub(super) fn due(held: &Held, percent: u32, object: &ObjectName) -> Due {
    match held {
        Held::Lease(lease) => {
            let whole = Duration::try_from(lease.part(100)).unwrap_or_default();
            let extra = SignedDuration::try_from(jitter(object, whole)).unwrap_or_default();
            let pause = (lease.part(percent) + extra).min(lease.part(LATEST)).max(SHORTEST);
            let at = lease.at.checked_add(pause).unwrap_or(Timestamp::MAX);
            if lease.is_renewed_again() { Due::renew(lease.at, at) } else { Due::obtain(lease.at, at) }
        }
        Held::Rotated { at, next: Some(next), .. } => Due::obtain(*at, *next),
        Held::Rotated { next: None, .. } | Held::Read { .. } | Held::Certificate { .. } => Due::never(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::engine::LeaseHeld;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn lease(renewed: i64, ends: i64) -> Held {
        Held::Lease(LeaseHeld {
            id: "l".to_owned(),
            namespace: None,
            server: String::new(),
            issued: at(0),
            at: at(renewed),
            ends: at(ends),
            seconds: 1000,
            renewable: true,
            token: None,
            accessor: None,
        })
    }

    fn object() -> ObjectName {
        ObjectName::new("web", "app")
    }

    #[rstest]
    #[case::new(lease(0, 1000), 67, 670, 770)]
    #[case::renewed(lease(700, 1700), 67, 1370, 1470)]
    #[case::late(lease(0, 1000), 90, 900, 950)]
    #[case::truncated(lease(700, 1000), 50, 850, 880)]
    #[case::over(lease(1000, 1000), 50, 1001, 1001)]
    fn a_lease_is_due_after_its_part_and_before_its_end(
        #[case] held: Held,
        #[case] percent: u32,
        #[case] earliest: i64,
        #[case] latest: i64,
    ) {
        let due = due(&held, percent, &object());
        assert!(due.at >= at(earliest) && due.at <= at(latest), "{due:?}");
        let is_truncated = held.end() == Some(at(1000)) && held != lease(0, 1000);
        let expected = if is_truncated { Due::obtain } else { Due::renew };
        let Held::Lease(lease) = &held else { unreachable!() };
        assert_eq!(due, expected(lease.at, due.at));
    }

    #[test]
    fn a_static_role_is_due_after_its_rotation() {
        let held = Held::Rotated { at: at(0), next: Some(at(60)), overdue: 0 };
        assert_eq!(due(&held, 67, &object()), Due::obtain(at(0), at(60)));
        let never = Held::Rotated { at: at(0), next: None, overdue: 0 };
        assert_eq!(due(&never, 67, &object()), Due::never());
    }

    #[test]
    fn a_token_without_an_end_does_not_limit_a_lease() {
        let life = |seconds| TokenLife { duration: Duration::from_secs(seconds), renewable: true };
        assert_eq!(token_held(life(0), at(0)), None);
        let token = token_held(life(60), at(0)).unwrap();
        assert_eq!((token.ends, token.seconds), (at(60), 60));
        let renewed = renewed_token(token, life(20), at(40)).unwrap();
        assert_eq!((renewed.ends, renewed.seconds), (at(60), 60), "a shorter renewal is recognized");
    }
}
