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
        let values = self.values(object);
        let has_lost = self.engine().leases.has_lost(&Key::of(object));
        if (values.is_empty() && !has_lost) || !has_finalizer(object) {
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

    /// Issued values of the object that have not ended.
    fn values(&self, object: &K) -> Vec<Held> {
        let name = ObjectName::of(object);
        let mut values = Vec::new();
        if object.common().revoke {
            let context = &self.engine().context;
            let recorded = K::recorded(&context.latest(object)).stamp;
            let restored = || Stamp::of_status::<K>(recorded.as_deref(), &context.mac);
            let known = self.stamp(&name).or_else(restored);
            values.extend(known.map(|stamp| stamp.replaced(Timestamp::now())).unwrap_or_default());
        }
        values.extend(self.unwritten(&name));
        values
    }

    async fn give_all_back(
        &self,
        object: &K,
        dependencies: &Dependencies,
        values: &[Held],
    ) -> Result<(), Error> {
        let owner = Key::of(object);
        self.engine().leases.settle(&owner).await?;
        let mut left = Vec::new();
        for held in values {
            // The BaoAuth and its ServiceAccount may be deleted already: the token of the lease does not need them.
            let is_revoked = match held {
                Held::Lease(lease) => self.engine().leases.revoke((&owner, &lease.id)).await?,
                _ => false,
            };
            if !is_revoked {
                left.push(held);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let source = object.source(self.access(dependencies, object).await?);
        for held in left {
            source.give_back(self.engine(), held).await?;
        }
        Ok(())
    }
}

/// Returns true if OpenBao may revoke the values later. A reference that is gone does not come back while its object is
/// deleted, for example with the whole namespace.
fn is_worth_waiting(error: &Error) -> bool {
    error.is_out_of_reach() || matches!(error, Error::Waiting(_) | Error::Kubernetes(_))
}
