//! Identity of a client: none, a token, or a login.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use reqwest::header::HeaderMap;
use secrecy::SecretString;

use crate::Error;
use crate::client::Client;
use crate::login::{Login, LoginState, OwnToken};
use crate::requests::token_header;

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

/// Rejection of the identity of a request by OpenBao.
pub(crate) enum Rejection<'a> {
    /// A 403 for a token.
    Token(&'a SecretString),
    /// A rejected inline login of a request that was sent at this time.
    Inline(Instant),
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

impl Identity {
    /// Returns an identity that logs in on first use.
    #[must_use]
    pub fn login(login: Login) -> Self {
        Self::Login(Arc::new(LoginState::new(login)))
    }

    /// Returns whether the login is sent with each request. The login path is relative to the namespace of the request,
    /// so such requests specify their namespace in the path instead of a header.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self, Self::Login(state) if state.login.is_inline())
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
            Self::Login(state) if state.login.is_inline() => Ok((state.login.inline_headers().await?, None)),
            Self::Login(state) => {
                let token = state.current(client).await?;
                Ok((token_header(&token), Some(token)))
            }
        }
    }

    /// Logs in once more. Returns the token, which nothing else uses.
    pub(crate) async fn separate(&self, client: &Client) -> Result<OwnToken, Error> {
        match self {
            Self::Login(state) => state.separate(client).await,
            Self::Anonymous | Self::Token(_) => {
                let message = "a fixed token cannot log in again".to_owned();
                Err(Error::Login { path: self.login_path(), message })
            }
        }
    }

    /// Handles a rejection. Returns whether to repeat the request with new [`Self::headers`].
    pub(crate) async fn rejected(&self, client: &Client, rejection: Rejection<'_>) -> bool {
        let Self::Login(state) = self else { return false };
        match rejection {
            Rejection::Token(token) => state.denied(client, token).await,
            Rejection::Inline(sent) => state.inline_rejected(sent).await,
        }
    }

    /// Revokes the token of a login, if there is one. Errors are ignored, because the token expires anyway.
    pub async fn revoke(&self, client: &Client) {
        if let Self::Login(state) = self {
            state.revoke(client).await;
        }
    }
}
