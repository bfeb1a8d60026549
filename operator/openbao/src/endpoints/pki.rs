//! PKI secrets engines: issuing, signing and revoking certificates.

use reqwest::Method;
use serde_json::{Value, json};

use crate::session::Call;
use crate::{Error, Issued, Session};

/// Role of a PKI engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PkiRole {
    /// Path of the mount.
    pub mount: String,
    /// Name or ID of the issuer. `None`: the issuer of the role.
    pub issuer: Option<String>,
    /// Name of the role.
    pub role: String,
}

impl PkiRole {
    /// Returns the path of the endpoint that issues certificates, with the mount.
    #[must_use]
    pub fn issue(&self) -> String {
        self.path("issue")
    }

    /// Returns the path of an endpoint of the role.
    fn path(&self, endpoint: &str) -> String {
        let Self { mount, issuer, role } = self;
        match issuer {
            Some(issuer) => format!("{mount}/issuer/{issuer}/{endpoint}/{role}"),
            None => format!("{mount}/{endpoint}/{role}"),
        }
    }
}

impl Session {
    /// Issues a certificate with a private key of OpenBao. `request` contains the parameters of the endpoint. The request
    /// is never repeated. The values contain `certificate`, `private_key`, `serial_number`, `expiration` and the CAs.
    ///
    /// # Errors
    /// [`Error::Unanswered`] if the response was lost: a certificate may have been issued. Any other [`Error`] of a
    /// request.
    pub async fn issue_certificate(&self, role: &PkiRole, request: Value) -> Result<Issued, Error> {
        self.issue(Method::POST, &role.issue(), Some(request)).await
    }

    /// Signs the certificate request `csr` of `request`. As [`Session::issue_certificate`], without `private_key`.
    ///
    /// # Errors
    /// As [`Session::issue_certificate`].
    pub async fn sign_certificate(&self, role: &PkiRole, request: Value) -> Result<Issued, Error> {
        self.issue(Method::POST, &role.path("sign"), Some(request)).await
    }

    /// Returns whether the engine contains a certificate, revoked or not. It contains none of a role with `no_store`. The
    /// endpoint needs no permission.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn has_certificate(&self, mount: &str, serial: &str) -> Result<bool, Error> {
        match self.call(Call::get(&format!("{mount}/cert/{serial}"))).await {
            Err(Error::NotFound { .. }) => Ok(false),
            result => result.map(|_| true),
        }
    }

    /// Revokes a certificate. No-op if the engine no longer exists, or does not contain the certificate, such as one that
    /// was tidied or that a role with `no_store` issued.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn revoke_certificate(&self, mount: &str, serial: &str) -> Result<(), Error> {
        let request = json!({"serial_number": serial});
        match self.call(Call::post(&format!("{mount}/revoke"), request)).await {
            Err(Error::NotFound { .. }) => Ok(()),
            Err(Error::Invalid { message, .. }) if is_unknown(&message) => Ok(()),
            result => result.map(drop),
        }
    }
}

/// Returns whether the engine does not contain the certificate.
fn is_unknown(message: &str) -> bool {
    message.contains("certificate with serial") && message.contains("not found")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, "pki/a/issue/web")]
    #[case(Some("root-2027"), "pki/a/issuer/root-2027/issue/web")]
    fn an_issuer_is_part_of_the_path(#[case] issuer: Option<&str>, #[case] path: &str) {
        let issuer = issuer.map(str::to_owned);
        let role = PkiRole { mount: "pki/a".to_owned(), issuer, role: "web".to_owned() };
        assert_eq!(role.path("issue"), path);
    }

    #[rstest]
    #[case("certificate with serial 4a:01 not found", true)]
    #[case("unable to verify signature", false)]
    fn only_a_missing_certificate_is_unknown(#[case] message: &str, #[case] unknown: bool) {
        assert_eq!(is_unknown(message), unknown);
    }
}
