//! The homelab as its samples describe it.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoPushSecret, BaoStaticSecret};
use steamer_openbao::{Error, Session};
use steamer_testing::demo;
use steamer_testing::issuer::JwtIssuer;
use steamer_testing::kubectl::Kubectl;
use steamer_testing::objects::{account_token, apply, yaml};
use steamer_testing::openbao::denied;
use steamer_testing::pgbouncer::PgBouncer;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use super::servers;
use crate::bao::Bao;

/// Namespaces of the homelab.
const NAMESPACES: [&str; 5] = ["tools", "webapp", "erp", "cms", "kube-system"];

pub struct Homelab {
    pub bao: Bao,
    pub pooler: PgBouncer,
    pub admin: Session,
    pub kubectl: Kubectl,
    issuer: JwtIssuer,
    objects: Vec<Value>,
}

impl Homelab {
    /// Applies the samples, in their order and without a pause, and writes the values that people and CI jobs write.
    pub async fn new() -> Result<Self> {
        let bao = Bao::prepare("tools").await?;
        let host = bao.postgres.host.clone();
        let issuer = bao.fleet.at_home(async move { JwtIssuer::start_on(&host).await }).await?;
        let mut objects = Vec::new();
        for (_, text) in demo::homelab()? {
            for object in yaml(&text)? {
                objects.push(servers::here(object, &issuer)?);
            }
        }
        let pooler = servers::pgbouncer(&bao).await?;
        servers::applications(&bao)?;
        apply(&bao.kube, token_review()).await?;
        let (clusters, others): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(|object| object["kind"] == "OpenBaoCluster");
        let spec = clusters.first().map(|cluster| cluster["spec"].clone()).context("no OpenBaoCluster")?;
        let bao = bao.up(|own| *own = on_these_nodes(spec, own)).await?;
        let (admin, kubectl) = (bao.admin().await?, bao.fleet.kubectl()?);
        for object in &others {
            apply(&bao.kube, object.clone()).await.with_context(|| object.to_string())?;
        }
        let homelab = Self { bao, pooler, admin, kubectl, issuer, objects: others };
        homelab.write_values().await?;
        Ok(homelab)
    }

    /// Writes the values of the applications: with the identity of their jobs, or as an administrator.
    async fn write_values(&self) -> Result<()> {
        for app in ["webapp", "erp", "cms"] {
            let job = self.job(app).await?;
            self.written(&job, &format!("{app}/config"), json!({"owner": app})).await?;
        }
        let cms = self.job("cms").await?;
        self.written(&cms, "cms/cloudflared", json!({"token": "tunnel"})).await?;
        self.written(&cms, "cms/factory/turnstile", json!({"sitekey": "site"})).await?;
        self.written(&self.admin, "plausible/geoip", json!({"LICENSE_KEY": "license"})).await
    }

