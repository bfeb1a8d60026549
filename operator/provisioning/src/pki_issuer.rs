//! PKIIssuer: a certificate authority of a PKI engine. Its creation and its rotation take several requests, so that it has a
//! plan of its own: one stage for each reconcile.

mod certificate;
mod desired;
#[cfg(test)]
mod fixture;
mod former;
mod mismatch;
mod names;
mod outline;
mod owned;
mod parent;
mod plan;
mod request;
mod shared;
mod snapshot;
mod stage;
mod succession;

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{Adopt, AuthorityStatus, OwnedResources, PKIIssuer, PKIIssuerStatus};
use steamer_core::error::Error;
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Key, ObjectName, Reason};

use crate::engine::{Footprint, Lookup, Pass, Provision, Rights, Setting, Subject};
use crate::general::{self, Home, Seal, Site, check_location, footprint, remove_recorded};
use crate::write::{Plan, Request};
use certificate::Certificate;
use desired::{Desired, Facts, rotation};
use names::{check_name, mount, name, title};
use parent::Parent;
use snapshot::Snapshot;
use stage::Stage;

impl Provision for PKIIssuer {
    const NAME: &'static str = "pkiissuer";
    type References = (Home, Option<Parent>);
    type Withdrawn = ();
    type Found = Desired;
    type Desired = Desired;
    type Observed = Snapshot;

    fn relations(&self) -> Vec<Key> {
        vec![shared::key(self)]
    }

    fn subject(&self) -> Option<Subject> {
        let established = self.status.as_ref().is_some_and(|status| status.owned.is_some());
        Some(Subject { name: title(self), established })
    }

    fn location(&self, lookup: &Lookup<'_>) -> Option<String> {
        general::location(self, &Site::Placed(&self.spec.placement), lookup)
    }

    fn cluster(&self, lookup: &Lookup<'_>) -> Option<ObjectName> {
        general::cluster(self, &Site::Placed(&self.spec.placement), lookup)
    }

    fn references(&self, lookup: &Lookup<'_>) -> Result<Self::References, Error> {
        let home = Home::of(self, &Site::Placed(&self.spec.placement), lookup)?;
        Ok((home, Parent::of(self, lookup)?))
    }

    async fn fetch(
        &self,
        (home, parent): Self::References,
        pass: &Pass<'_>,
    ) -> Result<(Session, Desired), Error> {
        let (mount, name) = (mount(self).to_owned(), name(self));
        check_name(&name)?;
        shared::claim(self, &home, &pass.lookup())?;
        let seal = seal(self, pass);
        let owned = recorded(self, pass, &seal);
        check_location(owned.as_ref(), &home, &ObjectName::of(self).namespace)?;
        let session = pass.session(&home.cluster).await?;
        let inside = session.within(home.namespace.as_str());
        let snapshot = Snapshot::read(&inside, &mount, &name, self.spec.crl.is_some()).await?;
        let rotates_at = rotation(&self.spec, snapshot.current.as_ref().map(|current| &current.certificate))?;
        let (root, now) = (session.namespace().clone(), Timestamp::now());
        let facts = Facts { home, snapshot, owned, seal, signer: None, expired: Vec::new(), root, now };
        let mut desired = Desired { facts, spec: self.spec.clone(), mount, name, rotates_at };
        desired.facts.expired = former::expired(&inside, &desired).await?;
        if let (Some(parent), Stage::Missing { .. }) = (parent, desired.stage()) {
            let session = parent.session(pass).await?;
            desired.facts.signer = Some((parent, session));
        }
        Ok((session, desired))
    }

    fn validate(&self, desired: Desired, _setting: &Setting<'_>) -> Result<Desired, Error> {
        Ok(desired)
    }

    async fn observe(_session: &Session, desired: &Desired) -> Result<Snapshot, Error> {
        Ok(desired.facts.snapshot.clone())
    }

    fn state(observed: &Snapshot) -> impl Debug {
        observed
    }

    fn plan(desired: &Desired, _observed: &Snapshot, rights: &Rights<'_>) -> Result<Plan, Error> {
        plan::plan(desired, rights)
    }

    fn outline(&self, (home, parent): &Self::References, _lookup: &Lookup<'_>) -> Vec<Request> {
        outline::requests(self, home, parent.as_ref())
    }

    fn announcement(
        desired: &Desired,
        _observed: &Snapshot,
        last: &PKIIssuerStatus,
    ) -> Option<PKIIssuerStatus> {
        let owned = owned::before_writes(desired);
        let is_known = last.owned.as_ref() == Some(&owned);
        (!is_known).then(|| PKIIssuerStatus { owned: Some(owned), ..last.clone() })
    }

    fn published(desired: &Desired) -> NamespacePath {
        desired.facts.root.join(desired.facts.home.namespace.as_str())
    }

