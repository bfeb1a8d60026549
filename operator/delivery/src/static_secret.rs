//! BaoStaticSecret: values of KV engines as a Secret.

mod decoding;
mod part;
mod search;
mod sources;
mod timing;

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{
    ACCEPT_MOUNT_ANNOTATION, BaoStaticSecret, BaoStaticSecretStatus, Find, Mode, PlannedChange,
    RECONCILE_ANNOTATION,
};
use steamer_core::Error;
use steamer_core::error::Shared;
use steamer_openbao::{Error as OpenBao, Kv};
use steamer_runtime::ObjectName;

use crate::engine::{
    Asked, Common, Document, Due, Engine, Held, Obtained, Read, ReadAccess, Reader, Recorded, Relayed,
    Request, Schedule, Source, Synced, Watched, request_digest,
};
use crate::naming::Budget;
use part::{Collected, Found, Part};
use search::{Lists, Matches};
use sources::{sources, validate};
use timing::{Timing, windows};

/// Paths of KV engines.
pub(crate) struct KvSource {
    reader: Reader,
    parts: Vec<Part>,
    timing: Timing,
    relayed: Option<Relayed>,
    /// Digest of the request.
    request: String,
    /// Digest of the mount.
    mount: String,
    /// Name of the object.
    object: ObjectName,
}

impl KvSource {
    /// The error for a missing value in a mount that is not the one that contained it.
    fn recreated(&self, read: &Request, id: &str) -> Error {
        let ObjectName { namespace, name } = &self.object;
        Error::OpenBao(OpenBao::Mount {
            mount: read.namespace.path(&read.mount),
            found: format!(
                "was recreated and contains no value at {}: restore the value, or accept the new mount with `kubectl \
                 --namespace {namespace} annotate baostaticsecret {name} --overwrite {ACCEPT_MOUNT_ANNOTATION}={id} \
                 {RECONCILE_ANNOTATION}={id}`",
                read.path
            ),
        })
    }
}

impl Synced for BaoStaticSecret {
    const NAME: &'static str = "baostaticsecret";
    type Source = KvSource;

    fn common(&self) -> Common<'_> {
        let spec = &self.spec;
        Common {
            auth_ref: spec.auth_ref.as_ref(),
            namespace: spec.namespace.as_deref(),
            destination: &spec.destination,
            on_source_deleted: spec.on_source_deleted,
            restart_targets: &spec.rollout_restart_targets,
            restart: spec.rollout_restart.as_ref(),
            suspend: spec.suspend,
            revoke: false,
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let sources = sources(&self.spec);
        if sources.is_empty() {
            return Err(Error::Invalid(
                "mount, path and type, or sources, are required: add them".to_owned(),
            ));
        }
        windows(&self.spec)?;
        sources.iter().try_for_each(validate)
    }

    fn source(&self, access: ReadAccess) -> KvSource {
        let spec = &self.spec;
        let (reader, relayed) = (access.reader.clone(), access.relayed.clone());
        let parts: Vec<Part> = sources(spec).into_iter().map(|source| Part::new(source, &access)).collect();
        // Objects with the same first source are due at the same time.
        let first = parts
            .first()
            .map(|Part { read, .. }| (&read.login.server, &read.namespace, &read.mount, &read.path));
        let timing = match first {
            Some(first) => Timing::new(spec, &first),
            None => Timing::new(spec, &()),
        };
        KvSource {
            timing,
            relayed,
            request: request(self, &parts),
            mount: access.digest_of(parts.iter().map(|part| part.read.mount.as_str())),
            object: ObjectName::of(self),
            reader,
            parts,
        }
    }

    fn mode(&self) -> Mode {
        self.spec.mode
    }

    fn set_plan(status: &mut BaoStaticSecretStatus, plan: Vec<PlannedChange>) {
        status.plan = plan;
    }

    fn recorded(status: &BaoStaticSecretStatus) -> Recorded {
        let BaoStaticSecretStatus { sync, version, mount_id: mount, stamp, plan: _, common: _ } = status;
        let (sync, mount, stamp) = (sync.clone(), mount.clone(), stamp.clone());
        Recorded { sync, version: *version, mount, stamp, requests: None }
    }

    fn record(status: &mut BaoStaticSecretStatus, recorded: Recorded) {
        let Recorded { sync, version, mount: mount_id, stamp, requests: _ } = recorded;
        let last = std::mem::take(status);
        *status = BaoStaticSecretStatus { sync, version, mount_id, stamp, ..last };
    }
}

