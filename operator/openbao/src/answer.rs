//! Requests that are not bound to a node, and the responses of nodes.

use std::time::Duration;

use reqwest::header::{CACHE_CONTROL, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::json::{self, Malformed};
use crate::transport::{Transport, location};
use crate::{Error, NamespacePath};

const KIB: usize = 1024;
/// Largest state of a node and largest response to a login.
const STATE: usize = 64 * KIB;
/// Largest error.
const FAILURE: usize = 1024 * KIB;
/// Largest value: a Secret has at most 1 MiB, which JSON may escape.
const VALUE: usize = 2304 * KIB;
/// Largest list of names, mounts or policies.
const LISTING: usize = 8192 * KIB;

/// Endpoints that each node answers about its own state.
const STATES: [&str; 3] = ["sys/health", "sys/seal-status", "sys/leader"];

/// Class of a request that can change something.
pub(crate) const WRITE: &str = "write";

/// A request that is not bound to a node yet.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) namespace: NamespacePath,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) headers: HeaderMap,
    /// Whether the request can be sent again if its response was lost. `false` for requests that create a credential.
    pub(crate) repeatable: bool,
}

/// A response, successful or not.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Raw body. KV values are parsed from it, including numbers of any length.
    pub(crate) text: Vec<u8>,
}

impl Answer {
    /// Returns the body as JSON, or null if it is not valid JSON.
    pub(crate) fn body(&self) -> Value {
        self.parsed().unwrap_or_default()
    }

    /// Parses the body, which is empty for a response without content.
    pub(crate) fn content<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>, Malformed> {
        if self.text.is_empty() { Ok(None) } else { self.parsed() }
    }

    /// Checks that a successful response has the marks of OpenBao: a proxy can answer as well. `path` is from the root
    /// namespace.
    pub(crate) fn of_openbao(self, path: &str) -> Result<Self, Error> {
        self.with(path, is_marked)
    }

    /// Checks that a successful response is a JSON object, which the endpoints of a node's own state return.
    pub(crate) fn object(self, path: &str) -> Result<Self, Error> {
        self.with(path, |_| true)
    }

    fn with(self, path: &str, genuine: fn(&Marks<'_>) -> bool) -> Result<Self, Error> {
        let (status, path) = (self.status.as_u16(), path.to_owned());
        let is_object = self.text.trim_ascii_start().starts_with(b"{");
        match self.parsed::<Marks<'_>>() {
            _ if self.status == StatusCode::NO_CONTENT => Ok(self),
            Ok(marks) if is_object && genuine(&marks) => Ok(self),
            Err(source @ Malformed::Nested) => Err(Error::Answer { path, source }),
            _ => Err(Error::Foreign { path, status }),
        }
    }

    /// Parses the body.
    pub(crate) fn parsed<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Malformed> {
        json::parse(&self.text)
    }
}

/// Fields of which each successful response of an engine or auth method has one.
#[derive(Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
}

fn is_marked(marks: &Marks<'_>) -> bool {
    marks.request_id.is_some() || marks.data.is_some() || marks.auth.is_some()
}

impl Request {
    /// Returns a request for the state of a node.
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            namespace: NamespacePath::root(),
            path: path.to_owned(),
            query: Vec::new(),
            body: None,
            headers: HeaderMap::new(),
            repeatable: true,
        }
    }

    /// Returns the class of the request, for metrics.
    pub(crate) fn class(&self) -> &'static str {
        if STATES.contains(&self.path.as_str()) {
            "health"
        } else if self.is_login() {
            "login"
        } else if self.method == Method::GET || self.method.as_str() == "LIST" {
            "read"
        } else {
            WRITE
        }
    }

    fn is_login(&self) -> bool {
        self.path.starts_with("auth/") && (self.path.ends_with("/login") || self.path.contains("/login/"))
    }

    /// Returns the path from the root namespace.
    pub(crate) fn full_path(&self) -> String {
        self.namespace.path(&self.path)
    }

    /// Returns the number of bytes that a response may have.
    pub(crate) fn limit(&self, status: StatusCode) -> usize {
        let listing = self.path.starts_with("sys/") || self.query.iter().any(|(name, _)| *name == "list");
        match self.path.as_str() {
            path if STATES.contains(&path) => STATE,
            _ if self.is_login() => STATE,
            _ if !status.is_success() => FAILURE,
            _ if listing => LISTING,
            _ => VALUE,
        }
    }
}

