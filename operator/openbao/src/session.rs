//! Sessions: requests of one identity in one namespace.

use std::fmt;
use std::time::Instant;

use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::{Answer, Request};
use crate::client::Client;
use crate::denials::Denials;
use crate::identity::Rejection;
use crate::login::OwnToken;
use crate::{Error, Identity, NamespacePath};

/// Header of a response whose inline login failed.
const INLINE_FAILED: &str = "x-vault-inline-auth-failed";
/// Path of an endpoint that looks up the token of a request itself.
pub(crate) const CAPABILITIES: &str = "sys/capabilities-self";
/// Its error for a token that does not exist.
const INVALID_TOKEN: &str = "invalid token";

/// A client bound to one identity and one namespace. Paths are relative to the namespace and cannot leave it.
#[derive(Clone)]
pub struct Session {
    client: Client,
    identity: Identity,
    namespace: NamespacePath,
    denials: Option<Denials>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?} in {})", self.identity, self.namespace)
    }
}

/// A call of an endpoint.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    repeatable: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: None, repeatable: true }
    }

    pub(crate) fn list(path: &'a str) -> Self {
        Self { query: vec![("list", "true".to_owned())], ..Self::get(path) }
    }

    pub(crate) fn post(path: &'a str, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    pub(crate) fn patch(path: &'a str, body: Value) -> Self {
        Self { method: Method::PATCH, body: Some(body), ..Self::get(path) }
    }

    pub(crate) fn delete(path: &'a str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    pub(crate) fn of(method: Method, path: &'a str, body: Option<Value>) -> Self {
        Self { method, body, ..Self::get(path) }
    }

    /// The call is sent once: a response that is lost is [`Error::Unanswered`].
    pub(crate) fn once(self) -> Self {
        Self { repeatable: false, ..self }
    }

    pub(crate) fn query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

impl Session {
    pub(crate) fn new(client: Client, identity: Identity, namespace: NamespacePath) -> Self {
        Self { client, identity, namespace, denials: None }
    }

    /// Returns a session that records denied requests, and for which nothing exists at their paths. It shows all rights that
    /// reads lack. Do not write with it.
    #[must_use]
    pub fn tolerant(&self, denials: &Denials) -> Self {
        Self { denials: Some(denials.clone()), ..self.clone() }
    }

    /// Returns a session of the same identity in a namespace below this one.
    #[must_use]
    pub fn within(&self, below: &str) -> Self {
        Self { namespace: self.namespace.join(below), ..self.clone() }
    }

    /// Returns the namespace of the session.
    #[must_use]
    pub fn namespace(&self) -> &NamespacePath {
        &self.namespace
    }

