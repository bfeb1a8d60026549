//! Removal of the resources of an object, from its recorded footprint.

use steamer_api::{DeletionPolicy, OpenBaoCluster, Orphan, OwnedResource};
use steamer_core::Context;
use steamer_core::error::Error;
use steamer_core::mac::Mac;
use steamer_core::ownership::Mark;
use steamer_core::ownership::orphans::{Handover, is_child, is_removable, remove_orphans, sealed};
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::ObjectName;

use super::pass::{Lookup, Pass};

/// Location of the resources of an object, as recorded. A deletion does not depend on existing parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Cluster that runs the OpenBao.
    pub(crate) cluster: ObjectName,
    /// Tenant whose status lists the resources as orphans if the deletion ends without OpenBao. None: the status of the
    /// cluster lists them.
    pub(crate) tenant: Option<ObjectName>,
    /// OpenBao namespace that contains the resources.
    pub(crate) namespace: NamespacePath,
    /// Paths of the resources, for kinds whose resources carry no mark, or can be copied with their mark.
    pub(crate) resources: Vec<OwnedResource>,
}

/// Resources of one object.
pub(crate) struct Resources {
    pub(super) footprint: Footprint,
    pub(super) mark: Mark,
    pub(super) policy: DeletionPolicy,
    /// Orphans of deleted children.
    pub(super) orphans: Vec<Orphan>,
}

/// Removal of the resources of one object.
pub(crate) struct Removal<'a> {
    pub(super) pass: Pass<'a>,
    pub(super) resources: Resources,
}

impl Removal<'_> {
    /// The operator's session in the cluster of the footprint.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        self.pass.session_in(&self.resources.footprint.cluster).await
    }

    /// The shared state.
    pub(crate) fn context(&self) -> &Context {
        self.pass.context
    }

    /// Access to cached objects.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        self.pass.lookup()
    }

    /// Returns true if a mark belongs to this installation.
    pub(crate) fn is_of_installation(&self, mark: &Mark) -> bool {
        mark.installation == self.resources.mark.installation
    }

    /// Returns true if `operatorScope` of the cluster no longer contains the recorded resources: Steamer must not write there.
    pub(super) fn is_out_of_scope(&self) -> bool {
        let Footprint { cluster, namespace, resources, .. } = &self.resources.footprint;
        let cluster = self.pass.context.stores.of::<OpenBaoCluster>().get(cluster);
        let is_outside = |it: &OpenBaoCluster| !it.spec.scope_allows(namespace.as_str());
        !resources.is_empty() && cluster.is_some_and(|it| is_outside(&it))
    }

    /// The OpenBao namespace that contains the resources.
    pub(crate) fn namespace(&self) -> &NamespacePath {
        &self.resources.footprint.namespace
    }

    /// The mark of the resources, and what happens to their values.
    pub(crate) fn owned(&self) -> Owned<'_> {
        // The finalizer of the object prevents that it is recreated before the removal ends.
        let Resources { footprint, mark, policy, .. } = &self.resources;
        Owned { mark, policy: *policy, resources: &footprint.resources, is_reclaimed: &|| false }
    }

    /// Removes the orphans of deleted children. Hands those that Steamer cannot remove over to the cluster.
    ///
    /// # Errors
    /// [`Error::Deleting`] while others remain.
    pub(crate) async fn remove_orphans(&self, session: &Session) -> Result<(), Error> {
        let mut honored = self.resources.orphans.clone();
        honored.retain(|orphan| is_child(orphan, self.namespace()));
        let cluster = &self.resources.footprint.cluster;
        let left = remove_orphans(self.pass.context, session, (cluster, honored)).await;
        let removable = |orphan: &Orphan| is_removable(self.pass.context, orphan);
        let (left, others): (Vec<_>, Vec<_>) = left.into_iter().partition(removable);
        if !others.is_empty() {
            let cluster = self.resources.footprint.cluster.clone();
            let handover = Handover { orphans: others, cluster, tenant: None };
            handover.carry_out(self.pass.context).await?;
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::Deleting(format!(
            "waits until OpenBao has removed the resources of deleted children ({} remain)",
            left.len()
        )))
    }
}

impl Resources {
    /// The resources as orphans for the parent. Those of children are removed before the namespace that contains them.
    pub(super) fn handover(&self, mac: &Mac) -> Handover {
        let Footprint { cluster, tenant, namespace, resources } = self.footprint.clone();
        let own = Orphan {
            kind: self.mark.owner.to_string(),
            namespace: self.mark.name.namespace.clone(),
            name: self.mark.name.name.clone(),
            openbao_namespace: namespace.as_str().to_owned(),
            deletion_policy: self.policy,
            resources,
            seal: None,
        };
        // The orphans of children keep their seals: an entry that another client wrote gets none.
        let own = sealed(mac, &cluster, own);
        let honored = self.orphans.iter().filter(|orphan| is_child(orphan, &namespace)).cloned();
        let orphans = honored.chain([own]).collect();
        Handover { orphans, cluster, tenant }
    }
}

#[cfg(test)]
mod tests {
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;

    use super::*;

    #[test]
    fn orphans_of_children_are_handed_over_before_the_resources_of_their_parent() {
        let child = Orphan {
            kind: "SecretsProject".to_owned(),
            namespace: "ns".to_owned(),
            name: "web".to_owned(),
            openbao_namespace: "org_1/group_7/project_42".to_owned(),
            deletion_policy: DeletionPolicy::Delete,
            resources: Vec::new(),
            seal: None,
        };
        let owner = Owner::Object(KindId::SecretsTenant);
        let footprint = Footprint {
            cluster: ObjectName::new("ns", "main"),
            tenant: None,
            namespace: NamespacePath::new("org_1/group_7"),
            resources: Vec::new(),
        };
        let resources = Resources {
            footprint,
            mark: Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "acme") },
            policy: DeletionPolicy::Retain,
            orphans: vec![child.clone()],
        };
        let own = Orphan {
            kind: "SecretsTenant".to_owned(),
            name: "acme".to_owned(),
            openbao_namespace: "org_1/group_7".to_owned(),
            deletion_policy: DeletionPolicy::Retain,
            ..child.clone()
        };
        let mac = Mac::new(&[7; 32]);
        let Handover { orphans, cluster, tenant } = resources.handover(&mac);
        assert_eq!(orphans, [child, sealed(&mac, &cluster, own)]);
        assert_eq!((cluster, tenant), (ObjectName::new("ns", "main"), None));
    }
}
