//! Requests that the operator makes to create an object, recorded by proxies of the API server and of OpenBao, and their
//! repetition for other objects.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Request;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::proxy::{Asked, Gate, Proxy};

use super::counts::Counts;
use super::replay::Admin;
use super::rig::{Rig, manifest, ready_object};

/// Start of the names of recorded objects. Requests that contain it, and not the name of the object, belong to another object.
pub(super) const PREFIX: &str = "recorded";
/// Time after an object is Ready in which the operator completes its requests.
const QUIET: Duration = Duration::from_secs(2);
/// Parts of the paths of requests that the operator makes for the connection to OpenBao, and not for an object.
const CONNECTION: [&str; 6] =
    ["/sys/health", "/sys/leader", "/sys/seal-status", "/sys/capabilities-self", "/login", "/auth/token/"];

/// An operator whose requests are recorded.
pub(super) struct Recording {
    gate: Gate,
    kubeconfig: PathBuf,
    _proxies: [Proxy; 2],
}

impl Recording {
    /// Starts the operator behind proxies.
    pub(super) async fn start(rig: &mut Rig) -> Result<Self> {
        let (gate, ground) = (Gate::default(), rig.ground.clone());
        let proxies = [
            Proxy::start(&gate, &ground.plane.url, &ground.plane.ca)?,
            Proxy::start(&gate, &ground.openbao.url, &ground.openbao.ca)?,
        ];
        let token = account_token(&rig.client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        let proxied = ground.plane.kubeconfig_through(&proxies[0].url, "recorded", &token)?;
        let kubeconfig = rig.replace_kubeconfig(proxied);
        rig.openbao_at(&proxies[1].url).await?;
        rig.start().await?;
        rig.ready().await?;
        Ok(Self { gate, kubeconfig, _proxies: proxies })
    }

    /// Creates two objects of a kind, and returns the requests that the operator made for the first one.
    pub(super) async fn of(&self, rig: &Rig, kind: &str, objects: [(String, Value); 2]) -> Result<Template> {
        let [first, second] = objects;
        let (mut template, again) = (self.once(rig, kind, first).await?, self.once(rig, kind, second).await?);
        // A read without the name can be one of the connection: it belongs to the object if the second object causes it, too.
        let is_repeated = |asked: &Asked| {
            again.requests.iter().any(|other| (&other.method, &other.path) == (&asked.method, &asked.path))
        };
        let Template { name, requests, .. } = &mut template;
        requests.retain(|asked| contains(asked, name) || is_repeated(asked));
        Ok(template)
    }

    /// Creates an object, and returns the requests that the operator made until its last write to the status.
    async fn once(&self, rig: &Rig, kind: &str, (name, spec): (String, Value)) -> Result<Template> {
        self.gate.forget();
        rig.object(kind, &name, spec).await?;
        let uid = ready_object(rig, kind, &name).await?.uid().context("the object has no uid")?;
        tokio::time::sleep(QUIET).await;
        let seen = self.gate.seen();
        let status = format!("/{name}/status");
        let last = seen.iter().rposition(|asked| asked.method == "PATCH" && asked.path.ends_with(&status));
        let last = last.with_context(|| format!("no status of {kind} {name} was written"))?;
        let own = seen.into_iter().take(last + 1).filter(|asked| belongs(asked, &name));
        let requests = own.collect();
        Ok(Template { name, uid, requests })
    }

    /// Stops the operator. Its next start does not use the proxies.
    pub(super) async fn stop(self, rig: &mut Rig) -> Result<()> {
        rig.stop()?;
        rig.replace_kubeconfig(self.kubeconfig);
        let url = rig.ground.openbao.url.clone();
        rig.openbao_at(&url).await
    }
}

/// Returns true for a request that the operator can have made for the object.
fn belongs(asked: &Asked, name: &str) -> bool {
    if asked.query.contains("watch=") {
        return false;
    }
    let is_of_connection = || CONNECTION.iter().any(|part| asked.path.contains(part));
    contains(asked, name) || (!is_of_kubernetes(asked) && !contains(asked, PREFIX) && !is_of_connection())
}

fn contains(asked: &Asked, text: &str) -> bool {
    asked.path.contains(text) || String::from_utf8_lossy(&asked.body).contains(text)
}

fn is_of_kubernetes(asked: &Asked) -> bool {
    asked.path.starts_with("/api")
}

/// Numbers of requests: writes to OpenBao, reads from OpenBao, writes to Kubernetes without Events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) writes: usize,
    pub(super) reads: usize,
    pub(super) kubernetes: usize,
}

