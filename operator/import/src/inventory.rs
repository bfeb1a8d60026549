//! Resources that were read, and what could not be read.

use std::collections::BTreeSet;

use steamer_convert::Finding;

use crate::owner::{is_left_out, is_operator};
use crate::resource::{Class, Resource};

/// Resources that were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    pub(crate) resources: Vec<Resource>,
    pub(crate) findings: Vec<Finding>,
    /// Auth mounts of the root namespace with a role of the operator.
    pub(crate) logins: BTreeSet<String>,
}

impl Inventory {
    /// Adds a resource, unless OpenBao created it or Steamer owns it.
    pub(crate) fn add(&mut self, resource: Resource) {
        if resource.place.class == Class::Role && is_operator(&resource) {
            self.logins.insert(resource.place.mount.clone());
        }
        if !is_left_out(&resource) {
            self.resources.push(resource);
        }
    }

    /// The inventory without the resources outside of a namespace and of those below it.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        let namespace = namespace.trim_matches('/');
        let is_within = |resource: &Resource| {
            let rest = resource.place.namespace.strip_prefix(namespace);
            namespace.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.resources.retain(is_within);
        self
    }
}
