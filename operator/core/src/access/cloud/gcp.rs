//! Logins of Google service accounts: the token of a ServiceAccount is exchanged for an ID token (workload identity of
//! GKE), which OpenBao verifies.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use steamer_openbao::{Credential, CredentialError};
use steamer_runtime::after;

use super::super::reused::Reused;
use super::super::token_requests::TokenRequestKey;
use super::exchange::{Exchange, form, incomplete, json as json_body};

/// How long an ID token is reused. It is valid for an hour.
const REUSED: Duration = Duration::from_secs(600);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Login of a Google service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GcpLogin {
    /// Tokens of the ServiceAccount, for the workload identity pool.
    pub account: TokenRequestKey,
    /// Audience of the exchange: the workload identity pool, and the cluster that issues the tokens.
    pub provider: String,
    /// Email address of the Google service account.
    pub email: String,
    /// Audience of the ID token.
    pub audience: String,
    /// URL of the Security Token Service.
    pub sts: String,
    /// URL of the IAM Service Account Credentials API.
    pub iam: String,
}

impl GcpLogin {
    /// The audience of the tokens of a project's ServiceAccounts.
    pub(super) fn pool(project: &str) -> String {
        format!("{project}.svc.id.goog")
    }

    /// The audience of the exchange.
    pub(super) fn provider(project: &str, region: &str, cluster: &str) -> String {
        let cluster = format!("projects/{project}/locations/{region}/clusters/{cluster}");
        format!("identitynamespace:{}:https://container.googleapis.com/v1/{cluster}", Self::pool(project))
    }
}

/// Requests ID tokens.
pub(super) struct GcpCredential {
    login: GcpLogin,
    exchange: Exchange,
    /// ID token, and the time until which it is reused.
    held: Reused<(SecretString, Instant)>,
}

#[derive(Deserialize)]
struct Federated {
    access_token: SecretString,
}

#[derive(Deserialize)]
struct Identity {
    token: SecretString,
}

#[derive(Deserialize)]
struct Refused<'a> {
    #[serde(borrow)]
    error: Code<'a>,
}

/// The Security Token Service states a code, and other services an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code<'a> {
    Text(#[serde(borrow)] &'a str),
    Status {
        #[serde(borrow)]
        status: &'a str,
    },
}

impl GcpCredential {
    pub(super) fn new(login: GcpLogin, exchange: Exchange) -> Self {
        Self { login, exchange, held: Reused::default() }
    }

    async fn token(&self) -> Result<SecretString, CredentialError> {
        let (token, _) = self.held.get(|(_, until)| Instant::now() < *until, self.issued()).await?;
        Ok(token)
    }

    /// Requests an ID token. Returns the time until which it is reused.
    async fn issued(&self) -> Result<(SecretString, Instant), CredentialError> {
        let token = self.identity(&self.federated().await?).await?;
        Ok((token, after(Instant::now(), REUSED)))
    }

    /// Exchanges the token of the ServiceAccount for an access token.
    async fn federated(&self) -> Result<SecretString, CredentialError> {
        let token = self.exchange.token.secret().await?;
        let request = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &self.login.provider),
            ("scope", SCOPE),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token.expose_secret()),
        ]);
        let url = format!("{}/v1/token", self.login.sts);
        let body = self.exchange.post(&url, request, code).await?;
        let answer: Result<Federated, _> = serde_json::from_str(body.expose_secret());
        answer.map(|answer| answer.access_token).map_err(|_| incomplete(&url, "access token"))
    }

    /// Requests an ID token of the Google service account.
    async fn identity(&self, access: &SecretString) -> Result<SecretString, CredentialError> {
        let GcpLogin { email, audience, iam, .. } = &self.login;
        let url = format!("{iam}/v1/projects/-/serviceAccounts/{email}:generateIdToken");
        let request = json!({"audience": audience, "includeEmail": true});
        let body = self.exchange.post(&url, json_body(&request, access), code).await?;
        let answer: Result<Identity, _> = serde_json::from_str(body.expose_secret());
        answer.map(|answer| answer.token).map_err(|_| incomplete(&url, "ID token"))
    }
}

