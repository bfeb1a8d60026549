//! References between objects. The right to refer is checked at every lookup.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Resource, ResourceExt};
use steamer_api::{AllowedNamespaces, Referable, Reference};
use steamer_runtime::{Dependencies, Edges, Key, ObjectName, Presence};

use crate::error::Error;
use crate::served::{Served, kind, referred, with_default};
use crate::stores::Stores;

/// The name of the object that a reference in an object of `namespace` refers to.
#[must_use]
pub fn target(reference: &Reference, namespace: &str) -> ObjectName {
    ObjectName::new(reference.namespace.as_deref().unwrap_or(namespace), &reference.name)
}

/// The key of a Namespace: a change of its labels requeues the objects that depend on it.
#[must_use]
pub fn namespace_key(namespace: &str) -> Key {
    Key::new("Namespace", ObjectName::new("", namespace))
}

/// The key of all Namespaces: a Namespace that appears, changes or disappears requeues the objects that depend on it.
#[must_use]
pub fn namespaces_key() -> Key {
    Key::new("Namespaces", ObjectName::default())
}

/// The keys of a Namespace.
pub(crate) fn namespace_edges(namespace: &Namespace) -> Edges {
    Edges { by_any_change: vec![Key::of(namespace), namespaces_key()], by_spec: Vec::new() }
}

impl Stores {
    /// The object that `reference` in an object of namespace `from` refers to.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Denied`] if it does not allow references from that namespace.
    pub fn resolve<K: Referable>(
        &self,
        dependencies: &Dependencies,
        reference: &Reference,
        from: &str,
    ) -> Result<Arc<K>, Error> {
        self.named(dependencies, &target(reference, from), from)
    }

    /// The object of that name, if namespace `from` may refer to it.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn named<K: Referable>(
        &self,
        dependencies: &Dependencies,
        name: &ObjectName,
        from: &str,
    ) -> Result<Arc<K>, Error> {
        if let Some(served) = referred(&name.name, dependencies.controller()) {
            let name = ObjectName::new(&name.namespace, served);
            return self.served(dependencies, name, from);
        }
        let found = self.existing::<K>(dependencies, name)?;
        let own = found.namespace().unwrap_or_default();
        if !self.allowed(dependencies, found.allowed_namespaces(), (&own, from)) {
            return Err(Error::Denied { kind: K::KIND, name: name.clone(), from: from.to_owned() });
        }
        Ok(found)
    }

    /// Returns true if an object in the first namespace allows those of the second one. A change of the labels of the second
    /// namespace requeues the current object.
    pub fn allowed(
        &self,
        dependencies: &Dependencies,
        allowed: &AllowedNamespaces,
        (own, from): (&str, &str),
    ) -> bool {
        if own != from {
            dependencies.on(namespace_key(from));
        }
        allowed.allow(own, from, &self.labels(from))
    }

    /// The served object of that name, if namespace `from` may refer to it.
    fn served<K: Referable>(
        &self,
        dependencies: &Dependencies,
        name: ObjectName,
        from: &str,
    ) -> Result<Arc<K>, Error> {
        let kind = kind(K::ID).unwrap_or(K::KIND);
        let names = with_default(name);
        let missing = names.first().cloned().unwrap_or_default();
        for name in names {
            dependencies.on(Key::new(kind, name.clone()));
            if let Some(found) = self.stored::<Served<K>>(dependencies, kind, &name)? {
                return if found.allows(&name.namespace, from) {
                    Ok(Arc::new(found.object().clone()))
                } else {
                    Err(Error::Denied { kind, name, from: from.to_owned() })
                };
            }
        }
        Err(Error::NotFound { kind, name: missing })
    }

    /// The object of that name. The caller must have checked the right to refer to it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Waiting`] if the cache does not contain the namespace, or [`Error::Invalid`] if
    /// the kind is not honored in the namespace.
    pub fn existing<K: Referable>(
        &self,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Result<Arc<K>, Error> {
        dependencies.on(Key::new(K::KIND, name.clone()));
        self.honor(K::ID, &name.namespace)?;
        let found = self.stored::<K>(dependencies, K::KIND, name)?;
        found.ok_or_else(|| Error::NotFound { kind: K::KIND, name: name.clone() })
    }

    /// The object of that name in the cache. `None` if it does not exist. The end of a list requeues an object with a
    /// missing reference.
    fn stored<K: Send + Sync + 'static>(
        &self,
        dependencies: &Dependencies,
        kind: &str,
        name: &ObjectName,
    ) -> Result<Option<Arc<K>>, Error> {
        let store = self.of::<K>();
        if let Some(found) = store.get(name) {
            return Ok(Some(found));
        }
        dependencies.on(Key::of_list(kind, &name.namespace));
        match store.presence(name) {
            Presence::Present => store
                .get(name)
                .map(Some)
                .ok_or_else(|| Error::Waiting(format!("{kind} {name} cannot be parsed: correct it"))),
            Presence::Absent => Ok(None),
            Presence::Unknown => Err(Error::Waiting(unwatched(kind, name))),
        }
    }

    /// The labels of a Namespace.
    pub(crate) fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let found = self.of::<Namespace>().get(&ObjectName::new("", namespace));
        found.map(|namespace| namespace.labels().clone()).unwrap_or_default()
    }
}

