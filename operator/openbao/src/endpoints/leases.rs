//! Credentials that OpenBao issues, and their leases.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::login::{TokenLife, renewed_life, token_life};
use crate::session::Call;
use crate::values::{Raw, values};
use crate::{Error, Session, Values};

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// ID of the lease.
    pub id: String,
    /// Remaining duration.
    pub duration: Duration,
    /// Whether the lease can be renewed.
    pub renewable: bool,
}

/// A credential that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Keys and values of the credential.
    pub values: Values,
    /// The lease. `None` if the engine grants none.
    pub lease: Option<Lease>,
}

/// Response of an engine. OpenBao returns null for fields that do not apply.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    lease_id: Option<String>,
    lease_duration: Option<u64>,
    renewable: Option<bool>,
    data: Option<Raw>,
}

impl Response {
    fn lease(&self) -> Option<Lease> {
        let id = self.lease_id.clone().filter(|id| !id.is_empty())?;
        let duration = Duration::from_secs(self.lease_duration.unwrap_or_default());
        Some(Lease { id, duration, renewable: self.renewable.unwrap_or_default() })
    }
}

impl Session {
    /// Requests a credential. `path` starts with the mount, `body` is `None` for GET. The request is sent once.
    ///
    /// # Errors
    /// [`Error::Unanswered`] if the response was lost: OpenBao may have issued a credential. Any other [`Error`] of a
    /// request.
    pub async fn issue(&self, method: Method, path: &str, body: Option<Value>) -> Result<Issued, Error> {
        let response: Response = self.content(Call::of(method, path, body).once()).await?;
        Ok(Issued { lease: response.lease(), values: values(response.data.unwrap_or_default()) })
    }

    /// Renews a lease. Returns `None` if the lease does not exist anymore.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn renew_lease(&self, id: &str, increment: Duration) -> Result<Option<Lease>, Error> {
        let body = json!({"lease_id": id, "increment": increment.as_secs()});
        match self.content::<Response>(Call::post("sys/leases/renew", body)).await {
            Ok(response) => Ok(response.lease()),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Revokes a lease. No-op if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn revoke_lease(&self, id: &str) -> Result<(), Error> {
        match self.call(Call::post("sys/leases/revoke", json!({"lease_id": id, "sync": true}))).await {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the remaining duration of a lease, or `None` if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn lookup_lease(&self, id: &str) -> Result<Option<Lease>, Error> {
        #[derive(Deserialize)]
        struct Found {
            ttl: i64,
            renewable: bool,
        }
        match self.data::<Found>(Call::post("sys/leases/lookup", json!({"lease_id": id}))).await {
            Ok(Found { ttl, renewable }) => {
                let duration = Duration::from_secs(u64::try_from(ttl).unwrap_or_default());
                Ok(Some(Lease { id: id.to_owned(), duration, renewable }))
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews the session's own token. Returns its remaining lifetime.
    ///
    /// # Errors
    /// [`Error::Denied`] if the token does not exist anymore, or may not renew itself. Any other [`Error`] of a request.
    pub async fn renew_token(&self) -> Result<TokenLife, Error> {
        let path = "auth/token/renew-self";
        let body = self.at_root().call(Call::post(path, json!({}))).await?;
        token_life(&body).ok_or_else(|| Error::Foreign { path: path.to_owned(), status: 200 })
    }

    /// Revokes the session's own token, and with it all leases that were issued with it.
    ///
    /// # Errors
    /// [`Error::Denied`] if the token does not exist anymore, or may not revoke itself. Any other [`Error`] of a request.
    pub async fn revoke_token(&self) -> Result<(), Error> {
        self.at_root().call(Call::post("auth/token/revoke-self", json!({}))).await.map(drop)
    }
}

impl Session {
    /// Renews the token with this accessor, in the namespace of the token. Returns its remaining lifetime, or `None` if the
    /// token does not exist anymore.
    ///
    /// # Errors
    /// [`Error::Denied`] if the session may not renew tokens by their accessors. Any other [`Error`] of a request.
    pub async fn renew_accessor(&self, accessor: &str) -> Result<Option<TokenLife>, Error> {
        let path = "auth/token/renew-accessor";
        match self.call(Call::post(path, json!({"accessor": accessor}))).await {
            Ok(body) => renewed_life(&body)
                .map(Some)
                .ok_or_else(|| Error::Foreign { path: self.namespace().path(path), status: 200 }),
            Err(error) if is_without_token(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Revokes the token with this accessor, in the namespace of the token, and with it all leases that were issued with it.
    /// No-op if the token does not exist.
    ///
    /// # Errors
    /// [`Error::Denied`] if the session may not revoke tokens by their accessors. Any other [`Error`] of a request.
    pub async fn revoke_accessor(&self, accessor: &str) -> Result<(), Error> {
        match self.call(Call::post("auth/token/revoke-accessor", json!({"accessor": accessor}))).await {
            Err(error) if !is_without_token(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns whether an error states that an accessor has no token. OpenBao returns status 400 for it.
fn is_without_token(error: &Error) -> bool {
    let texts = ["invalid accessor", "token not found", "invalid lease"];
    matches!(error, Error::Invalid { message, .. } if texts.iter().any(|text| message.contains(text)))
}

/// Returns whether an error states that a lease does not exist. OpenBao returns status 400 for it.
fn is_gone(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } => true,
        Error::Invalid { message, .. } => {
            ["lease not found", "invalid lease", "lease expired"].iter().any(|text| message.contains(text))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::database(
        r#"{"lease_id": "database/creds/app/x", "lease_duration": 60, "renewable": true, "data": {"username": "u"}}"#,
        Some(("database/creds/app/x", 60, true))
    )]
    #[case::static_role(
        r#"{"lease_id": "", "lease_duration": 0, "renewable": false, "data": {"ttl": 9}}"#,
        None
    )]
    #[case::nulls(r#"{"lease_id": null, "lease_duration": null, "renewable": null, "data": null}"#, None)]
    fn a_response_with_an_id_has_a_lease(#[case] text: &str, #[case] expected: Option<(&str, u64, bool)>) {
        let response: Response = serde_json::from_str(text).unwrap();
        let lease = response.lease();
        let seen = lease.as_ref().map(|lease| (lease.id.as_str(), lease.duration.as_secs(), lease.renewable));
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::revoked("1 error occurred: * invalid accessor", true)]
    #[case::ending("token not found", true)]
    #[case::not_renewable("lease is not renewable", false)]
    fn a_token_that_does_not_exist_is_no_error(#[case] message: &str, #[case] expected: bool) {
        let (path, message) = ("auth/token/renew-accessor".to_owned(), message.to_owned());
        assert_eq!(is_without_token(&Error::Invalid { path, message }), expected);
        assert!(!is_without_token(&Error::Sealed));
    }

    #[rstest]
    #[case::renewed_after_the_end("lease not found", true)]
    #[case::looked_up_after_the_end("invalid lease", true)]
    #[case::another_rejection("lease is not renewable", false)]
    fn a_lease_that_does_not_exist_is_no_error(#[case] message: &str, #[case] expected: bool) {
        let (path, message) = ("sys/leases/renew".to_owned(), message.to_owned());
        assert_eq!(is_gone(&Error::Invalid { path, message }), expected);
    }
}
