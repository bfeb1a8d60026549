//! The nodes of a cluster: their pods, and what they say of themselves.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use steamer_openbao::{Client, Error as OpenBao, Health, Identity, Settings};

use super::cluster::{REVISION, Version};
use crate::error::Error;
use crate::sessions::Sessions;

/// A node.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) pod: Arc<Pod>,
    pub(crate) answer: Answer,
}

/// What a node says when it is asked how it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// What it is.
    Health(Health),
    /// It is open with another seal than storage has, and will follow or lead; it does not tell its health then.
    Migrating,
    /// It cannot reach its storage.
    NoStorage,
    /// Nothing listens: its process has ended, or begins.
    Refused,
    /// Nothing, in time.
    Silent,
}

impl Answer {
    pub(crate) fn is_active(&self) -> bool {
        matches!(self, Self::Health(health) if health.initialized && !health.sealed && !health.standby)
    }

    pub(crate) fn is_standby(&self) -> bool {
        match self {
            Self::Health(health) => health.initialized && !health.sealed && health.standby,
            Self::Migrating => true,
            _ => false,
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self, Self::Health(health) if health.initialized && health.sealed)
    }
}

impl Member {
    pub(crate) fn name(&self) -> String {
        self.pod.name_any()
    }

    pub(crate) fn uid(&self) -> String {
        self.pod.uid().unwrap_or_default()
    }

    pub(crate) fn revision(&self) -> Option<&str> {
        self.pod.annotations().get(REVISION).map(String::as_str)
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn node(&self) -> Option<String> {
        self.pod.spec.as_ref().and_then(|spec| spec.node_name.clone())
    }

    pub(crate) fn version(&self) -> Option<Version> {
        match &self.answer {
            Answer::Health(health) => health.version.parse().ok(),
            _ => None,
        }
    }

    /// It is open and follows or leads.
    pub(crate) fn serves(&self) -> bool {
        !self.is_ending() && (self.answer.is_active() || self.answer.is_standby())
    }

    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        let created = self.pod.metadata.creation_timestamp.as_ref().map_or(now, |at| at.0);
        Duration::from_secs(u64::try_from(now.as_second() - created.as_second()).unwrap_or(0))
    }

    /// Since when its process runs.
    pub(crate) fn running_for(&self, now: Timestamp) -> Option<Duration> {
        let since = container(&self.pod)?.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
        Some(Duration::from_secs(u64::try_from(now.as_second() - since.0.as_second()).unwrap_or(0)))
    }

    /// What keeps it from running, as its machine says.
    pub(crate) fn trouble(&self) -> Option<String> {
        trouble(&self.pod)
    }

    /// The kubelet waits before it starts it again.
    pub(crate) fn backs_off(&self) -> bool {
        let waiting = container(&self.pod).and_then(|status| status.state.as_ref()?.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    }
}

/// The server's container.
pub(crate) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == "openbao")
}

/// Tells one process of a pod from the next; none while none runs.
pub(crate) fn process(pod: &Pod) -> Option<&str> {
    let status = container(pod)?;
    status.state.as_ref()?.running.as_ref()?;
    status.container_id.as_deref()
}

fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(container) = container(pod) {
        let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
        let ended = last.map(|ended| match ended.message.as_deref().and_then(last_line) {
            Some(line) => format!("; it ended with code {}: {line}", ended.exit_code),
            None => format!("; it ended with code {}", ended.exit_code),
        });
        if let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) {
            let reason = waiting.reason.as_deref().unwrap_or("Waiting");
            let message = waiting.message.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
            return Some(match ended {
                Some(ended) => format!("{reason}{ended}"),
                None => format!("{reason}{message}"),
            });
        }
        return ended.map(|ended| ended.trim_start_matches("; ").to_owned());
    }
    let scheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled");
    scheduled.filter(|condition| condition.status == "False").and_then(|condition| condition.message.clone())
}

fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().find(|line| line.to_lowercase().contains("error"));
    let line = line.or_else(|| text.lines().rev().find(|line| !line.trim().is_empty()))?;
    Some(line.chars().take(300).collect())
}

/// Asks a node how it is. Short: who does not answer now is asked again.
async fn ask(client: &Client) -> Answer {
    match client.session(Identity::Anonymous).health().await {
        Ok(health) => Answer::Health(health),
        Err(OpenBao::Unreachable { source, .. }) if refused(&source) => Answer::Refused,
        Err(OpenBao::Unreachable { .. }) => Answer::Silent,
        Err(_) => Answer::NoStorage,
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(current) = cause {
        let kind = current.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = current.source();
    }
    false
}

/// Asks the node of a pod, if it can be there at all.
pub(crate) async fn asked(pod: &Pod, client: Result<Client, Error>) -> Answer {
    let started = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    match client {
        Ok(client) if started => ask(&client).await,
        _ => Answer::Silent,
    }
}

/// A client of a single node, by the URL of its stable name.
pub(crate) fn client(sessions: &Sessions, url: String, shared: &Settings) -> Result<Client, Error> {
    Ok(sessions.server(&settings(url, shared))?.client)
}

/// How a single node is asked.
fn settings(url: String, shared: &Settings) -> Settings {
    Settings {
        addresses: vec![url],
        timeout: Some(Duration::from_secs(1)),
        patience: Some(Duration::ZERO),
        plain: true,
        ..shared.clone()
    }
}
