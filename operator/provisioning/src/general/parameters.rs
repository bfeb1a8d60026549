//! Parameters of a resource from typed fields and from the free map of a spec.

use serde_json::{Map, Value};
use steamer_api::{BoundedDuration, Parameters};
use steamer_core::error::Error;

use super::compare;

/// The fields of a spec that are set, under the names of OpenBao's API: null and empty lists are left out.
pub(crate) fn typed<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let is_set = |value: &Value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    stated(fields.map(|(name, value)| (name, is_set(&value).then_some(value))))
}

/// As [`typed`], for specs in which an empty list is a value.
pub(crate) fn stated<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
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
        return Err(repeated("parameters", name));
    }
    typed.extend(parameters.0.clone());
    Ok(typed)
}

/// Adds the defaults of parameters that are not set, so that what is removed from a spec is also removed from the resource.
pub(crate) fn completed<const N: usize>(
    mut parameters: Map<String, Value>,
    defaults: [(&str, Value); N],
) -> Map<String, Value> {
    for (name, default) in defaults {
        parameters.entry(name).or_insert(default);
    }
    parameters
}

/// Those of some parameters that a spec does not state.
pub(crate) fn unstated(all: &[&'static str], stated: &Map<String, Value>) -> Vec<&'static str> {
    all.iter().copied().filter(|name| !stated.contains_key(*name)).collect()
}

/// The error of a parameter in the map `map` of a spec that a field of the spec sets too.
pub(crate) fn repeated(map: &str, name: &str) -> Error {
    Error::Invalid(format!("{map}.{name} repeats a field of the spec: remove it from {map}"))
}

/// Whole seconds of a duration.
pub(crate) fn seconds<const HOURS: u64>(duration: &BoundedDuration<HOURS>) -> u64 {
    duration.get().as_secs()
}

/// Seconds of a text such as `87600h` or `365d`, which can be longer than a year.
///
/// # Errors
/// [`Error::Invalid`] for any other text.
pub(crate) fn time(text: &str) -> Result<u64, Error> {
    let invalid =
        || Error::Invalid(format!("`{text}` is not a duration with its unit, such as 30m, 87600h or 365d"));
    compare::seconds(text).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::Duration;

    use super::*;

    #[test]
    fn fields_that_are_not_set_are_left_out() {
        let fields = typed([("a", json!(null)), ("b", json!([])), ("c", json!(false)), ("d", json!(0))]);
        assert_eq!(Value::Object(fields), json!({"c": false, "d": 0}));
    }

    #[test]
    fn only_what_is_not_set_has_its_default() {
        let fields = typed([("a", json!(true)), ("b", json!([]))]);
        let all = completed(fields, [("a", json!(false)), ("b", json!(["x"])), ("c", json!(0))]);
        assert_eq!(Value::Object(all), json!({"a": true, "b": ["x"], "c": 0}));
    }

    #[test]
    fn what_a_spec_states_is_not_unstated() {
        assert_eq!(unstated(&["a", "b"], &typed([("a", json!(0)), ("c", json!(0))])), ["b"]);
    }

    #[rstest]
    #[case("72h", 259_200)]
    #[case("1.5h", 5400)]
    #[case("500ms", 0)]
    fn a_duration_is_sent_in_seconds(#[case] text: &str, #[case] expected: u64) {
        assert_eq!(seconds(&text.parse::<Duration>().unwrap()), expected);
    }

    #[rstest]
    #[case("87600h", Some(315_360_000))]
    #[case("365d", Some(31_536_000))]
    #[case("1h30m", Some(5400))]
    #[case("5", None)]
    #[case("1.5h", None)]
    fn a_time_can_be_longer_than_a_year(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(time(text).ok(), expected);
    }
}
