//! Resources of a running OpenBao or Vault. Only paths of configuration are read, never those of values.

mod identity;
mod issuers;
mod mounts;
mod reader;
mod system;

use std::collections::VecDeque;

use steamer_openbao::{Error, Session};

use crate::inventory::Inventory;
use crate::resource::{Class, Place};
use reader::Reader;

/// Reads the resources of a namespace and of all namespaces below it. `session` is in the root of the cluster, and
/// `namespace` is relative to it. What cannot be read is a finding.
///
/// # Errors
/// An [`Error`] that concerns the server. An error of one path is a finding.
pub async fn live(session: &Session, namespace: &str) -> Result<Inventory, Error> {
    let mut inventory = Inventory::default();
    let mut pending = VecDeque::from([namespace.trim_matches('/').to_owned()]);
    while let Some(namespace) = pending.pop_front() {
        let within = session.within(&namespace);
        let mut reader = Reader::new(within, &namespace, &mut inventory);
        match reader.all().await {
            Ok(below) => pending.extend(below),
            // It has a seal of its own. The other namespaces may be unsealed.
            Err(Error::NamespaceSealed { .. }) => reader.sealed(),
            Err(error) => return Err(error),
        }
    }
    Ok(inventory)
}

impl Reader<'_> {
    /// Reads the namespace. Returns the paths of the namespaces below it.
    async fn all(&mut self) -> Result<Vec<String>, Error> {
        self.policies().await?;
        self.engines().await?;
        self.methods().await?;
        self.groups().await?;
        if self.session.namespace().is_root() {
            self.quotas().await?;
        }
        self.namespaces().await
    }

    fn sealed(&mut self) {
        let place = Place::new(Class::Namespace, "", self.namespace);
        self.review(
            &place,
            "the namespace is sealed, and its resources are missing: unseal it, and import again",
        );
    }
}
