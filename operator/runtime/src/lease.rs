//! The leader lease (`coordination.k8s.io`): one process writes, the others wait.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
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
    /// What was seen last, and since when by our own clock: other processes' clocks are not trusted.
    seen: Option<(Option<String>, Instant)>,
}

impl Lease {
    /// A lease that is not held yet.
    #[must_use]
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings, seen: None }
    }

    /// Returns when the lease is held.
    pub async fn acquire(&mut self) {
        loop {
            match self.attempt().await {
                Ok(true) => return info!(holder = self.settings.holder, "leading"),
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "lease cannot be had");
                }
            }
            tokio::time::sleep(self.settings.duration / 4).await;
        }
    }

    /// Keeps the lease; returns when it is lost.
    pub async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.settings.duration / 4).await;
            let left = self.settings.duration.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return warn!("another process leads"),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "lease not renewed");
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= self.settings.duration {
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
        let version = current.resource_version();
        let holder =
            current.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || holder == self.settings.holder {
            return true;
        }
        let holds = current.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(15);
        let holds = Duration::from_secs(u64::try_from(holds).unwrap_or(15));
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() > holds,
            _ => {
                self.seen = Some((version, Instant::now()));
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
