//! Parameters of a policy besides its text.

use jiff::Timestamp;
use serde_json::{Map, Value};
use steamer_api::Parameters;
use steamer_core::error::Error;

use crate::general::merged;

/// What OpenBao returns with a policy, and Steamer writes in another way or not at all.
const OWN: [&str; 5] = ["modified", "name", "policy", "rules", "version"];

/// The parameters that a spec states, in the form in which OpenBao returns them.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that Steamer sets, for `ttl`, and for an expiration that is no time.
pub(super) fn stated(text: String, parameters: &Parameters) -> Result<Map<String, Value>, Error> {
    let policy = Map::from_iter([("policy".to_owned(), Value::from(text))]);
    let mut all = merged(policy, parameters)?;
    parameters.0.keys().try_for_each(|name| refuse(name))?;
    if let Some(value) = all.get_mut("expiration") {
        *value = expiration(value)?;
    }
    Ok(all)
}

fn refuse(name: &str) -> Result<(), Error> {
    let problem = match name {
        "ttl" => "OpenBao makes it a time, which every write would move: state the time as expiration",
        "cas" => "Steamer sends the version of the policy that it has read: remove it",
        name if OWN.contains(&name) => "it is not a parameter of the write of a policy: remove it",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!("parameters.{name}: {problem}")))
}

/// The time in UTC, as OpenBao returns it. Null, which removes the expiration, for an empty text.
fn expiration(value: &Value) -> Result<Value, Error> {
    if value.is_null() || value == "" {
        return Ok(Value::Null);
    }
    let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    time.map(|time| Value::from(time.to_string())).ok_or_else(|| {
        Error::Invalid(format!(
            "parameters.expiration: {value} is not a time such as \"2030-01-02T03:04:05Z\", or an empty text for none"
        ))
    })
}

/// The parameters of an existing policy that a write must repeat, because OpenBao resets those that a write does not contain.
pub(super) fn kept(found: &Map<String, Value>, stated: &Map<String, Value>) -> Map<String, Value> {
    let is_kept = |name: &str| !OWN.contains(&name) && !stated.contains_key(name);
    let kept = found.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::general::differences;

    fn parameters(value: Value) -> Result<Map<String, Value>, Error> {
        stated("text".to_owned(), &serde_json::from_value(value).unwrap())
    }

    #[rstest]
    #[case::none(json!({}), json!({"policy": "text"}))]
    #[case::time_elsewhere(
        json!({"expiration": "2030-01-02T03:04:05+02:00"}),
        json!({"policy": "text", "expiration": "2030-01-02T01:04:05Z"})
    )]
    #[case::part_of_a_second(
        json!({"expiration": "2030-01-02T03:04:05.120Z"}),
        json!({"policy": "text", "expiration": "2030-01-02T03:04:05.12Z"})
    )]
    #[case::no_expiration(json!({"expiration": ""}), json!({"policy": "text", "expiration": null}))]
    #[case::other(
        json!({"cas_required": true, "later": 1}), json!({"policy": "text", "cas_required": true, "later": 1})
    )]
    fn parameters_have_the_form_of_openbao(#[case] spec: Value, #[case] expected: Value) {
        assert_eq!(Value::Object(parameters(spec).unwrap()), expected);
    }

    #[rstest]
    #[case(json!({"ttl": "1h"}), "state the time as expiration")]
    #[case(json!({"cas": 1}), "parameters.cas: Steamer sends the version")]
    #[case(json!({"name": "a"}), "parameters.name: it is not a parameter of the write")]
    #[case(json!({"policy": "a"}), "parameters.policy repeats a field of the spec")]
    #[case(json!({"expiration": "tomorrow"}), r#"parameters.expiration: "tomorrow" is not a time"#)]
    #[case(json!({"expiration": "2030-01-02T03:04:05"}), "is not a time")]
    #[case(json!({"expiration": 1_900_000_000}), "parameters.expiration: 1900000000 is not a time")]
    fn parameters_that_would_differ_forever_are_refused(#[case] spec: Value, #[case] expected: &str) {
        let error = parameters(spec).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case::set(json!({"expiration": "2030-01-02T03:04:05Z"}), json!({}), true)]
    #[case::removed(json!({"expiration": ""}), json!({"expiration": "2030-01-02T03:04:05Z"}), true)]
    #[case::none_and_none(json!({"expiration": ""}), json!({}), false)]
    #[case::not_stated(json!({}), json!({"expiration": "2030-01-02T03:04:05Z", "cas_required": true}), false)]
    #[case::switched_off(json!({"cas_required": false}), json!({"cas_required": true}), true)]
    fn only_stated_parameters_are_compared(#[case] spec: Value, #[case] found: Value, #[case] differs: bool) {
        let mut found = found.as_object().cloned().unwrap();
        found.insert("policy".to_owned(), json!("text"));
        assert_eq!(!differences(&parameters(spec).unwrap(), &found).is_empty(), differs);
    }

    #[test]
    fn a_stated_parameter_replaces_the_one_of_an_administrator() {
        let found = json!({"policy": "old", "expiration": "2030-01-02T03:04:05Z", "cas_required": true, "version": 2});
        let stated = parameters(json!({"cas_required": false})).unwrap();
        let kept = kept(found.as_object().unwrap(), &stated);
        assert_eq!(Value::Object(kept), json!({"expiration": "2030-01-02T03:04:05Z"}));
    }
}
