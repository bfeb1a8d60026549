//! The configuration of the nodes: the desired one, or the last that worked if no node can lead with the desired one.
//!
//! A configuration that cannot work shows only after the last node with another one is gone: a standby follows although
//! an audit device fails, and reports no error. The StatefulSet records which configuration works and which fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use steamer_core::error::Error;

use crate::audit;
use crate::cluster::{Cluster, RESTART};
use crate::effects::{Effects, Sources};
use crate::nodes::members::Member;
use crate::objects::config_map::{config_map, config_map_name};
use crate::objects::configuration::Headers;
use crate::objects::stateful_set::revision;

/// Annotation of the StatefulSet: the last configuration with which a node led.
const WORKS: &str = "steamer.dev/configuration-works";
/// Annotation of the StatefulSet: the configuration with which no node could lead.
const FAILS: &str = "steamer.dev/configuration-fails";
/// Facts that determine the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) live: Option<&'a StatefulSet>,
    pub(crate) members: &'a [Member],
    pub(crate) config_maps: &'a [Arc<ConfigMap>],
    /// Storage and seal are reachable.
    pub(crate) can_start: bool,
    /// A seal migration is in progress.
    pub(crate) migrating: bool,
    /// Time for which no node has led.
    pub(crate) leaderless_for: Duration,
    /// Time for which every node must have run without a leader before a configuration counts as failed.
    pub(crate) patience: Duration,
    pub(crate) now: Timestamp,
}

/// The configuration of the nodes.
pub(crate) struct Configured {
    pub(crate) configuration: Value,
    /// Annotations of the StatefulSet that record which configuration works and which fails.
    pub(crate) memory: BTreeMap<&'static str, String>,
    /// Its ConfigMap, unless an existing one is used again.
    pub(crate) write: Option<NewConfiguration>,
    /// Reason why it is not the desired one.
    pub(crate) refused: Option<Error>,
}

/// A ConfigMap with a configuration.
pub(crate) struct NewConfiguration {
    pub(crate) config_map: ConfigMap,
    /// The StatefulSet does not use it yet, so its audit devices are probed first.
    pub(crate) is_unused: bool,
}

/// Chooses between the desired configuration and the last that worked.
pub(crate) fn choose(facts: &Facts<'_>, desired: Value) -> Configured {
    let name = config_map_name(facts.cluster, &desired);
    let (works, fails) = (facts.works(&name), facts.fails(&name));
    let other = works.as_ref().filter(|works| **works != name).filter(|_| fails.is_some());
    let previous = other.and_then(|other| facts.configuration(other));
    let memory =
        [(WORKS, works), (FAILS, fails)].into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    match previous {
        Some(configuration) => Configured { configuration, memory, write: None, refused: Some(refused()) },
        None => {
            let config_map = config_map(facts.cluster, &desired);
            let write = Some(NewConfiguration { config_map, is_unused: !facts.is_used(&name) });
            Configured { configuration: desired, memory, write, refused: None }
        }
    }
}

fn refused() -> Error {
    Error::Invalid(format!(
        "no node could lead with the desired configuration, and the last that worked is back: the usual reason is an audit \
         device that fails, which the logs of the pods name. Correct spec.managed, or set another value of the annotation \
         {RESTART} to try again"
    ))
}

