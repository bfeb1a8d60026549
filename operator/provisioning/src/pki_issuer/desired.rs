//! Desired state of an issuer, and when it is replaced.

use jiff::{SignedDuration, Timestamp};
use steamer_api::{OwnedResources, PKIIssuerSpec};
use steamer_core::error::Error;
use steamer_openbao::{NamespacePath, Session};

use super::certificate::Certificate;
use super::parent::Parent;
use super::snapshot::Snapshot;
use super::stage::{self, Stage};
use crate::general::{Home, Seal, time};

/// What the desired state is computed from.
pub(crate) struct Facts {
    pub(super) home: Home,
    pub(super) snapshot: Snapshot,
    pub(super) owned: Option<OwnedResources>,
    pub(super) seal: Seal,
    /// The parent, and a session in its OpenBao namespace, if it has to sign.
    pub(super) signer: Option<(Parent, Session)>,
    /// Paths of former issuers and keys to delete, if the record has no space for another one.
    pub(super) expired: Vec<String>,
    /// Root of the cluster.
    pub(super) root: NamespacePath,
    pub(super) now: Timestamp,
}

/// Desired state of an issuer.
pub(crate) struct Desired {
    pub(super) facts: Facts,
    pub(super) spec: PKIIssuerSpec,
    pub(super) mount: String,
    pub(super) name: String,
    /// Time of the next rotation.
    pub(super) rotates_at: Option<Timestamp>,
}

impl Desired {
    pub(super) fn stage(&self) -> Stage<'_> {
        stage::stage(&self.facts.snapshot, &self.name, is_due(self.rotates_at, self.facts.now))
    }

    pub(super) fn is_recorded(&self, path: &str) -> bool {
        self.facts.owned.as_ref().is_some_and(|owned| owned.entry(path).is_some())
    }

    /// Returns true if the object owns the resource at a path, and has not only announced to create it.
    pub(super) fn is_owned(&self, path: &str) -> bool {
        self.facts.owned.as_ref().is_some_and(|owned| owned.owns(path))
    }

    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.facts.snapshot.current.as_ref().map(|current| &current.certificate)
    }

    /// Time of the rotation or, without one, of the expiration.
    pub(super) fn changes_at(&self) -> Option<Timestamp> {
        let expires_at = self.certificate().map(|certificate| certificate.not_after);
        self.rotates_at.or(expires_at).filter(|at| *at > self.facts.now)
    }
}

/// Time at which a certificate must be replaced.
pub(super) fn rotation(
    spec: &PKIIssuerSpec,
    certificate: Option<&Certificate>,
) -> Result<Option<Timestamp>, Error> {
    let (Some(before), Some(certificate)) = (&spec.renew_before, certificate) else {
        return Ok(None);
    };
    let before = SignedDuration::from_secs(i64::try_from(time(before)?).unwrap_or(i64::MAX));
    let lifetime = certificate.not_after.duration_since(certificate.not_before);
    if before.saturating_mul(2) > lifetime {
        return Err(Error::Invalid(format!(
            "renewBefore is more than half of the lifetime of the certificate, which is {} hours: shorten renewBefore, or set a \
             longer ttl and a longer maxLeaseTTL of the mount, and another issuerName",
            lifetime.as_hours()
        )));
    }
    Ok(certificate.not_after.checked_sub(before).ok())
}

pub(super) fn is_due(rotates_at: Option<Timestamp>, now: Timestamp) -> bool {
    rotates_at.is_some_and(|at| at <= now)
}
