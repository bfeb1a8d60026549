//! Orphans: leases of requests that are not complete. Their tokens are revoked, also after a restart of the operator, when OpenBao no
//! longer executes the request: it would register a later lease for a token that does not exist anymore.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use steamer_core::Error;
use steamer_openbao::{Error as OpenBao, TokenLife};
use steamer_runtime::conditions::whole_second;
use steamer_runtime::{Failure, Key, Reason, Retry};

use super::accessors::{Accessor, is_passing};
use super::controller::Controller;
use super::decide::Known;
use super::held::{Held, LeaseHeld};
use super::pass::Pass;
use super::requests::{Answer, Clock, Dedicated, OpenRequest};
use super::shared::Engine;
use super::stamp::Stamp;
use super::synced::{Recorded, Source, Synced};

/// Most requests of an object whose tokens remain to be revoked.
const MOST: usize = 4;
/// Pause after a revocation that failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Too many requests of an object have no answer.
#[derive(Debug)]
struct Unanswered(Duration);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the last {MOST} requests for a credential have no answer: Steamer revokes their tokens in {} s, and then requests \
             again",
            self.0.as_secs().max(1)
        )
    }
}

impl std::error::Error for Unanswered {}

impl Failure for Unanswered {
    fn reason(&self) -> Reason {
        Reason::Waiting
    }

    fn retry(&self) -> Retry {
        Retry::After(self.0.max(Duration::from_secs(1)))
    }

    fn stalled(&self) -> bool {
        false
    }
}

impl Engine {
    /// A request that was sent before the limit has ended. The clocks differ a little.
    pub(super) fn clock(&self) -> Clock {
        let limit = self.context.request_limit;
        (Timestamp::now(), limit.saturating_add(limit / 10))
    }

    /// Revokes the tokens of requests of an object that are not complete, except while OpenBao may still execute them.
    ///
    /// # Errors
    /// The last error of OpenBao. The token is tried again the next time.
    pub(crate) async fn settle(&self, owner: &Key) -> Result<(), Error> {
        let mut problem = None;
        for request in self.requests.due(owner, self.clock()) {
            match self.revoked(&request).await {
                Ok(()) => self.requests.close(owner, request),
                Err(error) => problem = Some(error),
            }
        }
        problem.map_or(Ok(()), Err)
    }

    async fn revoked(&self, request: &OpenRequest) -> Result<(), Error> {
        if let Some(session) = &request.session {
            match session.revoke_token().await {
                Ok(()) => return Ok(()),
                // The token does not exist anymore, may not revoke itself, or is a batch token.
                Err(OpenBao::Denied { .. } | OpenBao::Invalid { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match &request.accessor {
            Some(accessor) => self.revoked_by(accessor).await.map(drop),
            None => Ok(()),
        }
    }

    /// Revokes a token by its accessor. Returns false if the operator may not: then the token ends at its own time.
    async fn revoked_by(&self, accessor: &Accessor) -> Result<bool, Error> {
        match accessor.revoke(&self.context).await {
            Ok(()) => Ok(true),
            Err(error) if is_passing(&error) => Err(error),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a token is not revoked by its accessor"
                );
                Ok(false)
            }
        }
    }

    /// Revokes a lease with its token, or by the accessor of its token. Returns false if neither is possible.
    ///
    /// # Errors
    /// Any error of OpenBao.
    pub(crate) async fn end_token(&self, owner: &Key, lease: &LeaseHeld) -> Result<bool, Error> {
        if self.leases.revoke((owner, &lease.id)).await? {
            return Ok(true);
        }
        match self.accessor_of(owner, lease) {
            Some(accessor) => self.revoked_by(accessor).await,
            None => Ok(false),
        }
    }

    /// Renews the token of a lease by its accessor. Returns its lifetime, or `None` if it does not exist anymore or the operator may
    /// not renew it.
    ///
    /// # Errors
    /// Any error of OpenBao that passes.
    pub(crate) async fn renew_token(
        &self,
        owner: &Key,
        lease: &LeaseHeld,
    ) -> Result<Option<TokenLife>, Error> {
        let Some(accessor) = self.accessor_of(owner, lease) else { return Ok(None) };
        match accessor.renew(&self.context).await {
            Err(error) if !is_passing(&error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a token is not renewed by its accessor"
                );
                Ok(None)
            }
            renewed => renewed,
        }
    }

    fn accessor_of<'a>(&self, owner: &Key, lease: &'a LeaseHeld) -> Option<&'a Accessor> {
        lease.accessor.as_ref().filter(|accessor| accessor.is_of(owner, &self.context.mac))
    }

    /// Writes the requests that are not complete to the status of an object, and a stamp, without a change of its conditions.
    ///
    /// # Errors
    /// Any error of the API server.
    pub(super) async fn record<K: Synced>(&self, object: &K, stamp: Option<String>) -> Result<(), Error> {
        let mut status = self.context.latest(object).into_owned();
        let last = K::recorded(&status);
        let requests = self.requests.text(&Key::of(object));
        K::record(&mut status, Recorded { requests, stamp: stamp.or_else(|| last.stamp.clone()), ..last });
        self.context.runtime.statuses.write(object, &status).await?;
        Ok(())
    }
}

