//! The answer of an engine: a lease, the password of a static role, or a value without either.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use steamer_core::Error;
use steamer_openbao::{Error as OpenBao, Issued, Lease, Values};

use super::timing::{after, now};
use crate::engine::{Accessor, Document, Held, LeaseHeld, Obtained, TokenHeld};

/// First pause before a password is read again whose rotation is overdue: OpenBao looks for due rotations every few seconds.
const OVERDUE: Duration = Duration::from_secs(3);
/// Longest pause before an overdue password is read again. The database may be down for long.
const LONGEST_OVERDUE: Duration = Duration::from_secs(60);
/// Pause between a rotation and the read: OpenBao states times in whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// What the spec says about answers.
pub(super) struct Terms {
    /// Whether the path is a static role.
    pub(super) is_static: bool,
    /// OpenBao namespace of the request, from the root.
    pub(super) namespace: String,
}

/// The value of an answer. `last` is the value that it replaces.
///
/// # Errors
/// [`Error::Invalid`] if the answer does not fit the spec, and for an answer without data.
pub(super) fn obtained(
    issued: Issued,
    (token, last): (Option<TokenHeld>, Option<&Held>),
    terms: &Terms,
) -> Result<Obtained, Error> {
    let (now, Issued { values, lease }) = (now(), issued);
    if values.0.is_empty() {
        return Err(Error::Invalid("the answer of OpenBao contains no data: correct spec.path".to_owned()));
    }
    let held = match (lease, terms.is_static) {
        (Some(lease), false) => Held::Lease(leased(lease, token, (terms, now))),
        (Some(_), true) => return Err(invalid("has a lease", "remove allowStaticCreds")),
        (None, true) => rotated(&values, last, now)?,
        (None, false) if is_of_static_role(&values) => {
            return Err(invalid("is that of a static role", "set allowStaticCreds: true"));
        }
        // It has no version, and no time of its own: a read that changes nothing writes nothing.
        (None, false) => Held::Read { versions: vec![None] },
    };
    let values = if terms.is_static { without_ttl(values) } else { values };
    let documents = vec![Document { values, metadata: Value::Null }];
    Ok(Obtained { documents, held, mount: None, at: now })
}

fn invalid(what: &str, advice: &str) -> Error {
    Error::Invalid(format!("the answer of OpenBao {what}: {advice}, or correct spec.path"))
}

fn leased(lease: Lease, token: Option<TokenHeld>, (terms, now): (&Terms, Timestamp)) -> LeaseHeld {
    let Lease { id, duration, renewable } = lease;
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    LeaseHeld {
        id,
        namespace: Some(terms.namespace.clone()),
        server: String::new(),
        issued: now,
        at: now,
        ends: after(now, duration),
        seconds,
        renewable,
        token,
        accessor: None,
    }
}

/// The value with the accessor of the token that its lease depends on, and with the digest of the server.
pub(super) fn with_origin(obtained: Obtained, accessor: Option<Accessor>, server: &str) -> Obtained {
    match obtained.held {
        Held::Lease(lease) => {
            let server = server.to_owned();
            Obtained { held: Held::Lease(LeaseHeld { accessor, server, ..lease }), ..obtained }
        }
        held => Obtained { held, ..obtained },
    }
}

fn is_of_static_role(values: &Values) -> bool {
    values.integer("ttl").is_some() && values.0.contains_key("last_vault_rotation")
}

/// The password of a static role. It is read again just after its rotation, or after a pause that doubles while the rotation
/// is overdue.
fn rotated(values: &Values, last: Option<&Held>, now: Timestamp) -> Result<Held, Error> {
    let left = values
        .integer("ttl")
        .ok_or_else(|| invalid("has no ttl, and is not that of a static role", "remove allowStaticCreds"))?;
    let left = u64::try_from(left).unwrap_or_default();
    if left > 0 {
        let next = after(now, Duration::from_secs(left) + ROUNDING);
        return Ok(Held::Rotated { at: now, next: Some(next), overdue: 0 });
    }
    let overdue = if let Some(Held::Rotated { overdue, .. }) = last { *overdue } else { 0 };
    let pause = OVERDUE.saturating_mul(1 << overdue.min(16)).min(LONGEST_OVERDUE);
    Ok(Held::Rotated { at: now, next: Some(after(now, pause)), overdue: overdue.saturating_add(1) })
}

/// The remaining time differs at each read, and a changed Secret restarts workloads.
fn without_ttl(mut values: Values) -> Values {
    values.0.remove("ttl");
    values
}

