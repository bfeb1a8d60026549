//! State and clients that every controller shares.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use steamer_api::Kind;
use steamer_runtime::{ObjectName, Runtime};

use crate::access::named_secrets::NamedSecrets;
use crate::access::service_accounts::ApiIssuerSource;
use crate::access::sessions::Sessions;
use crate::error::Error;
use crate::mac::Mac;
use crate::ownership::{Mark, Owner};
use crate::stores::Stores;

/// The shared state. It knows nothing about a single kind.
pub struct Context {
    /// Client of the Kubernetes API.
    pub client: Client,
    /// Statuses, Events, metrics and index of waiting objects.
    pub runtime: Arc<Runtime>,
    /// Objects of the API and Namespaces.
    pub stores: Stores,
    /// Objects that Steamer created for managed clusters: only those that carry the cluster label.
    pub cluster_objects: Stores,
    /// Sessions in OpenBao.
    pub sessions: Sessions,
    /// Secrets that objects refer to by name.
    pub secrets: Arc<NamedSecrets>,
    /// ID of this installation. Other installations can use the same OpenBao.
    pub installation: String,
    /// ServiceAccount of the operator.
    pub operator: ObjectName,
    /// Audiences that the API server accepts.
    pub api_audiences: BTreeSet<String>,
    /// Issuer and keys of ServiceAccount tokens.
    pub api_issuer: ApiIssuerSource,
    /// Keyed digests of secret values.
    pub mac: Mac,
    /// How often state without a watch (OpenBao) is re-read.
    pub drift_interval: Duration,
    /// When the previous process was active last. What was due since then is overdue.
    pub last_active: Option<Timestamp>,
}

impl Context {
    /// The mark of an object of this installation.
    pub fn mark_of<K: Kind>(&self, object: &K) -> Mark {
        self.mark(Owner::Object(K::ID), ObjectName::of(object))
    }

    /// The mark of an owner in this installation.
    #[must_use]
    pub fn mark(&self, owner: Owner, name: ObjectName) -> Mark {
        Mark { installation: self.installation.clone(), owner, name }
    }

    /// Refuses audiences that would let a server use a token at the API server.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first such audience.
    pub fn safe_audiences(&self, audiences: &[String]) -> Result<(), Error> {
        match audiences.iter().find(|audience| self.api_audiences.contains(*audience)) {
            Some(audience) => Err(Error::Invalid(format!(
                "audience `{audience}` is one that the Kubernetes API server accepts: a server that receives such a token \
                 could use it at the API server; choose another audience, such as `openbao`"
            ))),
            None => Ok(()),
        }
    }

    /// Returns true if the object that a mark names exists. An organization belongs to the installation and always
    /// exists; so does an object of a kind that this version does not know.
    #[must_use]
    pub fn exists(&self, mark: &Mark) -> bool {
        match &mark.owner {
            Owner::Object(kind) => self.stores.exists(*kind, &mark.name),
            Owner::Organization | Owner::Unknown(_) => true,
        }
    }
}
