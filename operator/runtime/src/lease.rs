//! The leader lease (`coordination.k8s.io`): one process writes, the others wait.

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

/// Which lease, and as whom.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who holds it; differs from process to process.
    pub holder: String,
    /// How long it holds without being renewed, in whole seconds.
    pub duration: Duration,
}

/// A lease to be had and kept.
pub struct Lease {
    api: Api<LeaseObject>,
    settings: LeaseSettings,
    seen: Option<Seen>,
}

/// Somebody else's lease as seen last, and since when by our own clock: other processes' clocks are not trusted.
struct Seen {
    version: Option<String>,
    since: Instant,
    holds: Duration,
}

impl Lease {
    /// A lease that is not held yet.
    #[must_use]
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings, seen: None }
    }

    /// Returns when the lease is held: at once when its holder gives it back, and as soon as it runs out.
    pub async fn acquire(&mut self) {
        let mut changes = pin!(watch_object(self.api.clone(), &self.settings.name).default_backoff());
        loop {
            match self.attempt().await {
                Ok(true) => return info!(holder = self.settings.holder, "leading"),
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "lease cannot be had");
                    tokio::time::sleep(self.settings.duration / 4).await;
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

    /// When what was seen last runs out.
    fn expires(&self) -> Option<Instant> {
        self.seen.as_ref().map(|seen| seen.since + seen.holds)
    }

    /// Keeps the lease; returns when it is lost. That is while others still take it to be held: what is under way then
    /// has ended before anybody else begins.
    pub async fn keep(&mut self) {
        let gives_up = self.settings.duration.mul_f64(0.75);
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.settings.duration / 4).await;
            let (asked, left) = (Instant::now(), gives_up.saturating_sub(renewed.elapsed()));
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return warn!("another process leads"),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "lease not renewed");
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= gives_up {
                return warn!("lease lost");
            }
        }
    }

    /// Gives the lease back, so that the next process need not wait for it to run out.
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
            info!("lease released");
        }
    }

    /// Takes or renews the lease; whether it is ours now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let written = match self.api.get_opt(&self.settings.name).await? {
            None => self.api.create(&PostParams::default(), &self.claim(None)).await,
            Some(current) if self.free(&current) => {
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

    /// Ours, given back, or not renewed for as long as it holds.
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
