//! The trait of a general kind.

use std::future::Future;

use steamer_api::{HasLifecycle, HasOwned};
use steamer_core::error::Error;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::Key;

use super::deletion::delete;
use super::found::Found;
use super::home::Home;
use super::resource::Resource;
use super::site::Site;
use crate::engine::Lookup;
use crate::write::Request;

/// A kind whose objects own resources at known paths.
pub(crate) trait General: HasLifecycle<Status: HasOwned> {
    /// Name of the controller.
    const NAME: &'static str;

    /// Where the spec says the resources are.
    fn site(&self) -> Site<'_>;

    /// The main resource, as messages name it, such as `policy web`. Only one object of a location may own it.
    fn title(&self) -> String;

    /// Computes the resources, in the order in which they are created. They are deleted in the reverse order. May read from
    /// Kubernetes and OpenBao, and must not write.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a mistake in the spec, with the necessary change. Any error of a request.
    fn resources(&self, found: &Found<'_>) -> impl Future<Output = Result<Vec<Resource>, Error>> + Send;

    /// Requests that the spec leads to, relative to the namespace of the resources, for a message about missing rights. For kinds
    /// whose `resources` end with an error if OpenBao denies a read. The requests of the computed resources are added.
    fn outline(&self, _home: &Home, _lookup: &Lookup<'_>) -> Vec<Request> {
        Vec::new()
    }

    /// Paths of the resources that the spec determines without OpenBao, relative to their namespace. The object claims them before
    /// `resources` is called. Empty for a spec that `resources` refuses. For kinds whose resources objects of other kinds can
    /// have, too, and for kinds of which two titles can name one resource.
    fn claims(&self, _home: &Home, _lookup: &Lookup<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Writes facts of the kind to the status after all resources have their desired state.
    fn facts(&self, _status: &mut Self::Status, _resources: &[Resource]) {}

    /// Restores the facts about what was not written, because writes are paused. `former` is the status before
    /// [`facts`](Self::facts).
    fn unwritten(_status: &mut Self::Status, _former: &Self::Status) {}

    /// Result of a pass in which all resources have their desired state, as the message of the condition `Ready`.
    fn message(&self, namespace: &NamespacePath) -> String {
        format!("{} exists in namespace {namespace}", self.title())
    }

    /// Keys of relations to objects whose resources depend on this object. A change of the spec requeues them.
    fn parents(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Checks that a deletion can start.
    ///
    /// # Errors
    /// [`Error::Waiting`] while other objects need the resources.
    fn deletable(&self, _lookup: &Lookup<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Deletes an owned resource. `session` is in the OpenBao namespace of the resource. A missing one is no error.
    ///
    /// # Errors
    /// [`Error::Deleting`] while OpenBao deletes it. Any error of a request.
    fn delete(session: &Session, path: &str) -> impl Future<Output = Result<(), Error>> + Send {
        delete(session, path)
    }
}
