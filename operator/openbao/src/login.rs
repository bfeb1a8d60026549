//! Logins with a JWT: performed on demand, renewed in time, and repeated with a new JWT when OpenBao rejects them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::answer::Request;
use crate::client::Client;
use crate::requests::{post, secret_header, token_header};
use crate::{CredentialError, Error, NamespacePath};

/// Minimum time between two logins of one identity that denied requests cause.
const BETWEEN_DENIALS: Duration = Duration::from_secs(5);
/// Maximum time for which a rejected login is not repeated.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Source of the JWTs to log in with. Called before every login, and before every request with inline authentication,
/// so an implementation caches the JWT until shortly before it expires.
pub trait Credential: Send + Sync {
    /// Returns a JWT that is currently valid.
    fn jwt(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>>;

    /// Discards the cached JWT, because OpenBao rejects it: the next JWT is a new one. Returns whether a new one may be
    /// accepted, which is false if the discarded JWT was new itself.
    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// Parameters of a login.
#[derive(Clone)]
pub struct Login {
    /// OpenBao namespace of the auth mount.
    pub namespace: NamespacePath,
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// Name of the role.
    pub role: String,
    /// Login endpoint of the mount.
    pub kind: LoginKind,
    /// Token, or inline authentication.
    pub presentation: Presentation,
    /// Source of the JWT.
    pub credential: Arc<dyn Credential>,
}

/// Login endpoint of an auth mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKind {
    /// `login`.
    Role,
    /// `cel/login`.
    Cel,
}

/// Presentation of a login: as a token, or with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// Log in once. The token is renewed, and replaced by a new login when it is no longer valid.
    Token,
    /// Send the login with each request (inline authentication). OpenBao stores no token and grants no leases.
    Inline,
}

/// A login and its current token.
pub struct LoginState {
    pub(crate) login: Login,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    token: Option<Token>,
    /// Time of the last login that a denied request caused.
    denied: Option<Instant>,
    rejected: Option<Rejected>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    made: Instant,
    lifetime: Duration,
    renewable: bool,
}

/// Lifetime of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife {
    /// Remaining lifetime. Zero: the token does not expire.
    pub duration: Duration,
    /// Whether the token can be renewed.
    pub renewable: bool,
}

/// A rejected login. All requests share its error until it is repeated.
struct Rejected {
    at: Instant,
    times: u32,
    path: String,
    message: String,
}

impl Login {
    pub(crate) fn path(&self) -> String {
        self.namespace.path(&self.endpoint())
    }

    fn endpoint(&self) -> String {
        match self.kind {
            LoginKind::Role => format!("auth/{}/login", self.mount),
            LoginKind::Cel => format!("auth/{}/cel/login", self.mount),
        }
    }

    pub(crate) fn is_inline(&self) -> bool {
        self.presentation == Presentation::Inline
    }

    /// Returns the headers of inline authentication.
    pub(crate) async fn inline_headers(&self) -> Result<HeaderMap, Error> {
        let jwt = self.credential.jwt().await.map_err(Error::Credential)?;
        let parameter =
            |key: &str, value: &str| URL_SAFE_NO_PAD.encode(json!({"key": key, "value": value}).to_string());
        let mut headers = secret_header("x-vault-inline-auth-path", &self.path());
        let jwt = parameter("jwt", jwt.expose_secret());
        headers.extend(secret_header("x-vault-inline-auth-parameter-jwt", &jwt));
        headers.extend(secret_header("x-vault-inline-auth-parameter-role", &parameter("role", &self.role)));
        Ok(headers)
    }
}

impl Token {
    fn due(&self) -> bool {
        !self.lifetime.is_zero() && self.made.elapsed() > self.lifetime * 2 / 3
    }

    fn life(&self) -> TokenLife {
        TokenLife { duration: self.lifetime, renewable: self.renewable }
    }

    fn dead(&self) -> bool {
        !self.lifetime.is_zero() && self.made.elapsed() >= self.lifetime
    }
}

impl Rejected {
    /// Returns the error while the login must not be repeated: 1 s after the first two rejections, then longer.
    fn error(&self) -> Option<Error> {
        let pause = Duration::from_secs(1 << (self.times / 3).min(3)).min(LONGEST_PAUSE);
        let error = || Error::Login { path: self.path.clone(), message: self.message.clone() };
        (self.at.elapsed() < pause).then(error)
    }
}

impl Slot {
    /// Returns whether a denied request may cause a login now, and records it.
    fn admits(&mut self) -> bool {
        if self.denied.is_some_and(|at| at.elapsed() < BETWEEN_DENIALS) {
            return false;
        }
        self.denied = Some(Instant::now());
        true
    }

    /// Records a rejected login.
    fn reject(&mut self, path: &str, message: &str) {
        let times = self.rejected.as_ref().map_or(0, |rejected| rejected.times) + 1;
        let (path, message) = (path.to_owned(), message.to_owned());
        self.rejected = Some(Rejected { at: Instant::now(), times, path, message });
    }
}

impl LoginState {
    pub(crate) fn new(login: Login) -> Self {
        Self { login, slot: Mutex::default() }
    }

