//! Record of the resources that an object owns, in `status.owned`. Resources of general kinds carry no mark, so that an
//! existing resource can be adopted without a write.

use steamer_api::{OwnedResource, OwnedResources, Reference};
use steamer_core::error::Error;
use steamer_core::references::target;
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

use super::desired::{Desired, DesiredResource};
use super::existing::Existing;
use super::home::Home;
use super::seal::Seal;
use crate::engine::Footprint;
use crate::write::Progress;

/// The record before the first write: everything that is owned, and as pending everything that will be created or adopted.
pub(super) fn before_writes(desired: &Desired, observed: &[Option<Existing>]) -> OwnedResources {
    sealed(desired, announced(desired, observed))
}

/// The entries of the record before the first write, without their seals. A resource that will be adopted has its secrets: its
/// entry states the digest that it is adopted with.
fn announced(desired: &Desired, observed: &[Option<Existing>]) -> Vec<OwnedResource> {
    let known = desired.owned.as_ref().map(|owned| owned.resources.clone()).unwrap_or_default();
    let is_known = |path: &str| known.iter().any(|it| it.path == path);
    let added = entries(desired).zip(observed).filter(|(it, _)| !is_known(&it.path));
    let added = added.map(|(it, found)| OwnedResource {
        digest: it.digest.filter(|_| found.is_some()),
        pending: true,
        ..it
    });
    let added: Vec<_> = added.collect();
    known.into_iter().chain(added).collect()
}

/// The record after writes that ended with an error. `observed` is the state before them: the object owns what it has created, and has
/// sent the secrets of what it has changed.
pub(super) fn after_error(
    desired: &Desired,
    observed: &[Option<Existing>],
    progress: &Progress,
) -> OwnedResources {
    sealed(desired, confirmed(desired, observed, progress))
}

/// The entries of [`after_error`], without their seals.
fn confirmed(desired: &Desired, observed: &[Option<Existing>], progress: &Progress) -> Vec<OwnedResource> {
    let mut resources = announced(desired, observed);
    for entry in &mut resources {
        let path = desired.home.namespace.path(&entry.path);
        entry.pending &= !progress.created.contains(&path);
        if let Some(sent) = resource_at(desired, &entry.path).filter(|_| progress.updated.contains(&path)) {
            entry.digest = Some(sent.digest.clone());
            entry.returned = returned(desired, sent);
        }
    }
    resources
}

fn resource_at<'a>(desired: &'a Desired, path: &str) -> Option<&'a DesiredResource> {
    desired.resources.iter().find(|it| it.resource.path == path)
}

/// The record after writes of which some are paused. OpenBao does not have the desired state of their resources: the entries are
/// those of the last record, so that a secret that was not sent is sent later, and a resource that was not created is not owned.
pub(super) fn after_pauses(
    desired: &Desired,
    observed: &[Option<Existing>],
    progress: &Progress,
) -> OwnedResources {
    let former = confirmed(desired, observed, progress);
    let is_paused =
        |entry: &OwnedResource| progress.paused.contains(&desired.home.namespace.path(&entry.path));
    let kept = |entry: OwnedResource| match former.iter().find(|it| it.path == entry.path) {
        Some(former) if is_paused(&entry) => former.clone(),
        _ => entry,
    };
    sealed(desired, written(desired).map(kept).collect())
}

/// The record after the last write.
pub(super) fn after_writes(desired: &Desired) -> OwnedResources {
    sealed(desired, written(desired).collect())
}

/// The entries of [`after_writes`], without their seals. A pass that only withdraws access creates nothing: what is announced stays
/// announced for the pass that follows it.
fn written(desired: &Desired) -> impl Iterator<Item = OwnedResource> {
    let announced = desired.owned.iter().flat_map(|owned| &owned.resources);
    let is_kept = move |it: &&OwnedResource| {
        it.pending && desired.next().is_some() && resource_at(desired, &it.path).is_none()
    };
    entries(desired).chain(announced.filter(is_kept).cloned())
}

/// The entries of a record that the operator has written. Those of another client count as pending: they give no right.
pub(super) fn trusted(record: OwnedResources, seal: &Seal, own: &str) -> OwnedResources {
    let trusted = seal.trusted(footprint(&record, own)).resources;
    let checked =
        |it: OwnedResource| if trusted.contains(&it) { it } else { OwnedResource { pending: true, ..it } };
    OwnedResources { resources: record.resources.into_iter().map(checked).collect(), ..record }
}

