//! What the resources of an object are computed from.

use secrecy::SecretString;
use steamer_api::{OwnedResource, OwnedResources, SecretKeyReference, SecretValueReference};
use steamer_core::error::Error;
use steamer_openbao::Session;
use steamer_runtime::ObjectName;

use super::home::Home;
use super::observed;
use super::resource::Resource;
use crate::engine::{Lookup, Pass};

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
    /// The entry of the resource at a path in the record of the object.
    pub(crate) fn recorded(&self, path: &str) -> Option<&OwnedResource> {
        self.owned?.entry(path)
    }

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
