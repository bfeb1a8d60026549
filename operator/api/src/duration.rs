//! Durations in text form, such as `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration in text form: `30s`, `5m`, `1h30m`, `250ms`.
///
/// Keeps the text it was parsed from, so that a GitOps tool sees no difference to its repository after a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration {
    text: String,
    value: StdDuration,
}

impl Duration {
    /// Returns a duration of whole seconds.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self { text: format!("{seconds}s"), value: StdDuration::from_secs(seconds) }
    }

    /// Returns the value as a standard duration.
    #[must_use]
    pub fn get(&self) -> StdDuration {
        self.value
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration such as 30s, 5m or 1h30m");
        let units = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let parsed: kube::core::Duration = text.parse().ok().filter(|_| units).ok_or_else(wrong)?;
        if parsed.is_negative() {
            return Err(format!("`{text}` is negative: a duration must be 0s or more"));
        }
        Ok(Self { text: text.to_owned(), value: parsed.into() })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')",
                "message": "write a duration with its unit, such as 30s, 5m or 1h30m",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_keeps_its_original_text() {
        let duration: Duration = serde_json::from_str(r#""1h30m""#).unwrap();
        assert_eq!(duration.get(), StdDuration::from_secs(5400));
        assert_eq!(serde_json::to_string(&duration).unwrap(), r#""1h30m""#);
    }

    #[test]
    fn an_invalid_duration_is_rejected() {
        for text in ["", "5", "five minutes", "-5s", "1d"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
