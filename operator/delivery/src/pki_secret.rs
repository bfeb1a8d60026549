//! BaoPKISecret: certificates of PKI engines as a Secret.

mod answer;
mod chain;
mod parameters;
mod renewal;

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{
    BaoPKISecret, BaoPKISecretSpec, BaoPKISecretStatus, Destination, IssuedCertificate, Mode,
    OnSourceDeleted, PlannedChange, rules,
};
use steamer_core::Error;
use steamer_openbao::{Issued, PkiRole, Session};
use steamer_runtime::conditions::whole_second;

use crate::engine::{
    Asked, Common, Document, Due, Engine, Foreseen, Held, Obtained, ReadAccess, Recorded, Rule, Schedule,
    Source, Synced, denied, request_digest, session_of,
};
use answer::{Certificate, Keys};
use renewal::Renewal;

/// A role of a PKI engine.
pub(crate) struct CertificateSource {
    session: Session,
    role: PkiRole,
    /// Parameters of the request.
    parameters: serde_json::Value,
    /// Digest of the request.
    request: String,
    /// Digest of the mount.
    mount: String,
    keys: Keys,
    renewal: Renewal,
}

impl Synced for BaoPKISecret {
    const NAME: &'static str = "baopkisecret";
    type Source = CertificateSource;

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

    fn clears(&self) -> bool {
        self.spec.clear
    }

    fn validate(&self) -> Result<(), Error> {
        validate(&self.spec)
    }

    fn source(&self, access: ReadAccess) -> CertificateSource {
        let spec = &self.spec;
        let role = PkiRole {
            mount: spec.mount.trim_matches('/').to_owned(),
            issuer: spec.issuer_ref.clone(),
            role: spec.role.clone(),
        };
        let parameters = parameters::parameters(spec);
        CertificateSource {
            request: request(self, &role, &parameters.to_string()),
            mount: access.digest_of([role.mount.as_str()]),
            keys: keys(&spec.destination),
            renewal: Renewal {
                offset: spec.expiry_offset.as_ref().map(steamer_api::Duration::get),
                fixed: fixed(spec),
            },
            session: access.reader.session,
            role,
            parameters,
        }
    }

    fn mode(&self) -> Mode {
        self.spec.mode
    }

    fn set_plan(status: &mut BaoPKISecretStatus, plan: Vec<PlannedChange>) {
        status.plan = plan;
    }

    fn recorded(status: &BaoPKISecretStatus) -> Recorded {
        // The certificate is part of the stamp.
        let BaoPKISecretStatus { sync, stamp, certificate: _, plan: _, common: _ } = status;
        Recorded { sync: sync.clone(), stamp: stamp.clone(), ..Recorded::default() }
    }

    fn record(status: &mut BaoPKISecretStatus, recorded: Recorded) {
        let certificate = recorded.held().and_then(issued);
        // A certificate has no version, and no value can be missing in its mount.
        let Recorded { sync, stamp, version: _, mount: _, requests: _ } = recorded;
        let last = std::mem::take(status);
        *status = BaoPKISecretStatus { sync, stamp, certificate, ..last };
    }
}

/// The certificate of the status.
fn issued(held: Held) -> Option<IssuedCertificate> {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    match held {
        Held::Certificate { serial, not_after, .. } => {
            Some(IssuedCertificate { serial, not_after: Time(not_after) })
        }
        _ => None,
    }
}

fn validate(spec: &BaoPKISecretSpec) -> Result<(), Error> {
    let BaoPKISecretSpec { mount, role, issuer_ref, not_after, .. } = spec;
    if rules::is_no_engine_mount(mount) {
        return Err(Error::Invalid(format!(
            "mount `{mount}` is not the path of a PKI engine: correct spec.mount"
        )));
    }
    if let Some(name) = issuer_ref.iter().chain([role]).find(|name| rules::is_no_pki_name(name)) {
        return Err(Error::Invalid(format!(
            "`{name}` is not the name of a role or issuer: correct spec.role or spec.issuerRef"
        )));
    }
    match not_after {
        Some(text) if fixed(spec).is_none() => Err(Error::Invalid(format!(
            "notAfter `{text}` is not a time, such as 2027-01-31T00:00:00Z: correct spec.notAfter"
        ))),
        _ => Ok(()),
    }
}

/// The time at which all certificates of the object expire.
fn fixed(spec: &BaoPKISecretSpec) -> Option<Timestamp> {
    spec.not_after.as_ref()?.parse().ok()
}

