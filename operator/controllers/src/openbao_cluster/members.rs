//! The nodes of a cluster: their pods, and what they say of themselves.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// It follows, and does not learn whom: whatever it is asked for fails, though its health does not show it.
    Astray(Health),
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
            Answer::Health(health) | Answer::Astray(health) => health.version.parse().ok(),
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

/// How long a standby may take to learn who leads. It looks every 2.5 s, and the pass that asks it comes every ten.
const LEARNS: Duration = Duration::from_secs(5);

/// Standbys that did not know who leads when they were asked last, by their pods' uids, and since when under which leader.
///
/// A standby of 2.7 reads the leader's address through a cache that keeps what is not there as well: one that looks between
/// the leader's lock and its address never looks again, until another leads.
#[derive(Default)]
pub(crate) struct Strays(HashMap<String, (String, Instant)>);

impl Strays {
    /// Takes in who of the standbys knows no leader while `leader` leads; who of them has had time enough.
    fn learn(&mut self, leader: &str, ignorant: &[String], now: Instant) -> HashSet<String> {
        let since = |uid: &String| match self.0.get(uid) {
            Some((under, since)) if under == leader => *since,
            _ => now,
        };
        let all: HashMap<_, _> =
            ignorant.iter().map(|uid| (uid.clone(), (leader.to_owned(), since(uid)))).collect();
        self.0 = all;
        let late = self.0.iter().filter(|(_, (_, since))| now.duration_since(*since) >= LEARNS);
        late.map(|(uid, _)| uid.clone()).collect()
    }
}

/// Asks the standbys whom they follow, while somebody leads, and marks those that do not learn it.
pub(crate) async fn led(
    members: &mut [Member],
    strays: &Mutex<Strays>,
    node: impl Fn(&str) -> Result<Client, Error>,
) {
    let Some(leader) = members.iter().find(|member| member.answer.is_active()).map(Member::uid) else {
        return;
    };
    let standbys = members.iter().filter(|member| member.answer.is_standby());
    let asked = standbys.map(|member| {
        let client = node(&member.name());
        async move {
            let said = client.ok()?.session(Identity::Anonymous).leader().await.ok()?;
            said.leader_address.is_empty().then(|| member.uid())
        }
    });
    let ignorant: Vec<String> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    let mut strays = strays.lock().unwrap_or_else(PoisonError::into_inner);
    let late = strays.learn(&leader, &ignorant, Instant::now());
    for member in members.iter_mut().filter(|member| late.contains(&member.uid())) {
        if let Answer::Health(health) = &member.answer {
            member.answer = Answer::Astray(health.clone());
        }
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
    fn a_standby_has_time_to_learn_who_leads_and_begins_anew_with_another_leader() {
        let (start, mut strays) = (Instant::now(), Strays::default());
        let mut late = |seconds, leader: &str, ignorant: &[&str]| {
            let ignorant: Vec<String> = ignorant.iter().map(|uid| (*uid).to_owned()).collect();
            let mut late: Vec<_> =
                strays.learn(leader, &ignorant, start + Duration::from_secs(seconds)).into_iter().collect();
            late.sort();
            late.join(" ")
        };
        assert_eq!(late(0, "a", &["b", "c"]), "");
        assert_eq!(late(4, "a", &["b", "c"]), "");
        assert_eq!(late(10, "a", &["b"]), "b");
        assert_eq!(late(12, "a", &["b", "c"]), "b");
        assert_eq!(late(20, "c", &["b"]), "");
        assert_eq!(late(30, "c", &["b"]), "b");
    }
}
