//! Generators of secret values.

mod bytes;
mod password;
mod pem;
mod random;
mod ssh_key;
mod tls_key;
mod uuid;

use secrecy::{ExposeSecret, SecretString};
use steamer_api::Generator;
use steamer_openbao::{Json, Session};

use crate::error::Error;
use random::System;

/// Generates a value. A key pair is two properties. `session` is in the OpenBao namespace of the password policy.
///
/// # Errors
/// Any error of OpenBao for a password policy, and [`Error::Internal`] without random numbers.
pub async fn generate(
    session: &Session,
    property: &str,
    generator: &Generator,
) -> Result<Vec<(String, Json)>, Error> {
    if let Some(text) = text(session, generator).await? {
        return Ok(vec![value(property, &text)]);
    }
    let pair = match (&generator.ssh_key, &generator.tls_key) {
        (Some(key), _) => ssh_key::generated(key.comment.as_deref().unwrap_or_default(), &mut System)?,
        (None, Some(key)) => tls_key::generated(key.algorithm).await?,
        (None, None) => {
            return Err(Error::Invalid(format!("generate of `{property}` is empty: add a generator")));
        }
    };
    Ok(vec![value(property, &pair.private), value(&public(property), &pair.public)])
}

/// The properties of a generated value.
#[must_use]
pub fn properties(property: &str, generator: &Generator) -> Vec<String> {
    let public = generator.makes_pair().then(|| public(property));
    std::iter::once(property.to_owned()).chain(public).collect()
}

/// The property of the public key of a pair.
fn public(property: &str) -> String {
    format!("{property}.pub")
}

/// A value without a public part. None for a generator of key pairs.
async fn text(session: &Session, generator: &Generator) -> Result<Option<SecretString>, Error> {
    let Generator { password, password_policy, bytes, uuid, ssh_key: _, tls_key: _ } = generator;
    let text = match (password_policy, password, bytes, uuid) {
        (Some(policy), ..) => session.generated_password(&policy.name).await?,
        (_, Some(password), ..) => password::generated(password, &mut System)?,
        (_, _, Some(bytes), _) => bytes::generated(*bytes, &mut System)?,
        (.., Some(_)) => uuid::generated(&mut System)?,
        (None, None, None, None) => return Ok(None),
    };
    Ok(Some(text))
}

fn value(property: &str, secret: &SecretString) -> (String, Json) {
    (property.to_owned(), Json::string(secret.expose_secret()))
}