    /// Returns the token, after a login or renewal if required. One caller performs it; the others wait.
    pub(crate) async fn current(&self, client: &Client) -> Result<SecretString, Error> {
        let mut slot = self.slot.lock().await;
        let next = match slot.token.as_ref() {
            Some(token) if !token.due() => return Ok(token.secret.clone()),
            Some(token) if token.renewable && !token.dead() => renewed(client, token).await,
            _ => None,
        };
        let token = match next {
            Some(token) => token,
            None => self.admitted(client, &mut slot).await?,
        };
        let secret = token.secret.clone();
        slot.token = Some(token);
        Ok(secret)
    }

    /// Logs in for a token of its own. It is neither kept nor renewed here.
    pub(crate) async fn separate(&self, client: &Client) -> Result<(SecretString, TokenLife), Error> {
        let mut slot = self.slot.lock().await;
        let token = self.admitted(client, &mut slot).await?;
        let life = token.life();
        Ok((token.secret, life))
    }

    /// Handles a 403 for a token. Returns whether the request can succeed with the current token. The role, or the
    /// ServiceAccount of the JWT, may have changed since the login, so the age of the token does not matter.
    pub(crate) async fn denied(&self, client: &Client, refused: &SecretString) -> bool {
        let mut slot = self.slot.lock().await;
        let is_current = |token: &Token| token.secret.expose_secret() == refused.expose_secret();
        if !slot.token.as_ref().is_some_and(is_current) {
            return true;
        }
        if !slot.admits() {
            return false;
        }
        slot.token = None;
        self.login.credential.discard().await;
        drop(slot);
        let _ = client.send(&revocation(refused)).await;
        true
    }

    /// Handles the rejected inline login of a request that was sent at `sent`. Returns whether the request can succeed
    /// with the current JWT.
    pub(crate) async fn inline_rejected(&self, sent: Instant) -> bool {
        let mut slot = self.slot.lock().await;
        if slot.denied.is_some_and(|at| at > sent) {
            return true;
        }
        slot.admits() && self.login.credential.discard().await
    }

    /// Revokes the token, if there is one. Errors are ignored, because the token expires anyway. At the end of the process,
    /// there is no time to wait for other requests.
    pub(crate) async fn revoke(&self, client: &Client) {
        if let Some(token) = self.slot.lock().await.token.take() {
            let _ = client.send_at_once(&revocation(&token.secret)).await;
        }
    }

    /// Logs in, unless OpenBao rejected the login a moment ago.
    async fn admitted(&self, client: &Client, slot: &mut Slot) -> Result<Token, Error> {
        if let Some(error) = slot.rejected.as_ref().and_then(Rejected::error) {
            return Err(error);
        }
        let mut made = self.made(client).await;
        if matches!(made, Err(Error::Login { .. })) && self.login.credential.discard().await {
            made = self.made(client).await;
        }
        match &made {
            Ok(_) => slot.rejected = None,
            Err(Error::Login { path, message }) => {
                slot.reject(path, message);
                self.login.credential.discard().await;
            }
            Err(_) => {}
        }
        made
    }

    async fn made(&self, client: &Client) -> Result<Token, Error> {
        let jwt = self.login.credential.jwt().await.map_err(Error::Credential)?;
        let body = json!({"role": self.login.role, "jwt": jwt.expose_secret()});
        let request = post(self.login.namespace.clone(), &self.login.endpoint(), body, HeaderMap::new());
        let answer = client.send(&request).await?;
        if !answer.status.is_success() {
            return Err(login_error(
                &self.login,
                Error::from_answer(answer.status, "POST", self.login.path(), &answer.body()),
            ));
        }
        let answer = answer.of_openbao(&self.login.path())?;
        token(&answer.body()).ok_or_else(|| Error::Login {
            path: self.login.path(),
            message: "the response contains no token".into(),
        })
    }
}

/// Returns a renewed token, or `None` if the renewal fails or grants at most half of the previous lifetime.
async fn renewed(client: &Client, old: &Token) -> Option<Token> {
    let request = post(NamespacePath::root(), "auth/token/renew-self", json!({}), token_header(&old.secret));
    let answer = client.send(&request).await.ok().filter(|answer| answer.status.is_success())?;
    token(&answer.body()).filter(|new| new.lifetime * 2 > old.lifetime)
}

fn revocation(token: &SecretString) -> Request {
    post(NamespacePath::root(), "auth/token/revoke-self", json!({}), token_header(token))
}

fn login_error(login: &Login, error: Error) -> Error {
    match error {
        Error::Invalid { path, message } => Error::Login { path, message },
        Error::Denied { path, .. } | Error::NotFound { path, .. } => Error::Login {
            path,
            message: format!(
                "check that the auth mount and role `{}` exist and accept this login",
                login.role
            ),
        },
        other => other,
    }
}

/// Returns the lifetime of the token in a response.
pub(crate) fn token_life(body: &Value) -> Option<TokenLife> {
    token(body).map(|token| token.life())
}

fn token(body: &Value) -> Option<Token> {
    let auth = body.get("auth")?;
    Some(Token {
        secret: auth.get("client_token")?.as_str().filter(|token| !token.is_empty())?.to_owned().into(),
        made: Instant::now(),
        lifetime: Duration::from_secs(auth.get("lease_duration").and_then(Value::as_u64).unwrap_or(0)),
        renewable: auth.get("renewable").and_then(Value::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests;
