//! BaoDynamicSecret: credentials that OpenBao issues as a Secret.

mod answer;
mod renewal;
mod timing;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{
    BaoDynamicSecret, BaoDynamicSecretSpec, BaoDynamicSecretStatus, LeaseStatus, Mode, OnSourceDeleted,
    PlannedChange, RequestMethod, rules,
};
use steamer_core::Error;
use steamer_core::access::auth::Purpose;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};
use steamer_runtime::{Key, ObjectName};

use crate::engine::{
    Accessor, Answer, Asked, Common, Dedicated, Due, Engine, Foreseen, Held, LeaseHeld, Obtained, ReadAccess,
    Recorded, Renewal, Rule, Schedule, Source, Synced, denied, request_digest, session_of,
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
    /// Digest of the address of the server.
    server: String,
    /// The object that owns the leases.
    owner: Key,
    /// OpenBao namespace of the tokens.
    login: NamespacePath,
    /// The cluster. None for a server that is known by its address only: the operator has no session of its own there.
    cluster: Option<ObjectName>,
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
            server: access.server(),
            owner: access.owner,
            login: access.login.namespace.clone(),
            cluster: access.cluster,
            session: access.reader.token,
        }
    }

    fn mode(&self) -> Mode {
        self.spec.mode
    }

    fn set_plan(status: &mut BaoDynamicSecretStatus, plan: Vec<PlannedChange>) {
        status.plan = plan;
    }

    fn recorded(status: &BaoDynamicSecretStatus) -> Recorded {
        // Lease and time are parts of the stamp.
        let BaoDynamicSecretStatus { sync, stamp, open_requests, lease: _, next_read: _, plan: _, common: _ } =
            status;
        let (sync, stamp, requests) = (sync.clone(), stamp.clone(), open_requests.clone());
        Recorded { sync, stamp, requests, version: None, mount: None }
    }

    fn record(status: &mut BaoDynamicSecretStatus, recorded: Recorded) {
        let held = recorded.held();
        // A credential has no version, and no value can be missing in its mount.
        let Recorded { sync, stamp, requests: open_requests, version: _, mount: _ } = recorded;
        let (lease, next_read) = (held.as_ref().and_then(lease_status), held.as_ref().and_then(next_read));
        let last = std::mem::take(status);
        *status = BaoDynamicSecretStatus { sync, stamp, lease, next_read, open_requests, ..last };
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

    /// The keys depend on the engine.
    fn foreseen(&self) -> Foreseen {
        let path = self.session.namespace().path(&self.path);
        Foreseen { path, is_open: true, ..Foreseen::default() }
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.interval.unwrap_or(Duration::from_secs(3600)), &self.owner.name)
    }

    /// Each lease has a token of its own. It is recorded if a lease can depend on it that is lost in a crash. The password of a
    /// static role has no lease: after the first time, it is read with the token that objects share.
    async fn dedicated(&self, engine: &Engine, last: Option<&Held>) -> Result<Option<Dedicated>, Error> {
        if self.terms.is_static && matches!(last, Some(Held::Rotated { .. })) {
            return Ok(None);
        }
        let (session, token) = self.session.separate().await?;
        let may_lease = !self.terms.is_static && last.is_none_or(Held::is_issued);
        let recorded = token.accessor.filter(|_| may_lease).zip(self.cluster.as_ref());
        let accessor = recorded.map(|(id, cluster)| {
            Accessor::new(id, (&self.login, cluster), (&self.owner, &engine.context.mac))
        });
        Ok(Some(Dedicated { session, life: token.life, accessor, request: 0 }))
    }

    /// Requests a credential. If the response is lost, OpenBao may still grant a lease: the token is revoked later, and with it the
    /// lease.
    async fn obtain(&self, engine: &Engine, asked: Asked<'_>) -> Result<Option<Obtained>, Error> {
        let Some(own) = asked.dedicated else {
            return self.read_again(asked).await.map(Some);
        };
        let issued = own.session.issue(self.method.clone(), &self.path, self.body.clone()).await;
        let is_open = issued.as_ref().err().is_some_and(answer::may_run);
        let obtained = issued.map_err(|error| denied(error, self.rule())).and_then(|issued| {
            let token = timing::token_held(own.life, timing::now());
            answer::obtained(issued, (token, asked.held), &self.terms)
        });
        let obtained =
            obtained.map(|obtained| answer::with_origin(obtained, own.accessor.clone(), &self.server));
        match &obtained {
            Ok(Obtained { held: Held::Lease(lease), .. }) => {
                engine.leases.keep((&self.owner, &lease.id), own.session.clone());
                engine.requests.answered(&self.owner, own.request, Answer::Granted(lease.id.clone()));
            }
            Err(_) if is_open => engine.requests.lost(&self.owner, own.request, timing::now()),
            // Nothing depends on the token, or nothing may depend on it.
            Ok(_) | Err(_) => self.discard(engine, own).await,
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
        // None after a restart: the operator renews the token by its accessor. Another server must not get the token.
        let is_here = held.is_of_server(&self.server);
        let own = is_here.then(|| engine.leases.through((&self.owner, &lease.id), &self.session)).flatten();
        let (own, token) = renewal::renewed_token(engine, (&self.owner, lease), own).await?;
        let session = own.unwrap_or_else(|| self.session_of(lease));
        renewal::renew_lease(&session, LeaseHeld { token, ..lease.clone() }).await
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
        if engine.end_token(&self.owner, lease).await? {
            return Ok(());
        }
        let rule = || Rule { path: "sys/leases/revoke".to_owned(), capability: "update" };
        self.session_of(lease).revoke_lease(&lease.id).await.map_err(|error| denied(error, rule()))
    }
}

impl DynamicSource {
    /// Reads the password of a static role again, with the token that objects share: it has no lease.
    async fn read_again(&self, asked: Asked<'_>) -> Result<Obtained, Error> {
        let issued = self.session.issue(self.method.clone(), &self.path, self.body.clone()).await;
        let issued = issued.map_err(|error| denied(error, self.rule()))?;
        answer::obtained(issued, (None, asked.held), &self.terms)
    }

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
    async fn discard(&self, engine: &Engine, own: &Dedicated) {
        engine.requests.answered(&self.owner, own.request, Answer::Unused);
        if let Err(error) = engine.settle(&self.owner).await {
            tracing::warn!(object = %self.owner.name, error = &error as &dyn std::error::Error, "the token of a request is not revoked");
        }
    }
}
