use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::session::Call;
use crate::{Error, Session};

/// `auth/token/lookup-self`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TokenInfo {
    /// Names of the token's policies.
    pub policies: Vec<String>,
    /// Seconds left.
    pub ttl: i64,
    /// Name shown in audit.
    pub display_name: String,
}

impl Session {
    /// What the session's token is.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn token(&self) -> Result<TokenInfo, Error> {
        self.data(Call::get("auth/token/lookup-self")).await
    }

    /// What the session's token may do at each path (`sys/capabilities-self`). Does not work with inline authentication.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn capabilities(&self, paths: &[String]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let body = self.call(Call::post("sys/capabilities-self", json!({"paths": paths}))).await?;
        let of = |path: &String| {
            let listed = body.get("data").and_then(|data| data.get(path)).and_then(Value::as_array);
            listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(paths.iter().map(|path| (path.clone(), of(path))).collect())
    }
}
