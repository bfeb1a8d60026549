//! Credentials of cloud providers: a token of a ServiceAccount, or an access key, becomes the secret of a login.

mod aws;
mod consumer;
mod endpoint;
mod exchange;
mod gcp;
mod signature;

use std::sync::Arc;

use secrecy::SecretString;
use steamer_openbao::Credential;

use self::aws::{AwsCredential, Keys, unpacked};
use self::exchange::Exchange;
use self::gcp::GcpCredential;
use super::service_accounts::{ServiceAccountToken, TokenSource};
use super::transports::Transports;

pub use self::aws::{AwsIdentity, AwsLogin};
pub use self::gcp::GcpLogin;

/// Login of a cloud provider's identity. Equal ones share a login.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CloudLogin {
    /// An AWS identity.
    Aws(AwsLogin),
    /// A Google service account.
    Gcp(GcpLogin),
}

/// The credential of a login. `stored` is the access key of an AWS identity that is no role of a ServiceAccount.
pub(super) fn credential(
    login: CloudLogin,
    stored: Option<SecretString>,
    (tokens, transports): (&TokenSource, &Arc<Transports>),
) -> Arc<dyn Credential> {
    let exchange = |account| {
        Exchange::new(transports.clone(), Arc::new(ServiceAccountToken::new(tokens.clone(), account)))
    };
    match login {
        CloudLogin::Aws(login) => {
            let keys = match &login.identity {
                AwsIdentity::Key(_) => Keys::Stored(unpacked(&stored.unwrap_or_default())),
                AwsIdentity::Role { arn, session, account } => Keys::Issued {
                    exchange: exchange(account.clone()),
                    arn: arn.clone(),
                    session: session.clone(),
                },
            };
            Arc::new(AwsCredential::new(login, keys))
        }
        CloudLogin::Gcp(login) => {
            let exchange = exchange(login.account.clone());
            Arc::new(GcpCredential::new(login, exchange))
        }
    }
}
