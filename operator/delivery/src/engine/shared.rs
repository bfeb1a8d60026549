//! State that the controllers of all kinds share.

use std::sync::Arc;

use steamer_core::Context;
use steamer_core::tasks::Tasks;
use steamer_runtime::write_limit::WriteLimit;

use super::destination::Destinations;
use super::leases::Leases;
use super::listings::Listings;
use super::observed::ObservedSecrets;
use super::readings::Readings;
use super::requests::OpenRequests;
use super::restart::Restarts;

/// Destinations and reads: objects of all kinds share them.
pub(crate) struct Engine {
    pub(crate) context: Arc<Context>,
    pub(crate) destinations: Destinations,
    pub(crate) readings: Readings,
    pub(crate) listings: Listings,
    pub(crate) restarts: Restarts,
    pub(crate) leases: Leases,
    pub(crate) requests: OpenRequests,
}

impl Engine {
    /// Adds the watch of the Secrets that the engine writes.
    pub(crate) fn new(tasks: &mut Tasks) -> Arc<Self> {
        let context = tasks.context();
        let observed = Arc::new(ObservedSecrets::new(context.mac.clone(), context.runtime.index.clone()));
        observed.clone().watch(tasks);
        let destinations = Destinations {
            client: context.client.clone(),
            observed,
            named: context.secrets.clone(),
            stores: context.stores.clone(),
            limit: WriteLimit::default(),
            interval: context.drift_interval,
        };
        let readings = Readings::new(context.runtime.metrics.clone());
        let restarts = Restarts::new(context.client.clone());
        let (listings, leases, requests) = (Listings::default(), Leases::default(), OpenRequests::default());
        Arc::new(Self { destinations, readings, listings, restarts, leases, requests, context })
    }
}
