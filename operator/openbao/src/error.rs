use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

/// What a request to OpenBao can come to. No text here holds a value, a token or a JWT.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No node answered.
    #[error("OpenBao at {address} cannot be reached")]
    Unreachable {
        /// The address tried last.
        address: String,
        /// What the network said.
        source: reqwest::Error,
    },
    /// Every node that answered is sealed.
    #[error("OpenBao is sealed")]
    Sealed,
    /// It was never initialised.
    #[error("OpenBao is not initialized")]
    Uninitialized,
    /// The nodes that answered know no leader, or name a dead one.
    #[error("OpenBao has no leader")]
    NoLeader,
    /// A request that OpenBao limits.
    #[error("OpenBao throttles requests")]
    Throttled {
        /// When to ask again.
        retry_after: Duration,
    },
    /// 403, also after logging in anew.
    #[error("OpenBao denies {method} {path}")]
    Denied {
        /// The HTTP method, or `LIST`.
        method: String,
        /// Path from the root namespace.
        path: String,
    },
    /// The login itself was refused.
    #[error("OpenBao refuses the login at {path}: {message}")]
    Login {
        /// Path of the login from the root namespace.
        path: String,
        /// What OpenBao said.
        message: String,
    },
    /// What to log in with could not be had.
    #[error("no credential to log in to OpenBao with")]
    Credential(#[source] CredentialError),
    /// 404.
    #[error("{path} does not exist in OpenBao")]
    NotFound {
        /// Path from the root namespace.
        path: String,
        /// The answer's `data`, which KV v2 gives for deleted versions.
        data: Value,
    },
    /// A mount or auth mount is already there, or one above or below it.
    #[error("{path} is already in use in OpenBao")]
    InUse {
        /// Path from the root namespace.
        path: String,
    },
    /// A check-and-set found another version.
    #[error("{path} was changed in OpenBao by someone else")]
    CheckAndSet {
        /// Path from the root namespace.
        path: String,
    },
    /// OpenBao will never take this request as it is.
    #[error("OpenBao refuses {path}: {message}")]
    Invalid {
        /// Path from the root namespace.
        path: String,
        /// What OpenBao said.
        message: String,
    },
    /// A fault of the server.
    #[error("OpenBao failed with status {status} at {path}: {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// Path from the root namespace.
        path: String,
        /// What OpenBao said.
        message: String,
    },
    /// The answer is not what the endpoint gives.
    #[error("the answer of OpenBao at {path} is not understood")]
    Answer {
        /// Path from the root namespace.
        path: String,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// A certificate, key or address in the settings is of no use.
    #[error("the connection settings are of no use")]
    Settings(#[source] reqwest::Error),
}

/// Why a credential could not be had; made by who gives credentials.
pub type CredentialError = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Whether the same request may succeed later without anybody changing anything but the servers.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Sealed
                | Self::Uninitialized
                | Self::NoLeader
                | Self::Throttled { .. }
                | Self::Server { .. }
                | Self::CheckAndSet { .. }
        )
    }

    /// Whether the thing asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Reads an answer that is no success. `path` is from the root namespace.
    pub(crate) fn from_answer(status: StatusCode, method: &str, path: String, body: &Value) -> Self {
        let message = message(body);
        let said = |text: &str| message.contains(text);
        match status.as_u16() {
            400 if said("path is already in use") => Self::InUse { path },
            400 if said("check-and-set parameter") => Self::CheckAndSet { path },
            400 if said("No secret engine mount at")
                || said("No auth engine at")
                || said("cannot fetch sysview") =>
            {
                Self::NotFound { path, data: Value::Null }
            }
            // A mount of KV v2 answers so for its first moments.
            400 if said("Upgrading from non-versioned to versioned") => {
                Self::Server { status: 400, path, message }
            }
            403 => Self::Denied { method: method.to_owned(), path },
            404 if said("route entry not found") || said("no handler for route") => {
                Self::NotFound { path, data: Value::Null }
            }
            404 => Self::NotFound { path, data: body.get("data").cloned().unwrap_or_default() },
            // A CEL program that does not type-check is a 500, and will be one every time.
            500 if said("type-checking") || said("error compiling") || said("failed to validate CEL") => {
                Self::Invalid { path, message }
            }
            500 if said("active cluster node not found") || said("lock changed ownership") => Self::NoLeader,
            503 if said("is sealed") => Self::Sealed,
            503 if said("no active") => Self::NoLeader,
            code if code < 500 => Self::Invalid { path, message },
            code => Self::Server { status: code, path, message },
        }
    }
}

/// OpenBao's own words for what is wrong, cut to what a status can show.
fn message(body: &Value) -> String {
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = errors.iter().filter_map(Value::as_str).map(str::trim).collect::<Vec<_>>().join("; ");
    text.replace('\n', " ").chars().take(512).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(503, "Vault is sealed", "OpenBao is sealed")]
    #[case(503, "no active Vault instance found", "OpenBao has no leader")]
    #[case(500, "local node not active but active cluster node not found", "OpenBao has no leader")]
    #[case(400, "path is already in use at kv/", "p is already in use in OpenBao")]
    #[case(400, "No secret engine mount at kv/", "p does not exist in OpenBao")]
    #[case(
        400,
        "check-and-set parameter did not match the current version",
        "p was changed in OpenBao by someone else"
    )]
    #[case(403, "permission denied", "OpenBao denies GET p")]
    #[case(
        500,
        "error type-checking CEL MainProgram",
        "OpenBao refuses p: error type-checking CEL MainProgram"
    )]
    #[case(502, "upstream", "OpenBao failed with status 502 at p: upstream")]
    fn answers_are_read_for_what_they_mean(#[case] status: u16, #[case] said: &str, #[case] expected: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        let error = Error::from_answer(status, "GET", "p".into(), &json!({"errors": [said]}));
        assert_eq!(error.to_string(), expected);
    }
}
