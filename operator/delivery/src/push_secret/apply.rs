//! Executes the step of an entry.

use std::time::Instant;

use steamer_api::KvType;
use steamer_core::Error;
use steamer_openbao::{Error as OpenBao, Session, Values};
use steamer_runtime::ObjectName;
use steamer_runtime::write_limit::{Write as Limited, WriteLimit, digest};

use super::entry::Entry;
use super::generate::generate;
use super::place::Place;
use super::plan::{Marking, Update, Write};

/// Writes entries of one object.
pub(super) struct Writer<'a> {
    /// Session of the identity in the root namespace.
    pub(super) root: &'a Session,
    pub(super) object: &'a ObjectName,
    pub(super) limit: &'a WriteLimit,
}

impl Writer<'_> {
    /// Writes an entry. Returns its version. The mark is written first: an entry without it would be foreign after a crash.
    pub(super) async fn write(&self, entry: &Entry, write: &Write) -> Result<i64, Error> {
        let limited = limited(entry, write);
        let admitted = self.limit.admit(self.object, limited, Instant::now());
        admitted.map_err(|pause| Error::Repeated(undone(&entry.place), pause))?;
        let session = entry.place.session(self.root);
        if let Some(marking) = &write.marking {
            mark(&session, &entry.place, marking).await?;
        }
        let Some(update) = &write.update else { return Ok(write.version) };
        let version = update_values(&session, entry, write.version, update).await;
        if let (Err(Error::OpenBao(OpenBao::CheckAndSet { .. })), Some(marking)) = (&version, &write.marking)
        {
            // The version of the other client must not become one of this object.
            unmark(&session, &entry.place, marking).await?;
        }
        self.limit.record(self.object, limited, Instant::now());
        version
    }
}

async fn mark(session: &Session, place: &Place, marking: &Marking) -> Result<(), Error> {
    Ok(session.put_kv_metadata(&place.mount, &place.path, &marking.after).await?)
}

async fn unmark(session: &Session, place: &Place, marking: &Marking) -> Result<(), Error> {
    Ok(session.put_kv_metadata(&place.mount, &place.path, &marking.before).await?)
}

async fn update_values(
    session: &Session,
    entry: &Entry,
    version: i64,
    update: &Update,
) -> Result<i64, Error> {
    let values = completed(session, entry, &update.existing).await?;
    let Place { mount, path, kind, .. } = &entry.place;
    Ok(match kind {
        KvType::V1 => session.put_kv1(mount, path, &values).await.map(|()| 0)?,
        KvType::V2 => session.put_kv2(mount, path, &values, version).await?,
    })
}

/// The values of the Secret, the existing generated ones, and new ones for those that are missing.
async fn completed(session: &Session, entry: &Entry, existing: &Values) -> Result<Values, Error> {
    let mut values = entry.merged(existing);
    for (property, generator) in entry.missing(existing) {
        values.0.extend(generate(session, property, generator).await?);
    }
    Ok(values)
}

fn limited(entry: &Entry, write: &Write) -> Limited {
    Limited { resource: digest(&entry.place), desired: digest(&entry.mac), before: digest(write.reason) }
}

fn undone(place: &Place) -> String {
    let path = place.published();
    format!("another client undoes each change of {path} in OpenBao: stop it, or choose another path")
}
