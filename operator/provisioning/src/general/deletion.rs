//! Deletion of recorded resources.

use steamer_api::{DeletionPolicy, OwnedResource};
use steamer_core::error::Error;
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};

use super::observed::mark;

/// Paths of resources that can carry the mark of a tenant, project or other installation.
const MARKED: [&str; 4] = ["sys/mounts/", "sys/auth/", "sys/policies/acl/", "sys/namespaces/"];

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
        if may_delete(&inside, path).await? {
            delete(&inside, path).await?;
        }
    }
    Ok(())
}

/// Returns false for a recorded path that must not be deleted: one that is not plain, or whose resource belongs to a tenant, a
/// project or another installation.
///
/// # Errors
/// Any error of the request, except for a missing resource.
pub(super) async fn may_delete(session: &Session, path: &str) -> Result<bool, Error> {
    if !is_plain(path) {
        return Ok(false);
    }
    if !MARKED.iter().any(|prefix| path.starts_with(prefix)) {
        return Ok(true);
    }
    match session.request_any(reqwest::Method::GET, path, None).await {
        Ok(answer) => Ok(answer.get("data").and_then(|data| mark(data.as_object()?)).is_none()),
        Err(OpenBao::NotFound { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Returns true for a relative path without empty segments and segments that a server resolves.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|segment| !["", ".", ".."].contains(&segment))
}

/// Paths of the recorded resources that a removal deletes, the last one first. Empty once the owner is recreated.
///
/// A pending resource stays: neither an answer of OpenBao nor its parameters show that the object created it, so it can belong
/// to someone else. An Event of the deletion then names the resource.
pub(super) fn removable<'a>(owned: &Owned<'a>) -> impl Iterator<Item = &'a str> + Send {
    let Owned { policy, is_reclaimed, .. } = *owned;
    owned
        .resources
        .iter()
        .rev()
        .filter(|it| !it.pending)
        .filter(move |it| !it.holds_values || policy == DeletionPolicy::Delete)
        .filter_map(OwnedResource::deletion_path)
        .take_while(move |_| !is_reclaimed())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_core::ownership::{Mark, Owner};
    use steamer_runtime::ObjectName;

    use super::*;

    #[rstest]
    #[case::policy("sys/policies/acl/web", true)]
    #[case::absolute("/sys/policies/acl/web", false)]
    #[case::parent("kv/../sys/mounts/kv", false)]
    #[case::empty("", false)]
    #[case::empty_segment("sys//mounts/kv", false)]
    #[case::dots_in_a_name("auth/jwt/role/a..b", true)]
    fn a_path_that_a_server_resolves_is_not_deleted(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_plain(path), expected);
    }

    fn entry(path: &str, holds_values: bool, pending: bool) -> OwnedResource {
        OwnedResource { path: path.to_owned(), holds_values, pending, ..OwnedResource::default() }
    }

    #[rstest]
    #[case::retained(DeletionPolicy::Retain, &["role"])]
    #[case::deleted(DeletionPolicy::Delete, &["role", "mount"])]
    fn a_pending_resource_stays(#[case] policy: DeletionPolicy, #[case] expected: &[&str]) {
        let resources =
            [entry("mount", true, false), entry("pending", false, true), entry("role", false, false)];
        let owner = Owner::Object(KindId::BaoPolicy);
        let mark = &Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "web") };
        let owned = Owned { mark, policy, resources: &resources, is_reclaimed: &|| false };
        assert_eq!(removable(&owned).collect::<Vec<_>>(), expected);
    }
}
