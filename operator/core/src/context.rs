//! State and clients that every controller shares.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use steamer_api::Kind;
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Coverage, ObjectName, Presence, Runtime};
use tokio::sync::Mutex;

use crate::access::api_audiences::ApiAudiences;
use crate::access::audiences::SafeAudiences;
use crate::access::consent::Consent;
use crate::access::named_objects::{NamedObjects, NamedSecrets};
use crate::access::service_accounts::ApiIssuerSource;
use crate::access::sessions::Sessions;
use crate::error::Error;
use crate::generated_policy::GeneratedPolicy;
use crate::mac::Mac;
use crate::ownership::claims::Claims;
use crate::ownership::removers::Removers;
use crate::ownership::{Mark, Owner};
use crate::stores::Stores;
use crate::urgent::Urgent;
use crate::writes::ReportedWrites;

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
    /// Limit of the writes of these objects.
    pub cluster_writes: WriteLimit,
    /// Thread and clients for the failover.
    pub urgent: Urgent,
    /// Namespaces of Steamer's kinds and of the Secrets that it writes.
    pub namespaces: Coverage,
    /// Namespaces of managed clusters: Steamer may create pods, Services and the like only there.
    pub managed_namespaces: Coverage,
    /// Sessions in OpenBao.
    pub sessions: Sessions,
    /// Writes of values in OpenBao that relays report.
    pub writes: ReportedWrites,
    /// Image of the operator, which contains the relay.
    pub image: Option<String>,
    /// Secrets that objects refer to by name.
    pub secrets: Arc<NamedSecrets>,
    /// ServiceAccounts that objects refer to by name.
    pub accounts: Arc<NamedObjects<ServiceAccount>>,
    /// ID of this installation. Other installations can use the same OpenBao.
    pub installation: String,
    /// ServiceAccount of the operator.
    pub operator: ObjectName,
    /// Audiences that the API server accepts.
    pub api_audiences: Arc<ApiAudiences>,
    /// Audiences that the installation allows for every ServiceAccount.
    pub consent: Consent,
    /// Issuer and keys of ServiceAccount tokens.
    pub api_issuer: ApiIssuerSource,
    /// Removal of the resources of deleted objects.
    pub removers: Removers,
    /// Which objects claim which resources.
    pub claims: Claims,
    /// Held while orphans are written to the status of a tenant or cluster.
    pub handovers: Mutex<()>,
    /// Policy of the operator, by the scope of a cluster.
    pub generated: GeneratedPolicy,
    /// Keyed digests of secret values.
    pub mac: Mac,
    /// How often state without a watch (OpenBao) is re-read.
    pub drift_interval: Duration,
    /// Longest duration of a request in OpenBao: an unanswered one has ended after it.
    pub request_limit: Duration,
    /// When this process started.
    pub started: Instant,
    /// When the previous process was active last. What was due since then is overdue.
    pub last_active: Option<Timestamp>,
}

impl Context {
    /// The mark of an object of this installation.
    pub fn mark_of<K: Kind>(&self, object: &K) -> Mark {
        self.mark(Owner::parse(K::KIND), ObjectName::of(object))
    }

    /// The mark of an owner in this installation.
    #[must_use]
    pub fn mark(&self, owner: Owner, name: ObjectName) -> Mark {
        Mark { installation: self.installation.clone(), owner, name }
    }

    /// Refuses audiences that would let a server use a token at the API server.
    ///
    /// # Errors
    /// As [`SafeAudiences::new`].
    pub fn safe_audiences(&self, audiences: &[String]) -> Result<SafeAudiences, Error> {
        self.api_audiences.safe(audiences.to_vec())
    }

    /// Returns true if the object that a mark names exists, or can exist in a namespace that the cache does not
    /// contain.
    #[must_use]
    pub fn exists(&self, mark: &Mark) -> bool {
        self.presence(mark) != Presence::Absent
    }

    /// Returns whether the object that a mark names exists, as [`Stores::presence`]. An organization belongs to the
    /// installation and always exists; so does an object of a kind that this version does not know.
    #[must_use]
    pub fn presence(&self, mark: &Mark) -> Presence {
        match &mark.owner {
            Owner::Object(kind) => self.stores.presence(*kind, &mark.name),
            Owner::Served(kind) => self.stores.presence_of_served(*kind, &mark.name),
            Owner::Organization | Owner::Unknown(_) => Presence::Present,
        }
    }
}
