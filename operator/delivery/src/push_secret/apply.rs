//! Executes the step of an entry.

use std::time::{Duration, Instant};

use steamer_api::{KvType, StoppedWrite};
use steamer_core::Error;
use steamer_core::generators::generate;
use steamer_core::stops::Stops;
use steamer_openbao::{Error as OpenBao, Kv, Session, Values};
use steamer_runtime::ObjectName;
use steamer_runtime::write_limit::{Write as Limited, WriteLimit, digest};

use super::entry::{Entry, Seal, same};
use super::place::Place;
use super::plan::{Marking, Write};

/// Writes entries of one object.
pub(super) struct Writer<'a> {
    /// Session of the identity in the root namespace.
    pub(super) root: &'a Session,
    pub(super) object: &'a ObjectName,
    pub(super) limit: &'a WriteLimit,
    /// The stopped writes of the last status.
    pub(super) stops: &'a Stops,
    /// Computes digests of existing values.
    pub(super) seal: Seal<'a>,
    /// Interval at which the entries are checked.
    pub(super) interval: Duration,
}

impl Writer<'_> {
    /// The stop of a write that another client undoes each time, and the error of the entry.
    pub(super) fn stop(&self, entry: &Entry, write: &Write) -> Option<(StoppedWrite, Error)> {
        let path = entry.place.published();
        let (desired, limited) = (desired(entry, Counted::of(entry, write)), self.limited(entry, write));
        let stop = self.stops.check((self.limit, self.object), (&path, &desired), limited, Instant::now())?;
        let error = self.stops.error(&path, !write.has_values, &stop);
        Some((stop, error))
    }

    /// Writes an entry. Returns its version. The mark is written first: an entry without it would be foreign after a crash. Only a
    /// write that OpenBao has executed counts as a repair.
    pub(super) async fn write(&self, entry: &Entry, write: &Write) -> Result<i64, Error> {
        let session = entry.place.session(self.root);
        let race = raced(entry);
        let admitted = self.limit.admit(self.object, race, Instant::now());
        admitted.map_err(|pause| Error::Repeated(overtaken_each_time(&entry.place), pause))?;
        let Place { mount, path, .. } = &entry.place;
        if let Some(Marking { after, version, .. }) = &write.marking {
            session.put_kv_metadata(mount, path, after, *version).await?;
        }
        let Some(update) = &write.update else {
            self.limit.record(self.object, self.limited(entry, write), Instant::now());
            return Ok(write.version);
        };
        let values = completed(&session, entry, &update.existing).await?;
        let version = match put(&session, &entry.place, &values, write.version).await {
            Err(Error::OpenBao(OpenBao::CheckAndSet { .. })) => {
                self.limit.record(self.object, race, Instant::now());
                overtaken(&session, entry, write, &values).await?
            }
            version => version?,
        };
        self.limit.record(self.object, self.limited(entry, write), Instant::now());
        Ok(version)
    }

    fn limited(&self, entry: &Entry, write: &Write) -> Limited {
        limited((entry, write), self.seal, self.interval)
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

/// What is counted about an entry, each with its own limit.
#[derive(Clone, Copy, Hash)]
enum Counted {
    /// Repairs of existing values, and of the mark.
    Repair,
    /// Writes of missing values. They are counted for a minute: OpenBao can delete versions at an interval.
    Creation,
    /// Replacements of values that are too old, which repair nothing.
    Rotation,
    /// Writes that another client has overtaken.
    Race,
}

/// What a write can be.
const WRITES: [Counted; 3] = [Counted::Repair, Counted::Creation, Counted::Rotation];

impl Counted {
    fn of(entry: &Entry, write: &Write) -> Self {
        match (entry.expired.is_empty(), write.has_values) {
            (false, _) => Self::Rotation,
            (true, true) => Self::Repair,
            (true, false) => Self::Creation,
        }
    }

    /// Name in the seal of a stop.
    const fn name(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Creation => "creation",
            Self::Rotation => "rotation",
            Self::Race => "race",
        }
    }
}

/// The write, for the limit of repetitions.
fn limited((entry, write): (&Entry, &Write), seal: Seal<'_>, interval: Duration) -> Limited {
    let counted = Counted::of(entry, write);
    let is_repair = matches!(counted, Counted::Repair);
    let existing = write.update.as_ref().filter(|_| is_repair).map(|it| &it.existing);
    let before = existing.map(|values| seal.of_values(&entry.place, values));
    Limited {
        resource: resource(&entry.place, counted),
        desired: digest(&entry.mac),
        before: digest(&(write.reason, before)),
        interval: if is_repair { interval } else { Duration::ZERO },
    }
}

fn resource(place: &Place, counted: Counted) -> u64 {
    digest(&(place, counted))
}

