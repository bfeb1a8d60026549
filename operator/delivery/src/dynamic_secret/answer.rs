//! The answer of an engine: a lease, the password of a static role, or a value without either.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use steamer_core::Error;
use steamer_openbao::{Issued, Lease, Values};

use super::timing::{after, now};
use crate::engine::{Document, Held, LeaseHeld, Obtained, TokenHeld};

/// Pause before a password is read again whose rotation is overdue: OpenBao looks for due rotations every few seconds.
const OVERDUE: Duration = Duration::from_secs(3);
/// Pause between a rotation and the read: OpenBao states times in whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// What the spec says about answers.
pub(super) struct Terms {
    /// Whether the path is a static role.
    pub(super) is_static: bool,
    pub(super) refresh_after: Option<Duration>,
}

/// The value of an answer.
///
/// # Errors
/// [`Error::Invalid`] if the answer does not fit the spec, and for an answer without data.
pub(super) fn obtained(issued: Issued, token: Option<TokenHeld>, terms: &Terms) -> Result<Obtained, Error> {
    let (now, Issued { values, lease }) = (now(), issued);
    if values.0.is_empty() {
        return Err(Error::Invalid("the answer of OpenBao contains no data: correct spec.path".to_owned()));
    }
    let held = match (lease, terms.is_static) {
        (Some(lease), false) => Held::Lease(leased(lease, token, now)),
        (Some(_), true) => return Err(invalid("has a lease", "remove allowStaticCreds")),
        (None, true) => Held::Rotated { at: now, next: Some(rotation(&values, now)?) },
        (None, false) if is_of_static_role(&values) => {
            return Err(invalid("is that of a static role", "set allowStaticCreds: true"));
        }
        (None, false) => {
            Held::Rotated { at: now, next: terms.refresh_after.map(|interval| after(now, interval)) }
        }
    };
    let values = if terms.is_static { without_ttl(values) } else { values };
    let documents = vec![Document { values, metadata: Value::Null }];
    Ok(Obtained { documents, held, mount: None, at: now })
}

fn invalid(what: &str, advice: &str) -> Error {
    Error::Invalid(format!("the answer of OpenBao {what}: {advice}, or correct spec.path"))
}

fn leased(lease: Lease, token: Option<TokenHeld>, now: Timestamp) -> LeaseHeld {
    let Lease { id, duration, renewable } = lease;
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    LeaseHeld { id, issued: now, at: now, ends: after(now, duration), seconds, renewable, token }
}

fn is_of_static_role(values: &Values) -> bool {
    values.integer("ttl").is_some() && values.0.contains_key("last_vault_rotation")
}

/// When the password of a static role is read again: just after its rotation.
fn rotation(values: &Values, now: Timestamp) -> Result<Timestamp, Error> {
    let left = values
        .integer("ttl")
        .ok_or_else(|| invalid("has no ttl, and is not that of a static role", "remove allowStaticCreds"))?;
    Ok(match u64::try_from(left) {
        Ok(left) if left > 0 => after(now, Duration::from_secs(left) + ROUNDING),
        _ => after(now, OVERDUE),
    })
}

/// The remaining time differs at each read, and a changed Secret restarts workloads.
fn without_ttl(mut values: Values) -> Values {
    values.0.remove("ttl");
    values
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

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
        let terms = Terms { is_static, refresh_after: None };
        let text = obtained(issued(&data, lease), None, &terms).err().map(|error| error.to_string());
        assert_eq!(text.is_some(), mistake.is_some());
        assert!(text.unwrap_or_default().contains(mistake.unwrap_or_default()));
    }

    /// Milliseconds until the next read, and the keys of the value.
    fn read(data: &Value, terms: &Terms) -> (Option<i128>, Vec<String>) {
        let Obtained { documents, held, .. } = obtained(issued(data, None), None, terms).unwrap();
        let Held::Rotated { at, next } = held else { panic!("no lease") };
        let keys = documents[0].values.0.keys().cloned().collect();
        (next.map(|next| next.duration_since(at).as_millis()), keys)
    }

    #[rstest]
    #[case::before_the_rotation(30, 31_000)]
    #[case::at_the_rotation(0, 3_000)]
    #[case::overdue(-5, 3_000)]
    fn a_static_role_is_read_after_its_rotation_and_without_its_remaining_time(
        #[case] ttl: i64,
        #[case] expected: i128,
    ) {
        let terms = Terms { is_static: true, refresh_after: Some(Duration::from_secs(5)) };
        let (next, keys) = read(&static_role(ttl), &terms);
        assert_eq!(next, Some(expected));
        assert_eq!(keys, ["last_vault_rotation", "password", "username"]);
    }

    #[rstest]
    #[case(Some(5), Some(5_000))]
    #[case(None, None)]
    fn a_value_without_a_lease_is_read_after_the_interval_of_the_spec(
        #[case] seconds: Option<u64>,
        #[case] expected: Option<i128>,
    ) {
        let terms = Terms { is_static: false, refresh_after: seconds.map(Duration::from_secs) };
        assert_eq!(read(&json!({"ttl": 9}), &terms), (expected, vec!["ttl".to_owned()]));
    }
}
