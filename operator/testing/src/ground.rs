//! Everything a test needs, once a test binary: Kubernetes, PostgreSQL, OpenBao, an issuer, the operator.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use kube::Client;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::cache;
use crate::control_plane::ControlPlane;
use crate::installation::{install, set_up_openbao};
use crate::issuer::JwtIssuer;
pub use crate::objects::{account_token, apply, yaml};
use crate::openbao::OpenBao;
use crate::operator::{Operator, RunningOperator};
use crate::postgres::Postgres;

/// The operator's namespace and ServiceAccount.
pub const OPERATOR_NAMESPACE: &str = "steamer-system";
/// The operator's ServiceAccount.
pub const OPERATOR_ACCOUNT: &str = "steamer";
/// The audience of tokens for OpenBao.
pub const AUDIENCE: &str = "openbao";

/// The control-plane tier.
pub struct Ground {
    /// Kubernetes.
    pub plane: ControlPlane,
    /// PostgreSQL.
    pub postgres: Arc<Postgres>,
    /// The OpenBao that all tests share; a test that stops or seals one starts its own.
    pub openbao: OpenBao,
    /// An issuer.
    pub issuer: JwtIssuer,
    /// How the operator is started.
    pub operator: Operator,
    /// The running operator.
    pub running: Mutex<Option<RunningOperator>>,
    /// Data of the servers.
    pub folder: PathBuf,
    /// Output of the servers.
    pub logs: PathBuf,
    home: Handle,
}

/// The thread that all servers belong to lives as long as the process.
static SHARED: OnceLock<Arc<Ground>> = OnceLock::new();

impl Ground {
    /// The ground of this test binary, started by whoever asks first.
    ///
    /// # Panics
    /// When it does not come up: no test could run.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Self::of_the_process(Self::start)
    }

    /// The same with no operator running: for benchmarks, which start their own.
    ///
    /// # Panics
    /// As [`Self::shared`].
    #[must_use]
    pub fn bare() -> Arc<Self> {
        Self::of_the_process(Self::servers)
    }

    fn of_the_process<F>(start: fn() -> F) -> Arc<Self>
    where
        F: Future<Output = Result<Self>> + 'static,
    {
        SHARED.get_or_init(|| own_thread(start).unwrap_or_else(|error| stop(&error))).clone()
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

    /// Starts an operator that outlives the test, and returns when it works.
    ///
    /// # Errors
    /// When it ends, or the deadline passes.
    pub async fn run(&self, operator: &Operator) -> Result<RunningOperator> {
        let operator = operator.clone();
        let started = async move {
            let mut running = operator.start()?;
            running.ready().await?;
            Ok(running)
        };
        self.at_home(started).await
    }

    /// A client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        self.plane.client().await
    }

    /// One more OpenBao, set up like the shared one.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn own_openbao(self: &Arc<Self>, name: &str) -> Result<OpenBao> {
        let (ground, name) = (self.clone(), name.to_owned());
        self.at_home(async move {
            let url = ground.postgres.database(&name)?;
            let openbao = OpenBao::start(&name, &ground.folder, &ground.logs, &url).await?;
            set_up_openbao(&ground.plane, &openbao).await?;
            Ok(openbao)
        })
        .await
    }

    /// A ground with a control plane and an OpenBao of its own, where no operator runs yet: for tests that stop, break
    /// or count them. It shares PostgreSQL and the issuer with this one.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn apart(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let ground = self.empty(name).await?;
        ground.installed().await?;
        Ok(ground)
    }

    /// The same with nothing of Steamer installed: for tests that install it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn empty(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let ground = self.clone();
        self.at_home(async move {
            let (folder, logs) = (ground.folder.join(name), ground.logs.join(name));
            let shared = (ground.postgres.clone(), ground.issuer.clone());
            Self::with(name, shared, (folder, logs)).await.map(Arc::new)
        })
        .await
    }

    async fn start() -> Result<Self> {
        let ground = Self::servers().await?;
        let mut running = ground.operator.start()?;
        running.ready().await?;
        *ground.running.lock().await = Some(running);
        Ok(ground)
    }

    async fn servers() -> Result<Self> {
        remove_leftovers();
        let folder = std::env::temp_dir().join(format!("steamer-ground-{}", std::process::id()));
        let logs = cache::logs()?.join(format!("ground-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(&logs)?;
        tools_readable(&folder)?;
        let shared = (Arc::new(Postgres::start(&folder, &logs).await?), JwtIssuer::start().await?);
        let ground = Self::with("openbao", shared, (folder, logs)).await?;
        ground.installed().await?;
        Ok(ground)
    }

    /// Installs Steamer, but for the operator itself.
    async fn installed(&self) -> Result<()> {
        let client = self.client().await?;
        install(&client).await?;
        set_up_openbao(&self.plane, &self.openbao).await?;
        let token = account_token(&client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        self.plane.kubeconfig_for("operator", &token).map(drop)
    }

    async fn with(
        name: &str,
        (postgres, issuer): (Arc<Postgres>, JwtIssuer),
        (folder, logs): (PathBuf, PathBuf),
    ) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(&logs)?;
        let plane = ControlPlane::start(&folder, &logs).await?;
        let url = postgres.database(name)?;
        let openbao = OpenBao::start(name, &folder, &logs, &url).await?;
        let operator = Operator {
            kubeconfig: plane.kubeconfig_path("operator"),
            logs: logs.clone(),
            name: "operator".to_owned(),
            binary: None,
            arguments: [
                "--lease-duration=15s",
                "--drift-interval=30s",
                "--log-level=info,steamer_controllers=debug,steamer_runtime=debug",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let (running, home) = (Mutex::default(), Handle::current());
        Ok(Self { plane, postgres, openbao, issuer, operator, running, folder, logs, home })
    }
}

#[allow(clippy::panic)]
fn stop(error: &anyhow::Error) -> Arc<Ground> {
    panic!("the test ground does not come up: {error:#}")
}

/// Removes what grounds have left whose process has ended: their servers ended with it, their files did not.
fn remove_leftovers() {
    let folders = [
        (std::env::temp_dir(), "steamer-ground-"),
        (cache::checkout().join("target/test-ground"), "ground-"),
    ];
    for (parent, prefix) in folders {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.strip_prefix(prefix).filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
            if id.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// PostgreSQL's user has to get to its data.
fn tools_readable(folder: &Path) -> Result<()> {
    crate::tools::succeed(std::process::Command::new("chmod").arg("755").arg(folder))
}

fn own_thread<F>(start: fn() -> F) -> Result<Arc<Ground>>
where
    F: Future<Output = Result<Ground>> + 'static,
{
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("test-ground".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let _ = sender.send(start().await.map(Arc::new));
            std::future::pending::<()>().await;
        });
    })?;
    receiver.recv().context("the test ground ended")?
}
