//! Objects of kinds that not every Kubernetes cluster serves. They are not watched, but read in every reconcile that
//! needs them.

use k8s_openapi::api::networking::v1::Ingress;
use kube::api::Api;
use steamer_api::{HasConditions, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::Object;

use crate::children::{ChildApi, delete, is_of, only};
use crate::cluster::Cluster;
use crate::objects::backend_tls_policy::{BackendTLSPolicy, backend_tls_policy};
use crate::objects::http_route::{HTTPRoute, http_route};
use crate::objects::ingress::ingress;
use crate::objects::service_monitor::{ServiceMonitor, service_monitor};

/// A kind whose objects are named after the cluster.
trait Exposed: Object {
    /// Field of `spec.managed` that requests the object.
    const FIELD: &'static str;
    /// Software that provides the kind.
    const PROVIDER: &'static str;
}

impl Exposed for Ingress {
    const FIELD: &'static str = "ingress";
    const PROVIDER: &'static str = "Kubernetes 1.19";
}

impl Exposed for HTTPRoute {
    const FIELD: &'static str = "gateway";
    const PROVIDER: &'static str = "the Gateway API";
}

impl Exposed for BackendTLSPolicy {
    const FIELD: &'static str = "gateway";
    const PROVIDER: &'static str = "the Gateway API 1.4";
}

impl Exposed for ServiceMonitor {
    const FIELD: &'static str = "metrics.serviceMonitor";
    const PROVIDER: &'static str = "the Prometheus operator";
}

/// Objects of optional kinds for one cluster.
#[derive(Clone, Copy)]
pub(crate) struct Exposure<'a> {
    pub(crate) context: &'a Context,
    pub(crate) child_api: &'a ChildApi<'a>,
    pub(crate) object: &'a OpenBaoCluster,
    pub(crate) cluster: &'a Cluster,
}

impl Exposure<'_> {
    /// Creates, updates or deletes each object as the spec requests.
    pub(crate) async fn exposed(&self) -> Result<(), Error> {
        self.keep_exposed(ingress(self.cluster)).await?;
        self.keep_exposed(http_route(self.cluster)).await?;
        self.keep_exposed(backend_tls_policy(self.cluster)).await?;
        self.keep_exposed(service_monitor(self.cluster)).await
    }

    async fn keep_exposed<K: Exposed>(&self, desired: Option<K>) -> Result<(), Error> {
        let Some(desired) = desired else { return self.remove_exposed::<K>().await };
        let live = found(&self.child_api.api::<K>(), self.cluster.name()).await?;
        let remedy = format!("remove spec.managed.{}", K::FIELD);
        let written = self.child_api.apply(live.as_ref(), &desired, &remedy).await;
        written.map(drop).map_err(unknown_kind::<K>)
    }

    /// Deletes an object that the spec no longer requests.
    async fn remove_exposed<K: Exposed>(&self) -> Result<(), Error> {
        if !self.may_exist() {
            return Ok(());
        }
        let (api, name) = (self.child_api.api::<K>(), self.cluster.name());
        match found(&api, name).await?.filter(|live| is_of(live, &self.cluster.name)) {
            Some(live) => delete(&api, name, &only(&live)).await,
            None => Ok(()),
        }
    }

    /// Returns true if an object that is not in the spec can exist. To save requests, it is looked up only after a
    /// change of the spec or while the cluster is not ready. An object that was removed from the spec is deleted in the
    /// reconcile that sees the change, or in the next one.
    fn may_exist(&self) -> bool {
        let last: OpenBaoClusterStatus = self.context.status(self.object);
        let generation = self.object.metadata.generation.unwrap_or(0);
        let ready = last.is_ready();
        // Nothing was removed from a spec that never changed.
        generation > 1 && (!ready || last.common.observed_generation != generation)
    }
}

/// Status code of the API server both for a missing object and for an unknown kind.
const NOT_FOUND: u16 = 404;

fn unknown_kind<K: Exposed>(error: Error) -> Error {
    match error {
        Error::Kubernetes(kube::Error::Api(status)) if status.code == NOT_FOUND => Error::Invalid(format!(
            "spec.managed.{} needs the kind {}, which this Kubernetes cluster does not serve: install {} or remove the \
             field",
            K::FIELD,
            K::kind(&()),
            K::PROVIDER
        )),
        error => error,
    }
}

async fn found<K: Object>(api: &Api<K>, name: &str) -> Result<Option<K>, Error> {
    match api.get(name).await {
        Ok(live) => Ok(Some(live)),
        Err(kube::Error::Api(status)) if status.code == NOT_FOUND => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn an_unknown_kind_is_reported_with_the_software_to_install() {
        let refused = |code| Error::from(kube::Error::Api(Box::new(Status { code, ..Status::default() })));
        insta::assert_snapshot!(unknown_kind::<ServiceMonitor>(refused(404)));
        assert!(matches!(unknown_kind::<ServiceMonitor>(refused(403)), Error::Kubernetes(_)));
    }
}
