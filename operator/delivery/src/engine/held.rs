//! The value that a Secret contains, as the stamp records it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use steamer_openbao::{NamespacePath, Session};

use super::accessors::Accessor;

/// Percentage of the time from the last renewal to the end after which a refused renewal is not repeated.
const LATE: u32 = 90;

/// The value that a Secret contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Held {
    /// Values that can be read again: the version of each source, `None` where the engine has no versions.
    Read {
        /// Version of each source.
        versions: Vec<Option<i64>>,
    },
    /// A credential with a lease.
    Lease(LeaseHeld),
    /// A value that can be read again and that OpenBao replaces.
    Rotated {
        /// When it was read.
        #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
        at: Timestamp,
        /// When it is read again. None: never.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "jiff::fmt::serde::timestamp::second::optional"
        )]
        next: Option<Timestamp>,
        /// Number of reads in a row before `at` for which OpenBao had missed its own time.
        #[serde(default, skip_serializing_if = "is_zero")]
        overdue: u32,
    },
    /// A certificate.
    Certificate {
        /// OpenBao namespace of the mount, from the root. None in stamps of earlier versions: that of the spec.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Path of the mount that issued it.
        mount: String,
        /// Serial number.
        serial: String,
        /// When it was issued.
        #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
        at: Timestamp,
        /// When it expires.
        #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
        not_after: Timestamp,
    },
}

/// A lease and the token that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeaseHeld {
    /// ID of the lease.
    pub(crate) id: String,
    /// OpenBao namespace of the lease, from the root. None in stamps of earlier versions: that of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Digest of the address of the server that issued the lease. Empty in stamps of earlier versions: that of the stamp.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) server: String,
    /// When the lease was issued.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(crate) issued: Timestamp,
    /// When the lease was issued or renewed last.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(crate) at: Timestamp,
    /// End of the lease.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(crate) ends: Timestamp,
    /// Seconds of the lease when it was issued. A renewal asks for them.
    pub(crate) seconds: i64,
    /// Whether the lease can be renewed.
    pub(crate) renewable: bool,
    /// The token that the lease was issued with: OpenBao revokes the lease with it. None: the token does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenHeld>,
    /// Accessor of this token. None: only the process that logged in can use the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accessor: Option<Accessor>,
}

/// A token that a lease depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenHeld {
    /// End of the token.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(crate) ends: Timestamp,
    /// Seconds of the token when it was created.
    pub(crate) seconds: i64,
    /// Whether the token can be renewed.
    pub(crate) renewable: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The session in the namespace in which a value was issued. The namespace of the spec can be another one by now.
pub(crate) fn session_of(current: &Session, issued_in: Option<&str>) -> Session {
    match issued_in {
        Some(namespace) => current.at(NamespacePath::new(namespace)),
        None => current.clone(),
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::Read { versions: Vec::new() }
    }
}

impl Held {
    /// Version of a value from a single source.
    pub(crate) fn version(&self) -> Option<i64> {
        match self {
            Self::Read { versions } => {
                if let [version] = versions[..] {
                    version
                } else {
                    None
                }
            }
            Self::Lease(_) | Self::Rotated { .. } | Self::Certificate { .. } => None,
        }
    }

    /// Whether OpenBao issues another value each time.
    pub(crate) fn is_issued(&self) -> bool {
        matches!(self, Self::Lease(_) | Self::Certificate { .. })
    }

    /// Whether the value can be read again at any time, so that nothing but its version must survive a restart.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. })
    }

    /// Digest of the address of the server that issued the value, if it is recorded.
    fn server(&self) -> Option<&str> {
        match self {
            Self::Lease(lease) => Some(lease.server.as_str()).filter(|server| !server.is_empty()),
            Self::Read { .. } | Self::Rotated { .. } | Self::Certificate { .. } => None,
        }
    }

    /// Digest of the address of the server that issued the value. `current`: that of the spec, if none is recorded.
    pub(crate) fn server_or<'a>(&'a self, current: &'a str) -> &'a str {
        self.server().unwrap_or(current)
    }

    /// Whether the server with this digest of its address can know the value. Another server must not get the token of a lease.
    pub(crate) fn is_of_server(&self, server: &str) -> bool {
        self.server_or(server) == server
    }

    /// The value of the server `from`, or of one that is not recorded, as one of the server `to`.
    pub(crate) fn moved(self, from: &str, to: &str) -> Self {
        match self {
            Self::Lease(lease) if lease.server.is_empty() || lease.server == from => {
                Self::Lease(LeaseHeld { server: to.to_owned(), ..lease })
            }
            other => other,
        }
    }

    /// Whether both are the same issued value. A lease may have been renewed in between.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Lease(this), Self::Lease(other)) => this.id == other.id,
            (Self::Certificate { serial: this, .. }, Self::Certificate { serial: other, .. }) => {
                this == other
            }
            _ => false,
        }
    }

    /// When an issued value was issued.
    pub(crate) fn issued_at(&self) -> Option<Timestamp> {
        match self {
            Self::Lease(lease) => Some(lease.issued),
            Self::Certificate { at, .. } => Some(*at),
            Self::Read { .. } | Self::Rotated { .. } => None,
        }
    }

    /// When an issued value ends.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Lease(lease) => Some(lease.until()),
            Self::Certificate { not_after, .. } => Some(*not_after),
            Self::Read { .. } | Self::Rotated { .. } => None,
        }
    }

    /// Whether a lease has so little time left that it is replaced if its renewal fails.
    pub(crate) fn is_ending(&self, now: Timestamp) -> bool {
        let Self::Lease(lease) = self else { return self.has_ended(now) };
        lease.at.checked_add(lease.part(LATE)).is_ok_and(|late| late <= now)
    }

    /// Whether an issued value has ended.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.end().is_some_and(|end| end <= now)
    }
}