impl<K: Synced> Pass<'_, K> {
    /// Logs in for the request of a value that depends on a token, and records the login before the request is made. None if the
    /// value depends on none.
    pub(super) async fn dedicated(&self, known: Option<&Known>) -> Result<Option<Dedicated>, Error> {
        if !K::Source::ISSUES {
            return Ok(None);
        }
        let (engine, owner) = (self.engine, Key::of(self.object));
        let pause = self.settle().await;
        if engine.requests.count(&owner) >= MOST {
            return Err(Error::other(Unanswered(pause.unwrap_or_default())));
        }
        let last = known.filter(|known| known.stamp.request == self.source.request());
        let dedicated = self.source.dedicated(engine, last.map(|known| &known.stamp.held)).await?;
        let Some(mut dedicated) = dedicated else { return Ok(None) };
        dedicated.request = engine.requests.open(&owner, &dedicated, whole_second(Timestamp::now()));
        if dedicated.accessor.is_some()
            && let Err(error) = engine.record(self.object, None).await
        {
            engine.requests.answered(&owner, dedicated.request, Answer::Unused);
            self.settle().await;
            return Err(error);
        }
        Ok(Some(dedicated))
    }

    /// Revokes the tokens of requests that are not complete. Returns the pause until the next attempt.
    pub(super) async fn settle(&self) -> Option<Duration> {
        if !K::Source::ISSUES {
            return None;
        }
        let owner = Key::of(self.object);
        match self.engine.settle(&owner).await {
            Ok(()) => self.engine.requests.next(&owner, self.engine.clock()),
            Err(error) => {
                tracing::warn!(
                    object = %owner.name,
                    error = &error as &dyn std::error::Error,
                    "the token of a request is not revoked"
                );
                Some(PAUSE)
            }
        }
    }

    /// Completes the requests of leases that a written stamp states, or that are revoked.
    pub(super) fn complete<'h>(&self, values: impl IntoIterator<Item = &'h Held>) {
        let ids: Vec<&str> = leases(values).map(|lease| lease.id.as_str()).collect();
        self.engine.requests.complete(&Key::of(self.object), &ids);
    }
}

impl<K: Synced> Controller<K> {
    /// Adds the requests of an earlier process that the status of an object records. A lease of its stamp was written: the
    /// process ended before it reported so.
    pub(super) fn restore_requests(&self, object: &K, stamp: Option<&Stamp>) {
        if !K::Source::ISSUES {
            return;
        }
        let (engine, owner) = (self.engine(), Key::of(object));
        let recorded = K::recorded(&engine.context.latest(object)).requests;
        let is_written = |accessor: &Accessor| {
            let mut written = leases(stamp.into_iter().flat_map(Stamp::values));
            written.any(|lease| lease.accessor.as_ref() == Some(accessor))
        };
        engine.requests.restore(&owner, recorded.as_deref(), |accessor| {
            accessor.is_of(&owner, &engine.context.mac) && !is_written(accessor)
        });
    }
}

fn leases<'h>(values: impl IntoIterator<Item = &'h Held>) -> impl Iterator<Item = &'h LeaseHeld> {
    values.into_iter().filter_map(|held| match held {
        Held::Lease(lease) => Some(lease),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_whose_requests_have_no_answer_states_when_it_requests_again() {
        let error = Error::other(Unanswered(Duration::from_millis(40_500)));
        assert!(
            error.to_string().ends_with("revokes their tokens in 40 s, and then requests again"),
            "{error}"
        );
        assert_eq!(error.retry(), Retry::After(Duration::from_millis(40_500)));
        assert_eq!(Unanswered(Duration::ZERO).retry(), Retry::After(Duration::from_secs(1)));
        assert!(!error.stalled());
    }
}
