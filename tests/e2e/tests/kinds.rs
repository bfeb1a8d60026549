//! One object of each kind that issues or pushes, for tests of faults.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoAuth, BaoDynamicSecret, BaoPKISecret, BaoPushSecret};
use steamer_openbao::{Error, Session};
use steamer_testing::audit;
use steamer_testing::database::{self, Connection};
use steamer_testing::demo;
use steamer_testing::openbao::{OpenBao, mount_kv};
use steamer_testing::wait::eventually;

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

    /// Numbers of credentials and certificates that OpenBao issued, from its audit log.
    pub fn issued(&self, log: &Path) -> Result<(usize, usize)> {
        let count = |path: &str| -> Result<usize> {
            let entries = audit::entries(log, path)?;
            let is_issued = |entry: &Value| {
                entry["type"] == "response" && entry["request"]["path"] == *path && entry["error"].is_null()
            };
            Ok(entries.iter().filter(|entry| is_issued(entry)).count())
        };
        Ok((count("kinds-db/creds/kinds")?, count("pki/issue/web")?))
    }

    /// Changes a label of both delivered Secrets, and waits until they have it: the objects were reconciled.
    pub async fn relabel(&self, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"destination": {"labels": {"round": value}}}}));
        let secrets = self.case.api::<Secret>();
        for (kind, name) in [("BaoDynamicSecret", "dynamic"), ("BaoPKISecret", "certificate")] {
            self.case.dynamic(kind)?.patch(name, &PatchParams::default(), &patch).await?;
            eventually(&format!("Secret {name} has the label"), || async {
                let secret = secrets.get(name).await.map_err(|error| error.to_string())?;
                let seen = secret.metadata.labels.unwrap_or_default().get("round").cloned();
                if seen.as_deref() == Some(value) { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await?;
        }
        Ok(())
    }

    /// Changes a label and the life of the JWT of the login.
    pub async fn edit_login(&self) -> Result<()> {
        let spec = json!({"kubernetes": {"tokenExpirationSeconds": 700}});
        let patch = Patch::Merge(json!({"metadata": {"labels": {"edited": "yes"}}, "spec": spec}));
        self.case.api::<BaoAuth>().patch("kinds", &PatchParams::default(), &patch).await?;
        self.case.ready::<BaoAuth>("kinds", "True/Applied").await.map(drop)
    }

    /// Revokes the tokens of the operator's own logins.
    pub async fn revoke_operator(&self) -> Result<()> {
        let list = Method::from_bytes(b"LIST")?;
        let answer = self.admin.request_any(list, "auth/token/accessors", None).await?;
        let mut revoked = 0;
        for accessor in answer["data"]["keys"].as_array().context("no accessors")? {
            let body = json!({"accessor": accessor});
            let found =
                self.admin.request_any(Method::POST, "auth/token/lookup-accessor", Some(body.clone()));
            let token = match found.await {
                Ok(token) => token,
                // It has ended meanwhile.
                Err(Error::Denied { .. } | Error::Invalid { .. } | Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if token["data"]["meta"]["role"] == "steamer" {
                self.post("auth/token/revoke-accessor", body).await?;
                revoked += 1;
            }
        }
        ensure!(revoked > 0, "the operator has no token");
        Ok(())
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
