//! Values that OpenBao issues: they are obtained once, renewed, and discarded with their object.

use std::time::Instant;

use jiff::Timestamp;
use steamer_core::Error;
use steamer_runtime::{Action, Key, ObjectName};

use super::controller::Controller;
use super::decide::{Known, Why};
use super::held::Held;
use super::pass::Pass;
use super::pending::Unwritten;
use super::stamp::{Stamp, request_digest};
use super::synced::{Obtained, Renewal, Source, Synced};

impl<K: Synced> Pass<'_, K> {
    /// Whether a value was issued for the requested reconcile, but the status does not state it: the operator was killed, or
    /// the API server was down.
    pub(super) fn answers(&self, known: &Known) -> bool {
        known.stamp.held.is_issued() && known.stamp.nudge == self.request_of_reconcile()
    }

    /// Digest of the reconcile annotation that counts as handled after this pass.
    pub(super) fn request_of_reconcile(&self) -> String {
        let handled = self.handled(self.recorded().sync.last_handled_reconcile_at);
        handled.map(|text| request_digest(&[&text])).unwrap_or_default()
    }
}

impl<K: Synced> Controller<K> {
    /// Discards what is known about an object, and the tokens of its leases. It revokes nothing.
    pub(super) fn forget_issued(&self, name: &ObjectName) {
        let known = self.known().remove(name).map(|known| known.stamp);
        let held = known.into_iter().flat_map(|stamp| stamp.former.into_iter().chain([stamp.held]));
        let owner = Key::new(K::KIND, name.clone());
        for held in held.chain(self.pending.held(name)) {
            if let Held::Lease(lease) = held {
                self.engine().leases.forget((&owner, &lease.id));
            }
        }
        self.pending.take(name);
        self.pending.recorded(name);
        self.engine().requests.forget(&owner);
    }

    /// Completes the values that a written stamp states.
    pub(super) fn stated(&self, pass: &Pass<'_, K>, stamp: &Stamp) {
        if K::Source::ISSUES {
            pass.complete(stamp.values());
            self.pending.written(&ObjectName::of(pass.object), stamp);
        }
    }

    /// Obtains the value, unless the last one that was issued is not written yet.
    pub(super) async fn obtain(
        &self,
        pass: &Pass<'_, K>,
        known: Option<&Known>,
        why: Why,
    ) -> Result<Option<Obtained>, Error> {
        if let Some(Unwritten { request, obtained }) = self.pending.take(&ObjectName::of(pass.object)) {
            if request == pass.source.request() && !obtained.held.has_ended(Timestamp::now()) {
                return Ok(Some(obtained));
            }
            // The write may have been executed nevertheless. A former value is revoked when no pod uses it anymore.
            self.pending.reject(&ObjectName::of(pass.object), obtained.held);
        }
        pass.obtain(known, why).await
    }

    /// Refuses to replace a value while too many former ones remain to be revoked. Their renewals count nevertheless.
    pub(super) async fn admit(&self, pass: &Pass<'_, K>, known: &mut Known) -> Result<(), Error> {
        let room = pass.make_room(known).await;
        if room.is_err() {
            self.known().insert(ObjectName::of(pass.object), known.clone());
        }
        room
    }

    /// Keeps what is known about an issued value, even if its status cannot be written. The token of a former lease that is
    /// not revoked is discarded.
    pub(super) fn replaced(&self, pass: &Pass<'_, K>, known: &Known) {
        if !known.stamp.held.is_issued() {
            return;
        }
        let former = self.known().insert(ObjectName::of(pass.object), known.clone());
        if let Some(Known { stamp: Stamp { held: Held::Lease(lease), .. }, .. }) = former
            && !pass.object.common().revoke
        {
            self.engine().leases.forget((&Key::of(pass.object), &lease.id));
        }
    }

    /// Keeps the value if the server at another address knows it. Otherwise another value is issued.
    pub(super) async fn verify(&self, pass: &Pass<'_, K>, mut known: Known) -> Result<Action, Error> {
        if !pass.source.exists(self.engine(), &known.stamp.held).await? {
            return self.sync(pass, Some(known), Why::SpecChanged).await;
        }
        known.stamp = known.stamp.moved(&pass.server);
        self.settled(pass, known, None).await
    }

    /// Renews the value. The Secret does not change.
    pub(super) async fn renew(&self, pass: &Pass<'_, K>, mut known: Known) -> Result<Action, Error> {
        self.pace.admit(&ObjectName::of(pass.object))?;
        let renewal = match pass.source.renew(self.engine(), &known.stamp.held).await {
            Err(error) if !error.is_out_of_reach() && known.stamp.held.is_ending(Timestamp::now()) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a lease that cannot be renewed is replaced"
                );
                return self.sync(pass, Some(known), Why::RenewalDue).await;
            }
            Err(error) => {
                self.renewals.failed(&ObjectName::of(pass.object), Instant::now());
                return Err(error);
            }
            Ok(renewal) => renewal,
        };
        match renewal {
            Renewal::Renewed(held) => {
                known.stamp.held = *held;
                self.renewals.forget(&ObjectName::of(pass.object));
                self.known().insert(ObjectName::of(pass.object), known.clone());
                self.settled(pass, known, None).await
            }
            Renewal::Gone => self.sync(pass, Some(known), Why::LeaseRevoked).await,
        }
    }
}
