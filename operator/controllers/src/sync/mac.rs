//! Keyed digests of Secrets: equal for equal data, and of no use to who has not the key.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use crate::error::Error;
use crate::pipelines::hex;

/// The Secret in the operator's namespace that holds the key.
const NAME: &str = "steamer-mac-key";

/// Digests data.
#[derive(Clone)]
pub(crate) struct Mac(hmac::Key);

impl Mac {
    /// The digest of a Secret's data. Lengths are part of it, so that no two lists of keys and values share one.
    pub(crate) fn of<'a>(&self, data: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for (key, value) in data {
            for part in [key.as_bytes(), value] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        hex(context.sign().as_ref())
    }

    /// The key of this installation, made at its first start.
    pub(crate) async fn load(client: &Client, namespace: &str) -> Result<Self, Error> {
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
            Error::Invalid(format!("Secret {namespace}/{NAME} holds no key of 32 bytes: delete it"))
        })?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key.0)))
    }
}

fn fresh() -> Result<Secret, Error> {
    let mut key = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut key)
        .map_err(|_| Error::Waiting("the system gives no random numbers".to_owned()))?;
    Ok(Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("key".to_owned(), ByteString(key.to_vec()))])),
        immutable: Some(true),
        ..Secret::default()
    })
}

#[cfg(test)]
impl Mac {
    pub(crate) fn for_tests() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_from_key_to_value_changes_the_digest() {
        let mac = Mac::for_tests();
        assert_ne!(mac.of([("ab", b"c".as_slice())]), mac.of([("a", b"bc".as_slice())]));
        assert_ne!(mac.of([("a", b"".as_slice())]), mac.of([]));
    }
}
