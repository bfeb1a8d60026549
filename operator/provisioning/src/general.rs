//! General kinds: each object owns some resources at known paths of one OpenBao namespace, such as a policy or a mount. A kind
//! implements [`General`]: where its resources are, and their desired parameters. The rest is here: rights, comparison with
//! what OpenBao returns, record of ownership in `status.owned`, deletion.

mod body;
mod compare;
mod home;
mod observed;
mod parameters;
mod plan;
mod provision;
mod receipt;
mod record;
mod resource;

use std::future::Future;

use secrecy::SecretString;
use steamer_api::{
    HasLifecycle, HasOwned, OwnedResources, Placement, Reference, SecretKeyReference, SecretValueReference,
};
use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};
use steamer_runtime::{Key, ObjectName};

use crate::engine::{Lookup, Pass};
pub(crate) use body::{Body, Late};
pub(crate) use compare::differences;
pub(crate) use home::{Home, cluster, described};
pub(crate) use parameters::{merged, seconds, time, typed};
pub(crate) use provision::remove_recorded;
pub(crate) use receipt::{Receipt, send};
pub(crate) use resource::{FollowUp, Resource};

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

/// Where the spec of an object says the resources are.
pub(crate) enum Site<'a> {
    /// The object has a placement of its own.
    Placed(&'a Placement),
    /// The resources are beside those of a DatabaseConnection.
    Connection(&'a Reference),
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

    /// The value that a reference in an object names. The Secret is in the namespace of the object.
    ///
    /// # Errors
    /// As [`NamedSecrets::value`], and [`Error::Invalid`] for a value that is not text.
    ///
    /// [`NamedSecrets::value`]: steamer_core::access::named_objects::NamedSecrets::value
    pub(crate) async fn secret(
        &self,
        object: &ObjectName,
        reference: &SecretValueReference,
    ) -> Result<SecretString, Error> {
        let name = ObjectName::new(&object.namespace, &reference.name);
        let secrets = &self.pass.context.secrets;
        let value = secrets.value(self.pass.dependencies, &name, &reference.key).await?;
        let text = String::from_utf8(value).map_err(|_| {
            Error::Invalid(format!(
                "Secret {name}, key `{}`, is not UTF-8 text: replace its value",
                reference.key
            ))
        })?;
        Ok(text.into())
    }

    /// The certificates that a reference in an object names, in PEM.
    ///
    /// # Errors
    /// As [`NamedSecrets::certificates`].
    ///
    /// [`NamedSecrets::certificates`]: steamer_core::access::named_objects::NamedSecrets::certificates
    pub(crate) async fn certificates(
        &self,
        object: &ObjectName,
        reference: &SecretKeyReference,
    ) -> Result<String, Error> {
        let name = ObjectName::new(&object.namespace, &reference.name);
        let secrets = &self.pass.context.secrets;
        let bundle = secrets.certificates(self.pass.dependencies, &name, &reference.key).await?;
        Ok(String::from_utf8_lossy(&bundle).into_owned())
    }

    /// Reads a resource, so that its parameters are known before the plan. It is not read again in this pass.
    ///
    /// # Errors
    /// Any error of the request.
    pub(crate) async fn read(&self, mut resource: Resource) -> Result<Resource, Error> {
        let existing = observed::read(self.session, &resource).await?;
        resource.existing = Some(existing);
        Ok(resource)
    }
}
