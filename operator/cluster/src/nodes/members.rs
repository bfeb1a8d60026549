//! The nodes of a cluster: their pods, and the state that each node reports.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use steamer_core::access::sessions::Sessions;
use steamer_core::error::Error;
use steamer_openbao::{Client, Error as OpenBao, Fault, Health, Identity, Settings};

use crate::cluster::{REVISION, Version};

/// A node of a cluster.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) pod: Arc<Pod>,
    pub(crate) answer: Answer,
    /// Time for which it has had its problem, while database and seal were usable.
    pub(crate) unhealthy_for: Duration,
    /// Its last repair is too recent for another one.
    pub(crate) is_pausing: bool,
    /// A standby that answers reads and has not received a change of the leader in time.
    pub(crate) is_stale: bool,
    /// A standby that answers reads and has received the last change of the leader.
    pub(crate) is_current: bool,
    /// A standby that reports the address of the leader.
    pub(crate) knows_leader: bool,
    /// Its login is blocked on request of a user.
    pub(crate) is_fenced: bool,
}

/// Response of a node to a health request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Its health.
    Health(Health),
    /// Unsealed with another seal than that of storage. It can follow or lead, but reports no health.
    Migrating,
    /// An error: it cannot reach its storage.
    NoStorage,
    /// Connection refused: its process ended or is starting.
    Refused,
    /// No response in time.
    Silent,
}

impl Member {
    /// Image of the server in the spec of the pod.
    pub(crate) fn image(&self) -> Option<String> {
        let containers = &self.pod.spec.as_ref()?.containers;
        containers.iter().find(|container| container.name == "openbao")?.image.clone()
    }
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

    /// Returns true if the node is active, a standby or sealed.
    pub(crate) fn reports_state(&self) -> bool {
        self.is_active() || self.is_standby() || self.is_sealed()
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

    /// Returns true if its pod was deleted, and its Kubernetes node has not confirmed the end for this time after the grace
    /// period.
    pub(crate) fn is_unconfirmed(&self, longest: Duration, now: Timestamp) -> bool {
        // The time of the deletion includes the grace period.
        let end = self.pod.metadata.deletion_timestamp.as_ref().map(|at| at.0);
        end.is_some_and(|end| since(end, now) > longest)
    }

    /// Name of the Kubernetes node that it runs on.
    pub(crate) fn node(&self) -> Option<String> {
        self.pod.spec.as_ref().and_then(|spec| spec.node_name.clone())
    }

    pub(crate) fn version(&self) -> Option<Version> {
        match &self.answer {
            Answer::Health(health) => health.version.parse().ok(),
            _ => None,
        }
    }

    /// Returns true if it is unsealed, leads or follows a known leader, and its other containers run: Kubernetes sends no requests
    /// to a pod in which one does not.
    pub(crate) fn serves(&self) -> bool {
        !self.is_ending()
            && !self.is_fenced
            && sidecar_trouble(&self.pod).is_none()
            && !self.is_stale
            && !self.is_leader_unknown()
            && (self.answer.is_active() || self.answer.is_standby())
    }

    /// Returns true if it is a standby that has not discovered the leader: it fails every request, though its health
    /// does not show it.
    pub(crate) fn is_leader_unknown(&self) -> bool {
        self.answer.is_standby() && self.unhealthy_for >= DISCOVERY
    }

    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        let created = self.pod.metadata.creation_timestamp.as_ref().map_or(now, |at| at.0);
        Duration::from_secs(u64::try_from(now.as_second() - created.as_second()).unwrap_or(0))
    }

    /// Time for which Kubernetes has not reported it as ready.
    pub(crate) fn unready_for(&self, now: Timestamp) -> Duration {
        let conditions = self.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
        match ready {
            Some(ready) if ready.status == "True" => Duration::ZERO,
            Some(ready) => ready.last_transition_time.as_ref().map_or(self.age(now), |at| since(at.0, now)),
            None => self.age(now),
        }
    }

