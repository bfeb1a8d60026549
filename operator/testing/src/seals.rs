//! Key management servers for tests of seals, as pods of the nodes tier.

mod kmip;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, LogParams, Patch, PatchParams};
use kube::{Client as Kube, ResourceExt};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use steamer_openbao::{Client, Identity, Outgoing, Session, Settings};

use crate::fleet::Fleet;
use crate::openbao::{initialize, seal_status};
use crate::process::in_cgroup;
use crate::tools;
use crate::wait::{PAUSE, eventually};

pub use kmip::KmipServer;

/// Namespace of the servers. They outlive the namespace of a test.
const NAMESPACE: &str = "kms";

/// A server in a pod, at a stable address. Its data is in a folder of the host.
struct Server {
    kube: Kube,
    name: String,
    address: String,
    folder: PathBuf,
}

impl Server {
    /// Creates the Service before the pod: configurations and certificates contain its address.
    async fn new(fleet: &Fleet, name: &str, port: u16) -> Result<Self> {
        let kube = fleet.client().await?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        crate::objects::apply(&kube, namespace).await?;
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
        });
        crate::objects::apply(&kube, service).await?;
        let service = Api::<Service>::namespaced(kube.clone(), NAMESPACE).get(name).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
        let folder = fleet.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        // The server in the pod runs as another user.
        tools::succeed(Command::new("chmod").arg("777").arg(&folder))?;
        Ok(Self { kube, name: name.to_owned(), address, folder })
    }

    /// Path of a file in the folder, on the host and in the pod.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Creates the pod. It mounts its own folder, and other folders of the host read-only.
    async fn make(&self, container: &Value, read: &[PathBuf]) -> Result<()> {
        let mut container = container.clone();
        let mut paths = vec![self.folder.clone()];
        paths.extend_from_slice(read);
        let name = |index: usize| format!("folder-{index}");
        let mount = |(index, path): (usize, &PathBuf)| json!({"name": name(index), "mountPath": path, "readOnly": index > 0});
        let volume =
            |(index, path): (usize, &PathBuf)| json!({"name": name(index), "hostPath": {"path": path}});
        container["volumeMounts"] = paths.iter().enumerate().map(mount).collect();
        container["imagePullPolicy"] = json!("Never");
        let set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "replicas": 1, "serviceName": self.name, "selector": {"matchLabels": {"app": self.name}},
                "template": {
                    "metadata": {"labels": {"app": self.name}},
                    "spec": {
                        "containers": [container], "volumes": paths.iter().enumerate().map(volume).collect::<Vec<_>>(),
                        "automountServiceAccountToken": false, "enableServiceLinks": false,
                    },
                },
            },
        });
        crate::objects::apply(&self.kube, set).await.map(drop)
    }

    async fn scale(&self, replicas: i32) -> Result<()> {
        let sets: Api<StatefulSet> = Api::namespaced(self.kube.clone(), NAMESPACE);
        let patch = json!({"spec": {"replicas": replicas}});
        sets.patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube.clone(), NAMESPACE)
    }

    fn pod(&self) -> String {
        format!("{}-0", self.name)
    }

    /// Kills the server and waits until all of its processes have exited.
    async fn stop(&self) -> Result<()> {
        self.scale(0).await?;
        let (pods, name) = (self.pods(), self.pod());
        let uid = pods.get_opt(&name).await?.and_then(|pod| pod.uid());
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let _ = pods.delete(&name, &at_once).await;
        eventually("the server's pod is deleted", || async {
            match pods.get_opt(&name).await {
                Ok(None) => Ok(()),
                other => {
                    Err(format!("{:?}", other.map(|pod| pod.and_then(|pod| pod.metadata.deletion_timestamp))))
                }
            }
        })
        .await?;
        // The API server deletes a pod without a grace period before its containers have exited.
        let Some(uid) = uid else { return Ok(()) };
        eventually("every process of the server's pod has exited", || async {
            let left = in_cgroup(&format!("/pod{uid}"));
            if left.is_empty() { Ok(()) } else { Err(format!("processes {left:?}")) }
        })
        .await
    }

    /// Waits for a condition that the server has to meet. Fails as soon as its container exits, with the exit code and
    /// the end of the log.
    async fn while_running<T, F>(&self, what: &str, look: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, String>>,
    {
        tokio::select! {
            biased;
            met = eventually(what, look) => met,
            exited = self.exit() => Err(exited),
        }
    }

    /// Waits until the container has exited. Returns the exit code and the end of the log.
    async fn exit(&self) -> anyhow::Error {
        loop {
            if let Some(code) = self.exit_code().await {
                let logs = async |previous| {
                    let parameters = LogParams { previous, tail_lines: Some(20), ..LogParams::default() };
                    self.pods().logs(&self.pod(), &parameters).await
                };
                let log = match logs(true).await {
                    Ok(log) => log,
                    Err(_) => logs(false).await.unwrap_or_else(|error| error.to_string()),
                };
                return anyhow!("pod {} exited with code {code}; its log ends with:\n{log}", self.pod());
            }
            tokio::time::sleep(10 * PAUSE).await;
        }
    }

    /// Exit code of the container, also when the kubelet has started it again.
    async fn exit_code(&self) -> Option<i32> {
        let status = self.pods().get_opt(&self.pod()).await.ok()??.status?;
        let container = status.container_statuses?.into_iter().next()?;
        let states = [container.state, container.last_state];
        states.into_iter().flatten().find_map(|state| Some(state.terminated?.exit_code))
    }
}

