//! BaoStaticSecret: a value of a KV engine as a Secret.

use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{
    ACCEPT_MOUNT_ANNOTATION, BaoStaticSecret, BaoStaticSecretStatus, KvType, RECONCILE_ANNOTATION, rules,
};
use steamer_core::Error;
use steamer_core::error::Shared;
use steamer_openbao::{Error as OpenBao, Kv};
use steamer_runtime::ObjectName;

use crate::engine::{
    Asked, Common, Document, Engine, Held, Obtained, Read, ReadAccess, Reader, Recorded, Request, Schedule,
    Source, Synced, request_digest,
};

/// A path of a KV engine.
pub(crate) struct KvSource {
    reader: Reader,
    read: Request,
    schedule: Schedule,
    /// Digest of the request.
    request: String,
    /// Digest of the mount.
    mount: String,
    /// Name of the object.
    object: ObjectName,
}

impl KvSource {
    /// The error for a missing value in a mount that is not the one that contained it.
    fn recreated(&self, id: &str) -> Error {
        let ObjectName { namespace, name } = &self.object;
        Error::OpenBao(OpenBao::Mount {
            mount: self.read.namespace.path(&self.read.mount),
            found: format!(
                "was recreated and contains no value at {}: restore the value, or accept the new mount with `kubectl \
                 --namespace {namespace} annotate baostaticsecret {name} --overwrite {ACCEPT_MOUNT_ANNOTATION}={id} \
                 {RECONCILE_ANNOTATION}={id}`",
                self.read.path
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
            mount: request_digest(&[
                &format!("{:?}", read.login.server),
                read.namespace.as_str(),
                &read.mount,
            ]),
            object: ObjectName::of(self),
            reader,
            read,
        }
    }

    fn recorded(status: &BaoStaticSecretStatus) -> Recorded {
        let BaoStaticSecretStatus {
            secret_mac,
            version,
            mount_id: mount,
            destination,
            last_sync,
            stamp,
            restarts,
            last_handled_reconcile_at: handled,
            common: _,
        } = status.clone();
        Recorded { secret_mac, version, mount, destination, last_sync, stamp, restarts, handled }
    }

    fn record(status: &mut BaoStaticSecretStatus, recorded: Recorded) {
        let Recorded { secret_mac, version, mount, destination, last_sync, stamp, restarts, handled } =
            recorded;
        let last = std::mem::take(status);
        *status = BaoStaticSecretStatus {
            secret_mac,
            version,
            mount_id: mount,
            destination,
            last_sync,
            stamp,
            restarts,
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

    fn mount(&self) -> &str {
        &self.mount
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

    async fn obtain(&self, engine: &Engine, asked: Asked<'_>) -> Result<Option<Obtained>, Error> {
        let read = engine.readings.read(&self.reader, &self.read, &asked).await;
        let Read { reading, mount } = read.map_err(|error| Error::Shared(Shared(error)))?;
        let found = mount.as_deref().unwrap_or_default();
        let (document, version) = match &reading.value {
            Kv::Value { values, version, metadata } => {
                (Document { values: values.clone(), metadata: metadata.clone() }, *version)
            }
            Kv::Absent if !asked.recognizes(found) => return Err(self.recreated(found)),
            Kv::Absent | Kv::Deleted { .. } => return Ok(None),
        };
        let age = Instant::now().saturating_duration_since(reading.at);
        Ok(Some(Obtained {
            documents: vec![document],
            held: Held::Read { versions: vec![version] },
            mount,
            at: Timestamp::now().checked_sub(age).unwrap_or(Timestamp::now()),
        }))
    }
}
