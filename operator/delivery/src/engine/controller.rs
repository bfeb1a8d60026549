//! The controller of all kinds that become Secrets.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use steamer_api::{DeletionPolicy, HasConditions, LastSync, OnSourceDeleted};
use steamer_core::Error;
use steamer_core::access::auth::{Access, access, auth_of};
use steamer_openbao::NamespacePath;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, ObjectName, Reason, Reconcile};

use super::content::Content;
use super::decide::{Act, Inputs, Known, Seen, Why, decide};
use super::destination::Overwrite;
use super::frame::{Frame, Wanted};
use super::shared::Engine;
use super::stamp::{Held, Stamp};
use super::state::frame;
use super::synced::{Obtained, Oldest, ReadAccess, Recorded, Source, Synced};

/// Reconciles the objects of one kind.
pub(crate) struct Controller<K> {
    engine: Arc<Engine>,
    known: Mutex<HashMap<ObjectName, Known>>,
    kind: PhantomData<fn() -> K>,
}

/// One reconcile of one object.
struct Pass<'a, K: Synced> {
    engine: &'a Engine,
    dependencies: &'a Dependencies,
    object: &'a K,
    frame: Frame,
    source: K::Source,
    login: String,
}

impl<K: Synced> Reconcile for Controller<K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::NAME;

    async fn reconcile(&self, object: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        let context = &self.engine.context;
        if object.meta().deletion_timestamp.is_some() {
            return Ok(Action::AwaitChange);
        }
        if object.common().suspend {
            context.report(&*object, context.last::<_, K::Status>(&*object), &Verdict::Suspended).await?;
            return Ok(Action::AwaitChange);
        }
        let access = self.access(dependencies, &*object).await?;
        let pass = Pass {
            engine: &self.engine,
            dependencies,
            frame: frame(context, &*object),
            login: format!("{:?}", access.login),
            source: object.source(access),
            object: &*object,
        };
        let known = self.known().get(&ObjectName::of(&*object)).cloned();
        let (act, seen) = pass.decide(known.as_ref()).await;
        match act {
            Act::Nothing(_) => self.settled(&pass, known.or_else(|| pass.restored(seen)), None).await,
            Act::Frame(why) => {
                let written = pass.repair(why).await?;
                self.settled(&pass, known.or_else(|| pass.restored(seen)), written.then_some(why)).await
            }
            Act::Render(why) | Act::Obtain(why) => self.sync(&pass, known, why).await,
        }
    }

    fn forget(&self, name: &ObjectName) {
        self.known().remove(name);
    }
}

impl<K: Synced> Controller<K> {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, known: Mutex::default(), kind: PhantomData }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ObjectName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn access(&self, dependencies: &Dependencies, object: &K) -> Result<ReadAccess, Error> {
        let (context, common) = (&*self.engine.context, object.common());
        let consumer = object.namespace().unwrap_or_default();
        let auth = auth_of(context, dependencies, common.auth_ref, &consumer)?;
        let Access { session, login } = access(context, dependencies, &auth, &consumer).await?;
        let namespace = common.namespace.map_or_else(|| login.namespace.clone(), NamespacePath::new);
        Ok(ReadAccess { session: session.within(namespace.as_str()), namespace, login })
    }

    /// Obtains the value and brings the Secret to the desired state.
    async fn sync(&self, pass: &Pass<'_, K>, known: Option<Known>, why: Why) -> Result<Action, Error> {
        let name = ObjectName::of(pass.object);
        let Some(obtained) = pass.source.obtain(pass.engine, pass.oldest(known.as_ref(), why)).await? else {
            self.known().remove(&name);
            return Err(pass.source_missing().await?);
        };
        let due = pass.source.schedule().next(obtained.at);
        let (stamp, written) = pass.put(obtained).await?;
        if written {
            tracing::info!(secret = %pass.frame.name, version = stamp.held.version(), reason = why.as_str(), "Secret written");
        }
        pass.prune().await?;
        pass.synced(&stamp, written.then_some(why)).await?;
        let known = Known { version: stamp.held.version(), stamp, login: pass.login.clone(), due };
        self.known().insert(name, known);
        Ok(Action::After(pass.source.schedule().until(due, Timestamp::now())))
    }

    /// Keeps what is known until the value is due, and reports it. An error that no longer applies is removed from the
    /// status.
    async fn settled(
        &self,
        pass: &Pass<'_, K>,
        known: Option<Known>,
        written: Option<Why>,
    ) -> Result<Action, Error> {
        pass.prune().await?;
        let Some(known) = known else {
            return Ok(Action::AwaitChange);
        };
        pass.unchanged(&known, written).await?;
        let pause = pass.source.schedule().until(known.due, Timestamp::now());
        self.known().insert(ObjectName::of(pass.object), known);
        Ok(Action::After(pause))
    }
}

