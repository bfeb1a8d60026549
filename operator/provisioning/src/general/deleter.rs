//! Deletion of a recorded resource by its kind.

use futures::future::BoxFuture;
use steamer_core::error::Error;
use steamer_openbao::Session;

use super::deletion::may_delete;
use super::kind::General;

/// Deletes a recorded resource of kind `K`, unless a tenant, project or other installation has marked it.
pub(super) fn delete<'a, K: General>(
    session: &'a Session,
    path: &'a str,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        if may_delete(session, path).await? {
            K::delete(session, path).await?;
        }
        Ok(())
    })
}
