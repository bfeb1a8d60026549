//! Deletion of recorded resources.

use steamer_api::{DeletionPolicy, OwnedResource};
use steamer_core::error::Error;
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};

/// Deletes the resource at a path with one request. A missing one is no error.
///
/// # Errors
/// Any error of the request.
pub(crate) async fn delete(session: &Session, path: &str) -> Result<(), Error> {
    match session.request_any(reqwest::Method::DELETE, path, None).await {
        Ok(_) | Err(OpenBao::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes recorded resources, the last one first. Values need `deletionPolicy: Delete`.
///
/// # Errors
/// The first error of a deletion.
pub(crate) async fn remove_recorded(
    session: &Session,
    namespace: &NamespacePath,
    owned: Owned<'_>,
) -> Result<(), Error> {
    let inside = session.within(namespace.as_str());
    for path in removable(&owned) {
        delete(&inside, path).await?;
    }
    Ok(())
}

/// Paths of the recorded resources that a removal deletes, the last one first. Empty once the owner is recreated.
pub(super) fn removable<'a>(owned: &Owned<'a>) -> impl Iterator<Item = &'a str> + Send {
    let Owned { policy, is_reclaimed, .. } = *owned;
    owned
        .resources
        .iter()
        .rev()
        .filter(move |it| !it.holds_values || policy == DeletionPolicy::Delete)
        .filter_map(OwnedResource::deletion_path)
        .take_while(move |_| !is_reclaimed())
}