/// Another OpenBao with a transit engine and a key `seal`. Its data outlives a stop.
pub struct TransitServer {
    /// URL of the server.
    pub address: String,
    /// Periodic token that can use the key and renew itself.
    pub token: String,
    root: String,
    server: Server,
}

const POLICY: &str = r#"path "transit/encrypt/seal" { capabilities = ["update"] }
path "transit/decrypt/seal" { capabilities = ["update"] }
"#;
const RENEWAL: &str = r#"path "auth/token/renew-self" { capabilities = ["update"] }
"#;

impl TransitServer {
    /// Starts the server and creates the key.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start(fleet: &Fleet, name: &str) -> Result<Self> {
        let server = Server::new(fleet, name, 8200).await?;
        let address = format!("http://{}:8200", server.address);
        let config = json!({
            "api_addr": address, "cluster_addr": "http://127.0.0.1:8201", "ui": false,
            "listener": [{"tcp": {"address": "0.0.0.0:8200", "cluster_address": "127.0.0.1:8201", "tls_disable": true}}],
            "storage": {"raft": {"path": server.folder, "node_id": "seal"}},
            "seal": {"static": {"current_key_id": "k", "current_key": "ab".repeat(32)}},
        });
        std::fs::write(server.file("transit.json"), config.to_string())?;
        let container = json!({
            "name": "openbao", "image": crate::image::openbao(tools::OPENBAO)?.name,
            "args": ["server", format!("-config={}", server.file("transit.json"))], "env": [{"name": "HOME", "value": "/tmp"}],
        });
        server.make(&container, &[]).await?;
        let (token, root) = (String::new(), String::new());
        let mut server = Self { address, token, root, server };
        let anonymous = server.session("")?;
        server
            .server
            .while_running("the seal's OpenBao answers", || async { seal_status(&anonymous).await })
            .await?;
        server.root = initialize(&server.settings(), 0).await?.expose_secret().to_owned();
        server.serves().await?;
        let session = server.session(&server.root)?;
        let post = |path: &'static str, body: Value| session.request_any(Method::POST, path, Some(body));
        post("sys/mounts/transit", json!({"type": "transit"})).await?;
        post("transit/keys/seal", json!({})).await?;
        post("sys/policies/acl/seal", json!({"policy": format!("{POLICY}{RENEWAL}")})).await?;
        post("sys/policies/acl/mortal", json!({"policy": POLICY})).await?;
        server.token = server.new_token("seal").await?;
        Ok(server)
    }

    /// Creates a token that can use the key and cannot renew itself.
    ///
    /// # Errors
    /// The error of OpenBao.
    pub async fn mortal_token(&self) -> Result<String> {
        self.new_token("mortal").await
    }

    async fn new_token(&self, policy: &str) -> Result<String> {
        let body =
            json!({"policies": [policy], "no_parent": true, "no_default_policy": true, "period": "24h"});
        let path = "auth/token/create";
        let answer = self.session(&self.root)?.request_any(Method::POST, path, Some(body)).await?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        token.map(str::to_owned).context("no token")
    }

    fn session(&self, token: &str) -> Result<Session> {
        let token: SecretString = token.to_owned().into();
        Ok(Client::new(&self.settings())?.session(Identity::Token(token)))
    }

    fn settings(&self) -> Settings {
        Settings {
            addresses: vec![self.address.clone()],
            timeout: Some(Duration::from_secs(10)),
            outgoing: Outgoing::LOOPBACK,
            ..Settings::default()
        }
    }

    async fn serves(&self) -> Result<()> {
        let session = self.session("")?;
        self.server
            .while_running("the seal's OpenBao serves", || async {
                match session.health().await {
                    Ok(health) if !health.sealed && !health.standby => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await
    }

    /// Kills the server and waits until all of its processes have exited.
    ///
    /// # Errors
    /// When they do not exit.
    pub async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }

    /// Starts the server again.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn run(&self) -> Result<()> {
        self.server.scale(1).await?;
        self.serves().await
    }
}
