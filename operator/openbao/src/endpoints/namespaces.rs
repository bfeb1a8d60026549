//! Child namespaces.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::session::{Call, absent};
use crate::{Error, Session};

/// A child namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Path relative to the requested namespace, with a trailing slash.
    pub path: String,
    /// `true` if the namespace is being deleted.
    pub tainted: bool,
    /// Custom metadata.
    pub custom_metadata: BTreeMap<String, String>,
}

/// Progress of a deletion, which OpenBao performs in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceDeletion {
    /// The deletion is in progress.
    InProgress,
    /// The namespace no longer exists.
    Gone,
    /// The namespace has child namespaces and is not deleted.
    HasChildren,
}

impl Session {
    /// Returns the child namespace `name`, one level below this one, or `None` if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn child_namespace(&self, name: &str) -> Result<Option<Namespace>, Error> {
        absent(self.data(Call::get(&format!("sys/namespaces/{name}"))).await)
    }

    /// Returns all child namespaces, one level below this one, by name.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn child_namespaces(&self) -> Result<BTreeMap<String, Namespace>, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Listing {
            key_info: BTreeMap<String, Namespace>,
        }
        let listing: Option<Listing> = absent(self.data(Call::list("sys/namespaces")).await)?;
        let named = listing.unwrap_or_default().key_info.into_iter();
        Ok(named.map(|(key, namespace)| (key.trim_end_matches('/').to_owned(), namespace)).collect())
    }

    /// Creates a child namespace. Returns an existing one, which is left unchanged: POST would replace its
    /// `custom_metadata`, so its existence is checked first.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn create_namespace(
        &self,
        name: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Option<Namespace>, Error> {
        if let Some(existing) = self.child_namespace(name).await? {
            return Ok(Some(existing));
        }
        let body = json!({"custom_metadata": metadata});
        self.call(Call::post(&format!("sys/namespaces/{name}"), body)).await?;
        Ok(None)
    }

    /// Merges metadata into that of a child namespace (`PATCH`). Other metadata is kept.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn mark_namespace(&self, name: &str, metadata: &BTreeMap<String, String>) -> Result<(), Error> {
        let body = json!({"custom_metadata": metadata});
        self.call(Call::patch(&format!("sys/namespaces/{name}"), body)).await.map(drop)
    }

    /// Requests the deletion of a child namespace with all its contents.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn delete_namespace(&self, name: &str) -> Result<NamespaceDeletion, Error> {
        match self.call(Call::delete(&format!("sys/namespaces/{name}"))).await {
            Ok(body) => Ok(match body.pointer("/data/status").and_then(Value::as_str) {
                Some("in-progress") => NamespaceDeletion::InProgress,
                _ => NamespaceDeletion::Gone,
            }),
            Err(Error::NotFound { .. }) => Ok(NamespaceDeletion::Gone),
            Err(Error::Invalid { message, .. }) if message.contains("child namespaces") => {
                Ok(NamespaceDeletion::HasChildren)
            }
            Err(error) => Err(error),
        }
    }
}
