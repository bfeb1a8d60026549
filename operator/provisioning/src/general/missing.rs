//! Mounts and namespaces that do not exist. OpenBao answers in the same way for both.

use std::time::Duration;

use steamer_core::error::Error;
use steamer_openbao::NamespacePath;

/// Pause before what does not exist is looked for again. OpenBao has no watch for it.
const ABSENT: Duration = Duration::from_secs(5);

/// Collections of resources with names.
const COLLECTIONS: [&str; 7] = ["/role", "/roles", "/static-roles", "/key", "/keys", "/issuer", "/config"];

/// The error of a request at `path` of a namespace that nothing answers.
pub(super) fn error(namespace: &NamespacePath, path: &str) -> Error {
    let text = match mount(path) {
        Some(mount) if mount.starts_with("auth/") => format!(
            "no auth method is mounted at {mount} in namespace {namespace}: create it, such as with an AuthMethod, or correct \
             mount or namespace"
        ),
        Some(mount) => format!(
            "no secrets engine is mounted at {mount} in namespace {namespace}: create it, such as with a SecretEngine, or \
             correct mount or namespace"
        ),
        None => format!(
            "namespace {namespace} does not exist in OpenBao: create it, such as with a BaoNamespace, or correct namespace"
        ),
    };
    Error::SourceMissing(text, ABSENT)
}

/// Path of the mount of a resource, such as `transit` of `transit/keys/web`. None for a part of a namespace.
fn mount(path: &str) -> Option<&str> {
    if ["sys/", "identity/"].iter().any(|built_in| path.starts_with(built_in)) {
        return None;
    }
    let (collection, name) = path.rsplit_once('/')?;
    // The configuration of a mount has no name, unlike a role or key that is named `config`.
    let is_named = COLLECTIONS.iter().any(|it| collection.ends_with(it));
    if name == "config" && !is_named {
        return Some(collection);
    }
    let generated = ["/root/generate", "/intermediate/generate"];
    let issuers = generated.iter().find_map(|it| collection.strip_suffix(it));
    issuers.or_else(|| Some(collection.rsplit_once('/')?.0))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_runtime::{Failure, Reason, Retry};

    use super::*;

    #[rstest]
    #[case::key("transit/keys/web", Some("transit"))]
    #[case::deep_mount("team/transit/keys/web", Some("team/transit"))]
    #[case::auth("auth/jwt/role/web", Some("auth/jwt"))]
    #[case::connection("team/postgres/config/web", Some("team/postgres"))]
    #[case::auth_configuration("auth/jwt/config", Some("auth/jwt"))]
    #[case::role_named_config("auth/jwt/role/config", Some("auth/jwt"))]
    #[case::configuration("pki/config/urls", Some("pki"))]
    #[case::root("pki/root/generate/internal", Some("pki"))]
    #[case::intermediate("team/pki/intermediate/generate/internal", Some("team/pki"))]
    #[case::policy("sys/policies/acl/web", None)]
    #[case::group("identity/group/name/web", None)]
    fn the_mount_of_a_resource_is_found(#[case] path: &str, #[case] expected: Option<&str>) {
        assert_eq!(mount(path), expected);
    }

    #[test]
    fn the_object_waits_for_what_is_missing() {
        let error = error(&NamespacePath::new("team"), "transit/keys/web");
        assert_eq!((error.reason(), error.stalled()), (Reason::SourceMissing, false));
        assert_eq!(error.retry(), Retry::After(ABSENT));
    }
}
