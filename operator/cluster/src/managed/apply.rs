use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use serde_json::json;
use steamer_api::OpenBaoCluster;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::Client;
use steamer_runtime::{Dependencies, ObjectName};

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::database::storage::Storage;
use crate::first_start::{half_initialized, half_way, settled_down};
use crate::guard::{GuardReport, GuardTarget};
use crate::managed::fetch::Found;
use crate::nodes::members;
use crate::nodes::members::Member;
use crate::nodes::rollout::Step;
use crate::objects::configuration::{check_plugins, configuration};
use crate::objects::seal::SealSettings;
use crate::objects::stateful_set::{Inputs, revision, stateful_set};
use crate::objects::{account, disruption_budget, network_policy, services};
use crate::seal::check::{First, SealCheck};
use crate::seal::rotation::Keys;
use crate::server::Seen;
use crate::{restore, server as fetch};

/// One pass over one cluster.
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) dependencies: &'a Dependencies,
    pub(crate) object: &'a OpenBaoCluster,
    pub(crate) cluster: &'a Cluster,
    pub(crate) child_api: &'a ChildApi<'a>,
    pub(crate) guard_target: &'a Arc<GuardTarget>,
}

/// What a pass came to.
pub(crate) struct Done {
    pub(crate) storage: Result<Storage, Error>,
    pub(crate) seal: SealCheck,
    /// Storage is sealed with the seal before.
    pub(crate) migrating: bool,
    pub(crate) certificate_ends: Result<Option<i64>, Error>,
    pub(crate) members: Vec<Member>,
    pub(crate) updated: usize,
    pub(crate) step: Step,
    /// The static keys, and what is known of them.
    pub(crate) keys: Option<Keys>,
    pub(crate) fingerprints: BTreeMap<String, String>,
    /// What keeps the objects from being as they should.
    pub(crate) trouble: Option<Error>,
    /// What is there for clients outside and for who reads the metrics.
    pub(crate) exposed: Result<(), Error>,
    pub(crate) seen: Option<Seen>,
}

impl Done {
    pub(crate) fn settled(&self) -> bool {
        self.step == Step::Settled && self.trouble.is_none() && self.seen.as_ref().is_some_and(Seen::serves)
    }
}

