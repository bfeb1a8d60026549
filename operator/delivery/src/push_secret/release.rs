//! Entries that an object no longer needs: they are deleted, or kept without its mark.

use std::collections::BTreeMap;

use steamer_api::{DeletionPolicy, KvType, Operation, PlannedChange, PushedEntry};
use steamer_core::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{Error as OpenBao, Kv, KvMetadata, Session};

use super::entry::Seal;
use super::keys::Keys;
use super::place::Place;

/// Why an entry is released.
const RELEASED: &str = "the spec no longer contains the entry";

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

    /// The change that the release of an entry would make.
    pub(super) async fn planned(&self, record: &PushedEntry) -> Result<Option<PlannedChange>, Error> {
        let place = Place::of_record(record);
        let session = place.session(self.root);
        match (place.kind, self.policy) {
            (KvType::V1, DeletionPolicy::Retain) => Ok(None),
            (KvType::V1, DeletionPolicy::Delete) => {
                let Kv::Value { values, .. } = session.read_kv1(&place.mount, &place.path).await? else {
                    return Ok(None);
                };
                let is_own = self.seal.of_values(&place, &values) == record.secret_mac;
                Ok(is_own.then(|| deletion(&place, &Keys::deleted(&values))))
            }
            (KvType::V2, policy) => planned_versioned(&session, &place, (self.mark, policy)).await,
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
        if !is_of(&found, self.mark) {
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

fn is_of(found: &KvMetadata, mark: &Mark) -> bool {
    Mark::of_metadata(&found.custom_metadata).as_ref() == Some(mark)
}

async fn planned_versioned(
    session: &Session,
    place: &Place,
    (mark, policy): (&Mark, DeletionPolicy),
) -> Result<Option<PlannedChange>, Error> {
    let found = session.kv_metadata(&place.mount, &place.path).await?;
    if !found.is_some_and(|found| is_of(&found, mark)) {
        return Ok(None);
    }
    if policy == DeletionPolicy::Retain {
        let reason = format!("{RELEASED}: it keeps its values, and loses the mark of its owner");
        return Ok(Some(PlannedChange { operation: Operation::Update, path: place.published(), reason }));
    }
    let keys = match session.read_kv2(&place.mount, &place.path, None).await {
        Ok(Kv::Value { values, .. }) => Keys::deleted(&values),
        // An entry of another policy can be deleted, and not read.
        Ok(Kv::Deleted { .. } | Kv::Absent) | Err(OpenBao::Denied { .. }) => Keys::default(),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(deletion(place, &keys)))
}

fn deletion(place: &Place, keys: &Keys) -> PlannedChange {
    let (path, reason) = (place.published(), format!("{RELEASED}{keys}"));
    PlannedChange { operation: Operation::Delete, path, reason }
}

/// Custom metadata without the mark of the object.
pub(super) fn without_mark(mark: &Mark, mut custom: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for key in mark.metadata().keys() {
        custom.remove(key);
    }
    custom
}
