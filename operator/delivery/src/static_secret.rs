//! BaoStaticSecret: a value of a KV engine as a Secret.

use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{BaoStaticSecret, BaoStaticSecretStatus, KvType, rules};
use steamer_core::Error;
use steamer_core::error::Shared;
use steamer_openbao::Kv;

use crate::engine::{
    Common, Document, Engine, Held, Obtained, Oldest, ReadAccess, Reader, Recorded, Request, Schedule,
    Source, Synced, request_digest,
};

/// A path of a KV engine.
pub(crate) struct KvSource {
    reader: Reader,
    read: Request,
    schedule: Schedule,
    /// Digest of the request.
    request: String,
}

impl Synced for BaoStaticSecret {
    const NAME: &'static str = "baostaticsecret";
    type Status = BaoStaticSecretStatus;
    type Source = KvSource;

    fn common(&self) -> Common<'_> {
        let spec = &self.spec;
        Common {
            auth_ref: spec.auth_ref.as_ref(),
            namespace: spec.namespace.as_deref(),
            destination: &spec.destination,
            on_source_deleted: spec.on_source_deleted,
            suspend: spec.suspend,
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let (mount, path) = (&self.spec.mount, &self.spec.path);
        if rules::is_no_kv_mount(mount) {
            return Err(Error::Invalid(format!(
                "mount `{mount}` is not the path of a KV engine: correct spec.mount"
            )));
        }
        if rules::is_no_secret_path(path) {
            return Err(Error::Invalid(format!(
                "path `{path}` has an empty segment, . or .. as a segment, or control characters: correct spec.path"
            )));
        }
        Ok(())
    }

    fn source(&self, access: ReadAccess) -> KvSource {
        let spec = &self.spec;
        let ReadAccess { reader, namespace, login } = access;
        let read = Request {
            login,
            namespace,
            mount: spec.mount.trim_matches('/').to_owned(),
            path: spec.path.clone(),
            kind: spec.type_,
            version: spec.version.filter(|version| *version > 0),
        };
        KvSource {
            schedule: Schedule::new(
                spec.refresh_after.get(),
                &(&read.login.server, &read.namespace, &read.mount, &read.path),
            ),
            request: request(self, &read),
            reader,
            read,
        }
    }

    fn recorded(status: &BaoStaticSecretStatus) -> Recorded {
        let BaoStaticSecretStatus {
            secret_mac,
            version,
            destination,
            last_sync,
            stamp,
            last_handled_reconcile_at: handled,
            observed_generation: _,
            conditions: _,
        } = status.clone();
        Recorded { secret_mac, version, destination, last_sync, stamp, handled }
    }

    fn record(status: &mut BaoStaticSecretStatus, recorded: Recorded) {
        let Recorded { secret_mac, version, destination, last_sync, stamp, handled } = recorded;
        let last = std::mem::take(status);
        *status = BaoStaticSecretStatus {
            secret_mac,
            version,
            destination,
            last_sync,
            stamp,
            last_handled_reconcile_at: handled,
            ..last
        };
    }
}

/// The login is no part of the request, but the reference to the BaoAuth is: another BaoAuth can read another server.
fn request(object: &BaoStaticSecret, read: &Request) -> String {
    let version = read.version.map(|version| version.to_string()).unwrap_or_default();
    let kind = match read.kind {
        KvType::V1 => "kv-v1",
        KvType::V2 => "kv-v2",
    };
    request_digest(&[
        &object.uid().unwrap_or_default(),
        &format!("{:?}", object.spec.auth_ref),
        object.spec.namespace.as_deref().unwrap_or_default(),
        &read.mount,
        &read.path,
        kind,
        &version,
    ])
}

impl Source for KvSource {
    fn request(&self) -> &str {
        &self.request
    }

    fn describe(&self) -> String {
        let Request { mount, path, version, .. } = &self.read;
        let hint = match (self.read.kind, path.strip_prefix("data/")) {
            (KvType::V2, Some(rest)) => format!(" (Steamer adds data/ itself: write path: {rest})"),
            _ => String::new(),
        };
        match version {
            Some(version) => format!("{mount}/{path} version {version}{hint}"),
            None => format!("{mount}/{path}{hint}"),
        }
    }

    fn schedule(&self) -> Schedule {
        self.schedule
    }

    async fn obtain(&self, engine: &Engine, Oldest(oldest): Oldest) -> Result<Option<Obtained>, Error> {
        let reading = engine.readings.read(&self.reader, &self.read, oldest).await;
        let reading = reading.map_err(|error| Error::Shared(Shared(error)))?;
        let Kv::Value { values, version, metadata: _ } = &reading.value else {
            return Ok(None);
        };
        let age = Instant::now().saturating_duration_since(reading.at);
        Ok(Some(Obtained {
            documents: vec![Document { values: values.clone() }],
            held: Held::Read { versions: vec![*version] },
            at: Timestamp::now().checked_sub(age).unwrap_or(Timestamp::now()),
        }))
    }
}