/// A write that another client overtakes: it changes nothing, so that it pauses, and never stops.
fn raced(entry: &Entry) -> Limited {
    let (resource, desired) = (resource(&entry.place, Counted::Race), digest(&entry.mac));
    Limited { resource, desired, before: 0, interval: Duration::ZERO }
}

fn overtaken_each_time(place: &Place) -> String {
    let path = place.published();
    format!(
        "another client writes {path} in OpenBao at the same time as Steamer, again and again: stop it, or choose another path"
    )
}

/// The desired state of an entry, for the seal of a stop.
fn desired(entry: &Entry, counted: Counted) -> String {
    format!("{} {}", counted.name(), entry.mac)
}

/// The stops in the last status that are in force for the entry.
pub(super) fn stops_of<'a>(stops: &'a Stops, entry: &Entry) -> impl Iterator<Item = &'a StoppedWrite> {
    let path = entry.place.published();
    WRITES.map(|counted| stops.find(&path, &desired(entry, counted))).into_iter().flatten()
}

/// Ends the stops of an entry that needs no write.
pub(super) fn settle(limit: &WriteLimit, object: &ObjectName, place: &Place) {
    let settled = WRITES.map(|counted| resource(place, counted));
    limit.settle(object, |it| !settled.contains(&it));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use steamer_api::{BaoPushSecret, KindId, Operation};
    use steamer_core::mac::Mac;
    use steamer_core::ownership::Mark;
    use steamer_core::ownership::mark::Owner;
    use steamer_openbao::{Json, NamespacePath};

    use super::*;
    use crate::push_secret::plan::Update;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn entry(mac: &Mac, value: &str) -> Entry {
        let (namespace, path) = (NamespacePath::new("org"), "app".to_owned());
        let place = Place { namespace, mount: "kv".to_owned(), path, kind: KvType::V2 };
        let fixed = BTreeMap::from([("a".to_owned(), Json::string(value))]);
        Entry::new(place, fixed, BTreeMap::new(), &Seal { mac, object: &ObjectName::new("web", "app") })
    }

    /// A write over the existing value. None: the entry has no values.
    fn over(existing: Option<&str>) -> Write {
        let values = existing.map(|value| ("a".to_owned(), Json::string(value)));
        let update = Update { existing: Values(values.into_iter().collect()) };
        let (operation, has_values) = (Operation::Update, existing.is_some());
        Write { marking: None, update: Some(update), version: 1, operation, reason: "differs", has_values }
    }

    #[test]
    fn a_missing_entry_is_counted_for_a_minute_and_a_repair_by_what_it_replaces() {
        let (mac, object) = (Mac::new(&[7; 32]), ObjectName::new("web", "app"));
        let (entry, seal) = (entry(&mac, "ours"), Seal { mac: &mac, object: &object });
        let counted = |existing| limited((&entry, &over(existing)), seal, INTERVAL);
        assert_eq!((counted(None).interval, counted(Some("one")).interval), (Duration::ZERO, INTERVAL));
        assert_ne!(counted(None).resource, counted(Some("one")).resource);
        assert_eq!(counted(Some("one")), counted(Some("one")));
        assert_ne!(counted(Some("one")).before, counted(Some("two")).before);
        let expired = Entry { expired: ["a".to_owned()].into(), ..entry.clone() };
        let rotation = |existing| limited((&expired, &over(Some(existing))), seal, INTERVAL);
        assert_eq!((rotation("one"), rotation("one").interval), (rotation("two"), Duration::ZERO));
    }

    #[test]
    fn all_stops_of_an_entry_are_found_and_no_others() {
        let (mac, name) = (Mac::new(&[7; 32]), ObjectName::new("web", "app"));
        let spec = serde_json::from_value(json!({"secretRef": {"name": "app"}, "data": []})).unwrap();
        let object = BaoPushSecret::new("app", spec);
        let owner = Owner::Object(KindId::BaoPushSecret);
        let mark = Mark { installation: "i".to_owned(), owner, name };
        let (entry, changed) = (entry(&mac, "ours"), entry(&mac, "other"));
        let path = entry.place.published();
        let none = Stops::new(&mac, &mark, &object, Vec::new());
        let mut known = [Counted::Repair, Counted::Creation]
            .map(|counted| none.stop(&path, &desired(&entry, counted), 5))
            .to_vec();
        known.push(StoppedWrite { path, ..StoppedWrite::default() });
        let stops = Stops::new(&mac, &mark, &object, known.clone());
        assert_eq!(stops_of(&stops, &entry).cloned().collect::<Vec<_>>(), known[..2]);
        assert_eq!(stops_of(&stops, &changed).count(), 0);
    }
}
