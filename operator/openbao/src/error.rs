//! Errors of requests, classified by their cause.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::fault::Fault;
use crate::json::Malformed;
use crate::settings::InvalidSetting;

/// Error of a request to OpenBao. No error text contains a secret value, a token or a JWT.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No node answered.
    #[error("OpenBao at {address} cannot be reached")]
    Unreachable {
        /// Address that was tried last.
        address: String,
        /// Cause.
        source: Fault,
    },
    /// The response to a request that must not be repeated was lost. OpenBao may have executed it.
    #[error("the response of OpenBao at {address} was lost")]
    Unanswered {
        /// Address of the node.
        address: String,
        /// Cause.
        source: Fault,
    },
    /// A server in front of OpenBao redirects. Redirects are not followed.
    #[error("OpenBao at {address} does not answer")]
    Redirect {
        /// Address that was tried last.
        address: String,
        /// The redirect and its target.
        source: Fault,
    },
    /// A response that is not from OpenBao.
    #[error("the server does not answer as OpenBao at {path} (status {status}): check the address")]
    Foreign {
        /// Path, from the root namespace.
        path: String,
        /// HTTP status.
        status: u16,
    },
    /// Every node that answered is sealed.
    #[error("OpenBao is sealed")]
    Sealed,
    /// The namespace of the request has a seal of its own, and is sealed.
    #[error("the OpenBao namespace of {path} is sealed: unseal it with its key shares")]
    NamespaceSealed {
        /// Path, from the root namespace.
        path: String,
    },
    /// OpenBao is not initialized.
    #[error("OpenBao is not initialized")]
    Uninitialized,
    /// The nodes that answered know no leader, or an unreachable one.
    #[error("OpenBao has no leader")]
    NoLeader,
    /// OpenBao throttles the request.
    #[error("OpenBao throttles requests: its rate limit is exceeded")]
    Throttled {
        /// Time to wait before the next request.
        retry_after: Duration,
    },
    /// 403, even after a new login.
    #[error("OpenBao denies {method} {path}")]
    Denied {
        /// HTTP method, or `LIST`.
        method: String,
        /// Path, from the root namespace.
        path: String,
    },
    /// The login was rejected.
    #[error("OpenBao rejects the login at {path}: {message}")]
    Login {
        /// Path of the login, from the root namespace.
        path: String,
        /// Error message of OpenBao.
        message: String,
    },
    /// The credential for the login is not available.
    #[error("cannot obtain a credential for the login to OpenBao")]
    Credential(#[source] CredentialError),
    /// 404.
    #[error("{path} does not exist in OpenBao")]
    NotFound {
        /// Path, from the root namespace.
        path: String,
        /// Version that was deleted, which KV v2 returns.
        deleted: Option<Deleted>,
        /// Whether an engine answered. `false`: nothing is mounted there, or the namespace does not exist.
        mounted: bool,
    },
    /// The mount is gone, or is not the engine that the request needs.
    #[error("mount {mount} in OpenBao {found}")]
    Mount {
        /// Path of the mount, from the root namespace.
        mount: String,
        /// What is there instead, and what to change.
        found: String,
    },
    /// A mount or auth mount already exists at, above or below the path.
    #[error("{path} is already in use in OpenBao")]
    InUse {
        /// Path, from the root namespace.
        path: String,
    },
    /// A check-and-set found another version.
    #[error("{path} was changed in OpenBao by another client")]
    CheckAndSet {
        /// Path, from the root namespace.
        path: String,
    },
    /// OpenBao rejects the request; a retry cannot succeed.
    #[error("OpenBao rejects the request to {path}: {message}")]
    Invalid {
        /// Path, from the root namespace.
        path: String,
        /// Error message of OpenBao.
        message: String,
    },
    /// Server error.
    #[error("OpenBao returned status {status} for {path}: {message}")]
    Server {
        /// HTTP status.
        status: u16,
        /// Path, from the root namespace.
        path: String,
        /// Error message of OpenBao.
        message: String,
    },
    /// The response does not have the format of the endpoint.
    #[error("cannot parse the response of OpenBao for {path}")]
    Answer {
        /// Path, from the root namespace.
        path: String,
        /// Position and class of the error.
        source: Malformed,
    },
    /// A certificate, key or address in the settings is invalid.
    #[error("invalid settings of the connection to OpenBao")]
    Settings(#[source] InvalidSetting),
}

/// A version of KV v2 that was deleted or destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Number of the version, if OpenBao states it.
    pub version: Option<i64>,
}

/// Error of a [`Credential`](crate::Credential).
pub type CredentialError = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Returns whether the same request may succeed later without a change of the request, policies or settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unanswered { .. }
                | Self::Sealed
                | Self::NamespaceSealed { .. }
                | Self::Uninitialized
                | Self::NoLeader
                | Self::Throttled { .. }
                | Self::Server { .. }
                | Self::CheckAndSet { .. }
        )
    }

    /// Returns whether the requested resource does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Converts an unsuccessful response. `path` is from the root namespace.
    pub(crate) fn from_answer(status: StatusCode, method: &str, path: String, body: &Value) -> Self {
        let message = message(body);
        let said = |text: &str| message.contains(text);
        match status.as_u16() {
            code @ 400..=499 if !is_of_openbao(body) => Self::Foreign { path, status: code },
            400 if said("path is already in use") => Self::InUse { path },
            400 if said("check-and-set parameter") => Self::CheckAndSet { path },
            400 if said("No secret engine mount at")
                || said("No auth engine at")
                || said("cannot fetch sysview") =>
            {
                Self::NotFound { path, deleted: None, mounted: false }
            }
            // A KV v2 mount returns this shortly after it is mounted.
            400 if said("Upgrading from non-versioned to versioned") => {
                Self::Server { status: 400, path, message }
            }
            // A database that the engine cannot reach.
            400 if said("error verifying") && is_unreachable(&message) => {
                Self::Server { status: 400, path, message }
            }
            403 => Self::Denied { method: method.to_owned(), path },
            404 if said("route entry not found")
                || said("no handler for route")
                || said("namespace not found") =>
            {
                Self::NotFound { path, deleted: None, mounted: false }
            }
            404 => Self::NotFound { path, deleted: deleted(body), mounted: true },
            // A CEL program that does not type-check always causes a 500.
            500 if said("type-checking") || said("error compiling") || said("failed to validate CEL") => {
                Self::Invalid { path, message }
            }
            500 if said("active cluster node not found") || said("lock changed ownership") => Self::NoLeader,
            503 if said("namespace is sealed") => Self::NamespaceSealed { path },
            503 if said("is sealed") => Self::Sealed,
            503 if said("no active") => Self::NoLeader,
            code if code < 500 => Self::Invalid { path, message },
            code => Self::Server { status: code, path, message },
        }
    }
}

