//! Auth mounts that roles and aliases refer to, and rules that all objects that give access have in common.

pub(crate) mod logins;
pub(crate) mod policies;
pub(crate) mod withdrawal;

use std::time::Duration;

use steamer_core::error::Error;
use steamer_openbao::Mount;

use crate::general::Found;

/// Pause before something that does not exist is looked for again. OpenBao has no watch for it.
pub(crate) const ABSENT: Duration = Duration::from_secs(5);

/// The auth mount at a path of the namespace.
///
/// # Errors
/// [`Error::SourceMissing`] for a mount that does not exist. Any error of a request.
pub(crate) async fn existing(found: &Found<'_>, mount: &str) -> Result<Mount, Error> {
    found.session.auth_mount(mount).await?.ok_or_else(|| {
        let namespace = found.session.namespace();
        let text = format!(
            "auth mount {mount} does not exist in namespace {namespace}: create it, such as with an AuthMethod, or correct mount"
        );
        Error::SourceMissing(text, ABSENT)
    })
}
