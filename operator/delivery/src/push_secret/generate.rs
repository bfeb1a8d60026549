//! Generators of values.

mod password;
mod pem;
mod random;
mod ssh_key;
mod tls_key;
mod uuid;

use secrecy::{ExposeSecret, SecretString};
use steamer_api::Generator;
use steamer_core::Error;
use steamer_openbao::{Json, Session};

use super::entry::public;
use random::System;

/// Generates a value. A key pair is two properties.
///
/// # Errors
/// Any error of OpenBao for a password policy, and [`Error::Internal`] without random numbers.
pub(super) async fn generate(
    session: &Session,
    property: &str,
    generator: &Generator,
) -> Result<Vec<(String, Json)>, Error> {
    let Generator { password, password_policy, uuid, ssh_key, tls_key } = generator;
    if let Some(policy) = password_policy {
        return Ok(vec![value(property, &session.generated_password(&policy.name).await?)]);
    }
    if let Some(password) = password {
        return Ok(vec![value(property, &password::generated(password, &mut System)?)]);
    }
    if uuid.is_some() {
        return Ok(vec![value(property, &uuid::generated(&mut System)?)]);
    }
    let pair = match (ssh_key, tls_key) {
        (Some(key), _) => ssh_key::generated(key.comment.as_deref().unwrap_or_default(), &mut System)?,
        (None, Some(key)) => tls_key::generated(key.algorithm).await?,
        (None, None) => {
            return Err(Error::Invalid(format!("generate of `{property}` is empty: add a generator")));
        }
    };
    Ok(vec![value(property, &pair.private), value(&public(property), &pair.public)])
}

fn value(property: &str, secret: &SecretString) -> (String, Json) {
    (property.to_owned(), Json::string(secret.expose_secret()))
}
