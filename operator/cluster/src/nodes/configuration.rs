//! The configuration that nodes get: the one that is wanted, or, when no node can lead with that, the last that worked.
//!
//! What cannot work is seen only when the last node that led with another has gone: a standby follows with a device that
//! fails, and nobody is told. Which configuration worked and which did not is remembered on the StatefulSet.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::{Value, json};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::audit;
use crate::managed::apply::{Done, Work};
use crate::nodes::members::Member;
use crate::objects::config_map::{config_map, config_map_name};
use crate::objects::configuration::Headers;
use crate::objects::stateful_set::revision;

/// On the StatefulSet: the configuration with which a node has led last.
const WORKS: &str = "steamer.dev/configuration-works";
/// On the StatefulSet: the one with which no node could.
const FAILS: &str = "steamer.dev/configuration-fails";
/// How long every node has to have run without any leading.
const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration for nodes, and what is remembered with it.
pub(crate) struct Configured {
    pub(crate) configuration: Value,
    /// Annotations of the StatefulSet.
    pub(crate) memory: BTreeMap<&'static str, String>,
    /// Why it is not the one that is wanted.
    pub(crate) refused: Option<Error>,
}

impl Work<'_> {
    /// Chooses it, and makes sure that nodes find it.
    pub(crate) async fn configured(
        &self,
        wanted: Value,
        (done, live): (&Done, Option<&StatefulSet>),
    ) -> Result<Configured, Error> {
        let name = config_map_name(self.cluster, &wanted);
        let noted = |key: &str| live.and_then(|live| live.annotations().get(key).cloned());
        let made_from = live.map(revision).unwrap_or_default();
        let used = live.is_some_and(|live| json!(live.spec).to_string().contains(&name));
        let works = if used && !done.migrating && leads_updated(done, made_from) {
            Some(name.clone())
        } else {
            noted(WORKS)
        };
        let other = works.as_ref().filter(|works| **works != name);
        // A restart that someone asks for is another try.
        let attempt = format!("{name} {}", self.cluster.restart.as_deref().unwrap_or_default());
        let fails = noted(FAILS).filter(|fails| *fails == attempt);
        let fails = fails
            .or_else(|| (used && other.is_some() && self.leads_nobody(done, made_from)).then_some(attempt));
        let before = match (other, &fails) {
            (Some(works), Some(_)) => self.child_api.get::<ConfigMap>(works),
            _ => None,
        };
        let memory = [(WORKS, works), (FAILS, fails)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        let text = before.and_then(|map| map.data.as_ref()?.get("openbao.json").cloned());
        if let Some(before) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            let refused = Error::Invalid(
                "no node could lead with the configuration that is wanted, and the last that worked is back: an audit \
                 device that fails is the usual reason, the pods' logs name it. Change spec.managed, or try again with another \
                 value of the annotation steamer.dev/restart"
                    .to_owned(),
            );
            return Ok(Configured { configuration: before, memory, refused: Some(refused) });
        }
        if !used && let Some(obstacle) = audit::obstacle(self.cluster).await {
            return Err(Error::Waiting(obstacle));
        }
        self.child_api.keep::<ConfigMap>(&config_map(self.cluster, &wanted)).await?;
        Ok(Configured { configuration: wanted, memory, refused: None })
    }

    /// The headers that audit devices send, by the devices' names.
    pub(crate) async fn headers(&self) -> Result<BTreeMap<String, Headers>, Error> {
        let mut all = BTreeMap::new();
        for device in &self.cluster.spec.audit {
            let Some(reference) = device.headers() else { continue };
            let name = ObjectName::new(&self.cluster.name.namespace, &reference.name);
            let secret = self.context.secrets.existing(self.dependencies, &name).await?;
            let entries = || secret.data.iter().flatten();
            let digest =
                self.context.mac.of(entries().map(|(key, value)| (key.as_str(), value.0.as_slice())));
            all.insert(
                device.name.clone(),
                Headers { names: entries().map(|(key, _)| key.clone()).collect(), digest },
            );
        }
        Ok(all)
    }

    /// Every node was made from what the set has now and is open, for a while, and none leads.
    fn leads_nobody(&self, done: &Done, made_from: &str) -> bool {
        let now = Timestamp::now();
        let replicas = usize::try_from(self.cluster.spec.replicas).unwrap_or(usize::MAX);
        let stuck = |member: &Member| {
            member.answer.is_standby() && member.revision() == Some(made_from) && member.age(now) > PATIENCE
        };
        let able = done.storage.is_ok() && done.seal.opens() && !done.migrating;
        able && done.members.len() == replicas && done.members.iter().all(stuck)
    }
}

/// A node leads that was made from what the set has now.
fn leads_updated(done: &Done, made_from: &str) -> bool {
    done.members.iter().any(|member| member.answer.is_active() && member.revision() == Some(made_from))
}
