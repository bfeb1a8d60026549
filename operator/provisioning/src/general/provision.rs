//! General kinds on the engine.

use std::fmt::Debug;

use jiff::Timestamp;
use steamer_api::{HasOwned, Mode};
use steamer_core::error::Error;
use steamer_core::ownership::removal::Owned;
use steamer_core::references::target;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Key, ObjectName, Reason};

use super::deletion::removable;
use super::desired::{Desired, DesiredResource};
use super::existing::Existing;
use super::found::Found;
use super::home::{self, Home};
use super::kind::General;
use super::resource::{FollowUp, Resource};
use super::{observed, plan, record};
use crate::engine::{Footprint, Lookup, Pass, Provision, Rights, Setting, Subject};
use crate::write::Plan;

impl<K: General> Provision for K {
    const NAME: &'static str = <K as General>::NAME;
    type References = Home;
    type Withdrawn = ();
    type Found = Desired;
    type Desired = Desired;
    type Observed = Vec<Option<Existing>>;

    fn relations(&self) -> Vec<Key> {
        self.parents()
    }

    fn subject(&self) -> Option<Subject> {
        let name = format!("{} of {}", self.title(), home::described(self, &self.site()));
        let established = self.status().and_then(HasOwned::owned).is_some();
        Some(Subject { name, established })
    }

    fn cluster(&self, lookup: &Lookup<'_>) -> Option<ObjectName> {
        home::cluster(self, &self.site(), lookup)
    }

    fn references(&self, lookup: &Lookup<'_>) -> Result<Home, Error> {
        Home::of(self, &self.site(), lookup)
    }

    async fn fetch(&self, home: Home, pass: &Pass<'_>) -> Result<(Session, Desired), Error> {
        let session = pass.session(&home.cluster).await?;
        let inside = session.within(home.namespace.as_str());
        let status: K::Status = pass.context.status(self);
        let owned = status.owned().cloned();
        let found = Found { pass, session: &inside, home: &home, owned: owned.as_ref() };
        let resources = self.resources(&found).await?;
        let is_observed = self.lifecycle().mode == Mode::Observe;
        let sealed = |mut resource: Resource| {
            // A pass that writes nothing has no next step.
            resource.follow_up.take_if(|it| is_observed && !it.is_due);
            let digest = resource.body.digest(&pass.context.mac, &resource.path);
            DesiredResource { resource, digest }
        };
        let resources = resources.into_iter().map(sealed).collect();
        let deletion_policy = self.lifecycle().deletion_policy;
        let root = session.namespace().clone();
        Ok((session, Desired { home, resources, owned, deletion_policy, root }))
    }

    fn validate(&self, desired: Desired, _setting: &Setting<'_>) -> Result<Desired, Error> {
        Ok(desired)
    }

    async fn observe(session: &Session, desired: &Desired) -> Result<Self::Observed, Error> {
        let inside = session.within(desired.home.namespace.as_str());
        let mut observed = Vec::new();
        for resource in &desired.resources {
            observed.push(observed::read(&inside, &resource.resource).await?);
        }
        Ok(observed)
    }

    fn state(observed: &Self::Observed) -> impl Debug {
        observed
    }

    fn plan(desired: &Desired, observed: &Self::Observed, rights: &Rights<'_>) -> Result<Plan, Error> {
        Ok(Plan { writes: plan::writes(desired, observed, rights)?, expires_at: desired.expires_at() })
    }

    fn announcement(desired: &Desired, last: &K::Status) -> Option<K::Status> {
        let owned = record::before_writes(desired);
        if last.owned() == Some(&owned) {
            return None;
        }
        let mut status = last.clone();
        *status.owned_mut() = Some(owned);
        Some(status)
    }

    fn published(desired: &Desired) -> NamespacePath {
        desired.root.join(desired.home.namespace.as_str())
    }

    fn applied(&self, status: &mut K::Status, desired: &Desired, _now: Timestamp) -> Verdict {
        *status.owned_mut() = Some(record::after_writes(desired));
        let resources: Vec<Resource> = desired.resources.iter().map(|it| it.resource.clone()).collect();
        self.facts(status, &resources);
        if let Some(FollowUp { reason, .. }) = desired.next() {
            return Verdict::Progressing(Reason::Waiting, format!("{}: {reason} next", self.title()));
        }
        Verdict::Ready(Reason::Applied, self.message(&Self::published(desired)))
    }

    fn deletable(&self, lookup: &Lookup<'_>) -> Result<(), Error> {
        General::deletable(self, lookup)
    }

    fn footprint(&self, last: &K::Status) -> Option<Footprint> {
        let owned = last.owned()?;
        Some(Footprint {
            cluster: target(&owned.cluster_ref, &ObjectName::of(self).namespace),
            tenant: None,
            namespace: NamespacePath::new(&owned.namespace),
            resources: owned.resources.clone(),
        })
    }

    async fn remove(session: &Session, namespace: &NamespacePath, owned: Owned<'_>) -> Result<(), Error> {
        let inside = session.within(namespace.as_str());
        for path in removable(&owned) {
            K::delete(&inside, path).await?;
        }
        Ok(())
    }
}
