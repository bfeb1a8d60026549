//! The status of an object.

use steamer_api::{
    BaoPushSecret, BaoPushSecretStatus, FailedSecret, PlannedChange, PushedEntry, StoppedWrite,
};
use steamer_core::{Context, Error, stops};
use steamer_openbao::NamespacePath;
use steamer_runtime::Reason;
use steamer_runtime::conditions::Verdict;

/// Facts of one reconcile.
pub(super) struct Facts {
    /// OpenBao namespace of the entries.
    pub(super) namespace: NamespacePath,
    /// Entries that the object has written.
    pub(super) entries: Vec<PushedEntry>,
    /// Number of existing entries that stay unchanged.
    pub(super) kept: usize,
    /// Number of equal entries of `kv-v1` that the object has not written.
    pub(super) equal: usize,
    /// Pending changes.
    pub(super) plan: Vec<PlannedChange>,
    /// The stopped writes.
    pub(super) stopped: Vec<StoppedWrite>,
    /// Value of the reconcile annotation that was handled.
    pub(super) handled: Option<String>,
    /// Number of selected Secrets. None without a selector.
    pub(super) selected: Option<usize>,
    /// Selected Secrets that are not pushed.
    pub(super) unpushed: Vec<FailedSecret>,
}

/// The last status.
pub(super) fn last(context: &Context, object: &BaoPushSecret) -> BaoPushSecretStatus {
    context.status(object)
}

impl Facts {
    fn merged(self, status: BaoPushSecretStatus) -> BaoPushSecretStatus {
        let Self { namespace, entries, plan, mut stopped, handled, selected, unpushed: failed, .. } = self;
        stopped.truncate(stops::MOST);
        let selected = selected.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let mut status =
            BaoPushSecretStatus { entries, last_handled_reconcile_at: handled, selected, failed, ..status };
        status.lifecycle.openbao_namespace = Some(namespace.as_str().to_owned());
        status.lifecycle.plan = plan;
        status.lifecycle.stopped = stopped;
        status
    }

    fn applied(&self) -> Verdict {
        let count = self.entries.len();
        let written = if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") };
        let kept = match self.kept {
            0 => String::new(),
            kept => format!("; kept unchanged because of updatePolicy: {kept}"),
        };
        let equal = match self.equal {
            0 => String::new(),
            equal => format!(
                "; equal entries of kv-v1 that another client wrote, and that are never deleted: {equal}"
            ),
        };
        Verdict::Ready(Reason::Applied, format!("{written} in OpenBao up to date{kept}{equal}"))
    }

    fn observed(&self) -> Verdict {
        match self.plan.len() {
            0 => Verdict::Ready(Reason::Observed, "OpenBao matches the spec".to_owned()),
            count => Verdict::Ready(
                Reason::Drifted,
                format!("OpenBao differs from the spec; pending changes: {count}, see status.plan"),
            ),
        }
    }
}

/// Reports an object whose entries are in the desired state.
pub(super) async fn applied(context: &Context, object: &BaoPushSecret, facts: Facts) -> Result<(), Error> {
    let verdict = facts.applied();
    context.report(object, facts.merged(last(context, object)), &verdict).await
}

/// Reports the pending changes.
pub(super) async fn observed(context: &Context, object: &BaoPushSecret, facts: Facts) -> Result<(), Error> {
    let verdict = facts.observed();
    context.report(object, facts.merged(last(context, object)), &verdict).await
}

/// Reports an object that is not reconciled. Its next write is one of another generation, which ends all stops.
pub(super) async fn suspended(context: &Context, object: &BaoPushSecret) -> Result<(), Error> {
    let mut status = last(context, object);
    status.lifecycle.stopped.clear();
    context.report(object, status, &Verdict::Suspended).await
}

/// Writes the facts of a reconcile that failed in part. The error determines the conditions.
pub(super) async fn partial(context: &Context, object: &BaoPushSecret, facts: Facts) -> Result<(), Error> {
    let status = facts.merged(last(context, object));
    context.runtime.statuses.write(object, &status).await?;
    Ok(())
}

/// Records entries before their first write. One of `kv-v1` is otherwise that of another client after a crash, and one of a
/// selected Secret is forgotten if the Secret loses its labels meanwhile.
pub(super) async fn intended(
    context: &Context,
    object: &BaoPushSecret,
    records: Vec<PushedEntry>,
) -> Result<(), Error> {
    let mut status = last(context, object);
    status.entries.extend(records);
    context.runtime.statuses.write(object, &status).await?;
    Ok(())
}

/// Removes what the status states about Secrets that the selector no longer finds. The entries stay.
pub(super) async fn unselected(context: &Context, object: &BaoPushSecret) -> Result<(), Error> {
    let mut status = BaoPushSecretStatus { selected: None, failed: Vec::new(), ..last(context, object) };
    status.lifecycle.plan = Vec::new();
    context.runtime.statuses.write(object, &status).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kept: usize, changes: usize) -> Facts {
        let change = PlannedChange {
            operation: steamer_api::Operation::Create,
            path: "kv/data/app".to_owned(),
            reason: "the entry does not exist".to_owned(),
        };
        let (namespace, plan) = (NamespacePath::root(), vec![change; changes]);
        let (selected, stopped, unpushed) = (None, Vec::new(), Vec::new());
        let entries = Vec::new();
        Facts { namespace, entries, kept, equal: 0, plan, stopped, handled: None, selected, unpushed }
    }

    #[test]
    fn the_message_states_what_was_written_and_what_was_kept() {
        let text = |verdict| match verdict {
            Verdict::Ready(_, text) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(text(facts(0, 0).applied()), "0 entries in OpenBao up to date");
        let kept = "0 entries in OpenBao up to date; kept unchanged because of updatePolicy: 2";
        assert_eq!(text(facts(2, 0).applied()), kept);
        let equal = "0 entries in OpenBao up to date; equal entries of kv-v1 that another client wrote, and that are never deleted: 1";
        assert_eq!(text(Facts { equal: 1, ..facts(0, 0) }.applied()), equal);
        assert_eq!(text(facts(0, 0).observed()), "OpenBao matches the spec");
        assert_eq!(facts(0, 1).observed().reason(), Reason::Drifted);
    }
}