/// Returns the HTTP request to a node.
pub(crate) fn prepared(transport: &Transport, node: &Url, request: &Request) -> RequestBuilder {
    let mut builder = transport
        .request(request.method.clone(), url(node, request))
        .headers(request.headers.clone())
        .header("x-vault-request", "true");
    if !request.namespace.is_root() {
        builder = builder.header("x-vault-namespace", request.namespace.as_str());
    }
    // `json` sets the content type unless there is one.
    if request.method == Method::PATCH {
        builder = builder.header(reqwest::header::CONTENT_TYPE, "application/merge-patch+json");
    }
    if let Some(body) = &request.body {
        builder = builder.json(body);
    }
    builder
}

/// Separates final responses from those that only report that this node cannot serve the request. The inner result of
/// the error is `Err` for a fault between Steamer and OpenBao.
pub(crate) fn served(answer: Answer, request: &Request, node: &Url) -> Result<Answer, Result<Error, Fault>> {
    let health = request.path == "sys/health";
    match answer.status.as_u16() {
        300..=399 => Err(redirected(&answer, request, node)),
        429 if !health => Err(Ok(Error::Throttled { retry_after: retry_after(&answer.headers) })),
        500 | 503 if !health => {
            match Error::from_answer(answer.status, request.method.as_str(), String::new(), &answer.body()) {
                error @ (Error::Sealed | Error::NoLeader) => Err(Ok(error)),
                _ => Ok(answer),
            }
        }
        _ => Ok(answer),
    }
}

/// Classifies a redirect. A standby redirects to the last leader that it knew, which may be dead: try another node, or
/// later. Any other redirect comes from a server in front of OpenBao.
fn redirected(answer: &Answer, request: &Request, node: &Url) -> Result<Error, Fault> {
    let asked = url(node, request);
    let target = location(&answer.headers).and_then(|location| asked.join(location).ok());
    let uncached = answer.headers.get(CACHE_CONTROL).is_some_and(|value| value == "no-store");
    let to_leader = target.is_some_and(|target| {
        target.path() == asked.path() && (target.scheme() == asked.scheme() || target.host() != asked.host())
    });
    if answer.status == StatusCode::TEMPORARY_REDIRECT
        && uncached
        && to_leader
        && !STATES.contains(&&*request.path)
    {
        return Ok(Error::NoLeader);
    }
    Err(Fault::redirect(&asked, location(&answer.headers)))
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 60))
}

fn url(node: &Url, request: &Request) -> Url {
    let mut url = node.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        // Each segment is escaped separately: a `?`, `#` or space in a key stays part of the key.
        segments.pop_if_empty().push("v1").extend(request.path.split('/'));
    }
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(request.query.iter().map(|(key, value)| (key, value.as_str())));
    }
    url
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn request(path: &str) -> Request {
        Request {
            method: Method::GET,
            namespace: NamespacePath::root(),
            path: path.to_owned(),
            query: vec![("version", "3".into())],
            body: None,
            headers: HeaderMap::new(),
            repeatable: true,
        }
    }

    #[test]
    fn a_key_with_url_characters_stays_one_key() {
        let address = Url::parse("http://bao:8200").unwrap();
        let url = url(&address, &request("kv/data/a b/c?d#e%2F"));
        assert_eq!(url.as_str(), "http://bao:8200/v1/kv/data/a%20b/c%3Fd%23e%252F?version=3");
    }

    #[rstest]
    #[case::standby(307, "kv/a", "https://main-1:8200/v1/kv/a?version=3", "no-store", true)]
    #[case::cached(307, "kv/a", "https://main-1:8200/v1/kv/a?version=3", "private", false)]
    #[case::upgrade(307, "kv/a", "https://bao:8200/v1/kv/a?version=3", "no-store", false)]
    #[case::permanent(308, "kv/a", "https://main-1:8200/v1/kv/a?version=3", "no-store", false)]
    #[case::login_page(307, "kv/a", "https://main-1:8200/login", "no-store", false)]
    #[case::state(307, "sys/health", "https://main-1:8200/v1/sys/health?version=3", "no-store", false)]
    fn only_the_redirect_of_a_standby_is_a_missing_leader(
        #[case] status: u16,
        #[case] path: &str,
        #[case] to: &str,
        #[case] cache: &str,
        #[case] expected: bool,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::LOCATION, to.parse().unwrap());
        headers.insert(CACHE_CONTROL, cache.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, text: Vec::new() };
        let node = Url::parse("http://bao:8200").unwrap();
        let result = served(answer, &request(path), &node);
        assert_eq!(matches!(result, Err(Ok(Error::NoLeader))), expected);
        assert_eq!(matches!(result, Err(Err(Fault::Redirect(_)))), !expected);
    }
}
