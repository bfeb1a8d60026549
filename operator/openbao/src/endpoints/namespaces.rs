use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::session::{Call, absent};
use crate::{Error, Session};

/// A child namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Its path from the namespace asked, with a slash at the end.
    pub path: String,
    /// Whether it is being deleted.
    pub tainted: bool,
    /// What who made it wrote.
    pub custom_metadata: BTreeMap<String, String>,
}

/// How far a deletion is: OpenBao deletes in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceDeletion {
    /// Ask again.
    InProgress,
    /// It is not there any more.
    Gone,
    /// It stays, because there are namespaces below it.
    HasChildren,
}

impl Session {
    /// The child namespace `name`, one level below this one.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn child_namespace(&self, name: &str) -> Result<Option<Namespace>, Error> {
        absent(self.data(Call::get(&format!("sys/namespaces/{name}"))).await)
    }

    /// Makes a child namespace. On one that exists, POST would put `custom_metadata` in the place of what is there, so
    /// this looks first and does nothing where the namespace exists.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn create_namespace(
        &self,
        name: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        if self.child_namespace(name).await?.is_some() {
            return Ok(());
        }
        let body = json!({"custom_metadata": metadata});
        self.call(Call::post(&format!("sys/namespaces/{name}"), body)).await.map(drop)
    }

    /// Adds to the metadata of a child namespace (`PATCH`); what is not named stays.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn mark_namespace(&self, name: &str, metadata: &BTreeMap<String, String>) -> Result<(), Error> {
        let body = json!({"custom_metadata": metadata});
        self.call(Call::patch(&format!("sys/namespaces/{name}"), body)).await.map(drop)
    }

    /// Asks for a child namespace to be deleted with all it holds.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
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
