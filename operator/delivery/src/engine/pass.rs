//! One reconcile of one object: its writes and its status.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{
    ACCEPT_MOUNT_ANNOTATION, DeletionPolicy, Destination, HasConditions, RECONCILE_ANNOTATION,
};
use steamer_core::Error;
use steamer_core::access::sessions::LoginKey;
use steamer_core::mac::Mac;
use steamer_core::ownership::secret::Intent;
use steamer_runtime::{Dependencies, ObjectName};

use super::content::Content;
use super::decide::{Inputs, Known, Seen, Why};
use super::due::Due;
use super::frame::{Frame, Wanted};
use super::held::Held;
use super::nudges::Nudge;
use super::readings::Asked;
use super::rendering::{Renderer, Rendering};
use super::shared::Engine;
use super::stamp::Stamp;
use super::synced::{Obtained, Recorded, Source, Synced};
use super::written::Written;

/// One reconcile of one object.
pub(super) struct Pass<'a, K: Synced> {
    pub(super) engine: &'a Engine,
    pub(super) dependencies: &'a Dependencies,
    pub(super) object: &'a K,
    pub(super) frame: Frame,
    pub(super) rendering: Rendering,
    pub(super) source: K::Source,
    pub(super) login: Arc<LoginKey>,
    /// Digest of the address of the server.
    pub(super) server: String,
    /// The requested reconcile, if any.
    pub(super) nudge: Nudge,
    /// The last reported write of the values.
    pub(super) written: Written,
}

