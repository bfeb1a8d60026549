//! Instant delivery: a relay beside OpenBao reports which values were written, and exactly the objects that read them are
//! synced at once.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, OpenBaoCluster};
use steamer_openbao::Session;
use steamer_testing::audit;
use steamer_testing::ground::apply;
use steamer_testing::openbao::{OpenBao, mount_kv};
use steamer_testing::relay::{Place, Relay};
use steamer_testing::wait::eventually;

use crate::fixture::Case;

/// An OpenBao with a relay, and the cluster `main` that refers to both.
struct Relayed {
    case: Case,
    openbao: OpenBao,
    admin: Session,
    relay: Arc<Relay>,
}

impl Relayed {
    async fn start() -> Result<Self> {
        let case = Case::new("instant").await?;
        let openbao = case.ground.own_openbao("instant").await?;
        let certificate = openbao.certificate();
        let place = Place { certificate: &certificate, logs: &case.ground.logs, binary: None };
        let relay = Arc::new(Relay::new("instant-relay", &place)?);
        let admin = openbao.admin()?;
        mount_kv(&admin, "kv").await?;
        let policy = json!({"path": {"kv/*": {"capabilities": ["read", "list"]}}}).to_string();
        admin.request_any(Method::POST, "sys/policies/acl/kv", Some(json!({"policy": policy}))).await?;
        let role = json!({
            "bound_service_account_names": ["*"], "bound_service_account_namespaces": ["instant"],
            "audience": openbao.audience, "token_policies": ["kv"], "token_ttl": "10m",
        });
        admin.request_any(Method::POST, "auth/kubernetes/role/kv", Some(role)).await?;
        let relayed = Self { case, openbao, admin, relay };
        relayed.start_relay().await?;
        relayed.openbao.add_audit_device(relayed.relay.audit_device()).await?;
        Ok(relayed)
    }

    async fn start_relay(&self) -> Result<()> {
        let relay = self.relay.clone();
        self.case.ground.at_home(async move { relay.start() }).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        eventually("the relay receives entries", || async {
            let sent = http.post(&self.relay.audit_url).body("{}").send().await;
            sent.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    async fn objects(&self) -> Result<()> {
        let case = &self.case;
        case.cluster("main", &self.openbao).await?;
        let token = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "relay", "namespace": "instant"},
            "stringData": {"token": self.relay.token},
        });
        apply(&case.client, token).await?;
        let cluster = case.api::<OpenBaoCluster>().get("main").await?;
        let mut spec = json!(cluster.spec);
        spec["external"]["instantDelivery"] =
            json!({"relays": [self.relay.url], "tokenSecretRef": {"name": "relay"}});
        case.object("OpenBaoCluster", "main", spec).await?;
        let auth = json!({
            "clusterRef": {"name": "main"}, "method": "Kubernetes",
            "kubernetes": {"role": "kv", "serviceAccount": "default", "audiences": [self.openbao.audience]},
        });
        case.object("BaoAuth", "default", auth).await?;
        let refreshed = |after: &str, source: Value| {
            let mut spec = json!({"refreshAfter": after});
            for (key, value) in source.as_object().into_iter().flatten() {
                spec[key] = value.clone();
            }
            spec
        };
        let value = |path: &str| json!({"mount": "kv", "path": path, "type": "kv-v2"});
        let find = json!({"sources": [{"mount": "kv", "type": "kv-v2", "find": {"path": "team", "key": "password"}}]});
        for (name, spec) in [
            ("reader", refreshed("1h", value("app"))),
            ("other", refreshed("1h", value("other"))),
            ("finder", refreshed("1h", find)),
            ("polled", refreshed("2s", value("polled"))),
            ("swept", refreshed("1s", value("app"))),
        ] {
            let mut spec = spec;
            spec["destination"] = json!({"name": name, "create": true});
            case.object("BaoStaticSecret", name, spec).await?;
        }
        for name in ["reader", "other", "finder", "polled", "swept"] {
            case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
        }
        Ok(())
    }

    async fn write(&self, path: &str, value: &str) -> Result<()> {
        self.admin.write_kv2("kv", path, &json!({"password": value})).await?;
        Ok(())
    }

    /// Waits until a key of a Secret has a value.
    async fn has(&self, name: &str, key: &str, expected: &str) -> Result<()> {
        let secrets = self.case.api::<Secret>();
        eventually(&format!("Secret {name} has the new value"), || async {
            let data = secrets.get(name).await.map_err(|error| error.to_string())?.data.unwrap_or_default();
            let value = data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
            if value.as_deref() == Some(expected) { Ok(()) } else { Err(format!("{value:?}")) }
        })
        .await
    }

