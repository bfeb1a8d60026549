//! The roles of `webapp`, which the jobs of its repository write.

use anyhow::{Context, Result, ensure};
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::SecretsApp;
use steamer_testing::guide;
use steamer_testing::openbao::denied;
use steamer_testing::wait::eventually;

use super::scene::{Homelab, unready};

/// Role of the pods.
const PODS: &str = "auth/token_review/role/webapp";
/// Role of the database.
const DATABASE: &str = "postgres/roles/webapp";

impl Homelab {
    /// A job of the repository writes the roles, which no one else writes: the objects of `webapp` wait for them.
    pub async fn the_repository_writes_its_roles(&self) -> Result<()> {
        let job = self.job("webapp").await?;
        self.the_application_is_reconciled_again().await?;
        for path in [PODS, DATABASE] {
            ensure!(!self.exists(path).await?, "{path} exists before the job");
        }
        for (path, body) in [(PODS, guide::pods()?), (DATABASE, guide::database("webapp", "postgres")?)] {
            // OpenBao can leave a request without an answer while its nodes start.
            eventually(&format!("the job writes {path}"), || async {
                let written = job.request_any(Method::POST, path, Some(body.clone())).await;
                written.map(drop).map_err(|error| error.to_string())
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until the SecretsApp is Ready, and then until a further pass over it has ended. Changes of the spec request it: the
    /// status has the generation of the last one only after that pass.
    async fn the_application_is_reconciled_again(&self) -> Result<()> {
        let apps: Api<SecretsApp> = Api::namespaced(self.bao.kube.clone(), "tools");
        self.application_ready(&apps).await?;
        for suspend in [true, false] {
            let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
            apps.patch("webapp", &PatchParams::default(), &patch).await?;
        }
        self.application_ready(&apps).await
    }

    async fn application_ready(&self, apps: &Api<SecretsApp>) -> Result<()> {
        let ready = eventually("the SecretsApp webapp is Ready", || async {
            let app = apps.get("webapp").await.map_err(|error| error.to_string())?;
            let app = serde_json::to_value(app).map_err(|error| error.to_string())?;
            unready(&app).map_or(Ok(()), Err)
        });
        ready.await.with_context(|| self.bao.story())
    }

    async fn exists(&self, path: &str) -> Result<bool> {
        match self.admin.request_any(Method::GET, path, None).await {
            Ok(_) => Ok(true),
            Err(steamer_openbao::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The job reads its roles, as Terraform does, and cannot write roles with more rights or roles of others.
    pub async fn the_repository_cannot_do_more(&self) -> Result<()> {
        let job = self.job("webapp").await?;
        let (pods, database) = (guide::pods()?, guide::database("webapp", "postgres")?);
        for path in [PODS, DATABASE] {
            job.request_any(Method::GET, path, None).await.with_context(|| path.to_owned())?;
        }
        for (path, right, name, attempt) in [
            (PODS, &pods, "bound_service_account_names", json!(["webapp", "default"])),
            (PODS, &pods, "bound_service_account_namespaces", json!(["*"])),
            (PODS, &pods, "token_policies", json!(["default", "webapp", "erp"])),
            (PODS, &pods, "policies", json!(["erp"])),
            (PODS, &pods, "audience", json!("")),
            (DATABASE, &database, "db_name", json!("other")),
            (
                DATABASE,
                &database,
                "creation_statements",
                json!(["CREATE ROLE \"{{name}}\" IN ROLE erp_role"]),
            ),
            (DATABASE, &database, "revocation_statements", json!([])),
            ("auth/token_review/role/erp", &pods, "audience", json!("openbao:tools/main")),
            ("postgres/roles/erp", &database, "db_name", json!("postgres")),
        ] {
            let mut body = right.clone();
            body[name] = attempt;
            ensure!(denied(&job, Method::POST, path, Some(body)).await?, "the job sets {name} of {path}");
        }
        Ok(())
    }
}
