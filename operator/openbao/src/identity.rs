//! Identity of a client: a token, or a login that is performed on demand, renewed in time and repeated once after a
//! 403.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{Client, Request};
use crate::{CredentialError, Error, NamespacePath};

/// A token younger than this is not replaced after a 403: the policy denies the request, not the token.
const FRESH: Duration = Duration::from_secs(20);

/// Source of the JWTs to log in with. Called before every login, and before every request with inline authentication,
/// so an implementation caches the JWT until shortly before it expires.
pub trait Credential: Send + Sync {
    /// Returns a JWT that is currently valid.
    fn jwt(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>>;
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

/// Identity that requests are made with.
#[derive(Clone)]
pub enum Identity {
    /// No identity, for health and similar endpoints.
    Anonymous,
    /// A fixed token.
    Token(SecretString),
    /// A login. Clones share the token.
    Login(Arc<LoginState>),
}

/// A login and its current token.
pub struct LoginState {
    login: Login,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    made: Instant,
    lifetime: Duration,
    renewable: bool,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Token(_) => f.write_str("Token"),
            Self::Login(state) => write!(f, "Login({}, {})", state.login.path(), state.login.role),
        }
    }
}

impl Login {
    fn path(&self) -> String {
        self.namespace.path(&self.endpoint())
    }

    fn endpoint(&self) -> String {
        match self.kind {
            LoginKind::Role => format!("auth/{}/login", self.mount),
            LoginKind::Cel => format!("auth/{}/cel/login", self.mount),
        }
    }
}

impl Token {
    fn due(&self) -> bool {
        !self.lifetime.is_zero() && self.made.elapsed() > self.lifetime * 2 / 3
    }

    fn dead(&self) -> bool {
        !self.lifetime.is_zero() && self.made.elapsed() >= self.lifetime
    }
}

impl Identity {
    /// Returns an identity that logs in on first use.
    #[must_use]
    pub fn login(login: Login) -> Self {
        Self::Login(Arc::new(LoginState { login, token: Mutex::new(None) }))
    }

    /// Returns whether the login is sent with each request. The login path is relative to the namespace of the request,
    /// so such requests specify their namespace in the path instead of a header.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self, Self::Login(state) if state.login.presentation == Presentation::Inline)
    }

    /// Returns the path of the login, from the root namespace.
    pub(crate) fn login_path(&self) -> String {
        match self {
            Self::Login(state) => state.login.path(),
            Self::Anonymous | Self::Token(_) => String::new(),
        }
    }

    /// Returns the authentication headers, and the token that they contain, if any.
    pub(crate) async fn headers(&self, client: &Client) -> Result<(HeaderMap, Option<SecretString>), Error> {
        match self {
            Self::Anonymous => Ok((HeaderMap::new(), None)),
            Self::Token(token) => Ok((token_header(token), Some(token.clone()))),
            Self::Login(state) if state.login.presentation == Presentation::Inline => {
                Ok((inline_headers(&state.login).await?, None))
            }
            Self::Login(state) => {
                let token = state.current(client).await?;
                Ok((token_header(&token), Some(token)))
            }
        }
    }

    /// Handles a 403 for the token `refused`. Returns whether to repeat the request with new [`Self::headers`].
    pub(crate) async fn refused(&self, refused: &SecretString) -> bool {
        let Self::Login(state) = self else { return false };
        let mut token = state.token.lock().await;
        match token.as_ref() {
            Some(current) if current.secret.expose_secret() != refused.expose_secret() => true,
            Some(current) if current.made.elapsed() < FRESH => false,
            _ => {
                *token = None;
                true
            }
        }
    }

    /// Revokes the token of a login, if there is one. Errors are ignored, because the token expires anyway.
    pub async fn revoke(&self, client: &Client) {
        let Self::Login(state) = self else { return };
        if let Some(token) = state.token.lock().await.take() {
            let request =
                post(NamespacePath::root(), "auth/token/revoke-self", json!({}), token_header(&token.secret));
            let _ = client.send(&request).await;
        }
    }
}

impl LoginState {
    /// Returns the token, after a login or renewal if required. One caller performs it; the others wait.
    async fn current(&self, client: &Client) -> Result<SecretString, Error> {
        let mut slot = self.token.lock().await;
        let next = match slot.as_ref() {
            Some(token) if !token.due() => return Ok(token.secret.clone()),
            Some(token) if token.renewable && !token.dead() => self.renewed(client, token).await,
            _ => None,
        };
        let token = match next {
            Some(token) => token,
            None => self.made(client).await?,
        };
        let secret = token.secret.clone();
        *slot = Some(token);
        Ok(secret)
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
        token(&answer.body()).ok_or_else(|| Error::Login {
            path: self.login.path(),
            message: "the response contains no token".into(),
        })
    }

    /// Returns a renewed token, or `None` if the renewal fails or grants at most half of the previous lifetime.
    async fn renewed(&self, client: &Client, old: &Token) -> Option<Token> {
        let request =
            post(NamespacePath::root(), "auth/token/renew-self", json!({}), token_header(&old.secret));
        let answer = client.send(&request).await.ok().filter(|answer| answer.status.is_success())?;
        token(&answer.body()).filter(|new| new.lifetime * 2 > old.lifetime)
    }
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

fn token(body: &Value) -> Option<Token> {
    let auth = body.get("auth")?;
    Some(Token {
        secret: auth.get("client_token")?.as_str()?.to_owned().into(),
        made: Instant::now(),
        lifetime: Duration::from_secs(auth.get("lease_duration").and_then(Value::as_u64).unwrap_or(0)),
        renewable: auth.get("renewable").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn post(namespace: NamespacePath, path: &str, body: Value, headers: HeaderMap) -> Request {
    Request {
        method: reqwest::Method::POST,
        namespace,
        path: path.to_owned(),
        query: Vec::new(),
        body: Some(body),
        headers,
    }
}

fn token_header(token: &SecretString) -> HeaderMap {
    secret_header("x-vault-token", token.expose_secret())
}

fn secret_header(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

async fn inline_headers(login: &Login) -> Result<HeaderMap, Error> {
    let jwt = login.credential.jwt().await.map_err(Error::Credential)?;
    let parameter =
        |key: &str, value: &str| URL_SAFE_NO_PAD.encode(json!({"key": key, "value": value}).to_string());
    let mut headers = secret_header("x-vault-inline-auth-path", &login.path());
    headers
        .extend(secret_header("x-vault-inline-auth-parameter-jwt", &parameter("jwt", jwt.expose_secret())));
    headers.extend(secret_header("x-vault-inline-auth-parameter-role", &parameter("role", &login.role)));
    Ok(headers)
}