impl<K: Synced> Pass<'_, K> {
    pub(super) fn status(&self) -> Cow<'_, K::Status> {
        self.engine.context.latest(self.object)
    }

    pub(super) fn recorded(&self) -> Recorded {
        K::recorded(&self.status())
    }

    /// The value of the reconcile annotation that counts as handled after this pass.
    pub(super) fn handled(&self, last: Option<String>) -> Option<String> {
        match self.nudge {
            Nudge::Later(_) => last,
            Nudge::None | Nudge::Now => self.object.annotations().get(RECONCILE_ANNOTATION).cloned(),
        }
    }

    /// How long the requested reconcile of an object that is not ready waits.
    pub(super) fn unresolved(&self) -> Option<Duration> {
        match self.nudge {
            Nudge::Later(pause) if !self.status().is_ready() => Some(pause),
            Nudge::None | Nudge::Now | Nudge::Later(_) => None,
        }
    }

    pub(super) fn inputs<'a>(&'a self, known: Option<&'a Known>, seen: Option<&'a Seen>) -> Inputs<'a> {
        let status = self.status();
        Inputs {
            request: self.source.request(),
            rendering: &self.rendering.digest,
            login: &self.login,
            server: &self.server,
            known,
            seen,
            requested: self.nudge == Nudge::Now && !known.is_some_and(|known| self.answers(known)),
            written: self.written.nudge == Nudge::Now && self.source.schedule().is_free(),
            due: known.map(|known| self.due(known)),
            policy: self.source.schedule().policy,
            spec_changed: Some(status.observed_generation()) != self.object.meta().generation,
            now: Timestamp::now(),
        }
    }

    /// When the value is due by the current spec.
    pub(super) fn due(&self, known: &Known) -> Due {
        self.source.due(&known.stamp.held, known.obtained)
    }

    /// What the status says about a synced object after a restart. A value read is not known if its last reconcile failed, unless it
    /// waits for a sync window or a change. A value that was issued is not issued again because of it.
    pub(super) fn restored(&self) -> Option<Known> {
        let known = recorded(self.engine, self.object)?;
        let is_read_again =
            known.stamp.held.is_read() && !self.status().is_ready() && self.source.schedule().is_free();
        (!is_read_again).then_some(known)
    }

    /// Obtains the value.
    pub(super) async fn obtain(&self, known: Option<&Known>, why: Why) -> Result<Option<Obtained>, Error> {
        let Recorded { mount, stamp, .. } = self.recorded();
        let (request, source_mount) = (self.source.request(), self.source.mount());
        let stamp = stamp.as_deref().and_then(Stamp::parse);
        let mount = mount.filter(|_| stamp.is_some_and(|stamp| stamp.is_of_mount(request, source_mount)));
        let dedicated = self.dedicated(known).await?;
        let asked = Asked {
            held: known.filter(|known| known.stamp.request == request).map(|known| &known.stamp.held),
            oldest: self.oldest(known, why),
            mount: mount.as_deref(),
            accepted: self.object.annotations().get(ACCEPT_MOUNT_ANNOTATION).map(String::as_str),
            dedicated: dedicated.as_ref(),
        };
        self.source.obtain(self.engine, asked).await
    }

    /// How old a shared value may be: a refresh uses values read since it was due, a new object uses values read since it
    /// was created (its value may have been written just before), a changed spec and a requested reconcile read again. A value
    /// that was read before its last reported write is never used.
    fn oldest(&self, known: Option<&Known>, why: Why) -> Instant {
        let period = self.source.schedule().period;
        let age = match why {
            Why::SpecChanged | Why::ReconcileRequested | Why::RenewalDue | Why::LeaseRevoked => {
                Duration::ZERO
            }
            Why::NeverSynced => period.min(self.age()),
            Why::SourceWritten => period,
            Why::RefreshDue => known.map_or(period, |known| since(self.due(known).at).min(period)),
            Why::TransformationChanged | Why::DestinationMissing | Why::DestinationDrifted => period,
        };
        let (now, age) = (Instant::now(), self.written.at.map_or(age, |at| since(at).min(age)));
        now.checked_sub(age).unwrap_or(now)
    }

    /// Minimum age of the object. Kubernetes has creation times in seconds.
    fn age(&self) -> Duration {
        let age = self.object.creation_timestamp().map_or(Duration::ZERO, |at| since(at.0));
        age.saturating_sub(Duration::from_secs(1))
    }

    /// Writes the value and its stamp, with the values that remain to be revoked. Returns whether a write was necessary.
    pub(super) async fn put(
        &self,
        renderer: Renderer,
        obtained: &Obtained,
        former: Vec<Held>,
    ) -> Result<(Stamp, bool), Error> {
        let (content, metadata) = renderer.render(obtained.documents.clone()).await?;
        let mac = &self.engine.context.mac;
        let mut stamp = Stamp {
            request: self.source.request().to_owned(),
            mount: self.source.mount().to_owned(),
            rendering: self.rendering.digest.clone(),
            content: content.mac(mac, &self.frame.name),
            held: obtained.held.clone(),
            former,
            ..Stamp::default()
        };
        if stamp.held.is_issued() {
            obtained.held.server_or(&self.server).clone_into(&mut stamp.server);
            stamp.nudge = self.request_of_reconcile();
        }
        let before = self.engine.before_write(self.dependencies, self.object, &stamp).await?;
        stamp.change = before.next(&stamp.request, &stamp.content);
        let stamp = stamp.sealed(mac);
        let written = self.write((&self.frame.rendered(metadata, mac), &content), &stamp).await?;
        Ok((stamp, written))
    }

    async fn write(&self, (frame, content): (&Frame, &Content), stamp: &Stamp) -> Result<bool, Error> {
        let destination = self.object.common().destination;
        let destinations = &self.engine.destinations;
        if !destination.create {
            // The keys outlive the object.
            self.engine.context.add_finalizer(self.object).await?;
            return destinations.merge(self.dependencies, &Wanted { frame, content, stamp }).await;
        }
        // A new version with the same content is not worth a write: the status has the version.
        let before = destinations.own(&frame.name, &frame.mark).and_then(|own| own.stamp());
        let before = before.filter(|before| before.is_same_value(stamp));
        let wanted = Wanted { frame, content, stamp: before.as_ref().unwrap_or(stamp) };
        destinations.put(self.dependencies, &wanted, intent(destination)).await
    }

    /// Repairs the frame of the Secret. Returns false if another client changed the Secret in the meantime.
    pub(super) async fn repair(&self, why: Why, known: &Known) -> Result<bool, Error> {
        if !self.object.common().destination.create {
            return Ok(true);
        }
        let own = self.engine.destinations.own(&self.frame.name, &self.frame.mark);
        let is_stamped = own.and_then(|own| own.stamp()).is_some_and(|own| own.is_same_value(&known.stamp));
        let stamp = (!is_stamped && known.stamp.held.is_issued())
            .then(|| known.stamp.clone().sealed(&self.engine.context.mac));
        let written = self.engine.destinations.put_frame(&self.frame, stamp.as_ref()).await?;
        if written {
            tracing::info!(secret = %self.frame.name, reason = why.as_str(), "labels and annotations written");
        }
        Ok(written)
    }

    /// Deletes the Secret of the former name after a rename, or the keys in it, unless they must be retained.
    pub(super) async fn prune(&self) -> Result<(), Error> {
        let destination = self.object.common().destination;
        let Some(former) = self.recorded().sync.destination.filter(|former| *former != destination.name)
        else {
            return Ok(());
        };
        if destination.deletion_policy == DeletionPolicy::Retain {
            return Ok(());
        }
        let name = ObjectName::new(&self.frame.name.namespace, former);
        match self.engine.destinations.own(&name, &self.frame.mark) {
            Some(observed) => self.engine.destinations.delete(&name, &observed).await,
            None => self.engine.destinations.withdraw(&name, &self.frame.mark).await,
        }
    }
}

/// The right to a Secret that a destination asks for.
pub(super) fn intent(destination: &Destination) -> Intent {
    match (destination.create, destination.overwrite) {
        (false, _) => Intent::Merge,
        (true, false) => Intent::Create,
        (true, true) => Intent::Overwrite,
    }
}

/// What the status of an object states. A value that became due while no operator was active is overdue.
pub(super) fn recorded<K: Synced>(engine: &Engine, object: &K) -> Option<Known> {
    let Recorded { stamp, version, mount, .. } = K::recorded(&engine.context.latest(object));
    let stamp = Stamp::of_status::<K>(stamp.as_deref(), &engine.context.mac)?;
    let obtained = engine.context.last_active.unwrap_or_else(Timestamp::now);
    Some(Known { stamp, version, mount, login: None, obtained })
}

/// What is known about an object whose Secret contains a later value than the status states: the operator was killed between the two
/// writes.
pub(super) fn caught_up(mac: &Mac, known: Option<Known>, seen: Option<&Seen>) -> Option<Known> {
    match seen.and_then(|seen| seen.later(known.as_ref().map(|known| &known.stamp), mac)) {
        Some(stamp) => {
            Some(Known { stamp, version: None, mount: None, login: None, obtained: Timestamp::now() })
        }
        None => known,
    }
}

fn since(at: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default()
}
