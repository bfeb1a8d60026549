//! Revocation of the issued values of an object that is being deleted.

use std::time::Duration;

use jiff::Timestamp;
use steamer_core::Error;
use steamer_core::ownership::finalizer::{has_finalizer, until_deadline};
use steamer_runtime::{Dependencies, Key, ObjectName, Reason, describe};

use super::controller::Controller;
use super::held::Held;
use super::stamp::Stamp;
use super::synced::{Source, Synced};

/// How long a deletion waits for OpenBao.
const DEADLINE: Duration = Duration::from_secs(300);

impl<K: Synced> Controller<K> {
    /// Revokes the issued values of an object. After a deadline, the deletion completes without it: the values end at their
    /// own time.
    pub(super) async fn end(&self, object: &K, dependencies: &Dependencies) -> Result<(), Error> {
        let stamp = self.last_stamp(object);
        let values = self.values(object, stamp.as_ref());
        self.restore_requests(object, stamp.as_ref());
        let has_open = self.engine().requests.count(&Key::of(object)) > 0;
        if (values.is_empty() && !has_open) || !has_finalizer(object) {
            return Ok(());
        }
        let Err(error) = self.give_all_back(object, dependencies, &values).await else {
            return Ok(());
        };
        if let Some(pause) = until_deadline(object, DEADLINE).filter(|_| is_worth_waiting(&error)) {
            return Err(Error::DeletionWaits(Box::new(error), pause));
        }
        let note = format!(
            "deleted, although its values could not be revoked in OpenBao ({}): they end at their own time",
            describe(&error)
        );
        self.engine().context.runtime.events.warn(object, Reason::Deleting, &note).await;
        Ok(())
    }

    /// The stamp that this process knows, or that of the status.
    fn last_stamp(&self, object: &K) -> Option<Stamp> {
        let context = &self.engine().context;
        let restored = || {
            let recorded = K::recorded(&context.latest(object)).stamp;
            Stamp::of_status::<K>(recorded.as_deref(), &context.mac)
        };
        self.stamp(&ObjectName::of(object)).or_else(restored)
    }

    /// Issued values of the object that have not ended.
    fn values(&self, object: &K, stamp: Option<&Stamp>) -> Vec<Held> {
        let stamp = stamp.filter(|_| object.common().revoke);
        let mut values = stamp.map(|stamp| stamp.replaced(Timestamp::now())).unwrap_or_default();
        values.extend(self.pending.held(&ObjectName::of(object)));
        values
    }

    /// Revokes as many values as possible, also if some of them cannot be revoked.
    async fn give_all_back(
        &self,
        object: &K,
        dependencies: &Dependencies,
        values: &[Held],
    ) -> Result<(), Error> {
        let (engine, owner) = (self.engine(), Key::of(object));
        let mut problems: Vec<Error> = engine.settle(&owner).await.err().into_iter().collect();
        let mut left = Vec::new();
        for held in values {
            // The BaoAuth and its ServiceAccount may be deleted already: the token of the lease does not need them.
            let ended = match held {
                Held::Lease(lease) => engine.end_token(&owner, lease).await,
                _ => Ok(false),
            };
            match ended {
                Ok(true) => {}
                Ok(false) => left.push(held),
                Err(error) => problems.push(error),
            }
        }
        problems.extend(self.give_back_each(object, dependencies, &left).await);
        let count = engine.requests.count(&owner);
        if count > 0 {
            problems.push(Error::Waiting(format!(
                "requests for a credential that are not complete: {count}: Steamer revokes their tokens when OpenBao no longer executes \
                 them"
            )));
        }
        first_to_wait_for(problems).map_or(Ok(()), Err)
    }

    /// Revokes values with the login of the object. Returns what failed.
    async fn give_back_each(&self, object: &K, dependencies: &Dependencies, values: &[&Held]) -> Vec<Error> {
        if values.is_empty() {
            return Vec::new();
        }
        let source = match self.access(dependencies, object).await {
            Ok(access) => object.source(access),
            Err(error) => return vec![error],
        };
        let mut problems = Vec::new();
        for held in values {
            problems.extend(source.give_back(self.engine(), held).await.err());
        }
        problems
    }
}

/// The first error after which OpenBao may revoke values later, or the first one.
fn first_to_wait_for(mut problems: Vec<Error>) -> Option<Error> {
    let index = problems.iter().position(is_worth_waiting).unwrap_or(0);
    (index < problems.len()).then(|| problems.swap_remove(index))
}

/// Returns true if OpenBao may revoke the values later. A reference that is gone does not come back while its object is
/// deleted, for example with the whole namespace.
fn is_worth_waiting(error: &Error) -> bool {
    error.is_out_of_reach() || matches!(error, Error::Waiting(_) | Error::Kubernetes(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_waits_if_one_of_several_values_can_be_revoked_later() {
        let gone = || Error::NotAllowed("gone".to_owned());
        let later = || Error::Waiting("later".to_owned());
        let chosen = |problems| first_to_wait_for(problems).map(|error| error.to_string());
        assert_eq!(chosen(vec![gone(), later()]).as_deref(), Some("later"));
        assert_eq!(chosen(vec![gone()]).as_deref(), Some("gone"));
        assert_eq!(chosen(Vec::new()), None);
    }
}
