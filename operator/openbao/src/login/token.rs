//! The current token of a login, and its lifetime.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::Value;

/// A token.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    pub(super) renewable: bool,
    /// Zero: it does not expire.
    pub(super) lifetime: Duration,
    made: Instant,
}

/// Lifetime of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife {
    /// Remaining lifetime. Zero: the token does not expire.
    pub duration: Duration,
    /// Whether the token can be renewed.
    pub renewable: bool,
}

/// Returns the lifetime of the token in the response to a login or renewal.
pub(crate) fn token_life(body: &Value) -> Option<TokenLife> {
    Token::issued(body).map(|token| token.life())
}

impl Token {
    /// Returns the token in the response to a login or renewal.
    pub(super) fn issued(body: &Value) -> Option<Self> {
        let auth = body.get("auth")?;
        let secret = auth.get("client_token")?.as_str().filter(|token| !token.is_empty())?;
        Some(Self::with(secret.to_owned().into(), auth, "lease_duration"))
    }

    /// Returns an existing token with the properties in the response to `auth/token/lookup-self`.
    pub(super) fn existing(secret: SecretString, body: &Value) -> Option<Self> {
        Some(Self::with(secret, body.get("data")?, "ttl"))
    }

    fn with(secret: SecretString, properties: &Value, lifetime: &str) -> Self {
        Self {
            secret,
            renewable: properties.get("renewable").and_then(Value::as_bool).unwrap_or(false),
            lifetime: Duration::from_secs(properties.get(lifetime).and_then(Value::as_u64).unwrap_or(0)),
            made: Instant::now(),
        }
    }

    pub(super) fn life(&self) -> TokenLife {
        TokenLife { duration: self.lifetime, renewable: self.renewable }
    }

    /// Returns whether to renew or replace the token.
    pub(super) fn due(&self) -> bool {
        !self.lifetime.is_zero() && self.made.elapsed() > self.lifetime * 2 / 3
    }

    /// Returns whether the token has expired.
    pub(super) fn dead(&self) -> bool {
        !self.lifetime.is_zero() && self.made.elapsed() >= self.lifetime
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn lifetime_and_renewal_are_read_from_both_responses() {
        let auth = json!({"client_token": "t", "lease_duration": 60, "renewable": true});
        let issued = Token::issued(&json!({"auth": auth})).unwrap();
        assert_eq!(
            (issued.secret.expose_secret(), issued.lifetime.as_secs(), issued.renewable),
            ("t", 60, true)
        );
        assert!(Token::issued(&json!({"auth": {"client_token": ""}})).is_none());
        let data = json!({"ttl": 30, "renewable": false});
        let existing = Token::existing("t".to_owned().into(), &json!({"data": data})).unwrap();
        assert_eq!((existing.lifetime.as_secs(), existing.renewable), (30, false));
        let root = Token::existing("t".to_owned().into(), &json!({"data": {"ttl": 0}})).unwrap();
        assert!(!root.due() && !root.dead(), "a root token does not expire");
    }
}
