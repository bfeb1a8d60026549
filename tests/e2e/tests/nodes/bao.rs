//! Test fixture: a managed cluster.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{OpenBaoCluster, OpenBaoClusterStatus};
use steamer_openbao::{Client, Identity, Outgoing, Resolver, Session, Settings};
use steamer_testing::Fleet;
use steamer_testing::fleet::Turn;
use steamer_testing::nodes::NODE;
use steamer_testing::objects::{account_token, apply};
use steamer_testing::secure_postgres::SecurePostgres;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

/// Pods of a cluster with three nodes.
pub const NODES: [&str; 3] = ["main-0", "main-1", "main-2"];

/// Pod of the leader, and the time since when it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leads {
    pod: String,
    since: Time,
}

impl Deref for Leads {
    type Target = str;

    fn deref(&self) -> &str {
        &self.pod
    }
}

impl Leads {
    /// Returns a standby pod.
    pub fn follower(&self) -> &'static str {
        NODES.into_iter().find(|pod| *pod != self.pod).unwrap_or(NODES[0])
    }
}

fn leads(object: &OpenBaoCluster) -> Option<Leads> {
    let leader = object.status.as_ref()?.leader.clone()?;
    Some(Leads { pod: leader.pod, since: leader.since })
}

/// A cluster `main` in a dedicated namespace with a dedicated database.
pub struct Bao {
    pub fleet: Arc<Fleet>,
    pub postgres: Arc<SecurePostgres>,
    pub namespace: String,
    pub kube: kube::Client,
    addresses: Arc<RwLock<HashMap<String, IpAddr>>>,
    _turn: Turn,
}