impl Facts<'_> {
    /// Returns true if the StatefulSet uses this ConfigMap.
    fn is_used(&self, name: &str) -> bool {
        self.live.is_some_and(|live| json!(live.spec).to_string().contains(name))
    }

    fn note(&self, key: &str) -> Option<String> {
        self.live?.annotations().get(key).cloned()
    }

    /// The last configuration that worked.
    fn works(&self, name: &str) -> Option<String> {
        if !self.migrating && self.has_updated_leader() && self.is_used(name) {
            Some(name.to_owned())
        } else {
            self.note(WORKS)
        }
    }

    /// The attempt that failed, if it is the present one. A requested restart is another attempt.
    fn fails(&self, name: &str) -> Option<String> {
        let attempt = format!("{name} {}", self.cluster.restart.as_deref().unwrap_or_default());
        if self.note(FAILS).as_ref() == Some(&attempt) {
            return Some(attempt);
        }
        let other_works = self.works(name).is_some_and(|works| works != name);
        (other_works && self.is_leaderless() && self.is_used(name)).then_some(attempt)
    }

    fn has_updated_leader(&self) -> bool {
        let revision = self.revision();
        let leads = |member: &Member| member.answer.is_active() && member.revision() == Some(revision);
        self.members.iter().any(leads)
    }

    /// Returns true if every node has the present template and is unsealed, for a while, and none leads.
    fn is_leaderless(&self) -> bool {
        let revision = self.revision();
        let is_stuck = |member: &Member| {
            member.answer.is_standby()
                && member.revision() == Some(revision)
                && member.age(self.now) > self.patience
        };
        let can_lead = self.can_start && !self.migrating && self.leaderless_for > self.patience;
        can_lead && self.members.len() == self.cluster.nodes() && self.members.iter().all(is_stuck)
    }

    fn revision(&self) -> &str {
        self.live.map(revision).unwrap_or_default()
    }

    /// The configuration in an existing ConfigMap.
    fn configuration(&self, name: &str) -> Option<Value> {
        let map = self.config_maps.iter().find(|map| map.name_any() == name)?;
        serde_json::from_str(map.data.as_ref()?.get("openbao.json")?).ok()
    }
}

/// Writes the ConfigMap. The audit devices of a new configuration are probed first.
pub(crate) async fn write(
    effects: &Effects<'_>,
    cluster: &Cluster,
    new: &NewConfiguration,
) -> Result<(), Error> {
    if new.is_unused
        && let Some(obstacle) = audit::obstacle(cluster).await
    {
        return Err(Error::Waiting(obstacle));
    }
    effects.child_api.keep(&new.config_map).await.map(drop)
}

/// Names of the ConfigMaps that neither the StatefulSet nor a pod uses.
pub(crate) fn unused<'a>(
    cluster: &Cluster,
    config_maps: &[Arc<ConfigMap>],
    stateful_set: &StatefulSet,
    pods: impl Iterator<Item = &'a Pod>,
) -> Vec<String> {
    let prefix = cluster.child("-config-");
    let current = json!(stateful_set).to_string();
    let names = config_maps.iter().map(|map| map.name_any());
    let old: Vec<String> =
        names.filter(|name| name.starts_with(&prefix) && !current.contains(name)).collect();
    if old.is_empty() {
        return old;
    }
    let pods: Vec<String> = pods.map(|pod| json!(pod).to_string()).collect();
    old.into_iter().filter(|name| !pods.iter().any(|pod| pod.contains(name))).collect()
}

/// Removes unused ConfigMaps. Pods are checked again: one may have been created in the meantime.
pub(crate) async fn remove_unused(effects: &Effects<'_>, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let pods: Vec<String> =
        effects.child_api.all::<Pod>().iter().map(|pod| json!(**pod).to_string()).collect();
    for name in names.iter().filter(|name| !pods.iter().any(|pod| pod.contains(*name))) {
        effects.child_api.remove::<ConfigMap>(name).await?;
    }
    Ok(())
}