    /// Returns the identity of the session.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the client of the session.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Calls an endpoint that has no method of its own and returns the body of the response. `body` is `None` for GET
    /// and DELETE.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn request_any(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
        let answer = self.answer(Call::of(method, path, body)).await?;
        Ok(answer.object(&self.namespace.path(path))?.body())
    }

    /// Logs in once more. Returns a session whose token nothing else uses, so that its revocation ends exactly the leases
    /// that were issued with it, and the token.
    ///
    /// # Errors
    /// [`Error::Login`] for a rejected login and for an identity without a login. Any other [`Error`] of a request.
    pub async fn separate(&self) -> Result<(Self, OwnToken), Error> {
        let token = self.identity.separate(&self.client).await?;
        Ok((Self { identity: Identity::Token(token.secret.clone()), ..self.clone() }, token))
    }

    /// Returns a session of the same identity in another namespace.
    #[must_use]
    pub fn at(&self, namespace: NamespacePath) -> Self {
        Self { namespace, ..self.clone() }
    }

    /// Returns a session of the same identity in the root namespace.
    pub(crate) fn at_root(&self) -> Self {
        self.at(NamespacePath::root())
    }

    /// Revokes the token of the session's login, if there is one.
    pub async fn revoke(&self) {
        self.identity.revoke(&self.client).await;
    }

    /// Sends a call without identity and returns the response of the node, successful or not.
    pub(crate) async fn anonymous(&self, call: Call<'_>) -> Result<Answer, Error> {
        self.client.send(&self.request(call, HeaderMap::new())).await
    }

    /// Sends a call and returns the body of a successful response.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Value, Error> {
        self.genuine(call).await.map(|answer| answer.body())
    }

    /// Sends a call and returns a successful response of OpenBao.
    async fn genuine(&self, call: Call<'_>) -> Result<Answer, Error> {
        let path = self.namespace.path(call.path);
        self.answer(call).await?.of_openbao(&path)
    }

    async fn answer(&self, call: Call<'_>) -> Result<Answer, Error> {
        let method = if call.query.iter().any(|(name, _)| *name == "list") {
            "LIST".to_owned()
        } else {
            call.method.to_string()
        };
        let path = call.path.to_owned();
        let sent = Instant::now();
        let (headers, token) = self.identity.headers(&self.client).await?;
        let mut request = self.request(call, headers);
        let mut answer = self.client.send(&request).await?;
        if let Some(rejection) = rejection(&path, &answer, token.as_ref(), sent)
            && self.identity.rejected(&self.client, rejection).await
        {
            request.headers = self.identity.headers(&self.client).await?.0;
            answer = self.client.send(&request).await?;
        }
        self.read(answer, &method, &path)
    }

    fn read(&self, answer: Answer, method: &str, path: &str) -> Result<Answer, Error> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        if answer.headers.contains_key(INLINE_FAILED) {
            let message = "the JWT or the role is not accepted".to_owned();
            return Err(Error::Login { path: self.identity.login_path(), message });
        }
        let error = Error::from_answer(answer.status, method, self.namespace.path(path), &answer.body());
        match (&self.denials, error) {
            (Some(denials), Error::Denied { method, path }) => {
                denials.add(method, path.clone());
                Err(Error::NotFound { path, deleted: None, mounted: true })
            }
            (_, error) => Err(error),
        }
    }

    /// Sends a call and returns the field `data` of the response as `T`.
    pub(crate) async fn data<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let path = self.namespace.path(call.path);
        #[derive(Default, serde::Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let answer = self.genuine(call).await?;
        let parsed = answer.content::<Envelope<'_>>().and_then(|envelope| {
            let data = envelope.and_then(|envelope| envelope.data).map_or("null", RawValue::get);
            Ok(serde_json::from_str(data)?)
        });
        parsed.map_err(|source| Error::Answer { path, source })
    }

    /// Sends a call and returns its response as `T`, or the default of `T` for a response without content.
    pub(crate) async fn content<T: DeserializeOwned + Default>(&self, call: Call<'_>) -> Result<T, Error> {
        let path = self.namespace.path(call.path);
        let answer = self.genuine(call).await?;
        let parsed = answer.content::<T>().map(Option::unwrap_or_default);
        parsed.map_err(|source| Error::Answer { path, source })
    }

    /// Returns the names below a path, or an empty list if the path does not exist.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        #[derive(serde::Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        absent(self.data::<Keys>(Call::list(path)).await)
            .map(|keys| keys.map(|keys| keys.keys).unwrap_or_default())
    }

    fn request(&self, call: Call<'_>, headers: HeaderMap) -> Request {
        let Call { method, path, query, body, repeatable } = call;
        if self.identity.is_inline() {
            let (namespace, path) = (NamespacePath::root(), self.namespace.path(path));
            return Request { method, namespace, path, query, body, headers, repeatable };
        }
        let (namespace, path) = (self.namespace.clone(), path.to_owned());
        Request { method, namespace, path, query, body, headers, repeatable }
    }
}

/// Returns the rejection of the identity that a response reports.
fn rejection<'a>(
    path: &str,
    answer: &Answer,
    token: Option<&'a SecretString>,
    sent: Instant,
) -> Option<Rejection<'a>> {
    let is_refused = || match answer.status.as_u16() {
        403 => true,
        // The token was revoked after OpenBao had checked it.
        400 => path == CAPABILITIES && answer.body().to_string().contains(INVALID_TOKEN),
        _ => false,
    };
    let denied = token.filter(|_| is_refused()).map(Rejection::Token);
    denied.or_else(|| answer.headers.contains_key(INLINE_FAILED).then_some(Rejection::Inline(sent)))
}

/// Converts [`Error::NotFound`] to `None`.
pub(crate) fn absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