fn unwatched(kind: &str, name: &ObjectName) -> String {
    format!(
        "{kind} {name} is unknown, because the operator does not watch namespace {} or may not list its objects: add the \
         namespace to --watch-namespaces of the operator (Helm value watchNamespaces)",
        name.namespace
    )
}

/// Sort key of objects that claim the same resource: the oldest object comes first. Kubernetes has creation times in
/// seconds; of two objects of the same second, the one with `established` comes first.
pub fn seniority<K: Resource>(object: &K, established: bool) -> (i64, bool, ObjectName) {
    let created = object.meta().creation_timestamp.as_ref().map_or(i64::MAX, |at| at.0.as_second());
    (created, !established, ObjectName::of(object))
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher;
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::SecretsTenant;
    use steamer_runtime::Index;

    use super::*;

    fn tenant() -> Arc<SecretsTenant> {
        let spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "gitlab"},
        });
        let mut tenant = SecretsTenant::new("acme", serde_json::from_value(spec).unwrap());
        tenant.metadata.namespace = Some("ns".to_owned());
        Arc::new(tenant)
    }

    fn refusal() -> watcher::Error {
        let status = kube::core::Status { code: 403, ..kube::core::Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[rstest]
    #[case::cached(true, false, "found")]
    #[case::cached_and_refused(true, true, "found")]
    #[case::refused(false, true, "waiting")]
    #[case::deleted(false, false, "not found")]
    fn an_object_in_a_refused_namespace_is_not_reported_as_deleted(
        #[case] is_cached: bool,
        #[case] is_refused: bool,
        #[case] expected: &str,
    ) {
        let (stores, index, name) =
            (Stores::default(), Arc::<Index>::default(), ObjectName::new("ns", "acme"));
        let store = stores.of::<SecretsTenant>();
        store.listed(Some("ns"), 0);
        if is_cached {
            store.insert(name.clone(), tenant());
        }
        assert!(!is_refused || store.failed(Some("ns"), &refusal()));
        let dependencies = index.pass("test", ObjectName::new("ns", "web"));
        let found = match stores.existing::<SecretsTenant>(&dependencies, &name) {
            Ok(_) => "found",
            Err(Error::Waiting(_)) => "waiting",
            Err(Error::NotFound { .. }) => "not found",
            Err(_) => "another error",
        };
        assert_eq!(found, expected);
        let is_requeued = index.is_awaited(&Key::of_list("SecretsTenant", "ns"));
        assert_eq!(is_requeued, !is_cached, "the end of a list requeues an object with a missing reference");
    }
}
