//! Location of an entry in OpenBao.

use std::collections::BTreeMap;

use steamer_api::{KvType, PushItem, PushedEntry};
use steamer_openbao::{NamespacePath, Session};

/// Location of an entry in OpenBao.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// OpenBao namespace, from the root.
    pub(super) namespace: NamespacePath,
    pub(super) mount: String,
    pub(super) path: String,
    pub(super) kind: KvType,
}

impl Place {
    /// The place of an item. `below`: the selected Secret, whose name is the last segment of the path, so that no two Secrets
    /// have the same place.
    pub(super) fn of_item(item: &PushItem, namespace: &NamespacePath, below: Option<&str>) -> Self {
        let mount = item.mount.trim_matches('/').to_owned();
        let path = match below {
            None => item.path.clone(),
            Some(name) => format!("{}/{name}", item.path.trim_end_matches('/')),
        };
        Self { namespace: namespace.clone(), mount, path, kind: item.type_ }
    }

    pub(super) fn of_record(record: &PushedEntry) -> Self {
        let PushedEntry { namespace, mount, path, type_, version: _, secret_mac: _, generated_at: _ } =
            record;
        let namespace = NamespacePath::new(namespace);
        Self { namespace, mount: mount.clone(), path: path.clone(), kind: *type_ }
    }

    /// The entry of the status.
    pub(super) fn record(&self, version: Option<i64>, secret_mac: String) -> PushedEntry {
        PushedEntry {
            namespace: self.namespace.as_str().to_owned(),
            mount: self.mount.clone(),
            path: self.path.clone(),
            type_: self.kind,
            version,
            secret_mac,
            generated_at: BTreeMap::new(),
        }
    }

    /// The record of this place.
    pub(super) fn record_in<'a>(&self, records: &'a [PushedEntry]) -> Option<&'a PushedEntry> {
        records.iter().find(|record| Self::of_record(record) == *self)
    }

    /// Path of the values, within the namespace.
    pub(super) fn data(&self) -> String {
        match self.kind {
            KvType::V1 => format!("{}/{}", self.mount, self.path),
            KvType::V2 => format!("{}/data/{}", self.mount, self.path),
        }
    }

    /// Path of the values, from the root namespace.
    pub(super) fn published(&self) -> String {
        self.namespace.path(&self.data())
    }

    /// The session in the namespace of the entry. `root` is a session of the identity in the root namespace.
    pub(super) fn session(&self, root: &Session) -> Session {
        root.within(self.namespace.as_str())
    }
}
