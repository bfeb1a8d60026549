//! Input of a reconcile.

use steamer_api::OpenBaoCluster;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::first_start::Start;
use crate::guard::target::GuardReport;
use crate::managed::fetch::Found;

/// Values that every step of a reconcile uses.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) object: &'a OpenBaoCluster,
    pub(crate) cluster: &'a Cluster,
    pub(crate) found: &'a Found,
    pub(crate) guard_report: &'a GuardReport,
    /// Error of the present spec. The other fields are those of the last valid one.
    pub(crate) refused: Option<&'a Error>,
    /// Connections that all clusters of this Steamer at the same PostgreSQL server may open.
    pub(crate) connections: i32,
}

impl Input<'_> {
    /// Progress of the first start.
    pub(crate) fn start(&self) -> Start {
        if self.found.last.initialized == Some(true) { Start::Completed } else { Start::First }
    }
}