/// Whether OpenBao may still execute a request, after this error. An answer of OpenBao ends the request, but not one of a proxy, or of
/// a standby that forwarded the request.
pub(super) fn may_run(error: &OpenBao) -> bool {
    matches!(
        error,
        OpenBao::Unanswered { .. }
            | OpenBao::Foreign { .. }
            | OpenBao::NoLeader
            | OpenBao::Server { status: 502..=504, .. }
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_openbao::Fault;

    use super::*;

    fn issued(data: &Value, lease: Option<Lease>) -> Issued {
        Issued { values: Values::from(data), lease }
    }

    fn lease() -> Option<Lease> {
        Some(Lease { id: "l".to_owned(), duration: Duration::from_secs(60), renewable: true })
    }

    fn static_role(ttl: i64) -> Value {
        json!({"username": "u", "password": "p", "ttl": ttl, "last_vault_rotation": "2026-01-02T03:04:05Z"})
    }

    #[rstest]
    #[case::lease(json!({"username": "u"}), lease(), false, None)]
    #[case::static_role(static_role(30), None, true, None)]
    #[case::plain(json!({"key": "k"}), None, false, None)]
    #[case::static_role_without_consent(static_role(30), None, false, Some("set allowStaticCreds: true"))]
    #[case::lease_of_a_static_role(json!({"username": "u"}), lease(), true, Some("remove allowStaticCreds"))]
    #[case::no_static_role(json!({"key": "k"}), None, true, Some("has no ttl"))]
    #[case::empty(json!({}), lease(), false, Some("contains no data"))]
    fn an_answer_fits_the_spec(
        #[case] data: Value,
        #[case] lease: Option<Lease>,
        #[case] is_static: bool,
        #[case] mistake: Option<&str>,
    ) {
        let terms = Terms { is_static, namespace: "org".to_owned() };
        let text = obtained(issued(&data, lease), (None, None), &terms).err().map(|error| error.to_string());
        assert_eq!(text.is_some(), mistake.is_some());
        assert!(text.unwrap_or_default().contains(mistake.unwrap_or_default()));
    }

    /// The value after `last`, and its keys.
    fn read(data: &Value, last: Option<&Held>, is_static: bool) -> (Held, Vec<String>) {
        let terms = Terms { is_static, namespace: "org".to_owned() };
        let Obtained { documents, held, .. } = obtained(issued(data, None), (None, last), &terms).unwrap();
        (held, documents[0].values.0.keys().cloned().collect())
    }

    /// Seconds until the next read.
    fn pause(held: &Held) -> Option<i64> {
        let Held::Rotated { at, next, .. } = held else { panic!("{held:?}") };
        next.map(|next| next.duration_since(*at).as_secs())
    }

    #[rstest]
    #[case::before_the_rotation(30, 31)]
    #[case::at_the_rotation(0, 3)]
    #[case::overdue(-5, 3)]
    fn a_static_role_is_read_after_its_rotation_and_without_its_remaining_time(
        #[case] ttl: i64,
        #[case] expected: i64,
    ) {
        let (held, keys) = read(&static_role(ttl), None, true);
        assert_eq!(pause(&held), Some(expected));
        assert_eq!(keys, ["last_vault_rotation", "password", "username"]);
    }

    #[test]
    fn an_overdue_rotation_is_not_polled_every_three_seconds() {
        let mut held = read(&static_role(0), None, true).0;
        let mut pauses = vec![pause(&held)];
        for _ in 0..6 {
            held = read(&static_role(0), Some(&held), true).0;
            pauses.push(pause(&held));
        }
        assert_eq!(pauses, [3, 6, 12, 24, 48, 60, 60].map(Some));
        held = read(&static_role(30), Some(&held), true).0;
        assert_eq!(pause(&held), Some(31), "the password was rotated");
        held = read(&static_role(0), Some(&held), true).0;
        assert_eq!(pause(&held), Some(3), "the next overdue rotation starts again");
    }

    #[test]
    fn a_value_without_a_lease_has_no_time_that_differs_at_each_read() {
        let (held, keys) = read(&json!({"ttl": 9}), None, false);
        assert_eq!((held, keys), (Held::Read { versions: vec![None] }, vec!["ttl".to_owned()]));
    }

    #[test]
    fn a_lease_states_its_namespace() {
        let terms = Terms { is_static: false, namespace: "org".to_owned() };
        let obtained = obtained(issued(&json!({"username": "u"}), lease()), (None, None), &terms).unwrap();
        let Held::Lease(lease) = obtained.held else { panic!("{:?}", obtained.held) };
        assert_eq!(lease.namespace.as_deref(), Some("org"));
    }

    #[rstest]
    #[case::lost(OpenBao::Unanswered { address: "a".to_owned(), source: Fault::Silent }, true)]
    #[case::of_a_proxy(OpenBao::Server { status: 504, path: "p".to_owned(), message: "m".to_owned() }, true)]
    #[case::not_of_openbao(OpenBao::Foreign { path: "p".to_owned(), status: 200 }, true)]
    #[case::failed(OpenBao::Server { status: 500, path: "p".to_owned(), message: "m".to_owned() }, false)]
    #[case::denied(OpenBao::Denied { method: "GET".to_owned(), path: "p".to_owned() }, false)]
    #[case::not_sent(OpenBao::Sealed, false)]
    fn only_an_answer_of_openbao_ends_a_request(#[case] error: OpenBao, #[case] expected: bool) {
        assert_eq!(may_run(&error), expected);
    }
}
