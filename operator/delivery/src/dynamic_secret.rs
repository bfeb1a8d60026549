//! BaoDynamicSecret: credentials that OpenBao issues as a Secret.

mod answer;
mod timing;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{
    BaoDynamicSecret, BaoDynamicSecretSpec, BaoDynamicSecretStatus, LeaseStatus, OnSourceDeleted,
    RequestMethod, rules,
};
use steamer_core::Error;
use steamer_core::access::auth::Purpose;
use steamer_openbao::{Error as OpenBao, Session};
use steamer_runtime::Key;

use crate::engine::{
    Asked, Common, Due, Engine, Held, LeaseHeld, Obtained, ReadAccess, Recorded, Renewal, Rule, Schedule,
    Source, Synced, denied, request_digest, session_of,
};
use answer::Terms;

/// A path of an engine that issues credentials.
pub(crate) struct DynamicSource {
    /// Session with a token that all objects with this login share. No lease depends on it.
    session: Session,
    method: Method,
    path: String,
    body: Option<Value>,
    terms: Terms,
    /// When an answer without a lease is requested again.
    interval: Option<Duration>,
    percent: u32,
    /// Digest of the request.
    request: String,
    /// Digest of the mount.
    mount: String,
    /// The object that owns the leases.
    owner: Key,
}

impl Synced for BaoDynamicSecret {
    const NAME: &'static str = "baodynamicsecret";
    type Source = DynamicSource;

    fn common(&self) -> Common<'_> {
        let spec = &self.spec;
        Common {
            auth_ref: spec.auth_ref.as_ref(),
            namespace: spec.namespace.as_deref(),
            destination: &spec.destination,
            on_source_deleted: OnSourceDeleted::Retain,
            restart_targets: &spec.rollout_restart_targets,
            restart: spec.rollout_restart.as_ref(),
            suspend: spec.suspend,
            revoke: spec.revoke,
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let BaoDynamicSecretSpec { mount, path, .. } = &self.spec;
        if rules::is_no_engine_mount(mount) {
            return Err(Error::Invalid(format!(
                "mount `{mount}` is not the path of a secrets engine: correct spec.mount"
            )));
        }
        if rules::is_no_secret_path(path) {
            return Err(Error::Invalid(format!(
                "path `{path}` has an empty segment, . or .. as a segment, or control characters: correct spec.path"
            )));
        }
        Ok(())
    }

    fn source(&self, access: ReadAccess) -> DynamicSource {
        let spec = &self.spec;
        let mount = spec.mount.trim_matches('/');
        DynamicSource {
            method: method(spec),
            path: format!("{mount}/{}", spec.path),
            body: (!spec.params.is_empty()).then(|| json!(spec.params)),
            terms: Terms {
                is_static: spec.allow_static_creds,
                namespace: access.namespace.as_str().to_owned(),
            },
            interval: spec.refresh_after.as_ref().map(steamer_api::Duration::get),
            percent: u32::try_from(spec.renewal_percent.clamp(1, 90)).unwrap_or(90),
            request: request(self),
            mount: access.digest_of([mount]),
            owner: access.owner,
            session: access.reader.token,
        }
    }

    fn recorded(status: &BaoDynamicSecretStatus) -> Recorded {
        // Lease and time are parts of the stamp.
        let BaoDynamicSecretStatus { sync, stamp, lease: _, next_read: _, common: _ } = status;
        Recorded { sync: sync.clone(), stamp: stamp.clone(), version: None, mount: None }
    }

    fn record(status: &mut BaoDynamicSecretStatus, recorded: Recorded) {
        let held = recorded.held();
        // A credential has no version, and no value can be missing in its mount.
        let Recorded { sync, stamp, version: _, mount: _ } = recorded;
        let (lease, next_read) = (held.as_ref().and_then(lease_status), held.as_ref().and_then(next_read));
        let common = std::mem::take(&mut status.common);
        *status = BaoDynamicSecretStatus { common, sync, stamp, lease, next_read };
    }
}

fn method(spec: &BaoDynamicSecretSpec) -> Method {
    match spec.request_http_method {
        Some(RequestMethod::Put) => Method::PUT,
        Some(RequestMethod::Post) => Method::POST,
        Some(RequestMethod::Get) | None if spec.params.is_empty() => Method::GET,
        Some(RequestMethod::Get) | None => Method::POST,
    }
}

/// Digest of everything that makes another credential necessary. The login does not, and neither do the times of the renewal.
fn request(object: &BaoDynamicSecret) -> String {
    let BaoDynamicSecretSpec { namespace, mount, path, params, allow_static_creds, .. } = &object.spec;
    let uid = object.uid().unwrap_or_default();
    let what = json!([uid, namespace, mount.trim_matches('/'), path, params, allow_static_creds]).to_string();
    request_digest(&[&what, method(&object.spec).as_str()])
}

fn lease_status(held: &Held) -> Option<LeaseStatus> {
    let Held::Lease(lease) = held else { return None };
    let LeaseHeld { id, renewable, .. } = lease.clone();
    Some(LeaseStatus { id, expires_at: Time(lease.until()), renewable })
}

fn next_read(held: &Held) -> Option<Time> {
    let Held::Rotated { next, .. } = held else { return None };
    next.map(Time)
}

impl Source for DynamicSource {
    const PURPOSE: Purpose = Purpose::Lease;
    const ISSUES: bool = true;

