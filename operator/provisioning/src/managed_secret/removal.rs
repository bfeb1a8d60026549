//! Deletion of the secret that an object has recorded.

use steamer_api::DeletionPolicy;
use steamer_core::Error;
use steamer_core::layout::{DATA_ROOT, ENGINES};
use steamer_core::ownership::Mark;
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};

/// Deletes the recorded secret in the namespace of a project with all versions, if it carries the mark of the owner. Only with
/// `Delete`.
pub(super) async fn remove(
    session: &Session,
    namespace: &NamespacePath,
    owned: Owned<'_>,
) -> Result<(), Error> {
    if owned.policy == DeletionPolicy::Retain || !exists(session, namespace).await? {
        return Ok(());
    }
    let inside = session.within(namespace.as_str());
    for resource in owned.resources {
        let Some((mount, path)) = located(&resource.path) else { continue };
        if is_marked(&inside, mount, path, owned.mark).await? && !(owned.is_reclaimed)() {
            inside.delete_kv2(mount, path).await?;
        }
    }
    Ok(())
}

/// Returns false for a namespace that does not exist, or that OpenBao is deleting with everything in it.
async fn exists(session: &Session, namespace: &NamespacePath) -> Result<bool, Error> {
    let Some((parent, name)) = namespace.split() else { return Ok(false) };
    let found = session.within(parent.as_str()).child_namespace(name).await?;
    Ok(found.is_some_and(|found| !found.tainted))
}

/// Returns true if a secret carries the mark. A secret in an engine that is gone does not exist.
async fn is_marked(inside: &Session, mount: &str, path: &str, mark: &Mark) -> Result<bool, Error> {
    match inside.kv_metadata(mount, path).await {
        Ok(found) => {
            Ok(found.and_then(|found| Mark::of_metadata(&found.custom_metadata)).as_ref() == Some(mark))
        }
        Err(OpenBao::Mount { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Mount and path of a recorded secret. None for a path that no secret has: another client can write a status.
fn located(data: &str) -> Option<(&str, &str)> {
    let (mount, path) = data.split_once("/data/")?;
    let engine = mount.strip_prefix(ENGINES)?.strip_prefix('/')?;
    let name = path.strip_prefix(DATA_ROOT)?.strip_prefix('/')?;
    let is_engine = !engine.is_empty() && !engine.contains('/') && !engine.contains("..");
    let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    (is_engine && is_name).then_some((mount, path))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::secret("secrets/kv/data/explicit/DB", Some(("secrets/kv", "explicit/DB")))]
    #[case::other_folder("secrets/kv/data/other/DB", None)]
    #[case::other_mount("kv/data/explicit/DB", None)]
    #[case::parent("secrets/../data/explicit/DB", None)]
    #[case::folder("secrets/kv/data/explicit/a/b", None)]
    #[case::no_name("secrets/kv/data/explicit/", None)]
    fn only_the_path_of_a_secret_is_deleted(#[case] data: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(located(data), expected);
    }
}