impl Credential for GcpCredential {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(self.token())
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            self.exchange.token.discard().await;
            self.held.discard().await
        })
    }
}

/// The code of an error of Google.
fn code(body: &str) -> Option<&str> {
    let refused: Refused<'_> = serde_json::from_str(body).ok()?;
    Some(match refused.error {
        Code::Text(text) => text,
        Code::Status { status } => status,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use steamer_runtime::ObjectName;

    use super::super::super::audiences::SafeAudiences;
    use super::super::exchange::tests::{exchange, server};
    use super::*;

    fn login(url: &str) -> GcpLogin {
        let audiences = SafeAudiences::new(vec![GcpLogin::pool("acme")], &BTreeSet::new()).unwrap();
        GcpLogin {
            account: TokenRequestKey {
                account: ObjectName::new("web", "app"),
                uid: "u".to_owned(),
                audiences,
                expiration_seconds: 600,
            },
            provider: GcpLogin::provider("acme", "europe-west1", "prod"),
            email: "web@acme.iam.gserviceaccount.com".to_owned(),
            audience: "vault/web".to_owned(),
            sts: url.to_owned(),
            iam: url.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_token_becomes_an_id_token_for_the_role() {
        let (url, served) = server(vec![
            (200, r#"{"access_token": "federated", "token_type": "Bearer"}"#.to_owned()),
            (200, r#"{"token": "identity"}"#.to_owned()),
        ]);
        let credential = GcpCredential::new(login(&url), exchange("jwt"));
        for _ in 0..2 {
            assert_eq!(credential.secret().await.unwrap().expose_secret(), "identity");
        }
        let requests = served.join().unwrap();
        let parts: Vec<_> = requests.iter().map(|request| request.split_once("\r\n\r\n").unwrap()).collect();
        assert!(parts[0].0.starts_with("POST /v1/token HTTP/1.1"), "{requests:?}");
        let provider = "identitynamespace%3Aacme.svc.id.goog%3Ahttps%3A%2F%2Fcontainer.googleapis.com%2Fv1%2Fprojects%2Facme\
                        %2Flocations%2Feurope-west1%2Fclusters%2Fprod";
        assert!(parts[0].1.contains(&format!("&audience={provider}&")), "{requests:?}");
        assert!(parts[0].1.ends_with("&subject_token=jwt"), "{requests:?}");
        let path =
            "POST /v1/projects/-/serviceAccounts/web@acme.iam.gserviceaccount.com:generateIdToken HTTP/1.1";
        assert!(parts[1].0.starts_with(path), "{requests:?}");
        assert!(parts[1].0.contains("authorization: Bearer federated"), "{requests:?}");
        assert_eq!(parts[1].1, r#"{"audience":"vault/web","includeEmail":true}"#);
        assert!(credential.discard().await);
    }

    #[tokio::test]
    async fn a_refusal_states_its_code_and_no_token() {
        let refused = r#"{"error": {"code": 403, "message": "federated", "status": "PERMISSION_DENIED"}}"#;
        let (url, served) =
            server(vec![(200, r#"{"access_token": "federated"}"#.to_owned()), (403, refused.to_owned())]);
        let credential = GcpCredential::new(login(&url), exchange("jwt"));
        let text = credential.secret().await.unwrap_err().to_string();
        served.join().unwrap();
        assert!(text.ends_with("status 403, PERMISSION_DENIED") && !text.contains("federated"), "{text}");
    }

    #[rstest]
    #[case(r#"{"error": "invalid_grant", "error_description": "x"}"#, Some("invalid_grant"))]
    #[case(r#"{"error": {"code": 404, "status": "NOT_FOUND"}}"#, Some("NOT_FOUND"))]
    #[case("<html>", None)]
    fn the_code_of_an_error_is_found(#[case] body: &str, #[case] expected: Option<&str>) {
        assert_eq!(code(body), expected);
    }
}
