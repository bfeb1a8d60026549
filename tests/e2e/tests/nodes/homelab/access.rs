//! Who may log in to OpenBao, and what each identity may do.

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;
use steamer_openbao::Session;

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
            let login = self.pod(role, account).await;
            ensure!(login.is_ok() == admitted, "{account:?} as {role}: {:?}", login.err());
        }
        for (role, account, own, other) in READS {
            let session = self.pod(role, account).await?;
            ensure!(reads(&session, own).await, "{role} cannot read {own}");
            ensure!(!reads(&session, other).await, "{role} reads {other}");
            let value = json!({"data": {"x": "y"}});
            let written = session.request_any(Method::POST, own, Some(value)).await;
            ensure!(written.is_err(), "{role} writes {own}");
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
        ensure!(other.is_err(), "a job of ERP logs in as a job of webapp");
        let value = || Some(json!({"token": "x"}));
        let shared = ["kvv1/google/credentials", "kvv1/gitea/tofu_module_reader"];
        for path in shared.into_iter().chain(["kvv1/cloudflare/r2/arcodange-tf"]) {
            self.admin.request_any(Method::POST, path, value()).await?;
        }
        for path in shared {
            ensure!(reads(&job, path).await, "webapp cannot read {path}");
            ensure!(job.request_any(Method::POST, path, value()).await.is_err(), "webapp writes {path}");
        }
        for (path, allowed) in CLOUDS {
            let written = job.request_any(Method::POST, path, value()).await;
            ensure!(written.is_ok() == allowed, "{path}: {:?}", written.err());
            ensure!(reads(&job, path).await == allowed, "{path}");
        }
        let bucket = "kvv1/cloudflare/r2/arcodange-tf";
        ensure!(!reads(&job, bucket).await, "webapp has the further policy of the CMS");
        ensure!(reads(&self.job("cms").await?, bucket).await, "the CMS does not have its further policy");
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

async fn reads(session: &Session, path: &str) -> bool {
    session.request_any(Method::GET, path, None).await.is_ok()
}
