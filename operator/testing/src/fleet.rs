//! The nodes tier for tests: a cluster with three machines, PostgreSQL beside it, the operator as a process.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::cache;
use crate::control_plane::{Access, kubeconfig_text};
use crate::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE};
use crate::installation::install;
use crate::kubectl::Kubectl;
use crate::nodes::{Cluster, NODE};
use crate::objects::{account_token, apply};
use crate::operator::{Operator, RunningOperator};
use crate::secure_postgres::SecurePostgres;
use crate::{image, nodes, tools};

/// Machines, a database, an operator.
pub struct Fleet {
    /// The machines.
    pub cluster: Cluster,
    /// PostgreSQL 15, with TLS and passwords.
    pub postgres: Arc<SecurePostgres>,
    /// How the operator is started.
    pub operator: Operator,
    /// The running operator.
    pub running: Mutex<Option<RunningOperator>>,
    /// Data of servers beside the cluster.
    pub folder: PathBuf,
    /// Their output.
    pub logs: PathBuf,
    home: Handle,
    turns: Arc<RwLock<()>>,
    _guardian: Guardian,
}

/// A test's part in the fleet: beside others, or with nobody else while it stops the operator or loses a machine.
#[derive(Debug)]
pub enum Turn {
    /// Beside others.
    Shared(OwnedRwLockReadGuard<()>),
    /// Alone.
    Alone(OwnedRwLockWriteGuard<()>),
}

static SHARED: OnceLock<Arc<Fleet>> = OnceLock::new();

impl Fleet {
    /// The fleet of this test binary, started by whoever asks first.
    ///
    /// # Panics
    /// When it does not come up: no test could run.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        SHARED.get_or_init(|| own_thread().unwrap_or_else(|error| stop(&error))).clone()
    }

    async fn start() -> Result<Self> {
        free()?;
        let guardian = Guardian::new()?;
        let cluster = Cluster::start().await?;
        std::fs::write(holder()?, std::process::id().to_string())?;
        for image in [image::openbao(tools::OPENBAO)?, image::openbao(tools::OLDER_OPENBAO)?] {
            cluster.import(&image)?;
        }
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
            arguments: [
                // On a busy machine a short lease is lost; who starts again after a kill takes it over by force.
                "--lease-duration=60s",
                "--drift-interval=30s",
                "--log-level=info,steamer_controllers=debug,steamer_runtime=debug",
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
            turns: Arc::default(),
            _guardian: guardian,
        })
    }

    /// A turn beside other tests.
    pub async fn shared_turn(&self) -> Turn {
        Turn::Shared(self.turns.clone().read_owned().await)
    }

    /// A turn with no other test.
    pub async fn turn_alone(&self) -> Turn {
        Turn::Alone(self.turns.clone().write_owned().await)
    }

    /// A client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.cluster).await
    }

    /// `kubectl` of the administrator.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(&self.cluster.kubeconfig)
    }

    /// Runs something where servers live, so that they outlive the test that starts them.
    ///
    /// # Errors
    /// What it comes to.
    pub async fn at_home<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.home.spawn(work).await?
    }

    /// Kills the operator.
    pub async fn stop_operator(&self) {
        *self.running.lock().await = None;
    }

    /// Starts it again, and returns when it works.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_operator(&self) -> Result<()> {
        let leases: kube::Api<Lease> = kube::Api::namespaced(self.client().await?, OPERATOR_NAMESPACE);
        for lease in leases.list(&kube::api::ListParams::default()).await? {
            let name = lease.metadata.name.unwrap_or_default();
            leases.delete(&name, &kube::api::DeleteParams::default()).await.map(drop)?;
        }
        let operator = self.operator.clone();
        let started = async move {
            let mut running = operator.start()?;
            running.ready().await?;
            Ok(running)
        };
        *self.running.lock().await = Some(self.at_home(started).await?);
        Ok(())
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        apply(&self.client().await?, namespace).await.map(drop)
    }
}

/// Names the tests that have the machine's addresses.
fn holder() -> Result<PathBuf> {
    Ok(cache::logs()?.join("cluster/tests"))
}

/// Fails while someone uses the machine's addresses. What tests have left that were killed is taken over.
fn free() -> Result<()> {
    match std::fs::read_to_string(holder()?) {
        Ok(id) => anyhow::ensure!(
            !PathBuf::from("/proc").join(&id).exists(),
            "other tests have the machine's addresses: process {id}"
        ),
        Err(_) => anyhow::ensure!(
            Cluster::running()?.is_none(),
            "the cluster of `make run` has the machine's addresses: run `make stop` first"
        ),
    }
    Ok(())
}

async fn client_of(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Ends the cluster with the process that uses it, however that ends: a second process of the same program waits for it.
struct Guardian(#[allow(dead_code)] Child);

/// The name of the test that is no test: run as a process of its own it ends the cluster when its input ends.
pub const GUARDIAN: &str = "guardian";

impl Guardian {
    fn new() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--ignored", "--exact", GUARDIAN]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn()?))
    }
}

/// What the guardian does.
///
/// # Errors
/// When something cannot be removed.
pub fn guard() -> Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    nodes::stop()
}

#[allow(clippy::panic)]
fn stop(error: &anyhow::Error) -> Arc<Fleet> {
    panic!("the nodes tier does not come up: {error:#}")
}

fn own_thread() -> Result<Arc<Fleet>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let _ = sender.send(Fleet::start().await.map(Arc::new));
            std::future::pending::<()>().await;
        });
    })?;
    receiver.recv().context("the nodes tier ended")?
}
