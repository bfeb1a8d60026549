//! Claims that OpenBao checks before the CEL program: issuer, audience and times.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Time that OpenBao adds if a token states no end or no start, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leeway(pub(crate) i64);

/// Times of a token, in seconds since the epoch. 0: absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    issued: i64,
    starts: i64,
    ends: i64,
    /// The token states its end. The CEL program requires it.
    has_end: bool,
}

impl Times {
    /// The times of a token, with those that OpenBao adds.
    ///
    /// # Errors
    /// The claim that is no number, or `exp` if the token has no time at all.
    pub(crate) fn of(claims: &Map<String, Value>, leeway: Leeway) -> Result<Self, &'static str> {
        let (issued, starts, ends) = (time(claims, "iat")?, time(claims, "nbf")?, time(claims, "exp")?);
        if issued == 0 && starts == 0 && ends == 0 {
            return Err("exp");
        }
        let has_end = ends > 0;
        let ends = if ends == 0 { issued.max(starts).saturating_add(leeway.0) } else { ends };
        let starts = match (starts, issued) {
            (0, 0) => ends.saturating_sub(leeway.0),
            (0, issued) => issued,
            (starts, _) => starts,
        };
        Ok(Self { issued, starts, ends, has_end })
    }

    /// End of the token.
    pub(crate) fn ends(self) -> Option<Timestamp> {
        Timestamp::from_second(self.ends).ok()
    }

    /// The first time that makes OpenBao refuse the token, and what it means.
    pub(crate) fn problem(self, now: Timestamp, leeway: Leeway) -> Option<(&'static str, String)> {
        let now = now.as_second();
        let past = |at: i64| format!("{} ago", period(now.saturating_sub(at)));
        let future = |at: i64| format!("in {}", period(at.saturating_sub(now)));
        let allowed = format!("and the leeway is {}", period(leeway.0));
        // OpenBao compares with fractions of a second: a whole second that has begun is over.
        if now.saturating_sub(leeway.0) >= self.ends {
            Some(("exp", format!("the token expired {}, {allowed}", past(self.ends))))
        } else if now.saturating_add(leeway.0) < self.starts {
            Some(("nbf", format!("the token is valid {}, {allowed}", future(self.starts))))
        } else if now.saturating_add(leeway.0) < self.issued {
            Some(("iat", format!("the token is issued {}, {allowed}", future(self.issued))))
        } else {
            (!self.has_end).then(|| ("exp", "the token has none".to_owned()))
        }
    }
}

/// A number of seconds, as text.
fn period(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
    }
}

fn time(claims: &Map<String, Value>, name: &'static str) -> Result<i64, &'static str> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(0),
        // As OpenBao, without the fraction.
        #[allow(clippy::cast_possible_truncation)]
        Some(Value::Number(number)) => number.as_f64().map(|seconds| seconds as i64).ok_or(name),
        Some(_) => Err(name),
    }
}

/// The audiences of a token. None: the claim is neither a text nor a list of texts.
pub(crate) fn audiences(claims: &Map<String, Value>) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match claims.get("aud") {
        None => Some(Vec::new()),
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(several)) => several.iter().map(text).collect(),
        Some(_) => None,
    }
}

/// A registered claim that must be a text or absent. `Err`: it is something else, and OpenBao refuses the token.
pub(crate) fn registered_text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, ()> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    #[rstest]
    #[case::valid(json!({"exp": NOW + 300, "nbf": NOW, "iat": NOW}), "")]
    #[case::within_leeway(json!({"exp": NOW - 59}), "")]
    #[case::expired(json!({"exp": NOW - 61}), "exp")]
    #[case::at_the_limit(json!({"exp": NOW - 60}), "exp")]
    #[case::early(json!({"nbf": NOW + 61, "exp": NOW + 900}), "nbf")]
    #[case::early_within_leeway(json!({"nbf": NOW + 60, "exp": NOW + 900}), "")]
    #[case::issued_later(json!({"iat": NOW + 61, "nbf": NOW, "exp": NOW + 900}), "iat")]
    #[case::no_end(json!({"iat": NOW - 100}), "exp")]
    #[case::no_end_and_old(json!({"iat": NOW - 121}), "exp")]
    #[case::only_an_end(json!({"exp": NOW + 300}), "nbf")]
    #[case::only_an_end_that_is_near(json!({"exp": NOW + 100}), "")]
    #[case::none(json!({}), "exp")]
    #[case::text(json!({"exp": "1"}), "exp")]
    #[case::null(json!({"exp": null, "iat": NOW}), "exp")]
    fn times_decide_with_a_leeway(#[case] claims: Value, #[case] expected: &str) {
        let leeway = Leeway(60);
        let problem = match Times::of(claims.as_object().unwrap(), leeway) {
            Ok(times) => times.problem(Timestamp::from_second(NOW).unwrap(), leeway).map(|(claim, _)| claim),
            Err(claim) => Some(claim),
        };
        assert_eq!(problem.unwrap_or_default(), expected);
    }

    #[rstest]
    #[case(json!({}), Some(0))]
    #[case(json!({"aud": "a"}), Some(1))]
    #[case(json!({"aud": ["a", "b"]}), Some(2))]
    #[case(json!({"aud": ["a", 1]}), None)]
    #[case(json!({"aud": null}), None)]
    fn audiences_are_texts(#[case] claims: Value, #[case] expected: Option<usize>) {
        assert_eq!(audiences(claims.as_object().unwrap()).map(|found| found.len()), expected);
    }
}
