//! Verdict on a server.

use steamer_core::error::openbao_verdict;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Failure, Reason};

use crate::server::Server;

/// Verdict on a server at an address.
pub(crate) fn verdict(address: &str, server: &Server) -> Verdict {
    match (&server.health, &server.missing) {
        (Err(OpenBao::Server { .. }), _) => {
            Verdict::Retrying(Reason::Failed, format!("OpenBao at {address} cannot reach its storage"))
        }
        (Err(error), _) => openbao_verdict(error),
        (Ok(health), _) if !health.initialized => {
            Verdict::Progressing(Reason::Waiting, format!("OpenBao at {address} is not initialized"))
        }
        (Ok(health), _) if health.sealed => {
            Verdict::Retrying(Reason::Sealed, format!("OpenBao at {address} is sealed"))
        }
        _ if !server.has_leader() => {
            Verdict::Retrying(Reason::NoLeader, format!("OpenBao at {address} has no leader"))
        }
        (_, Err(error)) => error.verdict(),
        (_, Ok(missing)) if !missing.is_empty() => {
            Verdict::Stalled(Reason::PermissionDenied, server.lacking(missing))
        }
        (Ok(health), _) => {
            Verdict::Ready(Reason::Applied, format!("OpenBao {} serves at {address}", health.version))
        }
    }
}

/// Reason why a server does not serve.
pub(crate) fn problem(server: &Server) -> Reason {
    match &server.health {
        Ok(health) if health.sealed => Reason::Sealed,
        Ok(health) if !health.initialized => Reason::Waiting,
        Ok(_) => Reason::NoLeader,
        Err(OpenBao::Unreachable { .. }) => Reason::Unreachable,
        Err(_) => Reason::Failed,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_core::error::Error;
    use steamer_openbao::{Health, Leader};

    use super::*;
    use crate::operator_policy::PolicyScope;

    /// `i` initialized, `s` sealed, `l` with a leader, `p` with an incomplete policy.
    fn server(state: &str) -> Server {
        let has = |letter| state.contains(letter);
        let health =
            Health { initialized: has('i'), sealed: has('s'), version: "2.7.2".into(), ..Health::default() };
        Server {
            health: Ok(health),
            leader: Some(Leader { ha_enabled: true, is_self: has('l'), ..Leader::default() }),
            missing: Ok(has('p').then(|| "[\"read\"] on x".to_owned()).into_iter().collect()),
            managed: false,
            scope: PolicyScope::Tenants,
        }
    }

    #[rstest]
    #[case("", "Progressing(Waiting, \"OpenBao at a is not initialized\")")]
    #[case("is", "Retrying(Sealed, \"OpenBao at a is sealed\")")]
    #[case("i", "Retrying(NoLeader, \"OpenBao at a has no leader\")")]
    #[case("il", "Ready(Applied, \"OpenBao 2.7.2 serves at a\")")]
    fn the_state_of_a_server_determines_the_verdict(#[case] state: &str, #[case] expected: &str) {
        assert_eq!(format!("{:?}", verdict("a", &server(state))), expected);
    }

    #[test]
    fn an_incomplete_policy_stalls_and_an_unreadable_one_is_retried() {
        let Verdict::Stalled(_, text) = verdict("a", &server("ilp")) else { panic!("not stalled") };
        assert!(text.ends_with("runs `steamer openbao-policy | bao policy write steamer -`"), "{text}");
        let wide = Server { managed: true, scope: PolicyScope::Root, ..server("ilp") };
        let Verdict::Stalled(_, text) = verdict("a", &wide) else { panic!("not stalled") };
        assert!(text.contains("`steamer openbao-policy --managed --scope Root | bao policy"), "{text}");
        assert!(text.contains("operatorScope Root is equivalent to root access"), "{text}");
        let unreadable = Server { missing: Err(Error::Waiting("w".to_owned())), ..server("il") };
        assert_eq!(verdict("a", &unreadable).reason(), Reason::Waiting);
    }
}
