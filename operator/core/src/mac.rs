//! Keyed digests of secret values: equal for equal data, and useless without the key.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use crate::digest::{hex, random};
use crate::error::Error;

/// Secret in the operator's namespace that contains the key.
const NAME: &str = "steamer-mac-key";

/// Computes keyed digests.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl Mac {
    /// Digests with that key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The digest of the data of a Secret. It includes lengths, so that different lists of keys and values differ.
    pub fn of<'a>(&self, data: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for (key, value) in data {
            for part in [key.as_bytes(), value] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        hex(context.sign().as_ref())
    }

    /// An ID of the key, which shows nothing about it. Digests of different keys cannot be compared.
    #[must_use]
    pub fn id(&self) -> String {
        self.of([("key", b"".as_slice())]).chars().take(16).collect()
    }

    /// Loads the key of this installation. The first start creates it.
    ///
    /// # Errors
    /// Any error of the API server, and [`Error::Invalid`] for a Secret without a key of 32 bytes.
    pub async fn load(client: &Client, namespace: &str) -> Result<Self, Error> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let stored = match api.get_opt(NAME).await? {
            Some(stored) => stored,
            None => match api.create(&PostParams::default(), &fresh()?).await {
                Ok(made) => made,
                Err(kube::Error::Api(status)) if status.is_already_exists() => api.get(NAME).await?,
                Err(error) => return Err(error.into()),
            },
        };
        let key = stored.data.and_then(|mut data| data.remove("key")).filter(|key| key.0.len() >= 32);
        let key = key.ok_or_else(|| {
            Error::Invalid(format!(
                "Secret {namespace}/{NAME} does not contain a key of 32 bytes: restore it from a backup. Without a backup, \
                 delete it: Steamer creates another key, and no longer knows which secrets it has written"
            ))
        })?;
        Ok(Self::new(&key.0))
    }
}

fn fresh() -> Result<Secret, Error> {
    Ok(Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("key".to_owned(), ByteString(random()?.to_vec()))])),
        immutable: Some(true),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_from_key_to_value_changes_the_digest() {
        let mac = Mac::new(&[7; 32]);
        assert_ne!(mac.of([("ab", b"c".as_slice())]), mac.of([("a", b"bc".as_slice())]));
        assert_ne!(mac.of([("a", b"".as_slice())]), mac.of([]));
    }

    #[test]
    fn another_key_has_another_id() {
        let id = |key: u8| Mac::new(&[key; 32]).id();
        assert_eq!(id(7), id(7));
        assert_ne!(id(7), id(8));
        assert_eq!(id(7).len(), 16);
    }
}
