//! References to a SecretStore or a ClusterSecretStore.

use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::inventory::Store;
use crate::task::Task;

/// A reference to a store.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoreReference {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) path: String,
}

impl StoreReference {
    /// Takes a reference. None if it has no name.
    pub(super) fn taken(source: &mut Cursor, field: &str) -> Option<Self> {
        let path = source.path(field);
        let reference = source.within(field, |from| {
            let kind = from.text("kind").unwrap_or_else(|| "SecretStore".to_owned());
            Some(Self { kind, name: from.text("name")?, path })
        });
        reference.flatten()
    }

    /// The converted login of the store.
    pub(super) fn auth(&self, task: &Task<'_>) -> Value {
        let namespace = &task.settings.store_namespace;
        if self.kind == "ClusterSecretStore" && namespace != task.origin.namespace() {
            json!({"name": self.name, "namespace": namespace})
        } else {
            json!({"name": self.name})
        }
    }

    /// The store. A missing one is reported: its mount is not known without it.
    pub(super) fn store(&self, task: &mut Task<'_>) -> Option<Store> {
        let Self { kind, name, path } = self;
        match task.inventory.store(kind, task.origin.namespace(), name).cloned() {
            Some(store) if store.kv.is_some() => Some(store),
            Some(_) => {
                task.review(
                    path,
                    None,
                    "the store is no OpenBao: keep External Secrets Operator for this object",
                );
                None
            }
            None => {
                task.review(path, None, "the store is not part of the input, so that the mount is unknown, and the object is not converted: convert both together");
                None
            }
        }
    }
}
