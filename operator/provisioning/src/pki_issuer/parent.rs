//! The PKIIssuer that signs an intermediate. Every right is checked.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use steamer_api::PKIIssuer;
use steamer_core::error::Error;
use steamer_openbao::Session;
use steamer_runtime::ObjectName;

use super::names::{mount, name};
use crate::engine::{Lookup, Pass};
use crate::general::{Home, Site};
use crate::write::Request;

/// An authority that signs another one.
#[derive(Clone)]
pub(crate) struct Parent {
    object: Arc<PKIIssuer>,
    home: Home,
}

impl Parent {
    /// The parent of an intermediate. None for a root.
    ///
    /// # Errors
    /// [`Error::Denied`] if the parent does not allow the namespace of the object. Any error of a reference.
    pub(super) fn of(issuer: &PKIIssuer, lookup: &Lookup<'_>) -> Result<Option<Self>, Error> {
        let Some(intermediate) = &issuer.spec.intermediate else {
            return Ok(None);
        };
        let own = ObjectName::of(issuer);
        let object: Arc<PKIIssuer> = lookup.resolve(&intermediate.parent_ref, &own.namespace)?;
        if ObjectName::of(&*object) == own {
            return Err(Error::Invalid(
                "parentRef names this object: name the PKIIssuer that signs it, or set root instead of intermediate".to_owned(),
            ));
        }
        let home = Home::of(&*object, &Site::Placed(&object.spec.placement), lookup)?;
        Ok(Some(Self { object, home }))
    }

    /// Checks that a certificate of `ttl` seconds expires before that of the parent. OpenBao only warns.
    pub(super) fn check(&self, ttl: u64, now: Timestamp) -> Result<(), Error> {
        let parent = ObjectName::of(&*self.object);
        let status = self.object.status.as_ref().and_then(|status| status.certificate.as_ref());
        let Some(certificate) = status else {
            return Err(Error::Waiting(format!("PKIIssuer {parent} has no certificate yet")));
        };
        check_expiration(&parent, certificate.not_after.0, now, ttl)
    }

    /// A session in the OpenBao namespace of the parent.
    pub(super) async fn session(&self, pass: &Pass<'_>) -> Result<Session, Error> {
        Ok(pass.session(&self.home.cluster).await?.within(self.home.namespace.as_str()))
    }

    /// The request that signs, from the root namespace of the cluster of the issuer. None if the parent is in another cluster,
    /// whose operator policy is another one.
    pub(super) fn request(&self, home: &Home) -> Option<Request> {
        let is_same = ObjectName::of(&*self.home.cluster) == ObjectName::of(&*home.cluster);
        is_same.then(|| Request::new(&Method::POST, self.signed_at()).inside(&self.home.namespace))
    }

    /// Path that signs, in that namespace.
    pub(super) fn signed_at(&self) -> String {
        format!("{}/issuer/{}/sign-intermediate", mount(&self.object), name(&self.object))
    }
}

fn check_expiration(parent: &ObjectName, end: Timestamp, now: Timestamp, ttl: u64) -> Result<(), Error> {
    let lifetime = SignedDuration::from_secs(i64::try_from(ttl).unwrap_or(i64::MAX));
    if now.checked_add(lifetime).is_ok_and(|own| own <= end) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the certificate would expire after that of its parent PKIIssuer {parent}, which expires at {end}: shorten ttl, or set \
         renewBefore of the parent to more than this ttl"
    )))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::shorter(3599, true)]
    #[case::same(3600, true)]
    #[case::longer(3601, false)]
    #[case::beyond_all_times(u64::MAX, false)]
    fn an_intermediate_expires_before_its_parent(#[case] ttl: u64, #[case] expected: bool) {
        let now = Timestamp::UNIX_EPOCH;
        let end = Timestamp::from_second(3600).unwrap();
        let checked = check_expiration(&ObjectName::new("ns", "root"), end, now, ttl);
        assert_eq!(checked.is_ok(), expected);
        if let Err(error) = checked {
            assert!(
                error.to_string().contains("PKIIssuer ns/root, which expires at 1970-01-01T01:00:00Z"),
                "{error}"
            );
        }
    }
}