    /// Time for which its process has been running.
    pub(crate) fn running_for(&self, now: Timestamp) -> Option<Duration> {
        let since = container(&self.pod)?.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
        Some(Duration::from_secs(u64::try_from(now.as_second() - since.0.as_second()).unwrap_or(0)))
    }

    /// Reason why it does not run, as the kubelet reports it.
    pub(crate) fn trouble(&self) -> Option<String> {
        trouble(&self.pod).or_else(|| sidecar_trouble(&self.pod))
    }

    /// Returns true while the kubelet delays its restart.
    pub(crate) fn backs_off(&self) -> bool {
        let waiting = container(&self.pod).and_then(|status| status.state.as_ref()?.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    }
}

fn since(start: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.as_second() - start.as_second()).unwrap_or(0))
}

/// Longest time that a standby needs to discover the leader. It tries every 2.5 s, and a reconcile asks it every 10 s.
const DISCOVERY: Duration = Duration::from_secs(5);

/// The container of the server.
pub(crate) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == "openbao")
}

/// ID of the running process of a pod.
pub(crate) fn process(pod: &Pod) -> Option<&str> {
    let status = container(pod)?;
    status.state.as_ref()?.running.as_ref()?;
    status.container_id.as_deref()
}

/// Reason why a container beside OpenBao does not run.
fn sidecar_trouble(pod: &Pod) -> Option<String> {
    let containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    let stopped = containers.into_iter().find(|status| status.name != "openbao" && !status.ready)?;
    let waiting = stopped.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or("it is not ready");
    let message = waiting.and_then(|waiting| waiting.message.as_deref());
    let message = message.map(|text| format!(": {text}")).unwrap_or_default();
    Some(format!("container {}: {reason}{message}", stopped.name))
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

/// Sends one short health request: the next reconcile repeats it.
async fn health(client: &Client) -> Answer {
    match client.session(Identity::Anonymous).health().await {
        Ok(health) => Answer::Health(health),
        Err(OpenBao::Unreachable { source: Fault::Refused, .. }) => Answer::Refused,
        Err(OpenBao::Unreachable { .. }) => Answer::Silent,
        Err(_) => Answer::NoStorage,
    }
}

/// Asks the node of a pod for its health.
pub(crate) async fn ask(pod: &Pod, client: Result<Client, Error>) -> Answer {
    let started = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    match client {
        Ok(client) if started => health(&client).await,
        _ => Answer::Silent,
    }
}

/// Client of one node. `url` contains its stable name.
pub(crate) fn client(sessions: &Sessions, url: String, shared: &Settings) -> Result<Client, Error> {
    Ok(sessions.server(&settings(url, shared))?.client)
}

/// Settings of a client of one node. `url` contains its stable name.
pub(crate) fn settings(url: String, shared: &Settings) -> Settings {
    Settings {
        addresses: vec![url],
        timeout: Some(Duration::from_secs(1)),
        patience: Some(Duration::ZERO),
        plain: true,
        node: true,
        ..shared.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::member;

    #[test]
    fn a_node_serves_only_if_the_containers_beside_openbao_run() {
        let with_relay = |relay: serde_json::Value| {
            let mut node = member((0, 's'));
            let pod = Arc::make_mut(&mut node.pod);
            let statuses = pod.status.as_mut().and_then(|status| status.container_statuses.as_mut()).unwrap();
            statuses.push(serde_json::from_value(relay).unwrap());
            node
        };
        let status = |ready: bool, state: serde_json::Value| json!({"name": "relay", "image": "", "imageID": "", "ready": ready, "restartCount": 0, "state": state});
        assert!(with_relay(status(true, json!({"running": {}}))).serves());
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no image"}});
        let failed = with_relay(status(false, waiting));
        assert!(!failed.serves());
        assert_eq!(failed.trouble().unwrap(), "container relay: ImagePullBackOff: no image");
    }
}