impl Requests {
    /// Those of the operator, from the audit logs.
    pub(super) fn of_operator(counts: &Counts) -> Self {
        let sum = |kinds: &[&str]| -> usize { kinds.iter().filter_map(|kind| counts.get(*kind)).sum() };
        Self {
            writes: sum(&["OpenBao: writes"]),
            reads: sum(&["OpenBao: other reads", "OpenBao: value reads"]),
            kubernetes: sum(&[
                "Kubernetes: status writes",
                "Kubernetes: Secret writes",
                "Kubernetes: other writes",
            ]),
        }
    }

    /// Adds those of another object.
    pub(super) fn add(&mut self, other: Self) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.kubernetes += other.kubernetes;
    }
}

/// The requests that create an object.
pub(super) struct Template {
    name: String,
    uid: String,
    requests: Vec<Asked>,
}

impl Template {
    /// Number of the requests.
    pub(super) fn count(&self) -> Requests {
        let mut requests = Requests::default();
        for asked in &self.requests {
            // OpenBao returns the capabilities of a token to a POST.
            let is_write = asked.writes() && !asked.path.ends_with("capabilities-self");
            match (is_of_kubernetes(asked), is_write) {
                (true, true) => requests.kubernetes += 1,
                (true, false) => {}
                (false, true) => requests.writes += 1,
                (false, false) => requests.reads += 1,
            }
        }
        requests
    }

    /// Creates another object, and makes the same requests for it, one after another.
    pub(super) async fn repeat(&self, clients: &Clients<'_>, (name, spec): (&str, Value)) -> Result<()> {
        let Clients { admin, kubernetes, kind, api } = clients;
        let applied = Patch::Apply(manifest(kind, name, &spec));
        let created = api.patch(name, &PatchParams::apply("bench").force(), &applied).await?;
        let uid = created.uid().context("the object has no uid")?;
        let version = created.resource_version();
        let other = |text: &str| text.replace(&self.name, name).replace(&self.uid, &uid);
        for asked in &self.requests {
            if is_of_kubernetes(asked) {
                let request = to_kubernetes(asked, version.as_deref(), other)?;
                let sent = kubernetes.request_text(request).await;
                // A read may find nothing.
                if asked.writes() {
                    sent.with_context(|| format!("{} {}", asked.method, other(&asked.path)))?;
                }
            } else {
                admin.repeat(asked, &other).await?;
            }
        }
        Ok(())
    }
}

/// Clients of the requests for an object of a kind.
pub(super) struct Clients<'a> {
    pub(super) admin: &'a Admin,
    pub(super) kubernetes: &'a kube::Client,
    pub(super) kind: &'a str,
    pub(super) api: &'a Api<DynamicObject>,
}

/// The request with other names, and with the resource version of the other object if it contains one.
fn to_kubernetes(
    asked: &Asked,
    version: Option<&str>,
    other: impl Fn(&str) -> String,
) -> Result<Request<Vec<u8>>> {
    let mut path = other(&asked.path);
    if !asked.query.is_empty() {
        path = format!("{path}?{}", other(&asked.query));
    }
    let request = Request::builder().method(asked.method.as_str()).uri(path);
    if asked.body.is_empty() {
        return Ok(request.body(Vec::new())?);
    }
    let mut body: Value = serde_json::from_str(&other(&String::from_utf8_lossy(&asked.body)))?;
    if let Some(found) = body.pointer_mut("/metadata/resourceVersion") {
        *found = json!(version);
    }
    let kind = match asked.method.as_str() {
        "PATCH" if body.is_array() => "application/json-patch+json",
        "PATCH" if asked.query.contains("fieldManager") => "application/apply-patch+yaml",
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    Ok(request.header("content-type", kind).body(serde_json::to_vec(&body)?)?)
}
