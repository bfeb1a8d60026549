//! Break-glass: a root token from the recovery keys when no login works, with the steps of the documentation.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES, condition};
use crate::rollouts::uids;

const BREAK_GLASS: &str = "steamer.dev/break-glass";
const POD: &str = "main-break-glass-0";

/// `kubectl port-forward` to the pod.
struct Forward {
    kubectl: Child,
    port: u16,
    /// kubectl ends when it cannot report a connection.
    _reports: BufReader<ChildStdout>,
}

impl Forward {
    fn start(bao: &Bao) -> Result<Self> {
        let pod = format!("pod/{POD}");
        let mut command =
            bao.fleet.kubectl()?.command(&["-n", &bao.namespace, "port-forward", &pod, ":8200"]);
        let mut kubectl = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        let mut reports = BufReader::new(kubectl.stdout.take().context("no output")?);
        reports.read_line(&mut line)?;
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(port) = port else {
            let _ = kubectl.kill();
            anyhow::bail!("kubectl port-forward: {line}");
        };
        Ok(Self { kubectl, port, _reports: reports })
    }

    async fn put(&self, path: &str, body: Value) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/v1/sys/generate-root/{path}", self.port);
        let answer = Client::new().put(url).body(body.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no {key}"))
}

/// The token, which OpenBao encodes with the one-time password of the attempt.
fn decoded(token: &str, password: &str) -> Result<String> {
    let bytes = STANDARD_NO_PAD.decode(token)?;
    ensure!(bytes.len() == password.len(), "the one-time password has another length");
    Ok(String::from_utf8(bytes.iter().zip(password.bytes()).map(|(byte, key)| byte ^ key).collect())?)
}

impl Bao {
    /// A root token from the recovery key.
    async fn root_token(&self) -> Result<String> {
        let secrets: Api<Secret> = Api::namespaced(self.kube.clone(), &self.namespace);
        let data = secrets.get("main-recovery").await?.data.context("no shares")?;
        let share = String::from_utf8(data.get("share-1").context("no share")?.0.clone())?;
        let begun = eventually("generate-root answers on the loopback interface", || async {
            let forward = Forward::start(self).map_err(|error| format!("{error:#}"))?;
            let begun = forward.put("attempt", json!({})).await.map_err(|error| format!("{error:#}"))?;
            Ok::<_, String>((forward, begun))
        });
        let (forward, attempt) = begun.await.with_context(|| self.story())?;
        let nonce = text(&attempt, "nonce")?;
        let done = forward.put("update", json!({"nonce": nonce, "key": share})).await?;
        ensure!(done["complete"] == json!(true), "the recovery key is not accepted: {done}");
        decoded(text(&done, "encoded_token")?, text(&attempt, "otp")?)
    }

