//! Conditions of a server.

use steamer_openbao::Health;
use steamer_runtime::Reason;
use steamer_runtime::conditions::{Conditions, State};

use crate::server::Server;
use crate::server::verdict::problem;

/// Sets the conditions that describe a server.
pub(crate) fn set(conditions: &mut Conditions<'_>, server: &Server) {
    let serves = server.serves();
    let available = if serves { "OpenBao serves requests" } else { "OpenBao serves no requests" };
    let reason = if serves { Reason::Applied } else { problem(server) };
    conditions.set("Available", State::from(serves), reason, available);
    let Ok(health) = &server.health else { return };
    set_health(conditions, health);
    if !health.sealed {
        let reason = if server.has_leader() { Reason::Applied } else { Reason::NoLeader };
        conditions.set("LeaderElected", server.has_leader().into(), reason, "");
    }
    set_policy(conditions, server);
}

/// Sets the conditions that the health of one node determines.
pub(crate) fn set_health(conditions: &mut Conditions<'_>, health: &Health) {
    let initialized = if health.initialized { Reason::Applied } else { Reason::Waiting };
    conditions.set("Initialized", health.initialized.into(), initialized, "");
    let sealed = if health.sealed { Reason::Sealed } else { Reason::Applied };
    conditions.set("Unsealed", (!health.sealed).into(), sealed, "");
}

fn set_policy(conditions: &mut Conditions<'_>, server: &Server) {
    const KIND: &str = "OperatorPolicyCurrent";
    match &server.missing {
        Ok(missing) if missing.is_empty() && server.serves() => {
            let warning = server.scope.warning();
            let text = format!("the operator's policy contains every rule that it needs{warning}");
            conditions.set(KIND, State::True, Reason::Applied, &text);
        }
        Ok(missing) if !missing.is_empty() => {
            conditions.set(KIND, State::False, Reason::PermissionDenied, &server.lacking(missing));
        }
        _ => {}
    }
}
