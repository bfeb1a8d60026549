//! Comparison of desired parameters with what OpenBao returns. OpenBao returns many parameters in another form than they are
//! written: durations as seconds, lists as text, numbers as text, empty values as null or not at all.

use serde_json::{Map, Value};

/// How a parameter differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Name of the parameter.
    pub(super) name: String,
    /// True if OpenBao does not return the parameter at all.
    pub(crate) is_absent: bool,
}

/// The desired parameters that differ from those that were found.
pub(crate) fn differences(desired: &Map<String, Value>, found: &Map<String, Value>) -> Vec<Difference> {
    let differs = |(name, desired): (&String, &Value)| match found.get(name) {
        None if is_empty(desired) => None,
        None => Some(Difference { name: name.clone(), is_absent: true }),
        Some(found) if equal(desired, found) => None,
        Some(_) => Some(Difference { name: name.clone(), is_absent: false }),
    };
    desired.iter().filter_map(differs).collect()
}

/// The lists of `ordered` that contain the desired items in another order.
pub(super) fn reordered(
    ordered: &[&str],
    desired: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Vec<Difference> {
    let is_reordered = |name: &str| match (desired.get(name), found.get(name)) {
        (Some(Value::Array(desired)), Some(Value::Array(found))) => {
            same_items(desired, found) && !desired.iter().zip(found).all(|(a, b)| equal(a, b))
        }
        _ => false,
    };
    let names = ordered.iter().filter(|name| is_reordered(name));
    names.map(|name| Difference { name: (*name).to_owned(), is_absent: false }).collect()
}

/// What was found, without the entries that OpenBao adds to the maps `open`.
pub(super) fn without_additions(
    open: &[&str],
    desired: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Map<String, Value> {
    let mut found = found.clone();
    for name in open {
        if let (Some(Value::Object(desired)), Some(Value::Object(found))) =
            (desired.get(*name), found.get_mut(*name))
        {
            found.retain(|entry, _| desired.contains_key(entry));
        }
    }
    found
}

/// Returns true for a value that OpenBao may return as null, or not at all.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || seconds(text) == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Returns true if two values of one parameter mean the same.
pub(super) fn equal(desired: &Value, found: &Value) -> bool {
    match (desired, found) {
        _ if is_empty(desired) && is_empty(found) => true,
        (Value::Array(desired), Value::Array(found)) => same_items(desired, found),
        (Value::Array(items), Value::String(text)) | (Value::String(text), Value::Array(items)) => {
            let listed: Vec<Value> = text.split(',').map(|item| Value::from(item.trim())).collect();
            // The comma can be a part of the only item.
            same_items(items, &listed) || same_items(items, &[Value::from(text.as_str())])
        }
        (Value::Object(desired), Value::Object(found)) => same_fields(desired, found),
        (Value::String(desired), Value::String(found)) => {
            desired == found || seconds(desired).is_some_and(|it| seconds(found) == Some(it))
        }
        (desired, found) => desired == found || scalar(desired).is_some_and(|it| scalar(found) == Some(it)),
    }
}

/// Compares lists regardless of their order: OpenBao sorts some of them.
fn same_items(desired: &[Value], found: &[Value]) -> bool {
    let contains = |list: &[Value], item: &Value| list.iter().any(|other| equal(item, other));
    desired.iter().all(|item| contains(found, item)) && found.iter().all(|item| contains(desired, item))
}

fn same_fields(desired: &Map<String, Value>, found: &Map<String, Value>) -> bool {
    let own = |(name, value): (&String, &Value)| {
        found.get(name).map_or(is_empty(value), |found| equal(value, found))
    };
    let other = |(name, value): (&String, &Value)| desired.contains_key(name) || is_empty(value);
    desired.iter().all(own) && found.iter().all(other)
}

/// Text of a scalar, with durations in seconds.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        // 5.0 is written as 5.
        Value::Number(number) if number.is_f64() => number.as_f64().map(|number| number.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => {
            Some(seconds(text).map_or_else(|| text.clone(), |seconds| seconds.to_string()))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Seconds of a duration of Go, such as `1h30m`, or of a number of days, such as `30d`. None for any other text.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let scale = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(scale)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::same(json!("a"), json!("a"), true)]
    #[case::other(json!("a"), json!("b"), false)]
    #[case::duration_as_seconds(json!("768h"), json!(2_764_800), true)]
    #[case::days(json!("30d"), json!(2_592_000), true)]
    #[case::compound_duration(json!("1h30m"), json!("90m0s"), true)]
    #[case::other_duration(json!("1h"), json!(60), false)]
    #[case::number_as_text(json!(5), json!("5"), true)]
    #[case::whole_number(json!(5.0), json!(5), true)]
    #[case::fraction(json!(5.5), json!(5), false)]
    #[case::boolean_as_text(json!(true), json!("true"), true)]
    #[case::false_is_absent(json!(false), json!(null), true)]
    #[case::true_is_not_absent(json!(true), json!(null), false)]
    #[case::empty_list(json!([]), json!(null), true)]
    #[case::zero_duration(json!("0s"), json!(0), true)]
    #[case::sorted_list(json!(["b", "a"]), json!(["a", "b"]), true)]
    #[case::shorter_list(json!(["a"]), json!(["a", "b"]), false)]
    #[case::list_as_text(json!(["a", "b"]), json!("a, b"), true)]
    #[case::text_as_list(json!("a,b"), json!(["b", "a"]), true)]
    #[case::one_item_with_a_comma(json!(["a,b"]), json!("a,b"), true)]
    #[case::text_as_one_item(json!("cn=a,dc=b"), json!(["cn=a,dc=b"]), true)]
    #[case::other_text_as_one_item(json!("cn=a,dc=b"), json!(["cn=a,dc=c"]), false)]
    #[case::fields(json!({"a": 1}), json!({"a": "1", "b": null}), true)]
    #[case::further_field(json!({"a": 1}), json!({"a": 1, "b": 2}), false)]
    #[case::missing_field(json!({"a": 1}), json!({}), false)]
    #[case::text_and_object(json!("{}"), json!({"a": 1}), false)]
    #[case::word_with_digits(json!("5x"), json!(5), false)]
    fn a_parameter_is_compared_by_its_meaning(
        #[case] desired: Value,
        #[case] found: Value,
        #[case] same: bool,
    ) {
        assert_eq!(equal(&desired, &found), same);
    }

    #[rstest]
    #[case::completed(&["config"], json!({"a": 1, "added": 2}), true)]
    #[case::changed(&["config"], json!({"a": 2}), false)]
    #[case::removed(&["config"], json!({"added": 2}), false)]
    #[case::closed(&[], json!({"a": 1, "added": 2}), false)]
    fn only_an_open_map_may_have_further_entries(
        #[case] open: &[&str],
        #[case] config: Value,
        #[case] same: bool,
    ) {
        let desired = Map::from_iter([("config".to_owned(), json!({"a": 1}))]);
        let found = without_additions(open, &desired, &Map::from_iter([("config".to_owned(), config)]));
        assert_eq!(differences(&desired, &found).is_empty(), same);
    }

    #[test]
    fn parameters_that_the_spec_does_not_set_are_not_compared() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let found = map(json!({"ttl": 3600, "type": "service", "renewable": true}));
        let desired = map(json!({"ttl": "2h", "type": "service", "password": "x", "period": 0}));
        let names: Vec<_> =
            differences(&desired, &found).into_iter().map(|it| (it.name, it.is_absent)).collect();
        assert_eq!(names, [("password".to_owned(), true), ("ttl".to_owned(), false)]);
    }
}