    fn request(&self) -> &str {
        &self.request
    }

    fn mount(&self) -> &str {
        &self.mount
    }

    fn describe(&self) -> String {
        self.path.clone()
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.interval.unwrap_or(Duration::from_secs(3600)), &self.owner.name)
    }

    /// Requests a credential with a token of its own. If the response is lost, the revocation of the token revokes the lease,
    /// and no further credential is requested before it.
    async fn obtain(&self, engine: &Engine, asked: Asked<'_>) -> Result<Option<Obtained>, Error> {
        engine.leases.settle(&self.owner).await?;
        let (session, life) = self.session.separate().await?;
        let issued = session.issue(self.method.clone(), &self.path, self.body.clone()).await;
        let obtained = issued.map_err(|error| denied(error, self.rule())).and_then(|issued| {
            let token = timing::token_held(life, timing::now());
            answer::obtained(issued, (token, asked.held), &self.terms)
        });
        match &obtained {
            Ok(Obtained { held: Held::Lease(lease), .. }) => {
                engine.leases.keep((&self.owner, &lease.id), session);
            }
            // Nothing depends on the token, or nothing may depend on it.
            Ok(_) | Err(_) => self.discard(engine, session).await,
        }
        obtained.map(Some)
    }

    fn due(&self, held: &Held, obtained: Timestamp) -> Due {
        match (held, self.interval) {
            (Held::Read { .. }, Some(_)) => {
                let schedule = self.schedule();
                Due::on(&schedule, schedule.next(obtained))
            }
            _ => timing::due(held, self.percent, &self.owner.name),
        }
    }

    async fn renew(&self, engine: &Engine, held: &Held) -> Result<Renewal, Error> {
        let Held::Lease(lease) = held else { return Ok(Renewal::Gone) };
        let mut lease = lease.clone();
        // None after a restart: the token of a process before this one ends at its time.
        let mut own = engine.leases.through((&self.owner, &lease.id), &self.session);
        if let (Some(session), Some(token)) = (&own, lease.token.filter(|token| token.renewable)) {
            match session.renew_token().await {
                Ok(life) => lease.token = timing::renewed_token(token, life, timing::now()),
                Err(OpenBao::Denied { .. }) => {
                    lease.token = Some(timing::final_token(token));
                    own = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let session = own.unwrap_or_else(|| self.session_of(&lease));
        renew_lease(&session, lease).await
    }

    /// Without the right to look it up, a lease is kept until its renewal.
    async fn exists(&self, _engine: &Engine, held: &Held) -> Result<bool, Error> {
        let Held::Lease(lease) = held else { return Ok(true) };
        match self.session_of(lease).lookup_lease(&lease.id).await {
            Err(OpenBao::Denied { .. }) => Ok(true),
            found => Ok(found?.is_some()),
        }
    }

    async fn give_back(&self, engine: &Engine, held: &Held) -> Result<(), Error> {
        let Held::Lease(lease) = held else { return Ok(()) };
        if engine.leases.revoke((&self.owner, &lease.id)).await? {
            return Ok(());
        }
        let rule = || Rule { path: "sys/leases/revoke".to_owned(), capability: "update" };
        self.session_of(lease).revoke_lease(&lease.id).await.map_err(|error| denied(error, rule()))
    }
}

impl DynamicSource {
    /// The rule that permits the request.
    fn rule(&self) -> Rule {
        let capability = if self.method == Method::GET { "read" } else { "update" };
        Rule { path: self.path.clone(), capability }
    }

    /// The shared session in the namespace of a lease.
    fn session_of(&self, lease: &LeaseHeld) -> Session {
        session_of(&self.session, lease.namespace.as_deref())
    }

    /// Revokes the token of a request that granted no lease, as far as its response tells.
    async fn discard(&self, engine: &Engine, session: Session) {
        engine.leases.lost(&self.owner, session);
        if let Err(error) = engine.leases.settle(&self.owner).await {
            tracing::warn!(object = %self.owner.name, error = &error as &dyn std::error::Error, "the token of a request is not revoked");
        }
    }
}

/// Renews a lease, or looks for one that cannot be renewed: its token was.
async fn renew_lease(session: &Session, mut lease: LeaseHeld) -> Result<Renewal, Error> {
    let now = timing::now();
    if !lease.renewable {
        return match session.lookup_lease(&lease.id).await {
            Ok(None) => Ok(Renewal::Gone),
            Ok(Some(_)) | Err(OpenBao::Denied { .. }) => Ok(renewed(lease, now)),
            Err(error) => Err(error.into()),
        };
    }
    let increment = Duration::from_secs(u64::try_from(lease.seconds).unwrap_or_default());
    match session.renew_lease(&lease.id, increment).await {
        Ok(None) => return Ok(Renewal::Gone),
        Ok(Some(granted)) => {
            lease.ends = timing::after(now, granted.duration);
            lease.renewable = granted.renewable;
        }
        // Another lease replaces it before it ends.
        Err(OpenBao::Denied { .. }) => lease.renewable = false,
        Err(error) => return Err(error.into()),
    }
    Ok(renewed(lease, now))
}

fn renewed(lease: LeaseHeld, now: Timestamp) -> Renewal {
    Renewal::Renewed(Held::Lease(LeaseHeld { at: now, ..lease }))
}
