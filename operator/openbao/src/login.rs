//! Logins: performed on demand, renewed in time, and repeated with a new credential when OpenBao rejects them.

mod credential;
mod method;
mod rejection;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::sync::Mutex;

use self::method::Cause;
use self::rejection::Rejected;
use self::token::Token;
use crate::answer::{Answer, Request};
use crate::client::Client;
use crate::requests::{post, secret_header, token_header};
use crate::{Error, NamespacePath};

pub use self::credential::Credential;
pub use self::method::LoginKind;
pub use self::token::{OwnToken, TokenLife};
pub(crate) use self::token::{renewed_life, token_life};

/// Minimum time between two logins of one identity that denied requests cause.
const BETWEEN_DENIALS: Duration = Duration::from_secs(5);
/// Shortest secret that is removed from messages of the server.
const SHORTEST_SECRET: usize = 4;

/// Parameters of a login.
#[derive(Clone)]
pub struct Login {
    /// OpenBao namespace of the auth mount.
    pub namespace: NamespacePath,
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// Name of the role or user, as [`LoginKind`] requires.
    pub role: String,
    /// Auth method.
    pub kind: LoginKind,
    /// Further parameters of the login. They do not replace those of the method.
    pub params: BTreeMap<String, String>,
    /// Token, or inline authentication.
    pub presentation: Presentation,
    /// Source of the secret.
    pub credential: Arc<dyn Credential>,
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
    /// Cause of the last rejected login.
    cause: Cause,
}

impl Login {
    pub(crate) fn path(&self) -> String {
        self.namespace.path(&self.endpoint())
    }

    fn endpoint(&self) -> String {
        self.kind.endpoint(&self.mount, &self.role)
    }

    pub(crate) fn is_inline(&self) -> bool {
        self.presentation == Presentation::Inline
    }

    /// Returns all parameters of the login.
    fn parameters(&self, secret: &SecretString) -> BTreeMap<String, String> {
        let mut parameters = self.params.clone();
        parameters.extend(self.kind.parameters(&self.role, secret));
        parameters
    }

    /// Returns the headers of inline authentication.
    pub(crate) async fn inline_headers(&self) -> Result<HeaderMap, Error> {
        let secret = self.credential.secret().await.map_err(Error::Credential)?;
        let mut headers = secret_header("x-vault-inline-auth-path", &self.path());
        for (key, value) in self.parameters(&secret) {
            let name = format!("x-vault-inline-auth-parameter-{}", header_part(&key));
            let value = URL_SAFE_NO_PAD.encode(json!({"key": key, "value": value}).to_string());
            headers.extend(secret_header(&name, &value));
        }
        Ok(headers)
    }

    /// Returns the request of a login, or of the properties of a token.
    fn request(&self, secret: &SecretString) -> Request {
        if self.kind == LoginKind::Token {
            let namespace = self.namespace.clone();
            return Request { namespace, headers: token_header(secret), ..Request::get(&self.endpoint()) };
        }
        let body = json!(self.parameters(secret));
        post(self.namespace.clone(), &self.endpoint(), body, HeaderMap::new())
    }

    /// Returns the token that a successful response grants.
    fn token(&self, secret: SecretString, answer: &Answer) -> Option<Token> {
        match self.kind {
            LoginKind::Token => Token::existing(secret, &answer.body()),
            _ => Token::issued(&answer.body()),
        }
    }

    /// Returns the request that revokes a token of this login. A token that was not created by a login belongs to someone
    /// else.
    fn revocation(&self, token: &SecretString) -> Option<Request> {
        let path = "auth/token/revoke-self";
        let request = || post(NamespacePath::root(), path, json!({}), token_header(token));
        (self.kind != LoginKind::Token).then(request)
    }
}

/// Returns the part of a header name that is unique for the name of a parameter.
fn header_part(key: &str) -> String {
    let is_simple = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_simple { key.to_owned() } else { key.bytes().map(|byte| format!("x{byte:02x}")).collect() }
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
            Some(token) if token.renewable && !token.dead() => Self::renewed(client, token).await,
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
    pub(crate) async fn separate(&self, client: &Client) -> Result<OwnToken, Error> {
        let mut slot = self.slot.lock().await;
        if self.login.kind == LoginKind::Token {
            let message = "a lease requires a token of its own: use another method".to_owned();
            return Err(Error::Login { path: self.login.path(), message });
        }
        self.admitted(client, &mut slot).await.map(Token::own)
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
        if let Some(request) = self.login.revocation(refused) {
            let _ = client.send(&request).await;
        }
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
        let token = self.slot.lock().await.token.take();
        if let Some(request) = token.and_then(|token| self.login.revocation(&token.secret)) {
            let _ = client.send_at_once(&request).await;
        }
    }

    /// Logs in, unless OpenBao rejected the login a moment ago.
    async fn admitted(&self, client: &Client, slot: &mut Slot) -> Result<Token, Error> {
        if let Some(error) = slot.rejected.as_ref().and_then(Rejected::error) {
            return Err(error);
        }
        let mut made = self.made(client, slot).await;
        if matches!(made, Err(Error::Login { .. })) && self.login.credential.discard().await {
            made = self.made(client, slot).await;
        }
        match &made {
            Ok(_) => slot.rejected = None,
            Err(Error::Login { path, message }) => {
                let times = slot.rejected.as_ref().map_or(0, |rejected| rejected.times) + 1;
                let pause = self.login.kind.pause(times, slot.cause);
                slot.rejected = Some(Rejected::new(times, pause, (path, message)));
                self.login.credential.discard().await;
            }
            Err(_) => {}
        }
        made
    }

    async fn made(&self, client: &Client, slot: &mut Slot) -> Result<Token, Error> {
        let login = &self.login;
        let secret = login.credential.secret().await.map_err(Error::Credential)?;
        let request = login.request(&secret);
        let answer = client.send(&request).await?;
        if !answer.status.is_success() {
            let method = request.method.as_str();
            let error = Error::from_answer(answer.status, method, login.path(), &answer.body());
            slot.cause = Cause::of(&error);
            return Err(rejected(login, &secret, error));
        }
        let answer = answer.of_openbao(&login.path())?;
        login.token(secret, &answer).ok_or_else(|| Error::Login {
            path: login.path(),
            message: "the response contains no token".into(),
        })
    }

    /// Returns a renewed token, or `None` if the renewal fails or grants at most half of the previous lifetime.
    async fn renewed(client: &Client, old: &Token) -> Option<Token> {
        let request =
            post(NamespacePath::root(), "auth/token/renew-self", json!({}), token_header(&old.secret));
        let answer = client.send(&request).await.ok().filter(|answer| answer.status.is_success())?;
        Token::issued(&answer.body()).filter(|new| new.lifetime * 2 > old.lifetime)
    }
}

/// Returns the error of an unsuccessful login. The message of the server does not repeat the secret.
fn rejected(login: &Login, secret: &SecretString, error: Error) -> Error {
    let (path, message) = match error {
        Error::Invalid { path, message } => {
            (path, without(secret.expose_secret(), &message) + login.kind.notice())
        }
        Error::Denied { path, .. } | Error::NotFound { path, .. } => (path, login.kind.hint(&login.role)),
        other => return other,
    };
    Error::Login { path, message }
}

fn without(secret: &str, message: &str) -> String {
    if secret.len() < SHORTEST_SECRET { message.to_owned() } else { message.replace(secret, "***") }
}

#[cfg(test)]
mod tests;