/// Keeps the addresses of the pods current while the test runs.
async fn follow(kube: kube::Client, namespace: String, addresses: Arc<RwLock<HashMap<String, IpAddr>>>) {
    let address =
        |pod: &Arc<Pod>| Some((pod.name_any(), pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?));
    let (pods, writer) = reflector::store();
    let events = watcher(Api::<Pod>::namespaced(kube, &namespace), watcher::Config::default());
    let mut events = pin!(events.default_backoff().reflect(writer));
    while events.next().await.is_some() {
        let now: HashMap<String, IpAddr> = pods.state().iter().filter_map(address).collect();
        *addresses.write().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Bao {
    /// Creates namespace, database and Secrets, but no cluster.
    pub async fn prepare(name: &str) -> Result<Self> {
        let fleet = Fleet::shared();
        let turn = fleet.shared_turn().await;
        Self::with(name, (fleet.postgres.clone(), turn)).await
    }

    /// Same as [`Self::prepare`] while no other test runs: for tests that stop the operator or lose a Kubernetes node.
    pub async fn alone(name: &str) -> Result<Self> {
        let fleet = Fleet::shared();
        let turn = fleet.turn_alone().await;
        Self::with(name, (fleet.postgres.clone(), turn)).await
    }

    /// Same as [`Self::prepare`] with a dedicated PostgreSQL: for tests that stop it.
    pub async fn with_own_postgres(name: &str) -> Result<Self> {
        Self::with_postgres(name, &tools::postgres()?).await
    }

    /// Same as [`Self::with_own_postgres`], with the programs of the PostgreSQL in `bin`.
    pub async fn with_postgres(name: &str, bin: &Path) -> Result<Self> {
        let data = Fleet::shared().folder.join(format!("{name}-data"));
        Self::with_postgres_at(name, (bin, &data)).await
    }

    /// Same as [`Self::with_postgres`], with the data in the folder `data`.
    pub async fn with_postgres_at(name: &str, (bin, data): (&Path, &Path)) -> Result<Self> {
        let fleet = Fleet::shared();
        let turn = fleet.shared_turn().await;
        let (data, logs, bin) = (data.to_owned(), fleet.logs.join(name), bin.to_owned());
        std::fs::create_dir_all(&logs)?;
        let started = async move { SecurePostgres::with(&bin, &data, (&logs, NODE)).await };
        let postgres = Arc::new(fleet.at_home(started).await?);
        Self::with(name, (postgres, turn)).await
    }

    async fn with(name: &str, (postgres, turn): (Arc<SecurePostgres>, Turn)) -> Result<Self> {
        let fleet = Fleet::shared();
        let kube = fleet.client().await?;
        fleet.namespace(name).await?;
        postgres.database(name)?;
        for secret in postgres.secrets(name, name) {
            apply(&kube, secret).await?;
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "admin", "namespace": name}});
        apply(&kube, account).await?;
        let addresses = Arc::new(RwLock::default());
        tokio::spawn(follow(kube.clone(), name.to_owned(), addresses.clone()));
        Ok(Self { fleet, postgres, namespace: name.to_owned(), kube, addresses, _turn: turn })
    }

    /// Same as [`Self::prepare`] and [`Self::up`].
    pub async fn serving(name: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::prepare(name).await?.up(change).await
    }

    /// Applies a cluster and waits until it serves.
    pub async fn up(self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        self.apply(change).await?;
        self.ready().await?;
        self.all_follow().await?;
        Ok(self)
    }

    /// Waits until every node knows the leader: a node that does not is restarted some seconds after the takeover.
    pub async fn all_follow(&self) -> Result<()> {
        eventually("every node knows the leader", || async {
            for pod in self.pods().await.map_err(|error| error.to_string())? {
                let name = pod.name_any();
                let followed =
                    self.followed_by(&[&name]).await.map_err(|error| format!("{name}: {error:#}"))?;
                followed.ok_or_else(|| format!("{name} knows no leader"))?;
            }
            Ok::<(), String>(())
        })
        .await
    }

    /// Returns the manifest of the cluster.
    pub fn cluster(&self) -> Value {
        json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster",
            "metadata": {"name": "main", "namespace": self.namespace},
            "spec": {
                "managed": {
                    "version": tools::OPENBAO, "image": format!("steamer.test/openbao:{}", tools::OPENBAO),
                    "imagePullPolicy": "Never",
                    "storage": {"postgresql": {
                        "secretRef": {"name": "pg-app"}, "adminSecretRef": {"name": "pg-admin"},
                        "tls": {"caSecretRef": {"name": "pg-ca"}},
                    }},
                    "seal": {"static": {}},
                    // The loss of a Kubernetes node takes one pod.
                    "topology": {"spread": "Hosts", "required": true},
                    "podTemplate": {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}},
                },
                "administrators": [{"name": "admin", "serviceAccount": {"name": "admin"}}],
            },
        })
    }

    /// Applies the cluster with a change.
    pub async fn apply(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut cluster = self.cluster();
        // `make faults GUARD=off`: every test of a failover must fail.
        if std::env::var("STEAMER_GUARD").is_ok_and(|guard| guard == "off") {
            cluster["spec"]["managed"]["failover"] = json!({"fencing": "None"});
        }
        change(&mut cluster["spec"]);
        apply(&self.kube, cluster).await.map(drop)
    }

    pub async fn object(&self) -> Result<OpenBaoCluster> {
        let api: Api<OpenBaoCluster> = Api::namespaced(self.kube.clone(), &self.namespace);
        Ok(api.get("main").await?)
    }

    /// Waits until the object meets a condition, and returns it.
    pub async fn until(&self, what: &str, met: impl Fn(&OpenBaoCluster) -> bool) -> Result<OpenBaoCluster> {
        let found = eventually(what, || async {
            let object = self.object().await.map_err(|error| error.to_string())?;
            if met(&object) { Ok(object) } else { Err(self.describe(&object)) }
        })
        .await;
        found.with_context(|| self.story())
    }

    /// Waits until the current generation is Ready.
    pub async fn ready(&self) -> Result<OpenBaoCluster> {
        self.until("the cluster is Ready", is_ready).await
    }

    fn describe(&self, object: &OpenBaoCluster) -> String {
        let Some(status) = &object.status else { return "no status".to_owned() };
        let conditions: Vec<String> = status
            .common
            .conditions
            .iter()
            .map(|condition| {
                format!(
                    "{}={}/{}: {}",
                    condition.type_, condition.status, condition.reason, condition.message
                )
            })
            .collect();
        let generations = (object.metadata.generation, status.common.observed_generation);
        let OpenBaoClusterStatus { phase, upgrade, replicas, .. } = status;
        format!("{phase:?} {upgrade:?} {replicas:?} {generations:?} {}", conditions.join("; "))
    }

    /// Returns the state and the logs of the pods and the operator, to diagnose a failed test.
    pub fn story(&self) -> String {
        let kubectl = self.fleet.kubectl();
        let run = |arguments: &[&str]| {
            kubectl.as_ref().ok().and_then(|kubectl| kubectl.run(arguments).ok()).unwrap_or_default()
        };
        let pods = run(&["-n", &self.namespace, "get", "pods", "-o", "wide"]);
        let mut text = format!("{pods}\n");
        for pod in NODES {
            let logs = run(&["-n", &self.namespace, "logs", pod, "--tail=8"]);
            text.push_str(&format!("--- {pod}\n{logs}\n"));
        }
        let operator = steamer_testing::process::tail(&self.fleet.logs.join("operator.log"));
        format!("{text}--- operator\n{operator}")
    }

    /// Returns the leader once OpenBao and the status agree: the status may still name a lost leader.
    pub async fn leader(&self) -> Result<Leads> {
        eventually("OpenBao and the status name the same leader", || async {
            let object = self.object().await.map_err(|error| error.to_string())?;
            let reported = leads(&object).ok_or("the status names no leader")?;
            let followed = self.followed_by(&NODES).await.map_err(|error| format!("{error:#}"))?;
            if followed.as_deref() == Some(&*reported) {
                Ok(reported)
            } else {
                Err(format!("{reported:?} and {followed:?}"))
            }
        })
        .await
        .with_context(|| self.story())
    }

    /// Returns the leader according to the first of `pods` that answers, if it knows one.
    pub async fn followed_by(&self, pods: &[&str]) -> Result<Option<String>> {
        let client = self.client(pods, Duration::from_secs(5)).await?;
        let answer = client.session(Identity::Anonymous).leader().await?;
        let host = answer.leader_address.split("//").nth(1).and_then(|host| host.split('.').next());
        Ok(host.map(str::to_owned))
    }

    /// Waits for a new leader: another pod, or the same pod after a restart.
    pub async fn leads_after(&self, before: &Leads) -> Result<Leads> {
        let new = |object: &OpenBaoCluster| leads(object).filter(|leads| leads != before);
        let object = self.until("a new leader is elected", |object| new(object).is_some()).await?;
        new(&object).context("the status names no leader")
    }

    /// Moves the leadership to another node.
    pub async fn another_leader(&self, admin: &Session) -> Result<Leads> {
        self.ready().await?;
        let leader = self.leader().await?;
        let mut now = leader.clone();
        // A node that stepped down may acquire the lock again.
        while *now == *leader {
            admin.request_any(Method::PUT, "sys/step-down", None).await?;
            now = self.leads_after(&now).await?;
        }
        Ok(now)
    }

    async fn ca(&self) -> Result<String> {
        let api: Api<ConfigMap> = Api::namespaced(self.kube.clone(), &self.namespace);
        let map = api.get("main-ca").await?;
        map.data.and_then(|mut data| data.remove("ca.crt")).context("the ConfigMap has no CA")
    }

    /// Returns a client of `pods`, with their stable names resolved to their current addresses. A single pod answers
    /// itself.
    pub async fn client(&self, pods: &[&str], patience: Duration) -> Result<Client> {
        let addresses = self.addresses.clone();
        let resolver = Resolver::new(move |host| {
            let known = addresses.read().unwrap_or_else(PoisonError::into_inner);
            known.get(host.split('.').next()?).copied()
        });
        let (scheme, ca) = match self.object().await?.is_plain() {
            true => ("http", String::new()),
            false => ("https", self.ca().await?),
        };
        Ok(Client::new(&Settings {
            addresses: pods
                .iter()
                .map(|pod| format!("{scheme}://{pod}.main-internal.{}.svc:8200", self.namespace))
                .collect(),
            ca: ca.into_bytes(),
            resolver: Some(resolver),
            timeout: Some(Duration::from_secs(1)),
            patience: Some(patience),
            outgoing: Outgoing::LOOPBACK,
            node: pods.len() == 1,
            ..Settings::default()
        })?)
    }

    /// Logs in as the administrator, with a token of its ServiceAccount.
    pub async fn admin(&self) -> Result<Session> {
        self.admin_of(self).await
    }

    /// Logs in as the administrator of another cluster, from which the storage of this one was restored.
    pub async fn admin_of(&self, other: &Self) -> Result<Session> {
        let jwt = account_token(&self.kube, &other.namespace, "admin", &[&other.audience()]).await?;
        self.login("kubernetes", "admin", &jwt).await
    }

    /// Default audience of the cluster.
    pub fn audience(&self) -> String {
        format!("openbao:{}/main", self.namespace)
    }

    /// Logs in with a JWT.
    pub async fn login(&self, mount: &str, role: &str, jwt: &str) -> Result<Session> {
        let client = self.client(&NODES, Duration::from_secs(60)).await?;
        let anonymous = client.session(Identity::Anonymous);
        let body = json!({"role": role, "jwt": jwt});
        let answer = anonymous.request_any(Method::POST, &format!("auth/{mount}/login"), Some(body)).await?;
        let token = answer
            .pointer("/auth/client_token")
            .and_then(Value::as_str)
            .context("the response has no token")?;
        Ok(client.session(Identity::Token(token.to_owned().into())))
    }
}

/// Deletes the namespace: leftovers would slow down the next test.
impl Drop for Bao {
    fn drop(&mut self) {
        if let Ok(kubectl) = self.fleet.kubectl() {
            let _ = kubectl.run(&["delete", "namespace", &self.namespace, "--wait=false"]);
        }
    }
}

pub fn is_ready(object: &OpenBaoCluster) -> bool {
    let Some(status) = &object.status else { return false };
    status.common.observed_generation == object.metadata.generation.unwrap_or(0)
        && condition(object, "Ready").is_some_and(|(status, ..)| status == "True")
}

/// Returns status, reason and message of a condition.
pub fn condition<'a>(object: &'a OpenBaoCluster, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = &object.status.as_ref()?.common.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.reason, &found.message))
}

/// Returns true if the cluster is Ready with three nodes.
pub fn whole(object: &OpenBaoCluster) -> bool {
    is_ready(object) && object.status.as_ref().and_then(|status| status.replicas) == Some(3)
}
