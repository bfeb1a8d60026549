//! The control-plane tier, once per test binary: Kubernetes, PostgreSQL, OpenBao, an issuer and the operator.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::Client;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::control_plane::ControlPlane;
use crate::installation::{install, set_up_openbao};
use crate::issuer::JwtIssuer;
pub use crate::objects::{account_token, apply, yaml};
use crate::openbao::OpenBao;
use crate::operator::{Operator, RunningOperator};
use crate::postgres::Postgres;
use crate::{cache, durations, turns};

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "steamer-system";
/// ServiceAccount of the operator.
pub const OPERATOR_ACCOUNT: &str = "steamer";
/// Audience of tokens for OpenBao.
pub const AUDIENCE: &str = "openbao";

/// Servers of the control-plane tier.
pub struct Ground {
    /// Kubernetes.
    pub plane: ControlPlane,
    /// PostgreSQL.
    pub postgres: Arc<Postgres>,
    /// The OpenBao that all tests share. A test that stops or seals an OpenBao starts its own.
    pub openbao: OpenBao,
    /// Issuer of JWTs.
    pub issuer: JwtIssuer,
    /// Configuration of the operator.
    pub operator: Operator,
    /// The running operator.
    pub running: Mutex<Option<RunningOperator>>,
    /// Data of the servers.
    pub folder: PathBuf,
    /// Logs of the servers.
    pub logs: PathBuf,
    home: Handle,
}

/// The ground of this process. The thread of its servers runs until the process exits.
static SHARED: OnceLock<Arc<Ground>> = OnceLock::new();

impl Ground {
    /// The ground of this test binary. The first call starts it.
    ///
    /// # Panics
    /// When the ground does not start: no test can run.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Self::of_the_process(Self::start)
    }

    /// Like [`Self::shared`] without an operator, for benchmarks, which start their own.
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
        let ground = SHARED.get_or_init(|| own_thread(start).unwrap_or_else(|error| stop(&error))).clone();
        durations::begin();
        turns::of_this_test();
        ground
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

    /// Runs `work` after a test of the shared ground, on the thread of the servers. Other grounds end with their test. An
    /// error of `work` is printed.
    pub fn after_test<F>(ground: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        if SHARED.get().is_none_or(|shared| !Arc::ptr_eq(shared, ground)) {
            return;
        }
        let work = work(ground.clone());
        ground.home.spawn(async move {
            if let Err(error) = work.await {
                eprintln!("cannot stop the work for a test that has ended: {error:#}");
            }
        });
    }

    /// Starts an operator that outlives the test, and waits until it is ready.
    ///
    /// # Errors
    /// When the operator exits or the deadline passes.
    pub async fn run(&self, operator: &Operator) -> Result<RunningOperator> {
        let operator = operator.clone();
        let started = async move {
            let mut running = operator.start()?;
            running.ready().await?;
            Ok(running)
        };
        self.at_home(started).await
    }

    /// Client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        self.plane.client().await
    }

    /// Starts another OpenBao with the setup of the shared one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn own_openbao(self: &Arc<Self>, name: &str) -> Result<OpenBao> {
        let (ground, name) = (self.clone(), name.to_owned());
        self.at_home(async move {
            let url = ground.postgres.database(&name)?;
            let mut openbao = OpenBao::start(&name, &ground.folder, &ground.logs, &url).await?;
            openbao.audience = format!("openbao-{name}");
            set_up_openbao(&ground.plane, &openbao).await?;
            Ok(openbao)
        })
        .await
    }

    /// Starts a ground with its own control plane and OpenBao and without an operator, for tests that stop, break or
    /// count them. It shares PostgreSQL and the issuer with this one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn apart(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let ground = self.empty(name).await?;
        ground.installed().await?;
        Ok(ground)
    }

    /// Starts a ground like [`Self::apart`] on which Steamer is not installed, for tests that install it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn empty(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let ground = self.clone();
        self.at_home(async move {
            let place = Place { folder: ground.folder.join(name), logs: ground.logs.join(name) };
            Self::with(name, ground.postgres.clone(), ground.issuer.clone(), place).await.map(Arc::new)
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
        let postgres = Arc::new(Postgres::start(&folder, &logs).await?);
        let issuer = JwtIssuer::start().await?;
        let ground = Self::with("openbao", postgres, issuer, Place { folder, logs }).await?;
        ground.installed().await?;
        Ok(ground)
    }

    /// Installs everything except the operator's process.
    async fn installed(&self) -> Result<()> {
        let client = self.client().await?;
        install(&client).await?;
        set_up_openbao(&self.plane, &self.openbao).await?;
        let token = account_token(&client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        self.plane.kubeconfig_for("operator", &token).map(drop)
    }

    async fn with(
        name: &str,
        postgres: Arc<Postgres>,
        issuer: JwtIssuer,
        Place { folder, logs }: Place,
    ) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(&logs)?;
        let plane = ControlPlane::start(&folder, &logs).await?;
        let url = postgres.database(name)?;
        let openbao = OpenBao::start(name, &folder, &logs, &url).await?;
        let operator = Operator {
            fails_at: None,
            kubeconfig: plane.kubeconfig_path("operator"),
            logs: logs.clone(),
            name: "operator".to_owned(),
            binary: None,
            arguments: [
                // Long, because a busy machine delays renewals.
                "--lease-duration=60s",
                "--drift-interval=30s",
                // For connections by address. Logins to an OpenBaoCluster need no flag.
                "--allowed-audiences=openbao",
                "--log-level=info,steamer_core=debug,steamer_cluster=debug,steamer_provisioning=debug,steamer_delivery=debug,steamer_runtime=debug",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let (running, home) = (Mutex::default(), Handle::current());
        Ok(Self { plane, postgres, openbao, issuer, operator, running, folder, logs, home })
    }
}

/// Folders of a ground: data of its servers, and their logs.
struct Place {
    folder: PathBuf,
    logs: PathBuf,
}

#[allow(clippy::panic)]
fn stop(error: &anyhow::Error) -> Arc<Ground> {
    panic!("the test ground does not start: {error:#}")
}

/// Deletes the files of grounds whose process has exited. Their servers have exited with it.
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
                crate::tools::unmount_below(&[&entry.path()]);
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Lets the user of PostgreSQL read its data.
fn tools_readable(folder: &Path) -> Result<()> {
    crate::tools::succeed(std::process::Command::new("chmod").arg("755").arg(folder))
}

fn own_thread<F>(start: fn() -> F) -> Result<Arc<Ground>>
where
    F: Future<Output = Result<Ground>> + 'static,
{
    let started = Instant::now();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("test-ground".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let _ = sender.send(start().await.map(Arc::new));
            std::future::pending::<()>().await;
        });
    })?;
    let ground = receiver.recv().context("the thread of the test ground exited")?;
    let _ = durations::record("start of the control-plane tier", started.elapsed(), Duration::ZERO);
    ground
}
