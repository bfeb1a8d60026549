use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::session::{Call, absent};
use crate::{Error, Session};

/// An ACL policy as it is stored, to the letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Its text, HCL or JSON.
    pub policy: String,
    /// Grows with each write; what [`Cas::Version`] takes.
    pub version: i64,
}

/// What must be there for a write to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// Nothing.
    Absent,
    /// This version.
    Version(i64),
}

impl Session {
    /// A policy by its name.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn policy(&self, name: &str) -> Result<Option<Policy>, Error> {
        absent(self.data(Call::get(&format!("sys/policies/acl/{name}"))).await)
    }

    /// All policies whose names start with `prefix` and a slash, however deep, by their full names.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
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

    /// Writes a policy if what is there is what `cas` says.
    ///
    /// # Errors
    /// [`Error::CheckAndSet`] when someone else wrote it meanwhile; [`Error::Invalid`] when the text is no policy.
    pub async fn put_policy(&self, name: &str, text: &str, cas: Cas) -> Result<(), Error> {
        let cas = match cas {
            Cas::Absent => -1,
            Cas::Version(version) => version,
        };
        let body = json!({"policy": text, "cas": cas});
        self.call(Call::post(&format!("sys/policies/acl/{name}"), body)).await.map(drop)
    }

    /// Deletes a policy. Nothing happens where there is none.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn delete_policy(&self, name: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("sys/policies/acl/{name}"))).await).map(drop)
    }
}
