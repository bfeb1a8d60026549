//! Logins of cloud identities for an object: ServiceAccounts and Secrets of its namespace, with their consent.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt;
use secrecy::ExposeSecret;
use steamer_runtime::ObjectName;

use super::super::consent::check_cloud;
use super::super::credentials::{Consumer, Owned};
use super::super::effective::Effective;
use super::super::methods::{AwsKeySource, AwsSource, GcpSource};
use super::super::servers::AccountToken;
use super::super::sessions::CredentialOwner;
use super::super::token_requests::TokenRequestKey;
use super::aws::packed;
use super::endpoint::Service;
use super::{AwsIdentity, AwsLogin, CloudLogin, GcpLogin};
use crate::digest::digest;
use crate::error::Error;

/// Annotation of a ServiceAccount: role of AWS that it may assume.
const ROLE: &str = "eks.amazonaws.com/role-arn";
/// Annotation of a ServiceAccount: audience of its tokens for AWS.
const AUDIENCE: &str = "eks.amazonaws.com/audience";
/// Default audience of tokens for AWS.
const AWS_AUDIENCE: &str = "sts.amazonaws.com";
/// Annotation of a ServiceAccount: Google service account as which it acts.
const GOOGLE_ACCOUNT: &str = "iam.gke.io/gcp-service-account";
/// Lifetime of the tokens of a ServiceAccount, in seconds.
const TOKEN_SECONDS: i64 = 600;

impl Consumer<'_> {
    /// The login of an AWS identity.
    pub(in super::super) async fn aws(&self, source: AwsSource, auth: &Effective) -> Result<Owned, Error> {
        let AwsSource { endpoint, region, server_id, session, key } = source;
        self.trusted(auth, &[(Service::AwsSts, "aws.stsEndpoint", endpoint.as_str())])?;
        let (identity, stored) = match key {
            AwsKeySource::Secret(name) => {
                let stored = self.access_key(&name).await?;
                let text = format!("{}\n{}", auth.requested, stored.expose_secret());
                (AwsIdentity::Key(digest(text.as_bytes())), Some(stored))
            }
            AwsKeySource::Account(name) => {
                let object = self.account_object(&name).await?;
                let arn = annotation(&object, ROLE, "the ARN of a role of AWS")?;
                let audience = object.annotations().get(AUDIENCE).cloned();
                let account =
                    self.consented(&object, audience.unwrap_or_else(|| AWS_AUDIENCE.to_owned())).await?;
                (AwsIdentity::Role { arn, session, account }, None)
            }
        };
        let login = CloudLogin::Aws(AwsLogin { endpoint, region, server_id, identity });
        Ok(Owned { owner: CredentialOwner::Cloud(login), stored })
    }

    /// The login of a Google service account.
    pub(in super::super) async fn gcp(&self, source: GcpSource, auth: &Effective) -> Result<Owned, Error> {
        let GcpSource { account, project, region, cluster, audience, sts, iam } = source;
        let endpoints =
            [(Service::GoogleSts, "gcp.stsEndpoint", &*sts), (Service::GoogleIam, "gcp.iamEndpoint", &*iam)];
        self.trusted(auth, &endpoints)?;
        let object = self.account_object(&account).await?;
        let email = annotation(&object, GOOGLE_ACCOUNT, "the email address of a Google service account")?;
        if !is_email(&email) {
            let name = ObjectName::of(&*object);
            return Err(Error::Invalid(format!(
                "annotation {GOOGLE_ACCOUNT} of ServiceAccount {name} must be an email address: correct it"
            )));
        }
        let account = self.consented(&object, GcpLogin::pool(&project)).await?;
        let provider = GcpLogin::provider(&project, &region, &cluster);
        let login = CloudLogin::Gcp(GcpLogin { account, provider, email, audience, sts, iam });
        Ok(Owned { owner: CredentialOwner::Cloud(login), stored: None })
    }

    /// Refuses settings of other namespaces: their server and endpoints would receive logins and tokens of this namespace.
    fn trusted(&self, auth: &Effective, endpoints: &[(Service, &str, &str)]) -> Result<(), Error> {
        let (own, operator) = (self.namespace, self.context.operator.namespace.as_str());
        if !auth.is_of(&[own, operator]) {
            return Err(Error::NotAllowed(format!(
                "the methods AWS and GCP require that login {}, and its global settings, are in namespace {own} or in \
                 namespace {operator} of the operator",
                auth.name
            )));
        }
        let foreign = endpoints.iter().find(|(service, _, url)| !service.is_at(url));
        match foreign.filter(|_| !auth.is_within(own) && !auth.is_within(operator)) {
            Some((_, field, url)) => Err(Error::NotAllowed(format!(
                "{field} {url} is no host of the service: this requires that login {} and its global settings are in the same \
                 namespace, {own} or {operator}",
                auth.name
            ))),
            None => Ok(()),
        }
    }

    /// The access key of a Secret.
    async fn access_key(&self, secret: &str) -> Result<secrecy::SecretString, Error> {
        let [id, key] =
            [self.entry(secret, "access_key_id").await?, self.entry(secret, "secret_access_key").await?];
        let name = ObjectName::new(self.namespace, secret);
        let object = self.context.secrets.existing(self.dependencies, &name).await?;
        let has_session = object.data.as_ref().is_some_and(|data| data.contains_key("session_token"));
        let session =
            if has_session { self.entry(secret, "session_token").await? } else { Default::default() };
        Ok(packed(id.expose_secret(), key.expose_secret(), session.expose_secret()))
    }

    async fn account_object(&self, name: &str) -> Result<std::sync::Arc<ServiceAccount>, Error> {
        self.context.accounts.existing(self.dependencies, &ObjectName::new(self.namespace, name)).await
    }

    /// Tokens of a ServiceAccount for a cloud provider, which only the ServiceAccount allows.
    async fn consented(&self, object: &ServiceAccount, audience: String) -> Result<TokenRequestKey, Error> {
        check_cloud(object, &audience)?;
        let audiences = vec![audience];
        let token =
            AccountToken { account: ObjectName::of(object), audiences, expiration_seconds: TOKEN_SECONDS };
        self.context.account_token(self.dependencies, token).await
    }
}

fn annotation(account: &ServiceAccount, key: &str, what: &str) -> Result<String, Error> {
    let found =
        account.annotations().get(key).map(String::as_str).map(str::trim).filter(|text| !text.is_empty());
    found.map(str::to_owned).ok_or_else(|| {
        let name = ObjectName::of(account);
        Error::NotAllowed(format!("ServiceAccount {name} has no annotation {key}: set it to {what}"))
    })
}

/// Whether a text can be a part of a URL.
fn is_email(text: &str) -> bool {
    let is_part = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    text.split_once('@').is_some_and(|(name, domain)| is_part(name) && is_part(domain))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web@acme.iam.gserviceaccount.com", true)]
    #[case("web", false)]
    #[case("@acme", false)]
    #[case("web@acme/../../x:signJwt?a", false)]
    #[case("a@b@c", false)]
    fn an_email_address_cannot_change_the_url(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_email(text), expected);
    }
}
