//! Who may log in to OpenBao, and what each identity may do.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;
use steamer_openbao::Error;
use steamer_testing::openbao::denied;

use super::scene::Homelab;

/// Role, ServiceAccount and namespace, and whether the ServiceAccount may log in with the role.
const LOGINS: [(&str, (&str, &str), bool); 16] = [
    ("webapp", ("webapp", "webapp"), true),
    ("webapp", ("default", "webapp"), false),
    ("webapp", ("erp", "erp"), false),
    ("erp", ("erp", "erp"), true),
    ("erp", ("webapp", "webapp"), false),
    ("cms", ("cms", "cms"), true),
    ("cms", ("cloudflared", "cms"), true),
    ("cms", ("default", "cms"), false),
    ("crowdsec", ("crowdsec", "tools"), true),
    ("crowdsec", ("plausible", "tools"), false),
    ("plausible", ("plausible", "tools"), true),
    ("plausible", ("crowdsec", "tools"), false),
    ("plausible", ("default", "tools"), false),
    ("factory_crowdsec_conf", ("factory-ansible-tool-crowdsec-traefik-plugin", "kube-system"), true),
    ("factory_crowdsec_conf", ("cms", "cms"), false),
    ("factory_crowdsec_conf", ("default", "kube-system"), false),
];

/// Applications with the names and the namespaces of their ServiceAccounts, as in the table of the guide: `tools` is a further
/// namespace.
const TABLE: [(&str, &[&str], &[&str]); 5] = [
    ("webapp", &["webapp"], &["webapp"]),
    ("erp", &["erp"], &["erp"]),
    ("cms", &["cloudflared", "cms"], &["cms"]),
    ("crowdsec", &["crowdsec"], &["crowdsec", "tools"]),
    ("plausible", &["plausible"], &["plausible", "tools"]),
];

/// Identity, the path that it may read, and one that it may not read.
const READS: [(&str, (&str, &str), &str, &str); 4] = [
    ("webapp", ("webapp", "webapp"), "kvv2/data/webapp/config", "kvv2/data/erp/config"),
    ("erp", ("erp", "erp"), "kvv2/data/erp/config", "kvv2/data/webapp/config"),
    ("cms", ("cloudflared", "cms"), "kvv2/data/cms/cloudflared", "postgres/creds/erp"),
    (
        "factory_crowdsec_conf",
        ("factory-ansible-tool-crowdsec-traefik-plugin", "kube-system"),
        "kvv2/data/cms/factory/turnstile",
        "kvv2/data/cms/config",
    ),
];

/// Paths with the credentials of clouds, and whether the jobs of `webapp` may use them.
const CLOUDS: [(&str, bool); 4] = [
    ("kvv1/cloudflare/webapp/zone", true),
    ("kvv1/cloudflare/erp/zone", false),
    ("kvv1/ovh/webapp/zone", true),
    ("kvv1/ovh/erp/zone", false),
];

impl Homelab {
    pub async fn each_identity_has_its_own_access(&self) -> Result<()> {
        self.roles_are_those_of_the_table().await?;
        for (role, account, admitted) in LOGINS {
            match self.pod(role, account).await {
                Ok(_) => ensure!(admitted, "{account:?} logs in as {role}"),
                Err(error) => ensure!(!admitted && is_denial(&error), "{account:?} as {role}: {error:#}"),
            }
        }
        for (role, account, own, other) in READS {
            let session = self.pod(role, account).await?;
            session
                .request_any(Method::GET, own, None)
                .await
                .with_context(|| format!("{role} reads {own}"))?;
            ensure!(denied(&session, Method::GET, other, None).await?, "{role} reads {other}");
            let value = json!({"data": {"x": "y"}});
            ensure!(denied(&session, Method::POST, own, Some(value)).await?, "{role} writes {own}");
        }
        self.jobs_have_the_rights_of_their_team().await?;
        self.the_key_of_the_cache_works().await
    }

    async fn roles_are_those_of_the_table(&self) -> Result<()> {
        for (app, names, namespaces) in TABLE {
            let path = format!("auth/token_review/role/{app}");
            let role = self.admin.request_any(Method::GET, &path, None).await?["data"].take();
            ensure!(role["bound_service_account_names"] == json!(names), "{app}: {role}");
            ensure!(role["bound_service_account_namespaces"] == json!(namespaces), "{app}: {role}");
        }
        Ok(())
    }

    /// Jobs of Gitea log in as their application only, and write its part of the engines.
    async fn jobs_have_the_rights_of_their_team(&self) -> Result<()> {
        let job = self.job("webapp").await?;
        let other = self.bao.login("gitea_jwt", "gitea_cicd_webapp", &self.gitea_token("erp")?).await;
        let refusal = other.err().context("a job of ERP logs in as a job of webapp")?.to_string();
        let expected = "claim \"groups\" does not match any associated bound claim values";
        ensure!(refusal.contains(expected), "{refusal}");
        let value = || Some(json!({"token": "x"}));
        let shared = ["kvv1/google/credentials", "kvv1/gitea/tofu_module_reader"];
        for path in shared.into_iter().chain(["kvv1/cloudflare/r2/arcodange-tf"]) {
            self.admin.request_any(Method::POST, path, value()).await?;
        }
        for path in shared {
            job.request_any(Method::GET, path, None).await.with_context(|| path.to_owned())?;
            ensure!(denied(&job, Method::POST, path, value()).await?, "webapp writes {path}");
        }
        for (path, allowed) in CLOUDS {
            for (method, body) in [(Method::POST, value()), (Method::GET, None)] {
                if allowed {
                    job.request_any(method, path, body).await.with_context(|| path.to_owned())?;
                } else {
                    ensure!(denied(&job, method, path, body).await?, "webapp uses {path}");
                }
            }
        }
        let bucket = "kvv1/cloudflare/r2/arcodange-tf";
        ensure!(denied(&job, Method::GET, bucket, None).await?, "webapp has the further policy of the CMS");
        let cms = self.job("cms").await?;
        cms.request_any(Method::GET, bucket, None).await.context("the CMS lacks its further policy")?;
        Ok(())
    }

    async fn the_key_of_the_cache_works(&self) -> Result<()> {
        let plain = json!({"plaintext": STANDARD.encode("cache")});
        let path = "transit/encrypt/vso-client-cache";
        let answer = self.admin.request_any(Method::POST, path, Some(plain)).await?;
        ensure!(
            answer["data"]["ciphertext"].as_str().is_some_and(|text| text.starts_with("vault:v1:")),
            "{answer}"
        );
        Ok(())
    }
}

/// Returns true if OpenBao refuses a login because of the ServiceAccount or its namespace.
fn is_denial(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Denied { .. }))
}