    fn applied(&self, status: &mut PKIIssuerStatus, desired: &Desired, now: Timestamp) -> Verdict {
        let (Stage::Exists(issuer), Some(certificate)) = (desired.stage(), desired.certificate()) else {
            return Verdict::Progressing(Reason::Waiting, format!("creating {}", title(self)));
        };
        status.owned = Some(owned::after_writes(desired));
        status.issuer_id = Some(issuer.id.clone());
        let Certificate { serial, common_name, not_after, .. } = certificate.clone();
        status.certificate = Some(AuthorityStatus { serial, common_name, not_after: Time(not_after) });
        if not_after <= now {
            let text = format!("the certificate of {} expired at {not_after}: set renewBefore", title(self));
            return Verdict::NotReady(Reason::Expired, text);
        }
        let next = desired.rotates_at.map(|at| format!(", and is replaced at {at}")).unwrap_or_default();
        let namespace = Self::published(desired);
        let text =
            format!("{} exists in namespace {namespace}; it expires at {not_after}{next}", title(self));
        Verdict::Ready(Reason::Applied, text)
    }

    fn footprint(&self, last: &PKIIssuerStatus) -> Option<Footprint> {
        Some(footprint(last.owned.as_ref()?, &ObjectName::of(self).namespace))
    }

    fn authentic(&self, footprint: Footprint, pass: &Pass<'_>) -> Footprint {
        seal(self, pass).trusted(footprint)
    }

    async fn confirmed(&self, mut footprint: Footprint, pass: &Pass<'_>) -> Result<Footprint, Error> {
        let references = self.references(&pass.lookup())?;
        let (session, desired) = self.fetch(references, pass).await?;
        let (mark, exists) = (&pass.context.mark_of(self), &|mark: &_| pass.context.exists(mark));
        let rights = Rights { mark, root: session.namespace(), adopt: Adopt::Never, exists };
        if plan::is_own(&desired, &rights) {
            for entry in &mut footprint.resources {
                entry.pending &= !owned::exists(&desired, &entry.path);
            }
        }
        Ok(footprint)
    }

    /// The object owns nothing any more, as those of general kinds.
    fn revoked(&self, status: &mut PKIIssuerStatus, _now: Timestamp) {
        status.owned = None;
    }

    async fn remove(session: &Session, namespace: &NamespacePath, owned: Owned<'_>) -> Result<(), Error> {
        remove_recorded(session, namespace, owned).await
    }
}

fn seal(issuer: &PKIIssuer, pass: &Pass<'_>) -> Seal {
    Seal::new(&pass.context.mac, &pass.context.mark_of(issuer))
}

/// The recorded resources. Entries that another client wrote to the status give no right.
fn recorded(issuer: &PKIIssuer, pass: &Pass<'_>, seal: &Seal) -> Option<OwnedResources> {
    let record = pass.context.status(issuer).owned?;
    let trusted = seal.trusted(footprint(&record, &ObjectName::of(issuer).namespace));
    Some(OwnedResources { resources: trusted.resources, ..record })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::PKIIssuerSpec;

    use super::*;
    use crate::pki_issuer::desired::is_due;

    /// A certificate that is valid from second 0 to second 7200.
    fn certificate() -> Certificate {
        Certificate {
            serial: "01:02:03:04:05".to_owned(),
            common_name: "CA".to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::from_second(7200).unwrap(),
            is_self_signed: true,
            key_type: "ec",
        }
    }

    fn spec(renew_before: Option<&str>) -> PKIIssuerSpec {
        let root = json!({"commonName": "CA", "ttl": "2h"});
        let spec = json!({"clusterRef": {"name": "main"}, "mount": "/pki/", "root": root, "renewBefore": renew_before});
        serde_json::from_value(spec).unwrap()
    }

    #[rstest]
    #[case::never(None, Some(None))]
    #[case::before_the_end(Some("30m"), Some(Some(5400)))]
    #[case::half_of_the_lifetime(Some("1h"), Some(Some(3600)))]
    #[case::longer_than_half(Some("61m"), None)]
    fn a_rotation_is_due_before_the_certificate_expires(
        #[case] renew_before: Option<&str>,
        #[case] expected: Option<Option<i64>>,
    ) {
        let found = rotation(&spec(renew_before), Some(&certificate())).ok();
        assert_eq!(found.map(|at| at.map(Timestamp::as_second)), expected);
        assert_eq!(rotation(&spec(renew_before), None).unwrap(), None);
    }

    #[rstest]
    #[case(None, 0, false)]
    #[case(Some(10), 9, false)]
    #[case(Some(10), 10, true)]
    fn a_rotation_is_due_from_its_time_on(#[case] at: Option<i64>, #[case] now: i64, #[case] expected: bool) {
        let time = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(is_due(at.map(time), time(now)), expected);
    }

    #[rstest]
    #[case("ca", true)]
    #[case("default", false)]
    #[case("ca-next", false)]
    fn a_reserved_name_is_refused(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(check_name(name).is_ok(), expected);
    }

    #[test]
    fn slashes_around_a_mount_are_ignored() {
        let mut issuer = PKIIssuer::new("ca", spec(None));
        assert_eq!(title(&issuer), "issuer ca of mount pki");
        issuer.spec.issuer_name = Some("root".to_owned());
        assert_eq!(name(&issuer), "root");
        assert_eq!(certificate().short_serial(), "01020304");
    }
}