    /// Waits until the condition of the cluster has a status.
    async fn reported(&self, expected: &str) -> Result<()> {
        let clusters = self.case.api::<OpenBaoCluster>();
        eventually(&format!("InstantDelivery is {expected}"), || async {
            let status = clusters.get("main").await.map_err(|error| error.to_string())?.status;
            let conditions = status.map(|status| status.common.conditions).unwrap_or_default();
            let found = conditions.into_iter().find(|condition| condition.type_ == "InstantDelivery");
            let text = found.map(|found| format!("{}: {}", found.status, found.message)).unwrap_or_default();
            if text.starts_with(expected) { Ok(()) } else { Err(text) }
        })
        .await
    }

    /// Number of reads of a value, from the audit log.
    fn reads(&self, path: &str) -> Result<usize> {
        let path = format!("kv/data/{path}");
        let is_read = |entry: &Value| {
            let request = &entry["request"];
            entry["type"] == "response" && request["operation"] == "read" && request["path"] == *path
        };
        let entries = audit::entries(&self.openbao.audit, &path)?;
        Ok(entries.iter().filter(|entry| is_read(entry)).count())
    }
}

#[tokio::test]
async fn a_written_value_is_synced_at_once_to_exactly_the_objects_that_read_it() -> Result<()> {
    let relayed = Relayed::start().await?;
    for path in ["app", "other", "team/one", "polled"] {
        relayed.write(path, "first").await?;
    }
    relayed.objects().await?;
    relayed.reported("True").await?;

    // No refresh is due within an hour.
    relayed.write("app", "second").await?;
    relayed.has("reader", "password", "second").await?;
    // The status follows the Secret.
    eventually("the reason of the sync is reported", || async {
        let object =
            relayed.case.api::<BaoStaticSecret>().get("reader").await.map_err(|error| error.to_string())?;
        let reason = object.status.and_then(|status| status.sync.last_sync).map(|last| last.reason);
        if reason.as_deref() == Some("SourceWritten") { Ok(()) } else { Err(format!("{reason:?}")) }
    })
    .await?;
    relayed.write("team/two", "second").await?;
    relayed.has("finder", "two", "second").await?;
    assert_eq!(relayed.reads("other")?, 1, "a write of another path reads no value");

    // A forged record only causes a read. Only the bearer of the token learns which paths are written.
    let before = relayed.case.api::<Secret>().get("other").await?;
    let http = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build()?;
    let request =
        json!({"operation": "update", "mount_point": "kv/", "mount_type": "kv", "path": "kv/data/other"});
    let forged = json!({"type": "response", "request": request}).to_string();
    http.post(&relayed.relay.audit_url).body(forged).send().await?.error_for_status()?;
    eventually("the value is read", || async {
        let reads = relayed.reads("other").map_err(|error| error.to_string())?;
        if reads == 2 { Ok(()) } else { Err(format!("{reads} reads")) }
    })
    .await?;
    assert_eq!(relayed.case.api::<Secret>().get("other").await?, before);
    let url = format!("{}/v1/writes/none/0", relayed.relay.url);
    assert_eq!(http.get(&url).send().await?.status(), StatusCode::UNAUTHORIZED);

    // Without the relay, OpenBao serves, and values are polled.
    relayed.relay.stop();
    relayed.reported("False: not all relays answer").await?;
    relayed.write("polled", "second").await?;
    relayed.has("polled", "password", "second").await?;
    // No relay reports this write: the next periodic read delivers it.
    relayed.write("app", "third").await?;
    relayed.start_relay().await?;
    relayed.reported("True").await?;
    relayed.has("swept", "password", "third").await?;
    relayed.write("app", "fourth").await?;
    for name in ["reader", "swept"] {
        relayed.has(name, "password", "fourth").await?;
    }
    let metrics = relayed.metrics().await?;
    ensure!(metrics.contains("steamer_relay_wakeups_total"), "{metrics}");
    Ok(())
}

impl Relayed {
    async fn metrics(&self) -> Result<String> {
        let running = self.case.ground.running.lock().await;
        let admin =
            running.as_ref().map(|running| running.admin.clone()).context("the operator is not running")?;
        Ok(reqwest::get(format!("{admin}/metrics")).await?.text().await?)
    }
}