/// The keys of the Secret. A transformation chooses its keys itself.
fn keys(destination: &Destination) -> Keys {
    match (destination.type_.as_deref(), &destination.transformation) {
        (Some("kubernetes.io/tls"), None) => Keys::Tls,
        (Some("kubernetes.io/tls"), Some(_)) => Keys::All,
        _ => Keys::Answer,
    }
}

/// The login is no part of the request, but the reference to the BaoAuth is: another BaoAuth can be of another server.
fn request(object: &BaoPKISecret, role: &PkiRole, parameters: &str) -> String {
    let PkiRole { mount, issuer, role } = role;
    request_digest(&[
        &object.uid().unwrap_or_default(),
        &format!("{:?}", object.spec.auth_ref),
        object.spec.namespace.as_deref().unwrap_or_default(),
        mount,
        issuer.as_deref().unwrap_or_default(),
        role,
        parameters,
    ])
}

impl Source for CertificateSource {
    const ISSUES: bool = true;

    fn request(&self) -> &str {
        &self.request
    }

    fn mount(&self) -> &str {
        &self.mount
    }

    fn describe(&self) -> String {
        format!("{}/issue/{}", self.role.mount, self.role.role)
    }

    fn foreseen(&self) -> Foreseen {
        let path = self.session.namespace().path(&self.role.issue());
        Foreseen { path, keys: self.keys.certain(), possible: self.keys.possible(), is_open: false }
    }

    /// A PKI engine never answers that it has no value.
    fn schedule(&self) -> Schedule {
        Schedule::new(Duration::from_secs(3600), &self.role.mount)
    }

    fn due(&self, held: &Held, _obtained: Timestamp) -> Due {
        match held {
            Held::Certificate { serial, at, not_after, .. } => {
                Due::obtain(*at, self.renewal.at(serial, (*at, *not_after)))
            }
            _ => Due::never(),
        }
    }

    /// OpenBao does not revoke a certificate that has expired.
    async fn give_back(&self, _engine: &Engine, held: &Held) -> Result<(), Error> {
        match held {
            Held::Certificate { serial, not_after, mount, namespace, .. }
                if *not_after > Timestamp::now() =>
            {
                let session = session_of(&self.session, namespace.as_deref());
                let rule = || Rule { path: format!("{mount}/revoke"), capability: "update" };
                session.revoke_certificate(mount, serial).await.map_err(|error| denied(error, rule()))
            }
            _ => Ok(()),
        }
    }

    async fn exists(&self, _engine: &Engine, held: &Held) -> Result<bool, Error> {
        match held {
            Held::Certificate { serial, mount, namespace, .. } => {
                Ok(session_of(&self.session, namespace.as_deref()).has_certificate(mount, serial).await?)
            }
            _ => Ok(true),
        }
    }

    async fn obtain(&self, _engine: &Engine, _asked: Asked<'_>) -> Result<Option<Obtained>, Error> {
        self.renewal.admit(Timestamp::now())?;
        let issued = self.session.issue_certificate(&self.role, self.parameters.clone()).await;
        let rule = || Rule { path: self.role.issue(), capability: "update" };
        let issued = issued.map_err(|error| denied(error, rule()))?;
        self.refuse_lease(&issued).await?;
        // Stamps have times in seconds.
        let at = whole_second(Timestamp::now());
        let certificate =
            Certificate::of(&issued.values).ok_or_else(|| answer::unreadable(&self.role.mount))?;
        certificate.check(at)?;
        let held = Held::Certificate {
            namespace: Some(self.session.namespace().as_str().to_owned()),
            mount: self.role.mount.clone(),
            serial: certificate.serial.clone(),
            at,
            not_after: certificate.not_after,
        };
        let values = certificate.values(self.keys).ok_or_else(|| answer::unreadable(&self.role.mount))?;
        let document = Document { values, ..Document::default() };
        Ok(Some(Obtained { documents: vec![document], held, mount: None, at }))
    }
}

impl CertificateSource {
    /// OpenBao revokes a certificate with a lease when the login that requested it ends.
    async fn refuse_lease(&self, issued: &Issued) -> Result<(), Error> {
        let Some(lease) = &issued.lease else {
            return Ok(());
        };
        self.session.revoke_lease(&lease.id).await?;
        Err(Error::Invalid(format!(
            "role {} of {} has generate_lease, and OpenBao would revoke the certificate with the login of Steamer: set \
             generate_lease of the role to false",
            self.role.role, self.role.mount
        )))
    }
}
