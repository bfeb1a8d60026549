//! Result of a reconcile, from which the status is derived.

use std::sync::Arc;

use jiff::Timestamp;
use steamer_core::error::Error;

use crate::break_glass::State as BreakGlass;
use crate::cluster::Mode;
use crate::managed::apply::Applied;
use crate::managed::break_glass;
use crate::managed::fence;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::managed::openbao::OpenBao;
use crate::managed::restore_drill::Drill;
use crate::nodes::fence_request::Request;
use crate::nodes::members::Member;
use crate::nodes::rollout::Step;
use crate::server::Server;

/// Result of a reconcile.
pub(crate) struct Report<'a> {
    pub(crate) input: Input<'a>,
    pub(crate) observed: Observed,
    pub(crate) applied: Applied,
    pub(crate) openbao: OpenBao,
    /// The restore drill. None: unknown after an error.
    pub(crate) drill: Option<Drill>,
    pub(crate) now: Timestamp,
}

impl Report<'_> {
    /// Returns true while a node is being replaced, or may not serve because it was.
    pub(crate) fn replaces_pods(&self) -> bool {
        match self.applied.rollout.step {
            Step::Replace { .. } => true,
            Step::Wait(_) => !self.is_whole(),
            _ => false,
        }
    }

    /// Returns true if all nodes serve.
    pub(crate) fn is_whole(&self) -> bool {
        self.serving().count() >= self.input.cluster.nodes()
    }

    /// Returns true if no node runs because of a hibernation.
    pub(crate) fn hibernates(&self) -> bool {
        self.input.cluster.mode == Mode::Hibernating && self.observed.members.is_empty()
    }

    /// State of break-glass.
    pub(crate) fn break_glass(&self) -> BreakGlass {
        break_glass::state(self.input, &self.observed, self.now)
    }

    /// State of a request to fence a node.
    pub(crate) fn fence(&self) -> Request {
        fence::state(self.input.cluster, &self.observed)
    }

    pub(crate) fn server(&self) -> Option<&Server> {
        self.openbao.server.as_ref()
    }

    /// Most important error of the plan and its execution.
    pub(crate) fn trouble(&self) -> Option<&Arc<Error>> {
        self.openbao.trouble.as_ref().or(self.applied.trouble.as_ref())
    }

    /// Nodes that serve.
    pub(crate) fn serving(&self) -> impl Iterator<Item = &Member> + Clone {
        self.observed.members.iter().filter(|member| member.serves())
    }
}
