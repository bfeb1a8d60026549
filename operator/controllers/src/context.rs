//! What every controller of this crate is given.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use steamer_api::{
    BaoAuth, BaoConnection, BaoStaticSecret, FINALIZER, JWTIssuer, OpenBaoCluster, PipelinePolicy,
    SecretsProject, SecretsTenant,
};
use steamer_runtime::{Key, Name, Runtime, Store};

use crate::error::Error;
use crate::openbao_cluster::children::Children;
use crate::openbao_cluster::guard::Guards;
use crate::ownership::Mark;
use crate::service_accounts::ApiIssuerSource;
use crate::sessions::Sessions;
use crate::sync::mac::Mac;

/// The stores of all kinds.
#[derive(Clone, Default)]
pub(crate) struct Stores {
    pub(crate) clusters: Store<OpenBaoCluster>,
    pub(crate) issuers: Store<JWTIssuer>,
    pub(crate) tenants: Store<SecretsTenant>,
    pub(crate) projects: Store<SecretsProject>,
    pub(crate) policies: Store<PipelinePolicy>,
    pub(crate) connections: Store<BaoConnection>,
    pub(crate) auths: Store<BaoAuth>,
    pub(crate) static_secrets: Store<BaoStaticSecret>,
    pub(crate) namespaces: Store<Namespace>,
    pub(crate) children: Children,
}

/// Everything shared.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) stores: Stores,
    pub(crate) sessions: Sessions,
    /// Tells this installation of Steamer from others that use the same OpenBao.
    pub(crate) installation: String,
    /// The operator's own ServiceAccount.
    pub(crate) operator: Name,
    /// Audiences that the API server accepts.
    pub(crate) api_audiences: BTreeSet<String>,
    /// Who signs ServiceAccount tokens.
    pub(crate) api_issuer: ApiIssuerSource,
    /// Digests of secrets that may be kept.
    pub(crate) mac: Mac,
    /// Who watches over the leaders of managed clusters.
    pub(crate) guards: Guards,
    /// What the last pass of each project put in force.
    pub(crate) in_force: InForce,
    /// How often what nobody tells of is looked at.
    pub(crate) drift_interval: std::time::Duration,
}

impl Context {
    /// The mark of an object of this installation.
    pub(crate) fn mark(&self, kind: &str, name: Name) -> Mark {
        Mark::new(&self.installation, kind, name)
    }

    /// Refuses audiences with which a server could use a token at the API server.
    pub(crate) fn safe_audiences(&self, audiences: &[String]) -> Result<(), Error> {
        match audiences.iter().find(|audience| self.api_audiences.contains(*audience)) {
            Some(audience) => Err(Error::Invalid(format!(
                "audience `{audience}` is one that the Kubernetes API server accepts: whoever gets such a token could \
                 use it there; choose another, such as `openbao`"
            ))),
            None => Ok(()),
        }
    }

    /// Whether the object that a mark names exists.
    pub(crate) fn lives(&self, mark: &Mark) -> bool {
        match mark.kind.as_str() {
            "SecretsTenant" => self.stores.tenants.get(&mark.name).is_some(),
            "SecretsProject" => self.stores.projects.get(&mark.name).is_some(),
            "BaoStaticSecret" => self.stores.static_secrets.get(&mark.name).is_some(),
            // An organization is shared by tenants and belongs to the installation.
            _ => true,
        }
    }

    /// Puts the finalizer on an object, before anything is made that outlives it.
    pub(crate) async fn hold<K>(&self, object: &K) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        if object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(object, &finalizers).await
    }

    /// Takes the finalizer away: the object goes.
    pub(crate) async fn release<K>(&self, object: &K) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let kept: Vec<String> =
            object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
        self.set_finalizers(object, &kept).await
    }

    async fn set_finalizers<K>(&self, object: &K, finalizers: &[String]) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        // The resource version guards the list: a finalizer that someone else added meanwhile is not lost.
        let patch = serde_json::json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
        });
        match api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                Err(Error::Deleting("the object changed meanwhile".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a project's last pass put in force: which generation of which PipelinePolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contributions(pub(crate) HashMap<Name, Contribution>);

/// What became of one PipelinePolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    /// Why the project did not take it.
    pub(crate) refused: Option<String>,
}

/// By project. In memory only: each project passes again after a restart.
#[derive(Default)]
pub(crate) struct InForce(Mutex<HashMap<Name, Arc<Contributions>>>);

impl InForce {
    /// The key that PipelinePolicies of a project wait for.
    pub(crate) fn key(project: &Name) -> Key {
        Key::new("PoliciesInForce", project.clone())
    }

    pub(crate) fn get(&self, project: &Name) -> Option<Arc<Contributions>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(project).cloned()
    }

    /// Whether it differs from what was there.
    pub(crate) fn set(&self, project: &Name, contributions: Contributions) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = all.get(project).is_some_and(|old| **old == contributions);
        all.insert(project.clone(), Arc::new(contributions));
        !same
    }

    /// Takes out what is not in `next`, before it is taken out of OpenBao: nothing is called in force that may be gone.
    pub(crate) fn retain(&self, project: &Name, next: &Contributions) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(project) {
            let mut kept = (**known).clone();
            kept.0.retain(|policy, contribution| next.0.get(policy) == Some(contribution));
            *known = Arc::new(kept);
        }
    }

    pub(crate) fn forget(&self, project: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(project);
    }
}