    /// Removes every login: the auth mount of the operator and of the administrators.
    async fn lose_all_logins(&self) -> Result<()> {
        match self.admin().await?.request_any(Method::DELETE, "sys/auth/kubernetes", None).await {
            // The token ended with its mount, and the request was repeated because its response was late.
            Ok(_) | Err(Error::Denied { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        ensure!(self.admin().await.is_err(), "the administrator can still log in");
        let denied =
            |object: &OpenBaoCluster| condition(object, "Ready").is_some_and(|(status, ..)| status != "True");
        self.until("the operator cannot log in either", denied).await.map(drop)
    }

    /// The plugin logs in, and shows the audit entries of its requests.
    async fn administrator_reads_the_audit_log(&self, leader: &str) -> Result<()> {
        let found = self.plugin(&["bao", "main"], &["--", "token", "lookup", "-format=json"]).await?;
        let found: Value = serde_json::from_str(&found).with_context(|| found.clone())?;
        ensure!(found["data"]["policies"] == json!(["administrator", "default"]), "{found}");
        let audit = self.plugin(&["tail", "main"], &[]).await?;
        ensure!(audit.contains("auth/token/lookup-self"), "{leader} audited no lookup: {audit}");
        let token = text(&found["data"], "id")?;
        ensure!(!audit.contains(token), "the audit entries contain the token");
        Ok(())
    }

    async fn events(&self) -> Result<Vec<String>> {
        let events: Api<Event> = Api::namespaced(self.kube.clone(), &self.namespace);
        let events = events.list(&ListParams::default()).await?.items.into_iter();
        let own = events.filter(|event| event.reason.as_deref() == Some("BreakGlass"));
        Ok(own.filter_map(|event| event.note).collect())
    }

    async fn is_closed(&self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        let secrets: Api<Secret> = Api::namespaced(self.kube.clone(), &self.namespace);
        eventually("the pod and the Secret of break-glass are gone", || async {
            let pod = pods.get_opt(POD).await.map_err(|error| error.to_string())?;
            let secret = secrets.get_opt("main-break-glass").await.map_err(|error| error.to_string())?;
            let left = (pod.map(|pod| pod.status.and_then(|status| status.phase)), secret.is_some());
            if left == (None, false) { Ok(()) } else { Err(format!("pod and Secret: {left:?}")) }
        })
        .await
    }
}

fn is_open(object: &OpenBaoCluster) -> bool {
    condition(object, "BreakGlass")
        .is_some_and(|(status, reason, _)| (status, reason) == ("True", "BreakGlass"))
}

#[tokio::test]
async fn recovery_keys_give_a_root_token_when_every_login_is_lost() -> Result<()> {
    let audited = |spec: &mut Value| {
        spec["managed"]["audit"] =
            json!([{"name": "log", "description": "requests", "file": {"path": "stdout"}}])
    };
    let bao = Bao::serving("glass", audited).await?;
    let recovered =
        |object: &OpenBaoCluster| object.status.as_ref().is_some_and(|status| status.recovery_keys.is_some());
    bao.until("the recovery keys exist", recovered).await?;
    let (leader, nodes) = (bao.leader().await?, bao.uids().await?);
    bao.administrator_reads_the_audit_log(&leader).await?;
    bao.lose_all_logins().await?;

    let steps = bao.plugin(&["break-glass", "main"], &[]).await?;
    ensure!(steps.contains(&format!("port-forward pod/{POD} 8200")), "{steps}");
    let object = bao.until("break-glass is open", is_open).await?;
    let request = object.annotations().get(BREAK_GLASS).cloned().context("no request")?;
    let (_, _, message) = condition(&object, "BreakGlass").context("no condition")?;
    ensure!(message.contains(POD) && message.contains("until"), "{message}");
    let token = bao.root_token().await?;
    let client = bao.client(&NODES, std::time::Duration::from_secs(60)).await?;
    let root: Session = client.session(Identity::Token(token.into()));
    let found = root.request_any(Method::GET, "auth/token/lookup-self", None).await?;
    ensure!(found["data"]["policies"] == json!(["root"]), "{found}");
    let log = bao.fleet.kubectl()?.run(&["-n", &bao.namespace, "logs", &leader, "-c", "openbao"])?;
    ensure!(log.contains("sys/generate-root/update"), "the leader audited no request");

    bao.plugin(&["break-glass", "main", "--close"], &[]).await?;
    bao.is_closed().await?;
    bao.until("the condition is gone", |object| condition(object, "BreakGlass").is_none()).await?;
    ensure!(bao.leader().await? == leader && bao.uids().await? == nodes, "break-glass disturbed a node");
    let set =
        format!("the annotation steamer.dev/break-glass={request} was set (field manager: kubectl-steamer");
    for text in [&*set, "break-glass was closed"] {
        eventually(&format!("an Event reports: {text}"), || async {
            let events = bao.events().await.map_err(|error| error.to_string())?;
            if events.iter().any(|event| event.contains(text)) { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await?;
    }
    bao.annotate(BREAK_GLASS, json!(request)).await?;
    let over = |object: &OpenBaoCluster| {
        condition(object, "BreakGlass")
            .is_some_and(|(status, reason, _)| (status, reason) == ("False", "Disabled"))
    };
    bao.until("a request that was carried out opens nothing", over).await?;
    root.request_any(Method::POST, "auth/token/revoke-self", None).await?;
    let left = uids(&bao.pods().await?).into_keys().filter(|pod| !NODES.contains(&pod.as_str())).count();
    ensure!(left == 0, "a pod is left");
    Ok(())
}