impl LeaseHeld {
    /// End of the credential: of the lease, or of the token that it depends on.
    pub(crate) fn until(&self) -> Timestamp {
        self.token.map_or(self.ends, |token| self.ends.min(token.ends))
    }

    /// Seconds from a complete renewal to the end of the credential.
    fn complete(&self) -> i64 {
        self.token.map_or(self.seconds, |token| self.seconds.min(token.seconds))
    }

    /// Seconds from the last renewal to the end of the credential.
    fn granted(&self) -> SignedDuration {
        self.until().duration_since(self.at).max(SignedDuration::ZERO)
    }

    /// Whether a renewal can postpone the end: not if the last one granted less than it asked for, because OpenBao then
    /// reached a maximum.
    pub(crate) fn is_renewed_again(&self) -> bool {
        let is_token_first = self.token.is_some_and(|token| token.ends < self.ends);
        let renewable =
            if is_token_first { self.token.is_some_and(|token| token.renewable) } else { self.renewable };
        // Both sides are rounded to seconds.
        renewable && self.granted().as_secs() + 2 >= self.complete()
    }

    /// A part of the time from the last renewal to the end, in percent.
    pub(crate) fn part(&self, percent: u32) -> SignedDuration {
        let milliseconds = self.granted().as_millis() * i128::from(percent) / 100;
        SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_core::mac::Mac;

    use super::super::accessors::sample;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn lease(renewed: i64, ends: i64, token: Option<(i64, i64)>) -> LeaseHeld {
        let token = token.map(|(ends, seconds)| TokenHeld { ends: at(ends), seconds, renewable: true });
        LeaseHeld {
            id: "database/creds/app/x".to_owned(),
            namespace: None,
            server: String::new(),
            issued: at(0),
            at: at(renewed),
            ends: at(ends),
            seconds: 3600,
            renewable: true,
            token,
            accessor: None,
        }
    }

    #[rstest]
    #[case::new(lease(0, 3600, None), true, 3600)]
    #[case::renewed(lease(2400, 6000, None), true, 6000)]
    #[case::truncated(lease(2400, 3600, None), false, 3600)]
    #[case::rounded(lease(2400, 5999, None), true, 5999)]
    #[case::with_a_longer_token(lease(0, 3600, Some((7200, 7200))), true, 3600)]
    #[case::with_a_shorter_token(lease(0, 3600, Some((600, 600))), true, 600)]
    #[case::with_a_lost_token(lease(400, 4000, Some((600, 600))), false, 600)]
    #[case::not_renewable(LeaseHeld { renewable: false, ..lease(0, 3600, None) }, false, 3600)]
    #[case::not_renewable_with_a_shorter_token(
        LeaseHeld { renewable: false, ..lease(0, 3600, Some((600, 600))) }, true, 600
    )]
    #[case::token_that_ends(
        LeaseHeld {
            token: Some(TokenHeld { ends: at(600), seconds: 600, renewable: false }),
            ..lease(0, 3600, None)
        },
        false,
        600
    )]
    fn a_lease_is_renewed_until_openbao_grants_less(
        #[case] lease: LeaseHeld,
        #[case] again: bool,
        #[case] end: i64,
    ) {
        assert_eq!((lease.is_renewed_again(), lease.until()), (again, at(end)));
        assert_eq!(Held::Lease(lease).end(), Some(at(end)));
    }

    #[test]
    fn a_lease_is_ending_in_its_last_tenth() {
        let held = Held::Lease(lease(0, 3600, None));
        assert!(!held.is_ending(at(3239)));
        assert!(held.is_ending(at(3240)));
    }

    #[test]
    fn a_part_is_counted_from_the_last_renewal() {
        assert_eq!(lease(2400, 3600, None).part(50), SignedDuration::from_secs(600));
        assert_eq!(lease(3600, 2400, None).part(50), SignedDuration::ZERO);
    }

    #[rstest]
    #[case::of_an_earlier_version(None, "org/new")]
    #[case::of_the_root(Some(""), "")]
    #[case::of_the_former_namespace(Some("org/old"), "org/old")]
    fn a_value_is_revoked_in_the_namespace_that_issued_it(
        #[case] issued: Option<&str>,
        #[case] expected: &str,
    ) {
        let client = steamer_openbao::Client::new(&steamer_openbao::Settings::default()).unwrap();
        let current = client.session(steamer_openbao::Identity::Anonymous).within("org/new");
        assert_eq!(session_of(&current, issued).namespace().as_str(), expected);
    }

    #[rstest]
    #[case(Held::Lease(lease(0, 3600, Some((600, 600)))))]
    #[case(Held::Lease(lease(0, 3600, None)))]
    #[case(Held::Lease(LeaseHeld { namespace: Some(String::new()), ..lease(0, 3600, None) }))]
    #[case(Held::Lease(LeaseHeld { accessor: Some(sample("a", &Mac::new(&[7; 32]))), ..lease(0, 3600, None) }))]
    #[case(Held::Rotated { at: at(0), next: Some(at(9)), overdue: 2 })]
    #[case(Held::Rotated { at: at(0), next: None, overdue: 0 })]
    #[case(Held::Certificate { namespace: Some("org".to_owned()), mount: "pki".to_owned(), serial: "0a:1b".to_owned(), at: at(0), not_after: at(9) })]
    fn a_held_value_survives_writing_and_reading(#[case] held: Held) {
        let text = serde_json::to_string(&held).unwrap();
        assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held);
        assert_eq!(held.is_issued(), held.end().is_some());
        assert_eq!(held.is_issued(), held.issued_at().is_some());
    }
}
