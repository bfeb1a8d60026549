//! Logins of AWS identities: a signed request to STS, which OpenBao sends to learn the identity.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use steamer_openbao::{Credential, CredentialError};

use super::super::reused::Reused;
use super::super::token_requests::TokenRequestKey;
use super::endpoint::authority;
use super::exchange::{Exchange, form, incomplete};
use super::signature::{AccessKey, Scope, Unsigned};

/// Time before the expiration of a temporary key at which another one is requested.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
const CONTENT: &str = "application/x-www-form-urlencoded; charset=utf-8";
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Login of an AWS identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsLogin {
    /// URL of the STS endpoint.
    pub endpoint: String,
    /// Region of the signature.
    pub region: String,
    /// Value of the header `X-Vault-AWS-IAM-Server-ID`.
    pub server_id: Option<String>,
    /// Identity that signs.
    pub identity: AwsIdentity,
}

/// Identity that signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AwsIdentity {
    /// An access key with that digest.
    Key(String),
    /// A role that a ServiceAccount assumes.
    Role {
        /// ARN of the role.
        arn: String,
        /// Name of the session.
        session: String,
        /// Tokens of the ServiceAccount.
        account: TokenRequestKey,
    },
}

/// Source of access keys.
pub(super) enum Keys {
    /// One key.
    Stored(AccessKey),
    /// Temporary keys of a role, for a token.
    Issued {
        exchange: Exchange,
        /// ARN of the role.
        arn: String,
        /// Name of the session.
        session: String,
    },
}

/// Signs requests.
pub(super) struct AwsCredential {
    login: AwsLogin,
    keys: Keys,
    /// Temporary key, and the time until which it is reused.
    held: Reused<(AccessKey, Timestamp)>,
}

/// An access key as one text.
pub(super) fn packed(id: &str, secret: &str, session: &str) -> SecretString {
    format!("{id}\n{secret}\n{session}").into()
}

/// An access key, as [`packed`] writes it.
pub(super) fn unpacked(text: &SecretString) -> AccessKey {
    let mut parts = text.expose_secret().splitn(3, '\n');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (id, secret, session) = (next(), next().into(), next());
    AccessKey { id, secret, session: (!session.is_empty()).then(|| session.into()) }
}

impl AwsCredential {
    pub(super) fn new(login: AwsLogin, keys: Keys) -> Self {
        Self { login, keys, held: Reused::default() }
    }

    async fn key(&self) -> Result<AccessKey, CredentialError> {
        match &self.keys {
            Keys::Stored(key) => Ok(key.clone()),
            Keys::Issued { exchange, arn, session } => {
                let issued = self.issued(exchange, arn, session);
                let (key, _) = self.held.get(|(_, until)| Timestamp::now() < *until, issued).await?;
                Ok(key)
            }
        }
    }

    /// Requests a temporary key. Returns the time until which it is reused.
    async fn issued(
        &self,
        exchange: &Exchange,
        arn: &str,
        session: &str,
    ) -> Result<(AccessKey, Timestamp), CredentialError> {
        let endpoint = &self.login.endpoint;
        let token = exchange.token.secret().await?;
        let request = form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", arn),
            ("RoleSessionName", session),
            ("WebIdentityToken", token.expose_secret()),
        ]);
        let body = exchange.post(&format!("{endpoint}/"), request, code).await?;
        read(body.expose_secret()).ok_or_else(|| incomplete(endpoint, "temporary access key"))
    }

    async fn signed(&self) -> Result<SecretString, CredentialError> {
        let key = self.key().await?;
        Ok(signed(&self.login, &key, Timestamp::now()))
    }
}

impl Credential for AwsCredential {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(self.signed())
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            if let Keys::Issued { exchange, .. } = &self.keys {
                exchange.token.discard().await;
            }
            self.held.discard().await
        })
    }
}

/// The parameters of a login: a signed request, as JSON.
fn signed(login: &AwsLogin, key: &AccessKey, at: Timestamp) -> SecretString {
    let scope = Scope { region: &login.region, service: "sts", at };
    let mut headers = vec![
        ("content-type".to_owned(), CONTENT.to_owned()),
        ("host".to_owned(), authority(&login.endpoint)),
        ("x-amz-date".to_owned(), scope.time()),
    ];
    let session = key.session.as_ref().map(|session| session.expose_secret().to_owned());
    headers.extend(session.map(|session| ("x-amz-security-token".to_owned(), session)));
    headers.extend(login.server_id.clone().map(|id| ("x-vault-aws-iam-server-id".to_owned(), id)));
    let request = Unsigned { method: "POST", headers: &headers, body: BODY };
    let authorization = request.authorization(key, &scope);
    headers.push(("authorization".to_owned(), authorization));
    let headers: BTreeMap<String, [String; 1]> =
        headers.into_iter().map(|(name, value)| (canonical(&name), [value])).collect();
    json!({
        "iam_http_request_method": "POST",
        "iam_request_url": STANDARD.encode(format!("{}/", login.endpoint)),
        "iam_request_body": STANDARD.encode(BODY),
        "iam_request_headers": STANDARD.encode(json!(headers).to_string()),
    })
    .to_string()
    .into()
}

