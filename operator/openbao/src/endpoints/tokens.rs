//! The session's own token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::session::{CAPABILITIES, Call};
use crate::{Error, Session};

/// Response of `auth/token/lookup-self`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TokenInfo {
    /// Names of the token's policies.
    pub policies: Vec<String>,
    /// Remaining lifetime in seconds.
    pub ttl: i64,
    /// Display name in audit logs.
    pub display_name: String,
}

impl Session {
    /// Returns the properties of the session's token.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn token(&self) -> Result<TokenInfo, Error> {
        self.data(Call::get("auth/token/lookup-self")).await
    }

    /// Returns the capabilities of the session's token on each path (`sys/capabilities-self`). Not supported with
    /// inline authentication.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn capabilities(&self, paths: &[String]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let body = self.call(Call::post(CAPABILITIES, json!({"paths": paths}))).await?;
        let of = |path: &String| {
            let listed = body.get("data").and_then(|data| data.get(path)).and_then(Value::as_array);
            listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(paths.iter().map(|path| (path.clone(), of(path))).collect())
    }
}
