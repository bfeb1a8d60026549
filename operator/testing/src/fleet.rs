//! The nodes tier for tests: a cluster with three nodes, and PostgreSQL and the operator as processes next to it.

mod guardian;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::cache;
use crate::control_plane::{Access, kubeconfig_text};
use crate::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE};
use crate::installation::install;
use crate::kubectl::Kubectl;
use crate::nodes::{Cluster, NODE};
use crate::objects::{account_token, apply};
use crate::operator::{Operator, RunningOperator};
use crate::secure_postgres::SecurePostgres;
use crate::turns::{Kind, Turns};
use crate::{durations, image, tools};

use guardian::Guardian;
pub use guardian::{GUARDIAN, guard};

pub use crate::turns::Turn;

/// Nodes, a database and an operator.
pub struct Fleet {
    /// Kubernetes with three nodes.
    pub cluster: Cluster,
    /// PostgreSQL 15, with TLS and passwords.
    pub postgres: Arc<SecurePostgres>,
    /// Configuration of the operator.
    pub operator: Operator,
    /// The running operator.
    pub running: Mutex<Option<RunningOperator>>,
    /// Data of the servers next to the cluster.
    pub folder: PathBuf,
    /// Logs of these servers.
    pub logs: PathBuf,
    home: Handle,
    turns: Arc<Turns>,
    _guardian: Guardian,
}

static SHARED: OnceLock<Arc<Fleet>> = OnceLock::new();

impl Fleet {
    /// The fleet of this test binary. The first call starts it.
    ///
    /// # Panics
    /// When the fleet does not start: no test can run.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        let fleet = SHARED.get_or_init(|| own_thread().unwrap_or_else(|error| stop(&error))).clone();
        durations::begin();
        fleet
    }

    async fn start() -> Result<Self> {
        let guardian = Guardian::new()?;
        let images = vec![image::openbao(tools::OPENBAO)?, image::openbao(tools::OLDER_OPENBAO)?];
        let cluster = Cluster::start(images).await?;
        Guardian::hold()?;
        let folder = std::env::temp_dir().join(format!("steamer-ground-{}", std::process::id()));
        let logs = cache::logs()?.join(format!("ground-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(&logs)?;
        tools::succeed(Command::new("chmod").arg("755").arg(&folder))?;
        let postgres = Arc::new(SecurePostgres::start(&folder, &logs, NODE).await?);
        let client = client_of(&cluster).await?;
        install(&client).await?;
        let token = account_token(&client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        let kubeconfig = folder.join("operator.kubeconfig");
        let (url, ca) = cluster.server()?;
        std::fs::write(&kubeconfig, kubeconfig_text(&url, &ca, &Access::Token(&token)))?;
        let operator = Operator {
            kubeconfig,
            logs: logs.clone(),
            name: "operator".to_owned(),
            binary: None,
            fails_at: None,
            arguments: [
                // Long, because a busy machine delays renewals. A test that restarts the operator deletes the lease.
                "--lease-duration=60s",
                "--drift-interval=30s",
                // No request of a test runs for long. The token of an unanswered one is revoked after it.
                "--request-limit=2s",
                "--log-level=info,steamer_core=debug,steamer_cluster=debug,steamer_provisioning=debug,steamer_delivery=debug,steamer_runtime=debug",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let mut running = operator.start()?;
        running.ready().await?;
        let running = Mutex::new(Some(running));
        Ok(Self {
            cluster,
            postgres,
            operator,
            running,
            folder,
            logs,
            home: Handle::current(),
            turns: Arc::new(Turns::from_env()),
            _guardian: guardian,
        })
    }

    /// Waits for a turn at the same time as other tests. Blocks the calling thread.
    pub async fn shared_turn(&self) -> Turn {
        self.turns.take(Kind::Shared)
    }

    /// Waits for a turn without any other test, for a test that stops the operator or loses a node. Blocks the calling
    /// thread.
    pub async fn turn_alone(&self) -> Turn {
        self.turns.take(Kind::Alone)
    }

    /// Client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.cluster).await
    }

    /// `kubectl` of the administrator.
    ///
    /// # Errors
    /// When `kubectl` cannot be built.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(&self.cluster.kubeconfig)
    }

    /// Runs `work` on the thread of the servers, so that servers which it starts outlive the test.
    ///
    /// # Errors
    /// The error of `work`.
    pub async fn at_home<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.home.spawn(work).await?
    }

    /// Kills the operator and waits until it has exited.
    pub async fn stop_operator(&self) {
        *self.running.lock().await = None;
    }

    /// Starts the operator again and waits until it is ready.
    ///
    /// # Errors
    /// When the operator does not start.
    pub async fn start_operator(&self) -> Result<()> {
        self.run_operator(self.operator.clone()).await
    }

    /// Starts the operator with a fail point, as [`Operator::fails_at`].
    ///
    /// # Errors
    /// When the operator does not start, for example because it has reached the fail point.
    pub async fn start_failing(&self, fails_at: String) -> Result<()> {
        self.run_operator(Operator { fails_at: Some(fails_at), ..self.operator.clone() }).await
    }

    /// Returns true if the operator has ended.
    pub async fn is_operator_gone(&self) -> bool {
        let mut running = self.running.lock().await;
        running.as_mut().is_none_or(|running| running.process.alive().is_err())
    }

    async fn run_operator(&self, operator: Operator) -> Result<()> {
        let mut place = self.running.lock().await;
        // The previous one has to exit before it can be replaced.
        *place = None;
        let leases: kube::Api<Lease> = kube::Api::namespaced(self.client().await?, OPERATOR_NAMESPACE);
        for lease in leases.list(&kube::api::ListParams::default()).await? {
            let name = lease.metadata.name.unwrap_or_default();
            leases.delete(&name, &kube::api::DeleteParams::default()).await.map(drop)?;
        }
        let started = async move {
            let mut running = operator.start()?;
            running.ready().await?;
            Ok(running)
        };
        *place = Some(self.at_home(started).await?);
        Ok(())
    }

    /// Creates a namespace.
    ///
    /// # Errors
    /// The error of the API server.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        apply(&self.client().await?, namespace).await.map(drop)
    }
}

async fn client_of(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

#[allow(clippy::panic)]
fn stop(error: &anyhow::Error) -> Arc<Fleet> {
    panic!("the nodes tier does not start: {error:#}")
}

fn own_thread() -> Result<Arc<Fleet>> {
    let started = Instant::now();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let _ = sender.send(Fleet::start().await.map(Arc::new));
            std::future::pending::<()>().await;
        });
    })?;
    let fleet = receiver.recv().context("the thread of the nodes tier exited")?;
    let _ = durations::record("start of the nodes tier", started.elapsed(), Duration::ZERO);
    fleet
}
