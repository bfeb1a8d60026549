//! Errors of nodes: which one is reported, and whether a retry can succeed.

use std::time::Duration;

use crate::Error;
use crate::fault::Fault;

/// Returns whether a retry within seconds is pointless.
pub(super) fn hopeless(error: &Error) -> bool {
    match error {
        Error::Sealed
        | Error::Uninitialized
        | Error::Throttled { .. }
        | Error::Redirect { .. }
        | Error::Answer { .. }
        | Error::Unreachable { source: Fault::Forbidden(_), .. } => true,
        Error::Unreachable { source, .. } => source.is_of_certificate(),
        _ => false,
    }
}

/// Returns whether a node certainly did not receive the request.
pub(super) fn is_unsent(error: &Error) -> bool {
    let Error::Unreachable { source, .. } = error else { return false };
    source.is_of_certificate()
        || matches!(source, Fault::Refused | Fault::Unresolved(_) | Fault::Forbidden(_) | Fault::Busy)
}

/// Returns the error of a request that must not be repeated: if it was sent, its response is lost.
pub(super) fn unrepeated(error: Error) -> Error {
    match error {
        Error::Unreachable { address, source } => Error::Unanswered { address, source },
        error => error,
    }
}

/// Returns whether the next requests are not worth a retry.
pub(super) fn is_down(error: &Error) -> bool {
    !matches!(error, Error::Throttled { .. } | Error::Answer { .. } | Error::Unanswered { .. })
}

pub(super) fn more_telling(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::Throttled { .. } => 5,
        Error::NoLeader => 4,
        Error::Sealed => 3,
        Error::Redirect { .. } | Error::Answer { .. } => 2,
        // Another node can come back within seconds.
        Error::Unreachable { source, .. } if source.is_of_certificate() => 0,
        _ => 1,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}

/// Returns the pause after a round: 100 ms, doubled each round up to 2 s.
pub(super) fn pause(round: u32) -> Duration {
    Duration::from_millis(100 << round.min(5)).min(Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{Client, Settings};

    #[test]
    fn a_missing_leader_has_priority_over_a_sealed_node() {
        let settings = Settings { addresses: vec!["http://a".into()], ..Settings::default() };
        assert!(!format!("{:?}", Client::new(&settings).unwrap()).contains("token"));
        assert!(matches!(more_telling(Some(Error::Sealed), Error::NoLeader), Error::NoLeader));
        assert!(matches!(more_telling(Some(Error::NoLeader), Error::Sealed), Error::NoLeader));
    }

    fn unreachable(source: Fault) -> Error {
        Error::Unreachable { address: "http://a".to_owned(), source }
    }

    #[rstest]
    #[case::forbidden(Fault::Forbidden([169, 254, 169, 254].into()), true)]
    #[case::certificate(Fault::Certificate("expired"), true)]
    #[case::name(Fault::Name("bao".to_owned()), true)]
    #[case::handshake(Fault::Tls("the server ended the TLS handshake"), false)]
    #[case::refused(Fault::Refused, false)]
    #[case::unresolved(Fault::Unresolved("bao".to_owned()), false)]
    fn what_does_not_change_within_seconds_is_not_tried_again(#[case] fault: Fault, #[case] expected: bool) {
        assert_eq!(hopeless(&unreachable(fault)), expected);
    }

    #[rstest]
    #[case::refused(unreachable(Fault::Refused), true)]
    #[case::unresolved(unreachable(Fault::Unresolved("bao".to_owned())), true)]
    #[case::certificate(unreachable(Fault::Certificate("expired")), true)]
    #[case::silent(unreachable(Fault::Silent), false)]
    #[case::closed(unreachable(Fault::Closed), false)]
    #[case::no_leader(Error::NoLeader, false)]
    fn only_a_request_that_was_not_sent_goes_to_another_node(#[case] error: Error, #[case] expected: bool) {
        assert_eq!(is_unsent(&error), expected);
    }

    #[test]
    fn a_lost_response_is_an_error_of_its_own() {
        assert!(matches!(unrepeated(unreachable(Fault::Silent)), Error::Unanswered { .. }));
        assert!(matches!(unrepeated(Error::Sealed), Error::Sealed));
    }

    #[test]
    fn a_node_that_may_come_back_is_tried_again_despite_the_certificate_of_another() {
        let faults = [Fault::Refused, Fault::Certificate("expired")];
        for (first, second) in [(0, 1), (1, 0)] {
            let known = Some(unreachable(faults[first].clone()));
            assert!(!hopeless(&more_telling(known, unreachable(faults[second].clone()))));
        }
    }
}