/// Returns whether an error of a database means that it does not answer.
fn is_unreachable(message: &str) -> bool {
    let signs =
        ["dial tcp", "i/o timeout", "connection reset", "unexpected EOF", "starting up", "shutting down"];
    signs.iter().any(|sign| message.contains(sign))
}

/// Returns whether an error has the marks of OpenBao: a list of messages, or the ID of the request.
fn is_of_openbao(body: &Value) -> bool {
    let errors = body.get("errors").and_then(Value::as_array);
    errors.is_some_and(|errors| errors.iter().all(Value::is_string))
        || body.get("request_id").is_some_and(Value::is_string)
}

/// Stands for a message that the response does not contain.
pub(crate) const NO_MESSAGE: &str = "the response contains no message of OpenBao";

fn deleted(body: &Value) -> Option<Deleted> {
    let data = body.get("data").filter(|data| !data.is_null())?;
    Some(Deleted { version: data.pointer("/metadata/version").and_then(Value::as_i64) })
}

/// Returns OpenBao's error messages in a form that is safe to publish.
fn message(body: &Value) -> String {
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = errors.iter().filter_map(Value::as_str).map(str::trim).collect::<Vec<_>>().join("; ");
    if text.is_empty() { NO_MESSAGE.to_owned() } else { publishable(&text) }
}

/// Removes control characters, tokens and JWTs, and truncates a text for a status.
fn publishable(text: &str) -> String {
    let text: String = text
        .chars()
        .take(4096)
        .map(|character| if is_printable(character) { character } else { ' ' })
        .collect();
    let words: Vec<&str> =
        text.split_whitespace().map(|word| if is_credential(word) { "***" } else { word }).collect();
    words.join(" ").chars().take(512).collect()
}

/// Returns whether a character is visible. Format characters reverse or hide text in a terminal.
fn is_printable(character: char) -> bool {
    let format = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !character.is_control() && !format
}

/// Returns whether a word contains a token of OpenBao or Vault, or a JWT.
fn is_credential(word: &str) -> bool {
    let starts = |part: &str| ["eyJ", "hvs.", "hvb.", "hvr."].iter().any(|prefix| part.starts_with(prefix));
    let legacy =
        |part: &str| part.len() >= 24 && ["s.", "b.", "r."].iter().any(|prefix| part.starts_with(prefix));
    word.split(|character: char| !(character.is_ascii_alphanumeric() || "._-".contains(character)))
        .any(|part| starts(part) || legacy(part))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::colors("a\u{1b}[31m b\r\nc", "a [31m b c")]
    #[case::reversed("a\u{202e}b", "a b")]
    #[case::jwt("bad token \"eyJhbGciOi.J9.x\"", "bad token ***")]
    #[case::tokens("hvs.CAESI id=s.abcdefghijklmnopqrstuvwx s.o.", "*** *** s.o.")]
    fn a_published_message_contains_neither_control_characters_nor_credentials(
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(publishable(text), expected);
        assert_eq!(publishable(&"x".repeat(10_000)).len(), 512);
    }

    #[rstest]
    #[case(503, "Vault is sealed", "OpenBao is sealed")]
    #[case(503, "namespace is sealed", "the OpenBao namespace of p is sealed: unseal it with its key shares")]
    #[case(503, "no active Vault instance found", "OpenBao has no leader")]
    #[case(500, "local node not active but active cluster node not found", "OpenBao has no leader")]
    #[case(400, "path is already in use at kv/", "p is already in use in OpenBao")]
    #[case(400, "No secret engine mount at kv/", "p does not exist in OpenBao")]
    #[case(
        400,
        "check-and-set parameter did not match the current version",
        "p was changed in OpenBao by another client"
    )]
    #[case(403, "permission denied", "OpenBao denies GET p")]
    #[case(
        500,
        "error type-checking CEL MainProgram",
        "OpenBao rejects the request to p: error type-checking CEL MainProgram"
    )]
    #[case(502, "upstream", "OpenBao returned status 502 for p: upstream")]
    #[case(
        400,
        "error verifying connection: dial tcp 127.0.0.1:1: connect: connection refused",
        "OpenBao returned status 400 for p: error verifying connection: dial tcp 127.0.0.1:1: connect: connection refused"
    )]
    #[case(
        400,
        "error verifying connection: password authentication failed",
        "OpenBao rejects the request to p: error verifying connection: password authentication failed"
    )]
    fn unsuccessful_responses_are_classified(
        #[case] status: u16,
        #[case] said: &str,
        #[case] expected: &str,
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let error = Error::from_answer(status, "GET", "p".into(), &json!({"errors": [said]}));
        assert_eq!(error.to_string(), expected);
    }
}
