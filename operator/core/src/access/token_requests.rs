//! Token requests (TokenRequest) to the API server. No other module requests tokens.

use std::collections::BTreeSet;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use secrecy::SecretString;
use steamer_runtime::ObjectName;

use super::audiences::SafeAudiences;

/// Lifetime of the token that shows the audiences of the API server, in seconds: the minimum.
const SHORTEST: i64 = 600;

/// ServiceAccount, audiences and lifetime of a token. Equal keys share one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequestKey {
    /// The ServiceAccount.
    pub account: ObjectName,
    /// UID of the ServiceAccount: tokens of a deleted one are not reused for its successor.
    pub uid: String,
    /// Audiences of the token.
    pub audiences: SafeAudiences,
    /// Lifetime in seconds; at least 600.
    pub expiration_seconds: i64,
}

/// Requests a token that the API server does not accept.
pub(super) async fn token(client: &Client, of: &TokenRequestKey) -> Result<SecretString, kube::Error> {
    let audiences = of.audiences.as_slice().to_vec();
    let answer = request(client, &of.account, spec(audiences, of.expiration_seconds)).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default().into())
}

/// Reads the audiences that the API server accepts: those of a token that is requested without an audience.
pub(super) async fn api_server_audiences(
    client: &Client,
    account: &ObjectName,
) -> Result<BTreeSet<String>, kube::Error> {
    let answer = request(client, account, spec(Vec::new(), SHORTEST)).await?;
    Ok(answer.spec.audiences.into_iter().collect())
}

fn spec(audiences: Vec<String>, expiration_seconds: i64) -> TokenRequestSpec {
    TokenRequestSpec { audiences, expiration_seconds: Some(expiration_seconds), bound_object_ref: None }
}

async fn request(
    client: &Client,
    account: &ObjectName,
    spec: TokenRequestSpec,
) -> Result<TokenRequest, kube::Error> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &account.namespace);
    let request = TokenRequest { spec, ..TokenRequest::default() };
    api.create_token_request(&account.name, &PostParams::default(), &request).await
}
