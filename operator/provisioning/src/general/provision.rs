//! General kinds on the engine.

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;
use steamer_api::{DeletionPolicy, HasOwned, Mode, OwnedResources};
use steamer_core::error::Error;
use steamer_core::ownership::removal::Owned;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Key, ObjectName, Reason};

use super::deleter;
use super::deletion::removable;
use super::desired::{Desired, DesiredResource};
use super::existing::Existing;
use super::found::Found;
use super::home::{self, Home};
use super::kind::General;
use super::readback::Readback;
use super::requests::requests_of;
use super::resource::{FollowUp, Resource};
use super::seal::Seal;
use super::{claims, observed, plan, record};
use crate::engine::{Footprint, Lookup, Pass, Provision, Rights, Setting, Subject};
use crate::write::{Plan, Progress, Request};

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
        let established = self.status().and_then(HasOwned::owned).is_some();
        Some(Subject { name: self.title(), established })
    }

    fn location(&self, lookup: &Lookup<'_>) -> Option<String> {
        home::location(self, &self.site(), lookup)
    }

    fn cluster(&self, lookup: &Lookup<'_>) -> Option<ObjectName> {
        home::cluster(self, &self.site(), lookup)
    }

    fn references(&self, lookup: &Lookup<'_>) -> Result<Home, Error> {
        Home::of(self, &self.site(), lookup)
    }

    async fn fetch(&self, home: Home, pass: &Pass<'_>) -> Result<(Session, Desired), Error> {
        let seal = Seal::new(&pass.context.mac, &pass.context.mark_of(self));
        let owned = recorded(self, pass, &seal);
        record::check_location(owned.as_ref(), &home, &ObjectName::of(self).namespace)?;
        let claimed = claims::announce(self, &home, pass);
        let session = pass.session(&home.cluster).await?;
        let inside = session.within(home.namespace.as_str());
        let found = Found { pass, session: &inside, home: &home, owned: owned.as_ref() };
        let resources = self.resources(&found).await?;
        let resources = resources.into_iter().map(|resource| with_digest(self, resource, pass)).collect();
        let deletion_policy = self.lifecycle().deletion_policy;
        let (root, deletion) = (session.namespace().clone(), deleter::delete::<K>);
        let desired = Desired { home, resources, owned, deletion_policy, root, seal, deletion };
        claims::check(self, (&desired, claimed), pass)?;
        Ok((session, desired))
    }

    fn validate(&self, desired: Desired, _setting: &Setting<'_>) -> Result<Desired, Error> {
        Ok(desired)
    }

    async fn observe(session: &Session, desired: &Desired) -> Result<Self::Observed, Error> {
        let inside = session.within(desired.home.namespace.as_str());
        let resources = || desired.resources.iter().map(|it| &it.resource);
        let mut observed = observed::read_all(&inside, resources()).await?;
        for (resource, existing) in resources().zip(&mut observed) {
            // Two equal states must not differ by a version or a time.
            if let Some(existing) = existing {
                existing.secrets = resource.compared(&existing.parameters);
                existing.parameters.retain(|name, _| resource.body.parameters.contains_key(name));
            }
        }
        Ok(observed)
    }

    fn state(observed: &Self::Observed) -> impl Debug {
        observed
    }

    fn plan(desired: &Desired, observed: &Self::Observed, rights: &Rights<'_>) -> Result<Plan, Error> {
        Ok(Plan { writes: plan::writes(desired, observed, rights)?, expires_at: desired.expires_at() })
    }

    fn announcement(desired: &Desired, observed: &Self::Observed, last: &K::Status) -> Option<K::Status> {
        let owned = record::before_writes(desired, observed);
        if last.owned() == Some(&owned) {
            return None;
        }
        let mut status = last.clone();
        *status.owned_mut() = Some(owned);
        Some(status)
    }

    fn outline(&self, home: &Home, lookup: &Lookup<'_>) -> Vec<Request> {
        let requests = General::outline(self, home, lookup).into_iter();
        requests.map(|it| it.inside(&home.namespace)).collect()
    }

    fn requests(desired: &Desired) -> Vec<Request> {
        let is_retained = desired.deletion_policy == DeletionPolicy::Retain;
        let requests = desired.resources.iter().flat_map(|DesiredResource { resource, .. }| {
            let is_kept = is_retained && resource.holds_values;
            requests_of(resource).into_iter().filter(move |it| !is_kept || it.method != "DELETE")
        });
        requests.map(|it| it.inside(&desired.home.namespace)).collect()
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
        if let Some((reason, text)) = resources.into_iter().find_map(|it| it.withheld) {
            return Verdict::Stalled(reason, text);
        }
        Verdict::Ready(Reason::Applied, self.message(&Self::published(desired)))
    }

    fn deletable(&self, lookup: &Lookup<'_>) -> Result<(), Error> {
        General::deletable(self, lookup)
    }

    fn footprint(&self, last: &K::Status) -> Option<Footprint> {
        Some(record::footprint(last.owned()?, &ObjectName::of(self).namespace))
    }

    fn authentic(&self, footprint: Footprint, pass: &Pass<'_>) -> Footprint {
        Seal::new(&pass.context.mac, &pass.context.mark_of(self)).trusted(footprint)
    }

    fn trusted(&self, footprint: Footprint, pass: &Pass<'_>) -> Footprint {
        claims::without_others(self, self.authentic(footprint, pass), pass)
    }

    async fn confirmed(&self, mut footprint: Footprint, pass: &Pass<'_>) -> Result<Footprint, Error> {
        let home = Provision::references(self, &pass.lookup())?;
        let (session, desired) = Provision::fetch(self, home, pass).await?;
        let observed = Self::observe(&session, &desired).await?;
        for entry in &mut footprint.resources {
            let is_created = plan::is_created(&desired, &observed, entry);
            entry.pending &= !is_created;
        }
        Ok(footprint)
    }

    fn interrupted(
        status: &mut K::Status,
        desired: &Desired,
        observed: &Self::Observed,
        progress: &Progress,
    ) {
        *status.owned_mut() = Some(record::after_error(desired, observed, progress));
    }

    fn paused(
        (status, former): (&mut K::Status, &K::Status),
        desired: &Desired,
        observed: &Self::Observed,
        progress: &Progress,
    ) {
        K::unwritten(status, former);
        *status.owned_mut() = Some(record::after_pauses(desired, observed, progress));
    }

    /// The object owns nothing any more: access is removed, and values stay without an owner. Someone else may create the same
    /// resources from now on.
    fn revoked(&self, status: &mut K::Status, _now: Timestamp) {
        *status.owned_mut() = None;
    }

    async fn remove(session: &Session, namespace: &NamespacePath, owned: Owned<'_>) -> Result<(), Error> {
        let inside = session.within(namespace.as_str());
        for path in removable(&owned) {
            deleter::delete::<K>(&inside, path).await?;
        }
        Ok(())
    }
}

/// The record in the status, in which entries of other clients are pending, and without the resources of other objects.
fn recorded<K: General>(object: &K, pass: &Pass<'_>, seal: &Seal) -> Option<OwnedResources> {
    let status: K::Status = pass.context.status(object);
    let own = ObjectName::of(object).namespace;
    let trusted = status.owned().cloned().map(|owned| record::trusted(owned, seal, &own));
    trusted.map(|owned| claims::own_record(object, owned, pass))
}

fn with_digest<K: General>(object: &K, mut resource: Resource, pass: &Pass<'_>) -> DesiredResource {
    let is_observed = object.lifecycle().mode == Mode::Observe;
    // A pass that writes nothing has no next step.
    resource.follow_up.take_if(|it| is_observed && !it.is_due);
    let mac = &pass.context.mac;
    let digest = resource.body.digest(mac, &resource.path);
    if !resource.body.secrets.is_empty() {
        let readback = Readback::new(mac, resource.read_path(), resource.read);
        resource.body.readback = Some(Arc::new(readback));
    }
    DesiredResource { resource, digest }
}
