//! One object of each kind that issues or pushes, for tests of faults.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, BaoPKISecret, BaoPushSecret};
use steamer_openbao::Session;
use steamer_testing::database::{self, Connection};
use steamer_testing::demo;
use steamer_testing::openbao::{OpenBao, mount_kv};

use crate::fixture::Case;
use crate::static_secrets::auth;

/// The objects, on one OpenBao.
pub struct Kinds<'a> {
    pub case: &'a Case,
    pub admin: Session,
}

impl<'a> Kinds<'a> {
    /// Creates the engines in an OpenBao, a login for them, and the objects in the cluster of that name, and waits until all of
    /// them are Ready.
    pub async fn new(case: &'a Case, openbao: &OpenBao, cluster: &str) -> Result<Self> {
        let kinds = Self { case, admin: openbao.admin()? };
        kinds.engines().await?;
        let mut login = auth("kinds");
        login["clusterRef"]["name"] = json!(cluster);
        case.object("BaoAuth", "kinds", login).await?;
        let source = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source", "namespace": case.namespace},
            "stringData": {"v": "1"},
        });
        steamer_testing::ground::apply(&case.client, source).await?;
        let destination = |name: &str| json!({"name": name, "create": true});
        let auth_ref = json!({"name": "kinds"});
        let dynamic = json!({
            "authRef": auth_ref, "mount": "kinds-db", "path": "creds/kinds", "revoke": true,
            "destination": destination("dynamic"),
        });
        case.object("BaoDynamicSecret", "dynamic", dynamic).await?;
        let certificate = json!({
            "authRef": auth_ref, "mount": "pki", "role": "web", "commonName": "web.example.com", "revoke": true,
            "destination": destination("certificate"),
        });
        case.object("BaoPKISecret", "certificate", certificate).await?;
        let data = json!([{"mount": "kinds-kv", "path": "app", "type": "kv-v2"}]);
        let push = json!({
            "authRef": auth_ref, "secretRef": {"name": "source"}, "data": data, "refreshAfter": "1s",
        });
        case.object("BaoPushSecret", "pushed", push).await?;
        kinds.ready().await?;
        Ok(kinds)
    }

    async fn post(&self, path: &str, body: Value) -> Result<()> {
        self.admin.request_any(Method::POST, path, Some(body)).await?;
        Ok(())
    }

    async fn engines(&self) -> Result<()> {
        let url = self.database(self.case.ground.postgres.port);
        let connection = Connection { url: &url, user: "postgres", password: "trusted" };
        database::engine(&self.admin, "kinds-db", connection).await?;
        database::role(&self.admin, "kinds-db/roles/kinds", ("1h", "24h")).await?;
        demo::pki(&self.admin).await?;
        mount_kv(&self.admin, "kinds-kv").await?;
        let all = json!({"capabilities": ["create", "read", "update", "delete"]});
        let paths = ["kinds-db/*", "kinds-kv/*", "pki/*", "sys/leases/revoke"];
        let paths: BTreeMap<&str, &Value> = paths.into_iter().map(|path| (path, &all)).collect();
        self.post("sys/policies/acl/kinds", json!({"policy": json!({"path": paths}).to_string()})).await?;
        let role = json!({
            "bound_service_account_names": ["*"], "bound_service_account_namespaces": [self.case.namespace],
            "audience": "openbao", "token_policies": ["kinds"], "token_ttl": "2h",
        });
        self.post("auth/kubernetes/role/kinds", role).await
    }

    fn database(&self, port: u16) -> String {
        database::url(&format!("127.0.0.1:{port}"), "disable")
    }

    /// Lets the database engine connect to a port. Nothing listens on port 1.
    pub async fn connect_database(&self, port: u16) -> Result<()> {
        let config = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "verify_connection": false,
            "connection_url": self.database(port), "username": "postgres", "password": "trusted",
        });
        self.post("kinds-db/config/postgres", config).await
    }

    /// Limits the requests to the KV engine to one in an hour, or removes the limit.
    pub async fn throttle(&self, limit: Limit) -> Result<()> {
        let path = "sys/quotas/rate-limit/kinds";
        match limit {
            Limit::OnePerHour => {
                self.post(path, json!({"path": "kinds-kv/", "rate": 1, "interval": "1h"})).await
            }
            Limit::None => self.admin.request_any(Method::DELETE, path, None).await.map(drop).context(path),
        }
    }

    /// Waits until all objects are Ready.
    pub async fn ready(&self) -> Result<()> {
        self.case.ready::<BaoDynamicSecret>("dynamic", "True/Applied").await?;
        self.case.ready::<BaoPKISecret>("certificate", "True/Applied").await?;
        self.case.ready::<BaoPushSecret>("pushed", "True/Applied").await.map(drop)
    }

    /// The data of the delivered Secrets.
    pub async fn delivered(&self) -> Result<Vec<BTreeMap<String, ByteString>>> {
        let mut all = Vec::new();
        for name in ["dynamic", "certificate"] {
            all.push(self.case.api::<Secret>().get(name).await?.data.context("no data")?);
        }
        Ok(all)
    }

    /// Requests another credential.
    pub async fn request_credential(&self, nudge: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": nudge}}}));
        self.case.api::<BaoDynamicSecret>().patch("dynamic", &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

/// Limit of the rate of requests.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    OnePerHour,
    None,
}
