//! Parameters of a resource from typed fields and from the free map of a spec.

use serde_json::{Map, Value};
use steamer_api::{Duration, Parameters};
use steamer_core::error::Error;

use super::compare;

/// The fields of a spec that are set, under the names of OpenBao's API: null and empty lists are left out.
pub(crate) fn typed<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let is_set = |value: &Value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    fields
        .into_iter()
        .filter(|(_, value)| is_set(value))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Adds the free parameters of a spec.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that a field sets.
pub(crate) fn merged(
    mut typed: Map<String, Value>,
    parameters: &Parameters,
) -> Result<Map<String, Value>, Error> {
    if let Some(name) = parameters.0.keys().find(|name| typed.contains_key(*name)) {
        return Err(Error::Invalid(format!(
            "parameters.{name} repeats a field of the spec: remove it from parameters"
        )));
    }
    typed.extend(parameters.0.clone());
    Ok(typed)
}

/// Whole seconds of a duration, also of one that is longer than a year.
pub(crate) fn seconds(duration: &Duration) -> u64 {
    compare::seconds(&duration.to_string()).unwrap_or_else(|| duration.get().as_secs())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_are_not_set_are_left_out() {
        let fields = typed([("a", json!(null)), ("b", json!([])), ("c", json!(false)), ("d", json!(0))]);
        assert_eq!(Value::Object(fields), json!({"c": false, "d": 0}));
    }

    #[rstest]
    #[case("72h", 259_200)]
    #[case("87600h", 315_360_000)]
    #[case("1.5h", 5400)]
    #[case("500ms", 0)]
    fn a_duration_is_sent_in_seconds(#[case] text: &str, #[case] expected: u64) {
        assert_eq!(seconds(&text.parse().unwrap()), expected);
    }
}
