//! Everything a test needs, once a test binary: Kubernetes, PostgreSQL, OpenBao, an issuer, the operator.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
use kube::{Client, ResourceExt};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_controllers::operator_policy;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::cache;
use crate::control_plane::ControlPlane;
use crate::issuer::JwtIssuer;
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
    pub postgres: Postgres,
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
        SHARED.get_or_init(|| own_thread("ground").unwrap_or_else(|error| stop(&error))).clone()
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

    async fn start(name: &str) -> Result<Self> {
        remove_leftovers();
        let folder = std::env::temp_dir().join(format!("steamer-ground-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        tools_readable(&folder)?;
        let logs = cache::logs()?.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&logs)?;
        let plane = ControlPlane::start(&folder, &logs).await?;
        let postgres = Postgres::start(&folder, &logs).await?;
        let url = postgres.database("openbao")?;
        let openbao = OpenBao::start("openbao", &folder, &logs, &url).await?;
        install(&plane.client().await?).await?;
        set_up_openbao(&plane, &openbao).await?;
        let token = account_token(&plane.client().await?, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        let operator = Operator {
            kubeconfig: plane.kubeconfig_for("operator", &token)?,
            logs: logs.clone(),
            name: "operator".to_owned(),
            arguments: [
                "--lease-duration=15s",
                "--drift-interval=30s",
                "--log-level=info,steamer_controllers=debug,steamer_runtime=debug",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let mut running = operator.start()?;
        running.ready().await?;
        let issuer = JwtIssuer::start().await?;
        let (running, home) = (Mutex::new(Some(running)), Handle::current());
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
            if id.is_some_and(|id| !std::path::Path::new("/proc").join(id).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// PostgreSQL's user has to get to its data.
fn tools_readable(folder: &std::path::Path) -> Result<()> {
    crate::tools::succeed(std::process::Command::new("chmod").arg("755").arg(folder))
}

fn own_thread(name: &'static str) -> Result<Arc<Ground>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("test-ground".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let _ = sender.send(Ground::start(name).await.map(Arc::new));
            std::future::pending::<()>().await;
        });
    })?;
    receiver.recv().context("the test ground ended")?
}

/// Installs definitions, rights and account as `config/` has them.
///
/// # Errors
/// When the API server refuses something.
pub async fn install(client: &Client) -> Result<()> {
    for definition in steamer_api::definitions() {
        apply(client, serde_json::to_value(&definition)?).await?;
    }
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}});
    apply(client, namespace).await?;
    let rbac = cache::checkout().join("config/rbac");
    for file in ["service_account.yaml", "role.yaml", "role_binding.yaml", "leader_election_role.yaml"] {
        let text = std::fs::read_to_string(rbac.join(file)).with_context(|| format!("config/rbac/{file}"))?;
        for object in yaml(&text)? {
            apply(client, object).await?;
        }
    }
    established(client).await
}

async fn established(client: &Client) -> Result<()> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in steamer_api::definitions() {
        let name = definition.name_any();
        crate::wait::eventually("the definitions are established", || async {
            let found = api.get(&name).await.map_err(|error| error.to_string())?;
            let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
            let met = conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True");
            if met { Ok(()) } else { Err(format!("{name}: {conditions:?}")) }
        })
        .await?;
    }
    Ok(())
}

/// The documents of a YAML text, as JSON.
///
/// # Errors
/// When it is no YAML.
pub fn yaml(text: &str) -> Result<Vec<Value>> {
    let documents = text
        .split("\n---")
        .map(str::trim)
        .filter(|document| !document.trim_start_matches('-').trim().is_empty());
    documents
        .map(|document| {
            serde_saphyr::from_str::<Value>(document.trim_start_matches("---")).map_err(anyhow::Error::from)
        })
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .collect()
}

/// Applies any object, as `kubectl apply --server-side` does with strict validation.
///
/// # Errors
/// What the API server says.
pub async fn apply(client: &Client, object: Value) -> Result<DynamicObject> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let (group, version) =
        version.split_once('/').map_or(("", version.as_str()), |(group, version)| (group, version));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, &kind);
    let (resource, capabilities): (ApiResource, ApiCapabilities) =
        kube::discovery::pinned_kind(client, &gvk).await?;
    let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    let api: Api<DynamicObject> = match (capabilities.scope, namespace) {
        (Scope::Namespaced, namespace) => {
            Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or("default"), &resource)
        }
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    };
    let parameters = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("tests").force()
    };
    Ok(api.patch(&text("/metadata/name"), &parameters, &Patch::Apply(&object)).await?)
}

/// A token of a ServiceAccount.
///
/// # Errors
/// What the API server says.
pub async fn account_token(
    client: &Client,
    namespace: &str,
    name: &str,
    audiences: &[&str],
) -> Result<String> {
    use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
    let spec = TokenRequestSpec { audiences, expiration_seconds: Some(86400), bound_object_ref: None };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = api.create_token_request(name, &PostParams::default(), &request).await?;
    answer.status.map(|status| status.token).context("no token")
}

/// What an administrator does once: the operator's policy and login, and Kubernetes auth for workloads.
///
/// # Errors
/// What OpenBao says.
pub async fn set_up_openbao(plane: &ControlPlane, openbao: &OpenBao) -> Result<()> {
    let client = plane.client().await?;
    let reviewer = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "openbao", "namespace": OPERATOR_NAMESPACE},
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "openbao-reviews-tokens"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "openbao", "namespace": OPERATOR_NAMESPACE}],
    });
    apply(&client, reviewer).await?;
    apply(&client, binding).await?;
    let token = account_token(&client, OPERATOR_NAMESPACE, "openbao", &[]).await?;
    let admin = openbao.admin()?;
    let post = |path: &'static str, body: Value| admin.request_any(Method::POST, path, Some(body));
    post("sys/policies/acl/steamer", json!({"policy": operator_policy::text()})).await?;
    post("sys/auth/kubernetes", json!({"type": "kubernetes"})).await?;
    let config = json!({
        "kubernetes_host": plane.url, "kubernetes_ca_cert": plane.ca, "token_reviewer_jwt": token,
        "disable_local_ca_jwt": true,
    });
    admin.request_any(Method::POST, "auth/kubernetes/config", Some(config)).await?;
    let role = json!({
        "bound_service_account_names": [OPERATOR_ACCOUNT], "bound_service_account_namespaces": [OPERATOR_NAMESPACE],
        "audience": AUDIENCE, "token_policies": ["steamer"], "token_ttl": "10m", "token_max_ttl": "1h",
    });
    admin.request_any(Method::POST, "auth/kubernetes/role/steamer", Some(role)).await?;
    Ok(())
}
