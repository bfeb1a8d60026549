//! Source of the secret of a login.

use std::future::Future;
use std::pin::Pin;

use secrecy::SecretString;

use crate::CredentialError;

/// Source of the secret to log in with. Called before every login, and before every request with inline authentication,
/// so an implementation caches the secret until shortly before it expires.
pub trait Credential: Send + Sync {
    /// Returns the secret that the method requires, such as a JWT or a password. Empty if it requires none.
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>>;

    /// Discards the cached secret, because OpenBao rejects it: the next one is new. Returns whether a new one may be
    /// accepted, which is false if the discarded secret was new itself, or cannot be replaced.
    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}
