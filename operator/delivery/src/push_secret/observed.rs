//! The state of an entry in OpenBao.

use std::collections::BTreeMap;

use jiff::Timestamp;
use steamer_api::{KvType, PushedEntry};
use steamer_core::Error;
use steamer_core::access::auth::Access;
use steamer_core::ownership::Mark;
use steamer_openbao::{Kv, KvMetadata, KvVersion, KvVersionState, Session, Values};

use super::entry::Entry;
use super::place::Place;

/// An entry in OpenBao.
pub(super) enum Observed {
    /// It does not exist.
    Absent,
    /// It exists.
    Found(Found),
}

/// An existing entry.
pub(super) struct Found {
    /// Owner. `kv-v1` records none.
    pub(super) mark: Option<Mark>,
    /// Custom metadata.
    pub(super) custom: BTreeMap<String, String>,
    /// Number of the last change of the metadata. 0: there was none.
    pub(super) metadata_version: i64,
    /// Latest version. 0 for an entry without a version, and for `kv-v1`.
    pub(super) version: i64,
    pub(super) content: Content,
}

/// Values of an existing entry.
pub(super) enum Content {
    /// Not read: the latest version is the one that the status records.
    Recorded,
    /// None: the latest version was deleted, or there is none yet.
    Missing,
    /// The values of the latest version.
    Read(Values),
}

/// Reads the state of an entry. The values are read only if the version is not the recorded one, or if the Secret has changed.
pub(super) async fn observe(
    access: &Access,
    entry: &Entry,
    recorded: Option<&PushedEntry>,
    mark: &Mark,
) -> Result<Observed, Error> {
    let place = &entry.place;
    let observed = match place.kind {
        KvType::V1 => unversioned(&access.session, place).await?,
        KvType::V2 => {
            let recorded =
                recorded.filter(|recorded| recorded.secret_mac == entry.mac && entry.expired.is_empty());
            versioned(&access.session, place, recorded, mark).await?
        }
    };
    if matches!(observed, Observed::Absent) {
        confirm_engine(&access.token, place).await?;
    }
    Ok(observed)
}

/// Checks the engine before an entry is created: another engine can answer in the same way.
async fn confirm_engine(token: &Session, place: &Place) -> Result<(), Error> {
    let version = match place.kind {
        KvType::V1 => KvVersion::V1,
        KvType::V2 => KvVersion::V2,
    };
    Ok(place.session(token).kv_engine(&place.mount, version).await.map(drop)?)
}

async fn unversioned(root: &Session, place: &Place) -> Result<Observed, Error> {
    match place.session(root).read_kv1(&place.mount, &place.path).await? {
        Kv::Value { values, .. } => {
            let custom = BTreeMap::new();
            Ok(Observed::Found(Found {
                mark: None,
                custom,
                metadata_version: 0,
                version: 0,
                content: Content::Read(values),
            }))
        }
        Kv::Deleted { .. } | Kv::Absent => Ok(Observed::Absent),
    }
}

async fn versioned(
    root: &Session,
    place: &Place,
    recorded: Option<&PushedEntry>,
    mark: &Mark,
) -> Result<Observed, Error> {
    let session = place.session(root);
    let Some(metadata) = session.kv_metadata(&place.mount, &place.path).await? else {
        return Ok(Observed::Absent);
    };
    let found = Mark::of_metadata(&metadata.custom_metadata);
    let is_recorded = found.as_ref() == Some(mark)
        && recorded.is_some_and(|recorded| recorded.version == Some(metadata.current_version));
    let KvMetadata { current_version: version, current_metadata_version: metadata_version, .. } = metadata;
    let content = match availability(&metadata, Timestamp::now()) {
        Availability::Missing => Content::Missing,
        Availability::Present if is_recorded => Content::Recorded,
        Availability::Present => read(&session, place, version).await?,
    };
    Ok(Observed::Found(Found {
        mark: found,
        custom: metadata.custom_metadata,
        metadata_version,
        version,
        content,
    }))
}

/// Reads the version of the metadata. The latest version can be another one by now: a write of it then fails.
async fn read(session: &Session, place: &Place, version: i64) -> Result<Content, Error> {
    match session.read_kv2(&place.mount, &place.path, Some(version)).await? {
        Kv::Value { values, .. } => Ok(Content::Read(values)),
        Kv::Deleted { .. } | Kv::Absent => Ok(Content::Missing),
    }
}

/// Whether the latest version has values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    Present,
    Missing,
}

/// Returns whether the latest version has values. The deletion of a version can be scheduled.
pub(super) fn availability(metadata: &KvMetadata, now: Timestamp) -> Availability {
    let Some(KvVersionState { created_time: _, deletion_time, destroyed }) = metadata.latest() else {
        return Availability::Missing;
    };
    let scheduled = deletion_time.parse::<Timestamp>().is_ok_and(|at| at > now);
    if *destroyed || !(deletion_time.is_empty() || scheduled) {
        Availability::Missing
    } else {
        Availability::Present
    }
}
