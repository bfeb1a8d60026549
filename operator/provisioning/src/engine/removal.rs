//! Removal of the resources of an object, from its recorded footprint.

use steamer_api::{DeletionPolicy, Orphan};
use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_core::ownership::orphans::{Handover, remove_orphans};
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::ObjectName;

use super::pass::Pass;

/// Location of the resources of an object, as recorded. A deletion does not depend on live parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Cluster that runs the OpenBao.
    pub(crate) cluster: ObjectName,
    /// Tenant that keeps the orphan if the deletion ends without OpenBao. None: the cluster keeps it.
    pub(crate) tenant: Option<ObjectName>,
    /// OpenBao namespace that contains the resources.
    pub(crate) namespace: NamespacePath,
}

/// Removal of the resources of one object.
pub(crate) struct Removal<'a> {
    pub(super) pass: Pass<'a>,
    pub(super) footprint: Footprint,
    pub(super) mark: Mark,
    pub(super) policy: DeletionPolicy,
    /// Orphans of deleted children.
    pub(super) orphans: Vec<Orphan>,
}

impl Removal<'_> {
    /// The operator's session in the cluster of the footprint.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        self.pass.session_in(&self.footprint.cluster).await
    }

    /// The OpenBao namespace that contains the resources.
    pub(crate) fn namespace(&self) -> &NamespacePath {
        &self.footprint.namespace
    }

    /// The mark of the resources, and what happens to their values.
    pub(crate) fn owned(&self) -> Owned<'_> {
        Owned { mark: &self.mark, policy: self.policy }
    }

    /// Removes the orphans of deleted children.
    ///
    /// # Errors
    /// [`Error::Deleting`] while some remain.
    pub(crate) async fn remove_orphans(&self, session: &Session) -> Result<(), Error> {
        let left = remove_orphans(self.pass.context, session, self.orphans.clone()).await;
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::Deleting(format!(
            "waits until OpenBao has removed the resources of deleted children ({} remain)",
            left.len()
        )))
    }

    /// The resources as orphans for the parent. Those of children are removed before the namespace that contains them.
    pub(super) fn handover(&self) -> Handover {
        let Footprint { cluster, tenant, namespace } = self.footprint.clone();
        let own = Orphan {
            kind: self.mark.owner.to_string(),
            namespace: self.mark.name.namespace.clone(),
            name: self.mark.name.name.clone(),
            openbao_namespace: namespace.as_str().to_owned(),
            deletion_policy: self.policy,
        };
        let orphans = self.orphans.iter().cloned().chain([own]).collect();
        Handover { orphans, cluster, tenant }
    }
}
