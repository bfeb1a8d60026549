//! Signatures of requests to AWS (Signature Version 4).

use aws_lc_rs::hmac;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::digest::{digest, hex};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An access key of AWS.
#[derive(Clone)]
pub(super) struct AccessKey {
    pub(super) id: String,
    pub(super) secret: SecretString,
    /// Token of a temporary key.
    pub(super) session: Option<SecretString>,
}

/// Region and service for which a signature is valid, and its time.
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) at: Timestamp,
}

impl Scope<'_> {
    /// The time, such as `20150830T123600Z`.
    pub(super) fn time(&self) -> String {
        self.at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    fn date(&self) -> String {
        self.at.strftime("%Y%m%d").to_string()
    }

    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date(), self.region, self.service)
    }

    /// The key of the signature, which is derived from the secret.
    fn key(&self, secret: &SecretString) -> Vec<u8> {
        let first = format!("AWS4{}", secret.expose_secret()).into_bytes();
        let parts = [self.date(), self.region.to_owned(), self.service.to_owned(), "aws4_request".to_owned()];
        parts.iter().fold(first, |key, part| mac(&key, part.as_bytes()))
    }
}

/// A request for `/` without query.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    /// Headers: lower-case names and trimmed values, sorted by name.
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a str,
}

impl Unsigned<'_> {
    fn names(&self) -> String {
        self.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
    }

    fn canonical(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let Self { method, body, .. } = self;
        format!("{method}\n/\n\n{headers}\n{}\n{}", self.names(), digest(body.as_bytes()))
    }

    /// The header `Authorization`.
    pub(super) fn authorization(&self, key: &AccessKey, scope: &Scope<'_>) -> String {
        let request = digest(self.canonical().as_bytes());
        let text = format!("{ALGORITHM}\n{}\n{}\n{request}", scope.time(), scope.text());
        let signature = hex(&mac(&scope.key(&key.secret), text.as_bytes()));
        let (id, scope, names) = (&key.id, scope.text(), self.names());
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SESSION: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    /// Cases of the test suite that AWS publishes for Signature Version 4.
    #[rstest]
    #[case::get_vanilla("GET", &[], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")]
    #[case::post_vanilla("POST", &[], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")]
    #[case::post_x_www_form_urlencoded(
        "POST", &[("content-type", "application/x-www-form-urlencoded")], "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    )]
    #[case::post_header_key_sort(
        "POST", &[("my-header1", "value1")], "", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"
    )]
    #[case::post_sts_header_before(
        "POST", &[("x-amz-security-token", SESSION)], "",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    )]
    fn a_signature_is_that_of_the_test_suite_of_aws(
        #[case] method: &str,
        #[case] more: &[(&str, &str)],
        #[case] body: &str,
        #[case] expected: &str,
    ) {
        let fixed = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let mut headers: Vec<(String, String)> =
            fixed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.sort();
        let key = AccessKey {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session: None,
        };
        let at = "2015-08-30T12:36:00Z".parse().unwrap();
        let scope = Scope { region: "us-east-1", service: "service", at };
        let found = Unsigned { method, headers: &headers, body }.authorization(&key, &scope);
        let start =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        assert!(found.starts_with(start), "{found}");
        assert!(found.ends_with(&format!(", Signature={expected}")), "{found}");
    }
}