impl Work<'_> {
    pub(crate) fn annotations(&self) -> &BTreeMap<String, String> {
        self.object.annotations()
    }

    /// All of it. What fails keeps only what depends on it from being done.
    pub(crate) async fn all(
        &self,
        found: &Found,
        keys: Option<Keys>,
        guard_report: &GuardReport,
    ) -> Result<Done, Error> {
        let suspended = self.object.spec.suspend;
        let live = self.child_api.get::<StatefulSet>(&self.cluster.name.name);
        let storage = if restore::is_under_way(self.object) {
            Err(self.stop_for_restore(live.as_deref()).await?)
        } else {
            self.storage().await
        };
        if let (Ok(storage), false) = (&storage, suspended) {
            self.make_key(storage).await?;
        }
        let begun = found.last.initialized == Some(true)
            || storage.as_ref().is_ok_and(|storage| storage.contents.initialized);
        let first = if begun { First::Past } else { First::Start };
        let migrating = storage.as_ref().is_ok_and(|storage| self.migrates(storage).unwrap_or(false));
        // First of all: clients of the leader's Service wait for it. That it is refused keeps nothing else from being done.
        let labelled = match &guard_report.leader {
            Some((leader, ..)) if !suspended => self.label_leader(leader).await,
            _ => Ok(()),
        };
        let seal = self.try_seal(first, migrating).await;
        let certificate_ends = if suspended { self.certificate() } else { self.certificates().await };
        let mut members = self.members().await;
        if migrating {
            self.asked_for_seals(&mut members).await;
        }
        let mut done = Done {
            updated: 0,
            step: Step::Wait("the objects are made".to_owned()),
            keys,
            fingerprints: found.last.seal.as_ref().map(|seal| seal.fingerprints.clone()).unwrap_or_default(),
            trouble: None,
            exposed: Ok(()),
            seen: None,
            storage,
            seal,
            migrating,
            certificate_ends,
            members,
        };
        if suspended {
            done.step = Step::Settled;
        } else {
            let made = self.objects(found, &mut done, live.as_deref()).await;
            done.trouble = made.and(labelled).err();
            done.exposed = self.exposed().await;
        }
        done.seen = match self.seen(&done).await {
            // A node that still answers cannot do anything without its database: that is what has to be told.
            Err(_) if done.storage.is_err() => None,
            seen => seen?,
        };
        if let Some(error) = half_way(found, &done).or_else(|| restore::another(found, &done)) {
            done.trouble = Some(error);
        }
        if let (Some(seen), false) = (&done.seen, suspended) {
            self.after_start(&done, seen, live.as_deref()).await?;
        }
        Ok(done)
    }

    /// Everything that pods need, the pods' set, and the next step of a rollout.
    async fn objects(&self, found: &Found, done: &mut Done, live: Option<&StatefulSet>) -> Result<(), Error> {
        self.static_keys(done, live).await?;
        let settings = self.seal(done)?;
        check_plugins(self.cluster, &settings)?;
        self.surroundings(&settings).await?;
        if let Some(error) = done.certificate_ends.as_ref().err() {
            return Err(Error::Waiting(format!("certificates: {}", steamer_runtime::describe(error))));
        }
        // A database that is away keeps nothing that runs from going on; a set is neither made nor changed then.
        let Ok(storage) = done.storage.as_ref().map(Storage::clone) else {
            return match live.filter(|_| !restore::is_under_way(self.object)) {
                Some(live) => self.rolled(done, revision(live)).await,
                None => Ok(()),
            };
        };
        if live.is_none() && !done.seal.opens() {
            return Err(Error::Waiting(format!(
                "no pod is made before the seal opens: {}",
                done.seal.text()
            )));
        }
        if self.migrates(&storage)? && !storage.contents.recovery_keys {
            return Err(Error::Waiting(
                "the kind of the seal is changed once there are recovery keys: OpenBao asks for them"
                    .to_owned(),
            ));
        }
        if storage.contents.self_init_failed && settled_down(&done.members) {
            return Err(half_initialized());
        }
        self.logins(&storage).await?;
        self.initialization(found, &storage).await?;
        let set = self.set(&settings, (found, done, &storage), live).await;
        let (set, refused) = match (set, live) {
            // What cannot be changed now keeps nobody from being helped.
            (Err(error), Some(live)) => {
                self.rolled(done, revision(live)).await?;
                return Err(error);
            }
            (set, _) => set?,
        };
        self.child_api.keep::<StatefulSet>(&set).await?;
        let wanted = revision(&set).to_owned();
        self.rolled(done, &wanted).await?;
        if done.migrating {
            self.open_with_both(done).await?;
        }
        self.clean(&storage, &set).await?;
        refused.map_or(Ok(()), Err)
    }

    /// What is there whether or not the database is.
    async fn surroundings(&self, seal: &SealSettings) -> Result<(), Error> {
        self.child_api.keep::<ServiceAccount>(&account::account(self.cluster)).await?;
        for service in services::services(self.cluster) {
            self.child_api.keep::<Service>(&service).await?;
        }
        match disruption_budget::disruption_budget(self.cluster) {
            Some(budget) => drop(self.child_api.keep::<PodDisruptionBudget>(&budget).await?),
            None => self.child_api.remove::<PodDisruptionBudget>(&self.cluster.name.name).await?,
        }
        match network_policy::network_policy(self.cluster, &seal.ports) {
            Some(policy) => drop(self.child_api.keep::<NetworkPolicy>(&policy).await?),
            None => self.child_api.remove::<NetworkPolicy>(&self.cluster.name.name).await?,
        }
        Ok(())
    }

    /// The StatefulSet, and the configuration it names.
    async fn set(
        &self,
        settings: &SealSettings,
        (found, done, storage): (&Found, &Done, &Storage),
        live: Option<&StatefulSet>,
    ) -> Result<(StatefulSet, Option<Error>), Error> {
        let wanted = configuration(self.cluster, settings, &self.headers().await?);
        let configured = self.configured(wanted, (done, live)).await?;
        let now = live.and_then(|live| live.spec.as_ref()?.replicas);
        let wanted = match now {
            // The node that initialises has to become the leader: there is no other before it has.
            _ if found.last.initialized == Some(true) => self.cluster.spec.replicas,
            None if storage.contents.initialized => self.cluster.spec.replicas,
            now => now.unwrap_or(1),
        };
        self.start_afresh(done, now).await?;
        // Fewer nodes is no time for a seal that does not open: none could come back.
        let replicas = now.filter(|now| !done.seal.opens() && wanted < *now).unwrap_or(wanted);
        let started_with = self.started_with(settings, storage).await?;
        let inputs = Inputs {
            configuration: &configured.configuration,
            seal: settings,
            started_with: &started_with,
            replicas,
            annotations: &configured.memory,
        };
        Ok((stateful_set(self.cluster, &inputs), configured.refused))
    }

    /// A keyed digest of what a node reads only when it starts.
    async fn started_with(&self, settings: &SealSettings, storage: &Storage) -> Result<String, Error> {
        let login = &self.cluster.owner;
        let as_whom =
            if self.own_roles(storage) { login.as_role("", String::new().into()) } else { login.clone() };
        let mut parts = vec![("database".to_owned(), as_whom.service_file("").into_bytes())];
        parts.push(("ca".to_owned(), login.ca.clone().into_bytes()));
        if !self.cluster.version.reloads_certificates() {
            let secret = self.child_api.get::<Secret>(&self.cluster.tls_secret());
            let certificate = secret.and_then(|secret| Some(secret.data.as_ref()?.get("tls.crt")?.0.clone()));
            parts.push(("certificate".to_owned(), certificate.unwrap_or_default()));
        }
        for (name, key) in &settings.read_at_start {
            let secret = ObjectName::new(&self.cluster.name.namespace, name);
            // While it is away nothing is decided, and so nothing restarted.
            let value = self.context.secrets.value(self.dependencies, &secret, key).await?;
            parts.push((format!("{name}/{key}"), value));
        }
        let mac = self.context.mac.of(parts.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        Ok(mac[..16].to_owned())
    }

    /// A client of a pod's node.
    pub(crate) fn node(&self, pod: &str) -> Result<Client, Error> {
        members::client(&self.context.sessions, self.cluster.url(pod), &self.guard_target.server)
    }

    /// The nodes, asked how they are.
    async fn members(&self) -> Vec<Member> {
        let asked = self.child_api.all::<Pod>().into_iter().map(|pod| async move {
            let answer = members::asked(&pod, self.node(&pod.name_any())).await;
            Member { pod, answer, unhealthy_for: Duration::ZERO }
        });
        let mut members = futures::future::join_all(asked).await;
        members::observe_health(&mut members, &self.guard_target.unhealthy, |pod| self.node(pod)).await;
        members
    }

    /// Removes configurations that no pod was made from.
    async fn clean(&self, storage: &Storage, set: &StatefulSet) -> Result<(), Error> {
        let prefix = self.cluster.child("-config-");
        let current = json!(set).to_string();
        let names = self.child_api.all::<ConfigMap>().into_iter().map(|map| map.name_any());
        let old: Vec<String> =
            names.filter(|name| name.starts_with(&prefix) && !current.contains(name)).collect();
        if old.is_empty() || !storage.contents.initialized {
            return Ok(());
        }
        let pods: Vec<String> =
            self.child_api.all::<Pod>().iter().map(|pod| json!(**pod).to_string()).collect();
        for name in old.iter().filter(|name| !pods.iter().any(|pod| pod.contains(*name))) {
            self.child_api.remove::<ConfigMap>(name).await?;
        }
        Ok(())
    }

    /// The cluster as its API shows it; none before anything is open.
    async fn seen(&self, done: &Done) -> Result<Option<Seen>, Error> {
        if !done.members.iter().any(Member::serves) {
            return Ok(None);
        }
        fetch::fetch(self.context, self.dependencies, self.object).await.map(Some)
    }
}