/// The headers of the audit devices, by name of the device.
pub(crate) async fn headers(
    sources: &Sources<'_>,
    cluster: &Cluster,
) -> Result<BTreeMap<String, Headers>, Error> {
    let mut all = BTreeMap::new();
    for device in &cluster.spec.audit {
        let Some(reference) = device.headers() else { continue };
        let secret = sources.secret(&reference.name).await?;
        let entries = || secret.data.iter().flatten();
        let digest = sources.context.mac.of(entries().map(|(key, value)| (key.as_str(), value.0.as_slice())));
        let names = entries().map(|(key, _)| key.clone()).collect();
        all.insert(device.name.clone(), Headers { names, digest });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cluster::REVISION;
    use crate::tests::{cluster, member};

    fn desired() -> Value {
        json!({"log_level": "desired"})
    }

    /// The live set uses the desired configuration, as revision `r`, with these annotations.
    fn live(annotations: &Value) -> StatefulSet {
        let template = json!({
            "metadata": {"annotations": {REVISION: "r"}},
            "spec": {"containers": [], "volumes": [
                {"name": "config", "configMap": {"name": config_map_name(&cluster(), &desired())}},
            ]},
        });
        let set = json!({
            "metadata": {"annotations": annotations},
            "spec": {"serviceName": "x", "selector": {}, "template": template},
        });
        serde_json::from_value(set).unwrap()
    }

    fn before() -> Arc<ConfigMap> {
        let map =
            json!({"metadata": {"name": "main-config-before"}, "data": {"openbao.json": "{\"is\": 1}"}});
        Arc::new(serde_json::from_value(map).unwrap())
    }

    fn chosen(nodes: &str, annotations: &Value) -> Configured {
        chosen_after(Duration::from_secs(31), nodes, annotations)
    }

    fn chosen_after(leaderless_for: Duration, nodes: &str, annotations: &Value) -> Configured {
        let (cluster, live, before) = (cluster(), live(annotations), [before()]);
        let members: Vec<Member> = nodes.chars().enumerate().map(member).collect();
        let facts = Facts {
            cluster: &cluster,
            live: Some(&live),
            members: &members,
            config_maps: &before,
            can_start: true,
            migrating: false,
            leaderless_for,
            patience: Duration::from_secs(30),
            now: Timestamp::now(),
        };
        choose(&facts, desired())
    }

    #[test]
    fn a_configuration_works_once_a_node_leads_with_it() {
        let configured = chosen("lss", &json!({WORKS: "main-config-before"}));
        assert_eq!(configured.memory[WORKS], config_map_name(&cluster(), &desired()));
        assert!(configured.refused.is_none());
    }

    #[rstest]
    #[case::every_node_follows("sss", true)]
    #[case::a_node_is_missing("ss", false)]
    #[case::a_node_is_sealed("ssz", false)]
    fn the_last_working_configuration_returns_if_no_node_leads(#[case] nodes: &str, #[case] returns: bool) {
        let configured = chosen(nodes, &json!({WORKS: "main-config-before"}));
        assert_eq!(configured.refused.is_some(), returns);
        assert_eq!(configured.configuration == json!({"is": 1}), returns);
        assert_eq!(configured.memory.contains_key(FAILS), returns);
    }

    #[test]
    fn a_configuration_does_not_fail_while_a_takeover_may_be_in_progress() {
        let annotations = json!({WORKS: "main-config-before"});
        assert!(chosen_after(Duration::from_secs(29), "sss", &annotations).refused.is_none());
    }

    #[test]
    fn a_failed_configuration_stays_refused_until_a_restart_is_requested() {
        let name = config_map_name(&cluster(), &desired());
        let noted = |attempt: &str| json!({WORKS: "main-config-before", FAILS: format!("{name} {attempt}")});
        assert!(chosen("ssz", &noted("")).refused.is_some());
        assert!(chosen("ssz", &noted("yesterday")).refused.is_none());
    }

    #[test]
    fn a_configuration_is_unused_without_a_set_and_a_pod_that_names_it() {
        let named = |names: &[&str]| -> Vec<Arc<ConfigMap>> {
            let map = |name: &&str| json!({"metadata": {"name": name}});
            names.iter().map(|name| Arc::new(serde_json::from_value(map(name)).unwrap())).collect()
        };
        let maps = named(&["main-ca", "main-config-a", "main-config-b", "main-config-c"]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "main-config-b"}})).unwrap();
        let names = unused(&cluster(), &maps, &live(&json!({"uses": "main-config-a"})), [&pod].into_iter());
        assert_eq!(names, ["main-config-c"]);
    }
}