fn entries(desired: &Desired) -> impl Iterator<Item = OwnedResource> {
    desired.resources.iter().map(|it| OwnedResource {
        path: it.resource.path.clone(),
        holds_values: it.resource.holds_values,
        deleted_at: it.resource.deleted_at.clone().filter(|path| *path != it.resource.path),
        is_part: it.resource.deleted_at.is_none(),
        digest: Some(it.digest.clone()),
        returned: returned(desired, it),
        ..OwnedResource::default()
    })
}

/// The digest of the secrets that OpenBao returns in another form than they were sent: after the write of this pass, otherwise as
/// recorded for the same request.
fn returned(desired: &Desired, it: &DesiredResource) -> Option<String> {
    let recorded = desired.recorded(&it.resource.path);
    let former = recorded.and_then(|it| it.returned.as_ref());
    let form = it.resource.body.readback.as_ref().and_then(|readback| readback.form(former));
    let is_same = recorded.is_some_and(|recorded| recorded.digest.as_ref() == Some(&it.digest));
    form.unwrap_or_else(|| former.filter(|_| is_same).cloned())
}

fn sealed(desired: &Desired, resources: Vec<OwnedResource>) -> OwnedResources {
    let record = located(&desired.home, resources);
    // The reference contains the namespace of the cluster.
    let resources = desired.seal.sealed(footprint(&record, "")).resources;
    OwnedResources { resources, ..record }
}

/// A record of resources in a home.
pub(crate) fn located(home: &Home, resources: Vec<OwnedResource>) -> OwnedResources {
    let ObjectName { namespace, name } = ObjectName::of(&*home.cluster);
    OwnedResources {
        cluster_ref: Reference { name, namespace: Some(namespace) },
        namespace: home.namespace.as_str().to_owned(),
        resources,
    }
}

/// The footprint that a record of an object in Kubernetes namespace `own` states.
pub(crate) fn footprint(owned: &OwnedResources, own: &str) -> Footprint {
    Footprint {
        cluster: target(&owned.cluster_ref, own),
        tenant: None,
        namespace: NamespacePath::new(&owned.namespace),
        resources: owned.resources.clone(),
    }
}

/// Checks that the recorded resources are where the spec says. The references of a spec are immutable, but their targets can
/// be recreated for another namespace.
///
/// # Errors
/// [`Error::Conflict`] for a record of another location: it would give rights to resources that the object never had.
pub(crate) fn check_location(owned: Option<&OwnedResources>, home: &Home, own: &str) -> Result<(), Error> {
    let Some(found) = owned.filter(|it| !it.resources.is_empty()).map(|it| footprint(it, own)) else {
        return Ok(());
    };
    let cluster = ObjectName::of(&*home.cluster);
    if found.cluster == cluster && found.namespace == home.namespace {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the resources recorded in status.owned are in namespace {} of OpenBaoCluster {}, and the spec now leads to namespace {} \
         of OpenBaoCluster {cluster}: delete this object and create another",
        found.namespace, found.cluster, home.namespace
    )))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::json;
    use steamer_api::OpenBaoCluster;

    use super::*;

    fn home() -> Home {
        let spec = json!({"external": {
            "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
        }});
        let mut cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
        cluster.metadata.namespace = Some("ns".to_owned());
        Home { cluster: Arc::new(cluster), namespace: NamespacePath::new("org_1/group_7/project_42") }
    }

    fn reference(name: &str, namespace: Option<&str>) -> Reference {
        Reference { name: name.to_owned(), namespace: namespace.map(str::to_owned) }
    }

    #[rstest]
    #[case::same(reference("main", Some("ns")), "org_1/group_7/project_42", true)]
    #[case::same_namespace(reference("main", None), "org_1/group_7/project_42", true)]
    #[case::project_with_another_id(reference("main", Some("ns")), "org_1/group_7/project_43", false)]
    #[case::another_cluster(reference("other", Some("ns")), "org_1/group_7/project_42", false)]
    #[case::cluster_of_another_namespace(reference("main", Some("other")), "org_1/group_7/project_42", false)]
    fn a_record_of_another_location_gives_no_rights(
        #[case] cluster_ref: Reference,
        #[case] namespace: &str,
        #[case] expected: bool,
    ) {
        let resources = vec![OwnedResource::default()];
        let owned = OwnedResources { cluster_ref, namespace: namespace.to_owned(), resources };
        assert_eq!(check_location(Some(&owned), &home(), "ns").is_ok(), expected);
    }

    #[test]
    fn an_object_without_resources_may_be_anywhere() {
        assert!(check_location(None, &home(), "ns").is_ok());
        assert!(check_location(Some(&OwnedResources::default()), &home(), "ns").is_ok());
    }
}
