//! The current token of a login, and its lifetime.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::Value;

/// A token.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// `None` for a batch token.
    pub(super) accessor: Option<String>,
    pub(super) renewable: bool,
    /// Zero: it does not expire.
    pub(super) lifetime: Duration,
    made: Instant,
}

/// A token of its own: no other client and no other request of this one uses it.
pub struct OwnToken {
    pub(crate) secret: SecretString,
    /// Accessor of the token. `None` for a batch token, which OpenBao neither renews nor revokes.
    pub accessor: Option<String>,
    /// Lifetime of the token.
    pub life: TokenLife,
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

/// Returns the lifetime of the token in the response to a renewal by its accessor, which does not contain the token.
pub(crate) fn renewed_life(body: &Value) -> Option<TokenLife> {
    let auth = body.get("auth").filter(|auth| auth.is_object())?;
    Some(Token::with(SecretString::default(), auth, "lease_duration").life())
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
        let accessor = properties.get("accessor").and_then(Value::as_str).filter(|text| !text.is_empty());
        Self {
            secret,
            accessor: accessor.map(str::to_owned),
            renewable: properties.get("renewable").and_then(Value::as_bool).unwrap_or(false),
            lifetime: Duration::from_secs(properties.get(lifetime).and_then(Value::as_u64).unwrap_or(0)),
            made: Instant::now(),
        }
    }

    pub(super) fn life(&self) -> TokenLife {
        TokenLife { duration: self.lifetime, renewable: self.renewable }
    }

    pub(super) fn own(self) -> OwnToken {
        OwnToken { life: self.life(), secret: self.secret, accessor: self.accessor }
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
    fn a_service_token_has_an_accessor_and_a_batch_token_has_none() {
        let accessor = |text: &str| {
            let auth = json!({"client_token": "t", "accessor": text, "lease_duration": 60});
            Token::issued(&json!({"auth": auth})).unwrap().own().accessor
        };
        assert_eq!(accessor("a"), Some("a".to_owned()));
        assert_eq!(accessor(""), None);
    }

    #[test]
    fn lifetime_and_renewal_are_read_from_both_responses() {
        let auth = json!({"client_token": "t", "lease_duration": 60, "renewable": true});
        let issued = Token::issued(&json!({"auth": auth})).unwrap();
        assert_eq!(
            (issued.secret.expose_secret(), issued.lifetime.as_secs(), issued.renewable),
            ("t", 60, true)
        );
        assert!(Token::issued(&json!({"auth": {"client_token": ""}})).is_none());
        let renewed = json!({"client_token": "", "accessor": "a", "lease_duration": 60, "renewable": true});
        let life = TokenLife { duration: Duration::from_secs(60), renewable: true };
        assert_eq!(renewed_life(&json!({"auth": renewed})), Some(life));
        assert_eq!(renewed_life(&json!({"auth": null})), None);
        let data = json!({"ttl": 30, "renewable": false});
        let existing = Token::existing("t".to_owned().into(), &json!({"data": data})).unwrap();
        assert_eq!((existing.lifetime.as_secs(), existing.renewable), (30, false));
        let root = Token::existing("t".to_owned().into(), &json!({"data": {"ttl": 0}})).unwrap();
        assert!(!root.due() && !root.dead(), "a root token does not expire");
    }
}
