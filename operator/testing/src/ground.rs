//! The control-plane tier, once per test binary: Kubernetes, PostgreSQL, OpenBao, an issuer and the operator.

mod place;

use std::path::PathBuf;
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
use crate::planes::Plane;
use crate::postgres::Postgres;
use crate::{cache, durations, turns};

use place::{Place, remove_leftovers, tools_readable};

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "steamer-system";
/// ServiceAccount of the operator.
pub const OPERATOR_ACCOUNT: &str = "steamer";
/// Audience of tokens for OpenBao.
pub const AUDIENCE: &str = "openbao";

/// Servers of the control-plane tier.
pub struct Ground {
    /// Kubernetes.
    pub plane: Plane,
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

    /// Fails when the operator of the ground has exited: each test that uses it would wait until its deadline.
    ///
    /// # Errors
    /// When it has exited, with the end of its log.
    pub fn operator_runs(&self) -> Result<()> {
        let Ok(running) = self.running.try_lock() else { return Ok(()) };
        running.as_ref().map_or(Ok(()), |running| running.process.server().alive())
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

    /// Starts a ground with its own OpenBao and without an operator, for tests that stop, break or count them. It shares
    /// PostgreSQL and the issuer with this one. Its control plane has no other ground at the same time, and is used again
    /// afterwards: the test must not change CustomResourceDefinitions, roles or servers of it. Its logs are those of all its
    /// grounds.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn apart(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let shared = self.clone();
        let started = async move {
            let plane = Plane::shared(&shared.folder, &shared.logs).await?;
            shared.beside(name, plane).await
        };
        let ground = self.at_home(started).await?;
        ground.connected().await?;
        Ok(ground)
    }

    /// Starts a ground like [`Self::apart`] whose control plane no other test uses.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn alone(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let ground = self.empty(name).await?;
        ground.installed().await?;
        Ok(ground)
    }

    /// Starts a ground like [`Self::alone`] on which Steamer is not installed, for tests that install it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn empty(self: &Arc<Self>, name: &'static str) -> Result<Arc<Self>> {
        let shared = self.clone();
        self.at_home(async move {
            let Place { folder, logs } = shared.place(name)?;
            let plane = Plane::own(ControlPlane::start(&folder, &logs).await?);
            shared.beside(name, plane).await
        })
        .await
    }

    /// Folders of a ground beside this one.
    fn place(&self, name: &str) -> Result<Place> {
        Place::new(self.folder.join(name), self.logs.join(name))
    }

    async fn beside(&self, name: &str, plane: Plane) -> Result<Arc<Self>> {
        let servers = (self.postgres.clone(), self.issuer.clone());
        Self::with(name, plane, servers, self.place(name)?).await.map(Arc::new)
    }

    async fn start() -> Result<Self> {
        let ground = Self::servers().await?;
        let mut operator = ground.operator.clone();
        // No other process wants the lease, and a process that loses it exits.
        operator.arguments[0] = "--lease-duration=30m".to_owned();
        let mut running = operator.start()?;
        running.ready().await?;
        *ground.running.lock().await = Some(running);
        Ok(ground)
    }

    async fn servers() -> Result<Self> {
        remove_leftovers();
        let folder = std::env::temp_dir().join(format!("steamer-ground-{}", std::process::id()));
        let logs = cache::logs()?.join(format!("ground-{}", std::process::id()));
        let place = Place::new(folder, logs)?;
        tools_readable(&place.folder)?;
        let postgres = Arc::new(Postgres::start(&place.folder, &place.logs).await?);
        let issuer = JwtIssuer::start().await?;
        let plane = Plane::own(ControlPlane::start(&place.folder, &place.logs).await?);
        let ground = Self::with("openbao", plane, (postgres, issuer), place).await?;
        ground.installed().await?;
        Ok(ground)
    }

    /// Installs everything except the operator's process.
    async fn installed(&self) -> Result<()> {
        install(&self.client().await?).await?;
        self.connected().await
    }

    /// Lets the operator log in to Kubernetes and OpenBao.
    async fn connected(&self) -> Result<()> {
        set_up_openbao(&self.plane, &self.openbao).await?;
        let client = self.client().await?;
        let token = account_token(&client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        self.plane.kubeconfig_for("operator", &token).map(drop)
    }

    async fn with(
        name: &str,
        plane: Plane,
        (postgres, issuer): (Arc<Postgres>, JwtIssuer),
        Place { folder, logs }: Place,
    ) -> Result<Self> {
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
                // No request of a test runs for long. The token of an unanswered one is revoked after it.
                "--request-limit=2s",
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

#[allow(clippy::panic)]
fn stop(error: &anyhow::Error) -> Arc<Ground> {
    panic!("the test ground does not start: {error:#}")
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
