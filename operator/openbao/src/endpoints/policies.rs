//! ACL policies.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::session::{Call, absent};
use crate::{Error, Session};

/// An ACL policy, exactly as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Text of the policy, in HCL or JSON.
    pub policy: String,
    /// Version, incremented by each write. The value for [`Cas::Version`].
    pub version: i64,
}

/// Precondition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// The policy does not exist.
    Absent,
    /// The policy has this version.
    Version(i64),
}

impl Session {
    /// Returns a policy by name, or `None` if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn policy(&self, name: &str) -> Result<Option<Policy>, Error> {
        absent(self.data(Call::get(&format!("sys/policies/acl/{name}"))).await)
    }

    /// Returns all policies whose names start with `prefix` and a slash, at any depth, by full name.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn policies_below(&self, prefix: &str) -> Result<BTreeMap<String, Policy>, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Listing {
            key_info: BTreeMap<String, Policy>,
        }
        let listing: Option<Listing> =
            absent(self.data(Call::list(&format!("sys/policies/detailed/acl/{prefix}"))).await)?;
        Ok(listing.unwrap_or_default().key_info)
    }

    /// Writes a policy if the precondition `cas` holds.
    ///
    /// # Errors
    /// [`Error::CheckAndSet`] if `cas` does not hold, [`Error::Invalid`] if the text is not a valid policy. Any other
    /// [`Error`] of a request.
    pub async fn put_policy(&self, name: &str, text: &str, cas: Cas) -> Result<(), Error> {
        let cas = match cas {
            Cas::Absent => -1,
            Cas::Version(version) => version,
        };
        let body = json!({"policy": text, "cas": cas});
        self.call(Call::post(&format!("sys/policies/acl/{name}"), body)).await.map(drop)
    }

    /// Deletes a policy. No-op if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn delete_policy(&self, name: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("sys/policies/acl/{name}"))).await).map(drop)
    }

    /// Returns a new password by a password policy (`GET sys/policies/password/<name>/generate`).
    ///
    /// # Errors
    /// [`Error::NotFound`] if the policy does not exist. Any other [`Error`] of a request.
    pub async fn generated_password(&self, policy: &str) -> Result<SecretString, Error> {
        #[derive(Deserialize)]
        struct Generated {
            password: SecretString,
        }
        let path = format!("sys/policies/password/{policy}/generate");
        self.data::<Generated>(Call::get(&path)).await.map(|generated| generated.password)
    }
}
