//! The nodes of a cluster: their pods, and what they say of themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use steamer_core::access::sessions::Sessions;
use steamer_core::error::Error;
use steamer_openbao::{Client, Error as OpenBao, Health, Identity, Settings};

use crate::cluster::{REVISION, Version};

/// A node.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) pod: Arc<Pod>,
    pub(crate) answer: Answer,
    /// For how long it is seen sealed, or following nobody.
    pub(crate) unhealthy_for: Duration,
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
        !self.is_ending() && !self.is_astray() && (self.answer.is_active() || self.answer.is_standby())
    }

    /// It follows, and does not learn whom: whatever it is asked for fails, though its health does not show it.
    pub(crate) fn is_astray(&self) -> bool {
        self.answer.is_standby() && self.unhealthy_for >= LEARNS
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

/// How long a standby may take to learn who leads. It looks every 2.5 s, and the pass that asks it comes every ten.
const LEARNS: Duration = Duration::from_secs(5);

/// Since when nodes are as they should not stay: by a pod's uid, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Unhealthy(HashMap<(String, String), Instant>);

impl Unhealthy {
    /// Takes in everything that is wrong now; for how long each pod has had it.
    fn learn(&mut self, seen: Vec<(String, String)>, now: Instant) -> HashMap<String, Duration> {
        let known = std::mem::take(&mut self.0);
        self.0 =
            seen.into_iter().map(|ailment| (ailment.clone(), *known.get(&ailment).unwrap_or(&now))).collect();
        self.0.iter().map(|((uid, _), since)| (uid.clone(), now.duration_since(*since))).collect()
    }
}

/// Tells for how long nodes are sealed, and standbys do not learn whom they follow.
///
/// A standby of 2.7 reads the leader's address through a cache that keeps what is not there as well: one that looks between
/// the leader's lock and its address never looks again, until another leads.
pub(crate) async fn observe_health(
    members: &mut [Member],
    unhealthy: &Mutex<Unhealthy>,
    node: impl Fn(&str) -> Result<Client, Error>,
) {
    let sealed = members.iter().filter(|member| member.answer.is_sealed());
    let mut seen: Vec<_> = sealed.map(|member| (member.uid(), "sealed".to_owned())).collect();
    if let Some(leader) = members.iter().find(|member| member.answer.is_active()) {
        let standbys = members.iter().filter(|member| member.answer.is_standby());
        let asked = standbys.map(|member| {
            let client = node(&member.name());
            async move {
                let said = client.ok()?.session(Identity::Anonymous).leader().await.ok()?;
                said.leader_address.is_empty().then(|| (member.uid(), format!("astray of {}", leader.uid())))
            }
        });
        seen.extend(futures::future::join_all(asked).await.into_iter().flatten());
    }
    let lasting = unhealthy.lock().unwrap_or_else(PoisonError::into_inner).learn(seen, Instant::now());
    for member in members {
        member.unhealthy_for = lasting.get(&member.uid()).copied().unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ailment_lasts_while_it_is_the_same() {
        let (start, mut unhealthy) = (Instant::now(), Unhealthy::default());
        let mut lasting = |seconds, seen: &[(&str, &str)]| {
            let seen = seen.iter().map(|(uid, what)| ((*uid).to_owned(), (*what).to_owned())).collect();
            let lasting = unhealthy.learn(seen, start + Duration::from_secs(seconds));
            let mut lasting: Vec<_> =
                lasting.into_iter().map(|(uid, lasts)| format!("{uid}{}", lasts.as_secs())).collect();
            lasting.sort();
            lasting.join(" ")
        };
        assert_eq!(lasting(0, &[("b", "astray of a"), ("c", "sealed")]), "b0 c0");
        assert_eq!(lasting(4, &[("b", "astray of a"), ("c", "sealed")]), "b4 c4");
        assert_eq!(lasting(10, &[("b", "astray of a")]), "b10");
        assert_eq!(lasting(12, &[("b", "astray of a"), ("c", "sealed")]), "b12 c0");
        assert_eq!(lasting(20, &[("b", "astray of c")]), "b0");
        assert_eq!(lasting(21, &[]), "");
    }
}
