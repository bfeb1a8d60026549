//! Record of the resources that an object owns, in `status.owned`. Resources of general kinds carry no mark, so that an
//! existing resource can be adopted without a write.

use steamer_api::{OwnedResource, OwnedResources, Reference};
use steamer_runtime::ObjectName;

use super::desired::Desired;

/// The record before the first write: everything that is owned, and everything that will be created or adopted.
pub(super) fn before_writes(desired: &Desired) -> OwnedResources {
    let known = desired.owned.as_ref().map(|owned| owned.resources.clone()).unwrap_or_default();
    let is_known = |path: &str| known.iter().any(|it| it.path == path);
    let added =
        owned(desired).filter(|it| !is_known(&it.path)).map(|it| OwnedResource { digest: None, ..it });
    let resources = known.iter().cloned().chain(added.collect::<Vec<_>>()).collect();
    OwnedResources { resources, ..located(desired) }
}

/// The record after the last write.
pub(super) fn after_writes(desired: &Desired) -> OwnedResources {
    OwnedResources { resources: owned(desired).collect(), ..located(desired) }
}

fn owned(desired: &Desired) -> impl Iterator<Item = OwnedResource> {
    desired.resources.iter().map(|it| OwnedResource {
        path: it.resource.path.clone(),
        holds_values: it.resource.holds_values,
        deleted_at: it.resource.deleted_at.clone().filter(|path| *path != it.resource.path),
        is_part: it.resource.deleted_at.is_none(),
        digest: Some(it.digest.clone()),
    })
}

fn located(desired: &Desired) -> OwnedResources {
    let ObjectName { namespace, name } = ObjectName::of(&*desired.home.cluster);
    OwnedResources {
        cluster_ref: Reference { name, namespace: Some(namespace) },
        namespace: desired.home.namespace.as_str().to_owned(),
        resources: Vec::new(),
    }
}
