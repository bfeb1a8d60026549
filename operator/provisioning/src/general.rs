//! General kinds: each object owns some resources at known paths of one OpenBao namespace, such as a policy or a mount. A kind
//! implements [`General`]: where its resources are, and their desired parameters. The rest is here: rights, comparison with
//! what OpenBao returns, record of ownership in `status.owned`, deletion.

mod body;
mod compare;
mod home;
mod observed;
mod plan;
mod provision;
mod record;
mod resource;

use std::future::Future;

use steamer_api::{HasLifecycle, HasOwned, OwnedResources, Placement};
use steamer_core::error::Error;
use steamer_openbao::{NamespacePath, Session};

use crate::engine::{Lookup, Pass};
pub(crate) use body::Body;
pub(crate) use home::Home;
pub(crate) use resource::Resource;

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

    /// Writes facts of the kind to the status after all resources have their desired state.
    fn facts(&self, _status: &mut Self::Status, _resources: &[Resource]) {}

    /// Result of a pass in which all resources have their desired state, as the message of the condition `Ready`.
    fn message(&self, namespace: &NamespacePath) -> String {
        format!("{} exists in namespace {namespace}", self.title())
    }
}

/// Where the spec of an object says the resources are.
pub(crate) enum Site<'a> {
    /// The object has a placement of its own.
    Placed(&'a Placement),
}

/// What the resources of an object are computed from.
pub(crate) struct Found<'a> {
    /// Access to Kubernetes.
    pub(crate) pass: &'a Pass<'a>,
    /// Session in the OpenBao namespace of the resources, for reads.
    pub(crate) session: &'a Session,
    /// Cluster and namespace of the resources.
    pub(crate) home: &'a Home,
    /// Resources that the object owns, as recorded in its status.
    pub(crate) owned: Option<&'a OwnedResources>,
}

impl Found<'_> {
    /// Access to cached objects.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        self.pass.lookup()
    }
}