    async fn written(&self, session: &Session, path: &str, value: Value) -> Result<()> {
        // OpenBao can leave a request without an answer while its nodes start.
        eventually(&format!("{path} is written"), || async {
            session.write_kv2("kvv2", path, &value).await.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Logs in as a job of the team of an application, once its SecretsApp is applied.
    pub async fn job(&self, app: &str) -> Result<Session> {
        let jwt = self.gitea_token(app)?;
        eventually(&format!("the jobs of {app} log in"), || async {
            let session = self.bao.login("gitea_jwt", &format!("gitea_cicd_{app}"), &jwt).await;
            session.map_err(|error| format!("{error:#}; {}", self.waiting().unwrap_or_default()))
        })
        .await
    }

    /// A token of Gitea for a member of the team of an application.
    pub fn gitea_token(&self, team: &str) -> Result<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let email = format!("{team}@example.com");
        self.issuer.sign(
            "key-1",
            &json!({
                "iss": self.issuer.url, "sub": team, "aud": "openbao", "iat": now, "exp": now + 3600, "email": email,
                "groups": ["homelab", format!("homelab:{team}")],
            }),
        )
    }

    /// Logs in with the token of a ServiceAccount, as the pods of an application do. Repeats a login without an answer.
    pub async fn pod(&self, role: &str, (account, namespace): (&str, &str)) -> Result<Session> {
        let jwt = account_token(&self.bao.kube, namespace, account, &[&self.bao.audience()]).await?;
        let has_no_answer = |error: &anyhow::Error| error.downcast_ref().is_some_and(Error::is_transient);
        eventually("OpenBao answers the login", || async {
            match self.bao.login("token_review", role, &jwt).await {
                Err(error) if has_no_answer(&error) => Err(error.to_string()),
                answer => Ok(answer),
            }
        })
        .await?
    }

    /// The Steamer objects of the homelab that are not Ready.
    fn waiting(&self) -> Result<String> {
        let text = self.kubectl.run(&["get", "steamer", "--all-namespaces", "-o", "json"])?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list["items"].as_array().context("no list")?;
        let ours = items.iter().filter(|item| {
            item.pointer("/metadata/namespace")
                .and_then(Value::as_str)
                .is_some_and(|it| NAMESPACES.contains(&it))
        });
        let waiting: Vec<String> = ours.filter_map(unready).collect();
        Ok(waiting.join("; "))
    }

    /// Waits until all objects are Ready, and the workloads run.
    pub async fn all_ready(&self) -> Result<()> {
        let ready = eventually("the objects of the homelab are Ready", || async {
            match self.waiting() {
                Ok(waiting) if waiting.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        ready.await.with_context(|| self.bao.story())?;
        for workload in ["deployment/plausible", "deployment/crowdsec-lapi"] {
            let arguments = ["-n", "tools", "rollout", "status", workload, "--timeout=120s"];
            self.kubectl.run(&arguments).with_context(|| self.pods())?;
        }
        Ok(())
    }

    fn pods(&self) -> String {
        self.kubectl
            .run(&["-n", "tools", "describe", "pods", "-l", "app.kubernetes.io/name"])
            .unwrap_or_default()
    }

    /// Data of a Secret, as text.
    pub async fn secret(&self, (namespace, name): (&str, &str), key: &str) -> Result<String> {
        let secrets: Api<Secret> = Api::namespaced(self.bao.kube.clone(), namespace);
        let data = secrets.get(name).await?.data.unwrap_or_default();
        let value = data.get(key).with_context(|| format!("Secret {name} has no key {key}"))?;
        Ok(String::from_utf8(value.0.clone())?)
    }

    /// Reconciles the objects of the keys of Plausible again, and returns the keys and the version of their entry.
    pub async fn keys(&self) -> Result<(Vec<Vec<u8>>, i64)> {
        let push: Api<BaoPushSecret> = Api::namespaced(self.bao.kube.clone(), "tools");
        let sync: Api<BaoStaticSecret> = Api::namespaced(self.bao.kube.clone(), "tools");
        let once = format!("{:?}", SystemTime::now());
        let nudge = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": once}}}));
        push.patch("plausible-config", &PatchParams::default(), &nudge).await?;
        sync.patch("plausible-config", &PatchParams::default(), &nudge).await?;
        eventually("the keys were checked again", || async {
            let pushed = push.get("plausible-config").await.map_err(|error| error.to_string())?;
            let synced = sync.get("plausible-config").await.map_err(|error| error.to_string())?;
            let handled = [
                pushed.status.and_then(|status| status.last_handled_reconcile_at),
                synced.status.and_then(|status| status.sync.last_handled_reconcile_at),
            ];
            if handled.iter().all(|it| it.as_ref() == Some(&once)) {
                Ok(())
            } else {
                Err(format!("{handled:?}"))
            }
        })
        .await?;
        let mut keys = Vec::new();
        for (key, length) in [("SECRET_KEY_BASE", 64), ("TOTP_VAULT_KEY", 32)] {
            let text = self.secret(("tools", "plausible-config"), key).await?;
            let bytes = STANDARD.decode(&text)?;
            ensure!(bytes.len() == length && text.len() >= length, "{key} has {} bytes", bytes.len());
            keys.push(bytes);
        }
        let metadata = self.admin.kv_metadata("kvv2", "plausible/config").await?.context("no entry")?;
        Ok((keys, metadata.current_version))
    }

    /// Deletes everything but the cluster. The access ends, and the values stay.
    pub async fn deletion_removes_the_access(&self) -> Result<()> {
        let erp = self.pod("erp", ("erp", "erp")).await?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": self.removable()});
        let file = self.bao.fleet.folder.join("homelab.json");
        std::fs::write(&file, list.to_string())?;
        tools::succeed(self.kubectl.command(&["delete", "--timeout=120s", "-f"]).arg(&file))
            .with_context(|| self.bao.story())?;
        let refusal = self.pod("erp", ("erp", "erp")).await.err().context("ERP still logs in")?.to_string();
        ensure!(refusal.contains("invalid role name"), "{refusal}");
        ensure!(
            denied(&erp, Method::GET, "kvv2/data/erp/config", None).await?,
            "the policy of ERP still exists"
        );
        self.admin.read_kv2("kvv2", "erp/config", None).await.context("the value is gone")?;
        self.kubectl.run(&["delete", "namespace", "webapp", "erp", "cms", "--wait=false"])?;
        self.kubectl.run(&["delete", "clusterrolebinding", "token-review-tools"]).map(drop)
    }

    /// The samples in the order of their deletion, except for ServiceAccounts and namespaces.
    fn removable(&self) -> Vec<&Value> {
        let kept = ["Namespace", "ServiceAccount"];
        let is_kept = |object: &&Value| kept.iter().any(|kind| object["kind"] == *kind);
        self.objects.iter().rev().filter(|object| !is_kept(object)).collect()
    }
}

/// The state of an object that is not Ready.
pub fn unready(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let current = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
    let is_ready = current && ready.is_some_and(|ready| ready["status"] == "True");
    let why = ready.map(|ready| format!("{}: {}", ready["reason"], ready["message"])).unwrap_or_default();
    (!is_ready).then(|| format!("{} {} ({why})", object["kind"], object["metadata"]["name"]))
}

/// The spec of the sample with the image and the small requests of the test ground.
fn on_these_nodes(mut spec: Value, own: &Value) -> Value {
    for field in ["image", "imagePullPolicy", "podTemplate"] {
        spec["managed"][field] = own["managed"][field].clone();
    }
    spec
}

/// The object of the Helm value `tokenReview`.
fn token_review() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "token-review-tools"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "main", "namespace": "tools"}],
    })
}
