//! A managed cluster as a test sees it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_openbao::{Client, Identity, Resolver, Session, Settings};
use steamer_testing::Fleet;
use steamer_testing::objects::{account_token, apply};
use steamer_testing::tools;
use steamer_testing::wait::eventually;

/// A cluster `main` in a namespace and a database of the test's own.
pub struct Bao {
    pub fleet: Arc<Fleet>,
    pub namespace: String,
    pub kube: kube::Client,
}

impl Bao {
    /// Namespace, database, Secrets; no cluster yet.
    pub async fn prepare(name: &str) -> Result<Self> {
        let fleet = Fleet::shared();
        let kube = fleet.client().await?;
        fleet.namespace(name).await?;
        fleet.postgres.database(name)?;
        for secret in fleet.postgres.secrets(name, name) {
            apply(&kube, secret).await?;
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "admin", "namespace": name}});
        apply(&kube, account).await?;
        Ok(Self { fleet, namespace: name.to_owned(), kube })
    }

    /// The same with a cluster that serves.
    pub async fn serving(name: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        let bao = Self::prepare(name).await?;
        bao.apply(change).await?;
        bao.ready().await?;
        Ok(bao)
    }

    /// The cluster as it is applied.
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
                    "podTemplate": {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}},
                },
                "administrators": [{"name": "admin", "serviceAccount": {"name": "admin"}}],
            },
        })
    }

    /// Applies the cluster with a change.
    pub async fn apply(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut cluster = self.cluster();
        change(&mut cluster["spec"]);
        apply(&self.kube, cluster).await.map(drop)
    }

    pub async fn object(&self) -> Result<OpenBaoCluster> {
        let api: Api<OpenBaoCluster> = Api::namespaced(self.kube.clone(), &self.namespace);
        Ok(api.get("main").await?)
    }

    /// Waits until a look at the object finds what is waited for.
    pub async fn until(&self, what: &str, met: impl Fn(&OpenBaoCluster) -> bool) -> Result<OpenBaoCluster> {
        let found = eventually(what, || async {
            let object = self.object().await.map_err(|error| error.to_string())?;
            if met(&object) { Ok(object) } else { Err(self.describe(&object)) }
        })
        .await;
        found.with_context(|| self.story())
    }

    /// Waits until it is Ready in its current generation.
    pub async fn ready(&self) -> Result<OpenBaoCluster> {
        self.until("the cluster is Ready", is_ready).await
    }

    fn describe(&self, object: &OpenBaoCluster) -> String {
        let Some(status) = &object.status else { return "no status".to_owned() };
        let conditions: Vec<String> = status
            .conditions
            .iter()
            .map(|condition| {
                format!(
                    "{}={}/{}: {}",
                    condition.type_, condition.status, condition.reason, condition.message
                )
            })
            .collect();
        format!("{:?} {:?} {}", status.phase, status.upgrade, conditions.join("; "))
    }

    /// What pods and operator say, for who reads why a test failed.
    fn story(&self) -> String {
        let kubectl = self.fleet.kubectl();
        let run = |arguments: &[&str]| {
            kubectl.as_ref().ok().and_then(|kubectl| kubectl.run(arguments).ok()).unwrap_or_default()
        };
        let pods = run(&["-n", &self.namespace, "get", "pods", "-o", "wide"]);
        let mut text = format!("{pods}\n");
        for pod in ["main-0", "main-1", "main-2"] {
            let logs = run(&["-n", &self.namespace, "logs", pod, "--tail=8"]);
            text.push_str(&format!("--- {pod}\n{logs}\n"));
        }
        let operator = steamer_testing::process::tail(&self.fleet.logs.join("operator.log"));
        format!("{text}--- operator\n{operator}")
    }

    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        let mut pods = api.list(&ListParams::default().labels("steamer.dev/cluster=main")).await?.items;
        pods.sort_by_key(ResourceExt::name_any);
        Ok(pods)
    }

    pub async fn addresses(&self) -> Result<Vec<String>> {
        let address = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        Ok(self.pods().await?.iter().filter_map(address).collect())
    }

    async fn ca(&self) -> Result<String> {
        let api: Api<ConfigMap> = Api::namespaced(self.kube.clone(), &self.namespace);
        let map = api.get("main-ca").await?;
        map.data.and_then(|mut data| data.remove("ca.crt")).context("no CA")
    }

    /// A client of some of the pods, by their stable names; addresses are looked up for every connection.
    pub async fn client(&self, pods: &[&str]) -> Result<Client> {
        let (config, namespace) = (self.fleet.cluster.kubeconfig.clone(), self.namespace.clone());
        let resolver = Resolver::new(move |host| {
            let pod = host.split('.').next()?;
            let kubectl = steamer_testing::kubectl::Kubectl::new(&config).ok()?;
            let path = "jsonpath={.status.podIP}";
            kubectl.run(&["-n", &namespace, "get", "pod", pod, "-o", path]).ok()?.trim().parse().ok()
        });
        Ok(Client::new(&Settings {
            addresses: pods
                .iter()
                .map(|pod| format!("https://{pod}.main-internal.{}.svc:8200", self.namespace))
                .collect(),
            ca: self.ca().await?.into_bytes(),
            resolver: Some(resolver),
            timeout: Some(Duration::from_secs(10)),
            ..Settings::default()
        })?)
    }

    /// The administrator's session, by nothing but a token of its ServiceAccount.
    pub async fn admin(&self) -> Result<Session> {
        let jwt = account_token(&self.kube, &self.namespace, "admin", &["openbao"]).await?;
        let client = self.client(&["main-0", "main-1", "main-2"]).await?;
        let body = json!({"role": "admin", "jwt": jwt});
        let path = "auth/kubernetes/login";
        let answer = client.session(Identity::Anonymous).request_any(Method::POST, path, Some(body)).await?;
        let Some(token) = answer.pointer("/auth/client_token").and_then(Value::as_str) else {
            bail!("no token: {answer}")
        };
        Ok(client.session(Identity::Token(token.to_owned().into())))
    }
}

pub fn is_ready(object: &OpenBaoCluster) -> bool {
    let Some(status) = &object.status else { return false };
    status.observed_generation == object.metadata.generation.unwrap_or(0)
        && condition(object, "Ready").is_some_and(|(status, ..)| status == "True")
}

/// Status, reason and message of a condition.
pub fn condition<'a>(object: &'a OpenBaoCluster, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = &object.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.reason, &found.message))
}