impl<K: Synced> Pass<'_, K> {
    /// The action, and the Secret that it is based on.
    async fn decide(&self, known: Option<&Known>) -> (Act, Option<Seen>) {
        let status: K::Status = self.engine.context.last(self.object);
        let Recorded { secret_mac, .. } = K::recorded(&status);
        let seen = self.engine.seen(self.dependencies, self.object, &self.frame).await;
        let act = decide(&Inputs {
            request: &self.source.request(),
            login: &self.login,
            known,
            seen: seen.as_ref(),
            recorded: secret_mac.as_deref().filter(|_| status.is_ready()),
            spec_changed: Some(status.observed_generation()) != self.object.meta().generation,
            schedule: self.source.schedule(),
            now: Timestamp::now(),
        });
        (act, seen)
    }

    /// What the stamp and the status say about a settled object after a restart.
    fn restored(&self, seen: Option<Seen>) -> Option<Known> {
        let due = self.source.schedule().next(Timestamp::now());
        let version = K::recorded(&self.engine.context.last(self.object)).version;
        Some(Known { stamp: seen?.stamp?, version, login: self.login.clone(), due })
    }

    /// How old a shared value may be: a refresh uses values read since it was due, a new object uses values read since it
    /// was created (its value may have been written just before), and a changed spec reads again.
    fn oldest(&self, known: Option<&Known>, why: Why) -> Oldest {
        let period = self.source.schedule().period;
        let age = match why {
            Why::SpecChanged => Duration::ZERO,
            Why::NeverSynced => period.min(self.age()),
            Why::RefreshDue => known.map_or(period, |known| since(known.due).min(period)),
            Why::DestinationMissing | Why::DestinationDrifted => period,
        };
        let now = Instant::now();
        Oldest(now.checked_sub(age).unwrap_or(now))
    }

    /// Minimum age of the object. Kubernetes has creation times in seconds.
    fn age(&self) -> Duration {
        let age = self.object.creation_timestamp().map_or(Duration::ZERO, |at| since(at.0));
        age.saturating_sub(Duration::from_secs(1))
    }

    /// Writes the value and its stamp. Returns whether a write was necessary.
    async fn put(&self, obtained: Obtained) -> Result<(Stamp, bool), Error> {
        let Obtained { documents, held, at: _ } = obtained;
        let content = Content::render(&documents)?;
        let mac = content.mac(&self.engine.context.mac);
        let stamp = Stamp { request: self.source.request(), content: mac, held };
        let written = self.write(&content, &stamp).await?;
        Ok((stamp, written))
    }

    async fn write(&self, content: &Content, stamp: &Stamp) -> Result<bool, Error> {
        let (frame, destination) = (&self.frame, self.object.common().destination);
        let destinations = &self.engine.destinations;
        if !destination.create {
            return destinations.merge(self.dependencies, frame, content).await;
        }
        let overwrite = if destination.overwrite { Overwrite::Yes } else { Overwrite::No };
        // A new version with the same content is not worth a write: the status has the version.
        let before = destinations.own(&frame.name, &frame.mark).and_then(|own| own.stamp());
        let before = before.filter(|before| before.is_same_value(stamp));
        let wanted = Wanted { frame, content, stamp: before.as_ref().unwrap_or(stamp) };
        destinations.put(self.dependencies, &wanted, overwrite).await
    }

    /// Deletes the Secret of the former name after a rename, unless it must be retained.
    async fn prune(&self) -> Result<(), Error> {
        let destination = self.object.common().destination;
        let last = K::recorded(&self.engine.context.last(self.object)).destination;
        let Some(former) = last.filter(|former| *former != destination.name) else {
            return Ok(());
        };
        if destination.deletion_policy == DeletionPolicy::Retain {
            return Ok(());
        }
        let name = ObjectName::new(&self.frame.name.namespace, former);
        match self.engine.destinations.own(&name, &self.frame.mark) {
            Some(observed) => self.engine.destinations.delete(&name, &observed).await,
            None => Ok(()),
        }
    }

    /// Applies `onSourceDeleted`. Returns the error that reports the missing value.
    async fn source_missing(&self) -> Result<Error, Error> {
        let destinations = &self.engine.destinations;
        let own = destinations.own(&self.frame.name, &self.frame.mark);
        let note = match (&own, self.object.common().on_source_deleted) {
            (None, _) => "",
            (Some(_), OnSourceDeleted::Retain) => "; the Secret is kept",
            (Some(_), OnSourceDeleted::Clear) => {
                let (content, stamp) = self.cleared();
                let wanted = Wanted { frame: &self.frame, content: &content, stamp: &stamp };
                destinations.put(self.dependencies, &wanted, Overwrite::No).await?;
                "; the Secret is emptied"
            }
            (Some(observed), OnSourceDeleted::Delete) => {
                destinations.delete(&self.frame.name, observed).await?;
                "; the Secret is deleted"
            }
        };
        let (schedule, now) = (self.source.schedule(), Timestamp::now());
        let message = format!("no value exists at {} in OpenBao{note}", self.source.describe());
        Ok(Error::SourceMissing(message, schedule.until(schedule.next(now), now)))
    }

    /// An empty Secret. Its request matches no spec, so that a value that appears later is obtained.
    fn cleared(&self) -> (Content, Stamp) {
        let content = Content::default();
        let mac = content.mac(&self.engine.context.mac);
        let held = Held::Read { versions: Vec::new() };
        (content, Stamp { request: String::new(), content: mac, held })
    }

    /// Repairs the frame of the Secret. Returns true if a write was necessary.
    async fn repair(&self, why: Why) -> Result<bool, Error> {
        let written = self.engine.destinations.put_frame(&self.frame).await?;
        if written {
            tracing::info!(secret = %self.frame.name, reason = why.as_str(), "labels and annotations written");
        }
        Ok(written)
    }

    async fn unchanged(&self, known: &Known, written: Option<Why>) -> Result<(), Error> {
        let last = K::recorded(&self.engine.context.last(self.object));
        self.conclude(Recorded { version: known.version, ..last }, written.map(Why::as_str)).await
    }

    async fn synced(&self, stamp: &Stamp, written: Option<Why>) -> Result<(), Error> {
        let last = K::recorded(&self.engine.context.last(self.object));
        let merged = !self.object.common().destination.create;
        let changed = last.secret_mac.as_ref() != Some(&stamp.content);
        let reason = match written {
            Some(Why::RefreshDue) if changed => Some("ValueChanged"),
            why => why.map(Why::as_str),
        };
        let recorded = Recorded {
            secret_mac: Some(stamp.content.clone()),
            version: stamp.held.version(),
            stamp: merged.then(|| stamp.text()),
            ..last
        };
        self.conclude(recorded, reason).await
    }

    async fn conclude(&self, recorded: Recorded, reason: Option<&str>) -> Result<(), Error> {
        let context = &self.engine.context;
        let name = &self.frame.name.name;
        let message = match recorded.version {
            Some(version) => format!("Secret {name} contains version {version}"),
            None => format!("Secret {name} contains the value"),
        };
        let last_sync = reason.map(last_sync).or(recorded.last_sync.clone());
        let recorded = Recorded { last_sync, destination: Some(name.clone()), ..recorded };
        let mut status: K::Status = context.last(self.object);
        K::record(&mut status, recorded);
        context.report(self.object, status, &Verdict::Ready(Reason::Applied, message)).await
    }
}

fn since(at: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default()
}

fn last_sync(reason: &str) -> LastSync {
    let now = Timestamp::now();
    let time = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    LastSync { time, reason: reason.to_owned() }
}
