//! One reconcile of one object: what it may use, and where its lookups are recorded.

use std::sync::Arc;

use steamer_api::{HasConditions, Kind, OpenBaoCluster, Referable, Reference};
use steamer_core::error::Error;
use steamer_core::{Context, Stores};
use steamer_openbao::Session;
use steamer_runtime::{Dependencies, Key, ObjectName, Reason};

use super::survey::Survey;

/// Access to Kubernetes and OpenBao.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) context: &'a Context,
    pub(crate) dependencies: &'a Dependencies,
    /// Records the denied requests of a pass that writes nothing.
    pub(super) survey: Option<&'a Survey>,
}

impl<'a> Pass<'a> {
    /// Access to cached objects only.
    pub(crate) fn lookup(&self) -> Lookup<'a> {
        Lookup { stores: &self.context.stores, dependencies: self.dependencies }
    }

    /// Returns true for a pass that writes nothing and only records denied requests.
    pub(crate) const fn is_survey(&self) -> bool {
        self.survey.is_some()
    }

    /// The operator's session in a cluster whose spec is valid.
    ///
    /// # Errors
    /// [`Error::Waiting`] if the cluster is `Stalled` because of its spec: no login must go to a server that its
    /// administrator has to correct.
    pub(crate) async fn session(&self, cluster: &OpenBaoCluster) -> Result<Session, Error> {
        is_usable(cluster)?;
        self.operator_session(cluster).await
    }

    /// The operator's session in the cluster of that name. The caller must have checked the right to refer to it.
    pub(crate) async fn session_in(&self, cluster: &ObjectName) -> Result<Session, Error> {
        let cluster: Arc<OpenBaoCluster> = self.context.stores.existing(self.dependencies, cluster)?;
        self.operator_session(&cluster).await
    }

    async fn operator_session(&self, cluster: &OpenBaoCluster) -> Result<Session, Error> {
        let session = self.context.operator_session(self.dependencies, cluster).await?;
        Ok(match self.survey {
            Some(survey) => survey.session(&session, cluster),
            None => session,
        })
    }
}

/// A managed cluster stays usable while only its latest spec is invalid: its nodes still run the last valid one, and
/// access must be withdrawn in time.
fn is_usable(cluster: &OpenBaoCluster) -> Result<(), Error> {
    let stalled = cluster.status.as_ref().and_then(HasConditions::stalled);
    let forbidding: &[Reason] = match cluster.spec.external {
        Some(_) => &[Reason::Invalid, Reason::Conflict, Reason::ReferenceDenied],
        None => &[Reason::Conflict, Reason::ReferenceDenied],
    };
    match stalled.filter(|stalled| forbidding.iter().any(|reason| reason.as_str() == stalled.reason)) {
        Some(stalled) => Err(Error::Waiting(format!(
            "OpenBaoCluster {} cannot be used: {}",
            ObjectName::of(cluster),
            stalled.message
        ))),
        None => Ok(()),
    }
}

/// Access to cached objects. It sends no requests.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'a> {
    pub(crate) stores: &'a Stores,
    pub(crate) dependencies: &'a Dependencies,
}

impl Lookup<'_> {
    /// The object that `reference` in an object of namespace `from` refers to, if it allows the reference.
    pub(crate) fn resolve<K: Referable>(&self, reference: &Reference, from: &str) -> Result<Arc<K>, Error> {
        self.stores.resolve(self.dependencies, reference, from)
    }

    /// Returns true if objects of namespace `from` may refer to the object. A change of that right requeues the
    /// current object.
    ///
    /// # Errors
    /// An object that is not in the cache: its right is unknown.
    pub(crate) fn allows<K: Referable>(&self, name: &ObjectName, from: &str) -> Result<bool, Error> {
        match self.stores.named::<K>(self.dependencies, name, from) {
            Ok(_) => Ok(true),
            Err(Error::Denied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The object of that name, without a right to refer to it. A change of it does not requeue the current object.
    pub(crate) fn cached<K: Kind>(&self, name: &ObjectName) -> Option<Arc<K>> {
        self.stores.of::<K>().get(name)
    }

    /// The objects for which `chosen` returns true. Changes of `key` requeue the current object.
    pub(crate) fn list<K: Kind>(&self, key: Key, chosen: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.dependencies.on(key);
        self.stores.of::<K>().filter(chosen)
    }

    /// As [`Self::list`], for decisions in which a missing object counts as deleted: namespaces that may refer to
    /// `parent` must be listed. Namespaces that are not watched do not count.
    ///
    /// # Errors
    /// [`Error::Waiting`] while the API server refuses a list. The next complete list requeues the current object.
    pub(crate) fn children<K: Kind, P: Referable>(
        &self,
        (key, parent): (Key, &ObjectName),
        chosen: impl Fn(&K) -> bool,
    ) -> Result<Vec<Arc<K>>, Error> {
        // A refusal is recorded before the objects leave the cache, and a completed list after they are inserted again.
        self.listed::<K, P>(parent)?;
        let found = self.list(key, chosen);
        self.listed::<K, P>(parent)?;
        Ok(found)
    }

    fn listed<K: Kind, P: Referable>(&self, parent: &ObjectName) -> Result<(), Error> {
        let store = self.stores.of::<K>();
        for namespace in store.unlisted() {
            if !self.allows::<P>(parent, &namespace)? {
                continue;
            }
            self.dependencies.on(Key::of_list(K::KIND, &namespace));
            if !store.knows(&namespace) {
                return Err(Error::Waiting(refused(K::KIND, &namespace)));
            }
        }
        Ok(())
    }
}

fn refused(kind: &str, namespace: &str) -> String {
    format!(
        "the API server refuses to list objects of kind {kind} in namespace {namespace}: install the operator's Role \
         and RoleBinding there; nothing is removed from OpenBao until then"
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::external_invalid("external", "True", "Invalid", false)]
    #[case::external_conflict("external", "True", "Conflict", false)]
    #[case::external_not_stalled("external", "False", "Invalid", true)]
    #[case::external_with_an_old_policy("external", "True", "PermissionDenied", true)]
    #[case::managed_invalid("managed", "True", "Invalid", true)]
    #[case::managed_conflict("managed", "True", "Conflict", false)]
    fn no_login_goes_to_a_server_that_its_administrator_has_to_correct(
        #[case] kind: &str,
        #[case] stalled: &str,
        #[case] reason: &str,
        #[case] expected: bool,
    ) {
        let spec = match kind {
            "external" => json!({"external": {
                "address": "https://bao:8200",
                "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
            }}),
            _ => json!({"managed": {
                "version": "2.7.2", "seal": {"static": {}},
                "storage": {"postgresql": {"secretRef": {"name": "pg"}, "tls": {"mode": "Require"}}},
            }}),
        };
        let mut cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
        let condition = json!({
            "type": "Stalled", "status": stalled, "reason": reason, "message": "change it",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        cluster.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
        assert_eq!(is_usable(&cluster).is_ok(), expected);
    }

    #[test]
    fn the_message_about_a_refused_list_names_the_kind_the_namespace_and_the_remedy() {
        let message = refused("PipelinePolicy", "web");
        assert!(message.contains("kind PipelinePolicy in namespace web: install"), "{message}");
    }
}