/// The name of a header as Go writes it, such as `X-Amz-Date`: the plugin of OpenBao looks names up in this form.
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The temporary key of a response of STS, and the time until which it is used.
fn read(body: &str) -> Option<(AccessKey, Timestamp)> {
    let text = |name| element(body, name).map(str::to_owned);
    let key = AccessKey {
        id: text("AccessKeyId")?,
        secret: text("SecretAccessKey")?.into(),
        session: Some(text("SessionToken")?.into()),
    };
    let expires: Timestamp = element(body, "Expiration")?.parse().ok()?;
    Some((key, expires.checked_sub(EARLY).ok()?))
}

/// The code of an error of STS.
fn code(body: &str) -> Option<&str> {
    element(body, "Code")
}

/// The text of an XML element that contains only text.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::exchange::tests::{exchange, server};
    use super::*;

    fn login(endpoint: &str) -> AwsLogin {
        AwsLogin {
            endpoint: endpoint.to_owned(),
            region: "eu-west-1".to_owned(),
            server_id: Some("bao.example.com".to_owned()),
            identity: AwsIdentity::Key(String::new()),
        }
    }

    fn issued(token: &'static str) -> Keys {
        let (arn, session) = ("arn:aws:iam::1:role/web".to_owned(), "steamer".to_owned());
        Keys::Issued { exchange: exchange(token), arn, session }
    }

    /// The decoded parameters of a login.
    fn decoded(secret: &SecretString) -> Value {
        let mut parameters: Value = serde_json::from_str(secret.expose_secret()).unwrap();
        for field in ["iam_request_url", "iam_request_body", "iam_request_headers"] {
            let text = STANDARD.decode(parameters[field].as_str().unwrap()).unwrap();
            parameters[field] = json!(String::from_utf8(text).unwrap());
        }
        parameters["iam_request_headers"] =
            serde_json::from_str(parameters["iam_request_headers"].as_str().unwrap()).unwrap();
        parameters
    }

    #[test]
    fn a_login_is_a_signed_request_for_the_identity_of_the_caller() {
        let login = login("https://sts.eu-west-1.amazonaws.com");
        let key = unpacked(&packed("AKID", "secret", ""));
        let found = decoded(&signed(&login, &key, "2015-08-30T12:36:00Z".parse().unwrap()));
        let headers = found["iam_request_headers"].clone();
        assert_eq!(found["iam_http_request_method"], "POST");
        assert_eq!(found["iam_request_url"], "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(found["iam_request_body"], "Action=GetCallerIdentity&Version=2011-06-15");
        let expected = [
            ("Content-Type", CONTENT),
            ("Host", "sts.eu-west-1.amazonaws.com"),
            ("X-Amz-Date", "20150830T123600Z"),
            ("X-Vault-Aws-Iam-Server-Id", "bao.example.com"),
        ];
        for (name, value) in expected {
            assert_eq!(headers[name], json!([value]), "{name}");
        }
        let authorization = headers["Authorization"][0].as_str().unwrap();
        assert!(
            authorization.contains("Credential=AKID/20150830/eu-west-1/sts/aws4_request"),
            "{authorization}"
        );
        let names = "SignedHeaders=content-type;host;x-amz-date;x-vault-aws-iam-server-id,";
        assert!(authorization.contains(names), "{authorization}");
        assert!(!headers.to_string().contains("secret"));
    }

    const ISSUED: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
        <SessionToken>session</SessionToken><SecretAccessKey>secret</SecretAccessKey>\
        <Expiration>2999-01-01T00:00:00Z</Expiration><AccessKeyId>ASIA</AccessKeyId></Credentials>\
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

    #[tokio::test]
    async fn a_token_is_exchanged_once_for_several_logins_with_the_role() {
        let (url, served) = server(vec![(200, ISSUED.to_owned())]);
        let credential = AwsCredential::new(login(&url), issued("jwt+1"));
        let first = decoded(&credential.secret().await.unwrap());
        let second = decoded(&credential.secret().await.unwrap());
        for found in [&first, &second] {
            assert_eq!(found["iam_request_headers"]["X-Amz-Security-Token"], json!(["session"]));
        }
        let requests = served.join().unwrap();
        let (_, body) = requests[0].split_once("\r\n\r\n").unwrap();
        assert!(requests[0].starts_with("POST / HTTP/1.1"), "{requests:?}");
        let expected = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fweb&\
                        RoleSessionName=steamer&WebIdentityToken=jwt%2B1";
        assert_eq!(body, expected);
        assert!(credential.discard().await, "a key of an earlier login can be outdated");
    }

    #[tokio::test]
    async fn a_refused_or_incomplete_exchange_is_described_without_credentials() {
        let refused = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>jwt</Message></Error></ErrorResponse>";
        let partial = ISSUED.replace("AccessKeyId", "Other");
        let (url, served) = server(vec![(400, refused.to_owned()), (200, partial)]);
        let credential = AwsCredential::new(login(&url), issued("jwt"));
        let mut texts = Vec::new();
        for _ in 0..2 {
            texts.push(credential.secret().await.unwrap_err().to_string());
        }
        served.join().unwrap();
        assert!(texts[0].ends_with("status 400, InvalidIdentityToken"), "{texts:?}");
        assert!(texts[1].ends_with("the response contains no temporary access key"), "{texts:?}");
        assert!(texts.iter().all(|text| !text.contains("jwt") && !text.contains("secret")), "{texts:?}");
    }
}
