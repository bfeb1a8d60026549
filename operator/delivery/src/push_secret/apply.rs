//! Executes the step of an entry.

use std::time::{Duration, Instant};

use steamer_api::KvType;
use steamer_core::Error;
use steamer_core::generators::generate;
use steamer_openbao::{Error as OpenBao, Kv, Session, Values};
use steamer_runtime::ObjectName;
use steamer_runtime::write_limit::{Write as Limited, WriteLimit, digest};

use super::entry::{Entry, same};
use super::place::Place;
use super::plan::{Marking, Write};

/// Writes entries of one object.
pub(super) struct Writer<'a> {
    /// Session of the identity in the root namespace.
    pub(super) root: &'a Session,
    pub(super) object: &'a ObjectName,
    pub(super) limit: &'a WriteLimit,
    /// Interval at which the entries are checked.
    pub(super) interval: Duration,
}

impl Writer<'_> {
    /// Writes an entry. Returns its version. The mark is written first: an entry without it would be foreign after a crash.
    pub(super) async fn write(&self, entry: &Entry, write: &Write) -> Result<i64, Error> {
        let limited = limited(entry, write, self.interval);
        let admitted = self.limit.admit(self.object, limited, Instant::now());
        admitted.map_err(|pause| Error::Repeated(undone(&entry.place), pause))?;
        let session = entry.place.session(self.root);
        let Place { mount, path, .. } = &entry.place;
        if let Some(Marking { after, version, .. }) = &write.marking {
            session.put_kv_metadata(mount, path, after, *version).await?;
        }
        let Some(update) = &write.update else { return Ok(write.version) };
        let values = completed(&session, entry, &update.existing).await?;
        let version = put(&session, &entry.place, &values, write.version).await;
        self.limit.record(self.object, limited, Instant::now());
        match version {
            Err(Error::OpenBao(OpenBao::CheckAndSet { .. })) => {
                overtaken(&session, entry, write, &values).await
            }
            version => version,
        }
    }
}

async fn put(session: &Session, place: &Place, values: &Values, version: i64) -> Result<i64, Error> {
    let Place { mount, path, kind, .. } = place;
    Ok(match kind {
        KvType::V1 => session.put_kv1(mount, path, values).await.map(|()| 0)?,
        KvType::V2 => session.put_kv2(mount, path, values, version).await?,
    })
}

/// Handles a version that was written in the meantime. It is the own one if the answer to the write was lost and the client
/// repeated it. The version of another client must not become one of this object: a new mark is removed.
async fn overtaken(session: &Session, entry: &Entry, write: &Write, values: &Values) -> Result<i64, Error> {
    let Place { mount, path, .. } = &entry.place;
    if let Kv::Value { values: latest, version: Some(version), .. } =
        session.read_kv2(mount, path, None).await?
        && same(&latest, values)
    {
        return Ok(version);
    }
    if let Some(Marking { before, version, .. }) = &write.marking {
        session.put_kv_metadata(mount, path, before, version + 1).await?;
    }
    Err(Error::OpenBao(OpenBao::CheckAndSet { path: entry.place.published() }))
}

/// The values of the Secret, the existing generated ones, and new ones for those that are missing.
async fn completed(session: &Session, entry: &Entry, existing: &Values) -> Result<Values, Error> {
    let mut values = entry.merged(existing);
    for (property, generator) in entry.missing(existing) {
        values.0.extend(generate(session, property, generator).await?);
    }
    Ok(values)
}

/// The write, for the limit of repetitions. A value that is too old is replaced, which repairs nothing.
fn limited(entry: &Entry, write: &Write, interval: Duration) -> Limited {
    let is_repair = entry.expired.is_empty();
    Limited {
        resource: digest(&(&entry.place, is_repair)),
        desired: digest(&entry.mac),
        before: digest(write.reason),
        interval: if is_repair { interval } else { Duration::ZERO },
    }
}

fn undone(place: &Place) -> String {
    let path = place.published();
    format!("another client undoes each change of {path} in OpenBao: stop it, or choose another path")
}
