//! Leader election with a Lease (`coordination.k8s.io`): one process is active, the others wait.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Client, ResourceExt};
use tracing::{info, warn};

/// Longest pause after a failed attempt to acquire a lease.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Settings of a lease.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Holder identity. Must be unique to this process.
    pub holder: String,
    /// Duration of the lease without renewal, in whole seconds.
    pub duration: Duration,
}

/// A lease to acquire and keep.
pub struct Lease {
    api: Api<LeaseObject>,
    settings: LeaseSettings,
    seen: Option<Seen>,
    last_active: Option<Timestamp>,
}

/// Last observed state of a lease that another process holds. `since` is from the local clock: clocks of other
/// processes are not trusted.
struct Seen {
    version: Option<String>,
    since: Instant,
    holds: Duration,
}

impl Lease {
    /// Returns a lease that is not held yet.
    #[must_use]
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings, seen: None, last_active: None }
    }

    /// Returns the last renewal by the previous holder. `None` if no process has held the lease before.
    #[must_use]
    pub fn last_active(&self) -> Option<Timestamp> {
        self.last_active
    }

    /// Waits until this process holds the lease: as soon as its holder releases it, or it expires.
    pub async fn acquire(&mut self) {
        let mut changes = pin!(watch_object(self.api.clone(), &self.settings.name).default_backoff());
        loop {
            match self.attempt().await {
                Ok(true) => return info!(holder = self.settings.holder, "acquired the leader lease"),
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "cannot acquire the leader lease");
                    tokio::time::sleep((self.settings.duration / 4).min(LONGEST_PAUSE)).await;
                }
            }
            while let Some(expires) = self.expires() {
                tokio::select! {
                    () = tokio::time::sleep_until(expires.into()) => break,
                    Some(change) = changes.next() => {
                        if change.is_ok_and(|lease| lease.is_none_or(|lease| self.free(&lease))) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Returns the time at which the observed lease expires.
    fn expires(&self) -> Option<Instant> {
        self.seen.as_ref().map(|seen| seen.since + seen.holds)
    }

    /// Renews the lease, and returns when it is lost. It returns before the lease expires for other processes, so that
    /// work in progress ends before another process starts.
    pub async fn keep(&mut self) {
        let gives_up = self.settings.duration.mul_f64(0.75);
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.settings.duration / 4).await;
            let (asked, left) = (Instant::now(), gives_up.saturating_sub(renewed.elapsed()));
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return warn!("lost the leader lease: another process holds it"),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "cannot renew the leader lease");
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= gives_up {
                return warn!("lost the leader lease: it was not renewed in time");
            }
        }
    }

    /// Waits until the API server answers.
    pub async fn answered(&self) {
        while self.api.get_opt(&self.settings.name).await.is_err() {
            tokio::time::sleep(self.settings.duration / 4).await;
        }
    }

    /// Releases the lease, so that the next process does not wait for its expiration.
    pub async fn release(&mut self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.settings.name).await else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.settings.holder) {
            return;
        }
        spec.holder_identity = Some(String::new());
        if self.api.replace(&self.settings.name, &PostParams::default(), &lease).await.is_ok() {
            info!("released the leader lease");
        }
    }

    /// Acquires or renews the lease. Returns whether this process holds it.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let written = match self.api.get_opt(&self.settings.name).await? {
            None => self.api.create(&PostParams::default(), &self.claim(None)).await,
            Some(current) if self.free(&current) => {
                self.remember(&current);
                let claim = self.claim(Some(&current));
                self.api.replace(&self.settings.name, &PostParams::default(), &claim).await
            }
            Some(_) => return Ok(false),
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps the last renewal by another process.
    fn remember(&mut self, current: &LeaseObject) {
        let Some(spec) = &current.spec else { return };
        if spec.holder_identity.as_deref() != Some(&self.settings.holder) {
            self.last_active = spec.renew_time.as_ref().map(|time| time.0);
        }
    }

    /// Returns whether the lease can be acquired: it is held by this process, released or expired.
    fn free(&mut self, current: &LeaseObject) -> bool {
        let spec = current.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        if holder.is_empty() || holder == self.settings.holder {
            return true;
        }
        let version = current.resource_version();
        let holds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let holds = Duration::from_secs(holds.unwrap_or(15));
        match &self.seen {
            Some(seen) if seen.version == version => seen.since.elapsed() >= seen.holds,
            _ => {
                self.seen = Some(Seen { version, since: Instant::now(), holds });
                false
            }
        }
    }

    fn claim(&self, current: Option<&LeaseObject>) -> LeaseObject {
        let now = Some(MicroTime(Timestamp::now()));
        let spec = current.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let held = spec.holder_identity.as_deref() == Some(&self.settings.holder);
        LeaseObject {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                resource_version: current.and_then(ResourceExt::resource_version),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.settings.holder.clone()),
                lease_duration_seconds: i32::try_from(self.settings.duration.as_secs()).ok(),
                acquire_time: if held { spec.acquire_time } else { now.clone() },
                lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + i32::from(!held)),
                renew_time: now,
                ..LeaseSpec::default()
            }),
        }
    }
}
