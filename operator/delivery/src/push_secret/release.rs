//! Entries that an object no longer needs: they are deleted, or kept without its mark.

use std::collections::BTreeMap;

use steamer_api::{DeletionPolicy, KvType, PushedEntry};
use steamer_core::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{Error as OpenBao, Kv, Session};

use super::entry::Seal;
use super::place::Place;

/// Releases entries of one object.
pub(super) struct Releaser<'a> {
    /// Session of the identity in the root namespace.
    pub(super) root: &'a Session,
    pub(super) mark: &'a Mark,
    pub(super) seal: Seal<'a>,
    pub(super) policy: DeletionPolicy,
}

impl Releaser<'_> {
    /// Releases an entry that the status records. An entry of another owner stays unchanged.
    pub(super) async fn release(&self, record: &PushedEntry) -> Result<(), Error> {
        let place = Place::of_record(record);
        let session = place.session(self.root);
        match (place.kind, self.policy) {
            (KvType::V1, DeletionPolicy::Retain) => Ok(()),
            (KvType::V1, DeletionPolicy::Delete) => self.delete_unversioned(&session, &place, record).await,
            (KvType::V2, policy) => self.release_versioned(&session, &place, policy).await,
        }
    }

    /// Only an unchanged entry is known to be the one that was written.
    async fn delete_unversioned(
        &self,
        session: &Session,
        place: &Place,
        record: &PushedEntry,
    ) -> Result<(), Error> {
        let Kv::Value { values, .. } = session.read_kv1(&place.mount, &place.path).await? else {
            return Ok(());
        };
        if self.seal.of_values(place, &values) == record.secret_mac {
            session.delete_kv1(&place.mount, &place.path).await?;
        }
        Ok(())
    }

    async fn release_versioned(
        &self,
        session: &Session,
        place: &Place,
        policy: DeletionPolicy,
    ) -> Result<(), Error> {
        let Some(found) = session.kv_metadata(&place.mount, &place.path).await? else {
            return Ok(());
        };
        if Mark::of_metadata(&found.custom_metadata).as_ref() != Some(self.mark) {
            return Ok(());
        }
        if policy == DeletionPolicy::Delete {
            return Ok(session.delete_kv2(&place.mount, &place.path).await?);
        }
        let (cas, kept) = (found.current_metadata_version, without_mark(self.mark, found.custom_metadata));
        match session.put_kv_metadata(&place.mount, &place.path, &kept, cas).await {
            // An entry of another policy keeps the mark. That is no reason to stop.
            Err(OpenBao::Denied { .. }) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// Custom metadata without the mark of the object.
pub(super) fn without_mark(mark: &Mark, mut custom: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for key in mark.metadata().keys() {
        custom.remove(key);
    }
    custom
}