/// The login is no part of the request, but the reference to the BaoAuth is: another BaoAuth can read another server.
fn request(object: &BaoStaticSecret, parts: &[Part]) -> String {
    let mut texts = vec![
        object.uid().unwrap_or_default(),
        format!("{:?}", object.spec.auth_ref),
        object.spec.namespace.clone().unwrap_or_default(),
    ];
    texts.extend(parts.iter().flat_map(Part::request));
    request_digest(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Source for KvSource {
    fn request(&self) -> &str {
        &self.request
    }

    fn mount(&self) -> &str {
        &self.mount
    }

    fn describe(&self) -> String {
        self.parts.iter().map(Part::describe).collect::<Vec<_>>().join(" or ")
    }

    fn schedule(&self) -> Schedule {
        self.timing.refresh
    }

    fn watched(&self) -> Option<Watched> {
        let cluster = self.relayed.as_ref()?.cluster.clone();
        let locations = self.parts.iter().map(|part| part.location(&cluster)).collect();
        Some(Watched { cluster, locations })
    }

    fn due(&self, _held: &Held, obtained: Timestamp) -> Due {
        self.timing.due(self.relayed.as_ref().map(|relayed| &relayed.coverage), obtained)
    }

    async fn obtain(&self, engine: &Engine, asked: Asked<'_>) -> Result<Option<Obtained>, Error> {
        let (mut all, mut budget) = (Collected::default(), Budget::default());
        for (position, part) in self.parts.iter().enumerate() {
            let mount = asked.mount.and_then(|ids| ids.split(',').nth(position)).filter(|id| !id.is_empty());
            let asked = Asked { mount, ..asked };
            let found = match &part.find {
                Some(find) => self.search(engine, (part, find, &mut budget), &asked).await?,
                None => self.read(engine, (part, &mut budget), &asked).await?,
            };
            let Some(found) = found else {
                return Ok(None);
            };
            all.add(found)?;
        }
        Ok(Some(all.obtained()))
    }
}

impl KvSource {
    /// Reads one source. `None` if it has no value.
    async fn read(
        &self,
        engine: &Engine,
        (part, budget): (&Part, &mut Budget),
        asked: &Asked<'_>,
    ) -> Result<Option<Found>, Error> {
        let Read { reading, mount } = self.value(engine, &part.read, asked).await?;
        let id = mount.as_deref().unwrap_or_default();
        let (values, version, metadata) = match &reading.value {
            Kv::Value { values, version, metadata } => (values, *version, metadata.clone()),
            Kv::Absent if !asked.recognizes(id) => return Err(self.recreated(&part.read, id)),
            Kv::Absent | Kv::Deleted { .. } => return Ok(None),
        };
        Ok(Some(Found {
            document: Document { values: part.selected(values, budget)?, metadata },
            version,
            // An inline login reads the ID once.
            mount: mount.or_else(|| asked.mount.map(str::to_owned)),
            at: time_of(reading.at),
        }))
    }

    async fn value(&self, engine: &Engine, read: &Request, asked: &Asked<'_>) -> Result<Read, Error> {
        let read = engine.readings.read(&self.reader, read, asked).await;
        read.map_err(|error| Error::Shared(Shared(error)))
    }

    /// Reads all secrets that a source finds. `None` if there is none.
    async fn search(
        &self,
        engine: &Engine,
        (part, find, budget): (&Part, &Find, &mut Budget),
        asked: &Asked<'_>,
    ) -> Result<Option<Found>, Error> {
        let read = &part.read;
        let checked = engine.readings.checked(&self.reader, read, asked).await;
        let mount = checked.map_err(|error| Error::Shared(Shared(error)))?;
        let mut secrets = BTreeMap::new();
        let lists = Lists { listings: &engine.listings, reader: &self.reader, oldest: asked.oldest };
        let Matches { paths, at } = search::found(&lists, read, find).await?;
        for path in paths {
            let read = Request { path: search::joined(&read.path, &path), ..read.clone() };
            // A deleted version of KV v2 is still listed.
            if let Kv::Value { values, .. } = &self.value(engine, &read, asked).await?.reading.value {
                secrets.insert(path, values.clone());
            }
        }
        if secrets.is_empty() {
            let id = engine.readings.confirmed(&self.reader, read).await?;
            return if asked.recognizes(&id) { Ok(None) } else { Err(self.recreated(read, &id)) };
        }
        let values = part.collected(&secrets, budget)?;
        let document = Document { values, metadata: serde_json::Value::Null };
        let mount = mount.or_else(|| asked.mount.map(str::to_owned));
        Ok(Some(Found { document, version: None, mount, at: time_of(at) }))
    }
}

fn time_of(at: Instant) -> Timestamp {
    let (now, age) = (Timestamp::now(), Instant::now().saturating_duration_since(at));
    now.checked_sub(age).unwrap_or(now)
}
