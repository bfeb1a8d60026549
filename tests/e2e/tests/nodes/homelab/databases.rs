//! Users of PostgreSQL that OpenBao creates, behind PgBouncer.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Url;
use serde_json::json;
use steamer_api::BaoDynamicSecret;
use steamer_testing::wait::eventually;

use super::scene::Homelab;
use super::servers::EDITOR_PASSWORD;

/// An application that restarts with a new user.
pub struct Restarted {
    app: &'static str,
    workload: &'static str,
}

pub const RESTARTED: [Restarted; 2] = [
    Restarted { app: "plausible", workload: "plausible" },
    Restarted { app: "crowdsec", workload: "crowdsec-lapi" },
];

/// A user of PostgreSQL, and its password.
type User = (String, String);

impl Homelab {
    /// The user in the Secret of an application.
    async fn user(&self, app: &str, namespace: &str) -> Result<User> {
        let name = format!("{app}-db-credentials");
        if app == "crowdsec" {
            let text = self.secret((namespace, &name), "config.yaml.local").await?;
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
                line.map(|value| value.trim_matches('"').to_owned()).with_context(|| format!("no {name}"))
            };
            return Ok((field("user")?, field("password")?));
        }
        let url = Url::parse(&self.secret((namespace, &name), "DATABASE_URL").await?)?;
        let place = (url.host_str(), url.port(), url.path());
        ensure!(place == (Some("pgbouncer.tools.svc"), Some(5432), &format!("/{app}")), "{place:?}");
        Ok((url.username().to_owned(), url.password().context("no password")?.to_owned()))
    }

    fn as_user(&self, (user, password): &User, database: &str, sql: &str) -> Result<String> {
        self.pooler.sql((user, password), database, sql)
    }

    /// The starts of an application, as user and role.
    fn starts(&self, app: &str) -> Result<Vec<(String, String)>> {
        let rows = self.bao.postgres.sql(app, "SELECT login, acts_as FROM starts ORDER BY at")?;
        let pair = |line: &str| line.split_once('|').map(|(login, role)| (login.to_owned(), role.to_owned()));
        Ok(rows.lines().filter_map(pair).collect())
    }

    pub async fn the_applications_own_their_tables(&self) -> Result<()> {
        for app in ["plausible", "crowdsec"] {
            let owner =
                self.bao.postgres.sql(app, "SELECT tableowner FROM pg_tables WHERE tablename = 'starts'")?;
            assert_eq!(owner.trim(), format!("{app}_role"));
            let user = self.user(app, "tools").await?.0;
            assert_eq!(self.starts(app)?, [(user, format!("{app}_role"))]);
        }
        Ok(())
    }

    /// Each user reaches its own database only, and no one has the first password of the user that creates users.
    pub async fn each_user_has_its_own_database(&self) -> Result<()> {
        for (app, other) in [("webapp", "erp"), ("erp", "cms"), ("cms", "webapp")] {
            let user = self.user(app, app).await?;
            let acts_as = self.as_user(&user, app, "SELECT current_user")?;
            assert_eq!(acts_as.trim(), format!("{app}_role"));
            self.as_user(&user, app, "CREATE TABLE t (); DROP TABLE t")?;
            let refused = self.as_user(&user, other, "SELECT 1").err().map(|error| error.to_string());
            ensure!(
                refused.as_ref().is_some_and(|error| error.contains("permission denied for database")),
                "a user of {app} in the database of {other}: {refused:?}"
            );
        }
        let editor = self.pooler.sql(("credentials_editor", EDITOR_PASSWORD), "postgres", "SELECT 1");
        ensure!(editor.is_err(), "the password in the Secret still works");
        Ok(())
    }

    /// Requests another credential. The workload is restarted once with it, and then the former user is dropped.
    pub async fn a_new_credential_restarts(&self, Restarted { app, workload }: &Restarted) -> Result<()> {
        let former = self.user(app, "tools").await?;
        self.as_user(&former, app, "SELECT 1")?;
        let objects: Api<BaoDynamicSecret> = Api::namespaced(self.bao.kube.clone(), "tools");
        let nudge = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": "another"}}}));
        objects.patch(&format!("{app}-db-credentials"), &PatchParams::default(), &nudge).await?;
        let exists = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{}'", former.0);
        eventually("the former user is dropped", || async {
            let count = self.bao.postgres.sql("postgres", &exists).map_err(|error| error.to_string())?;
            if count.trim() == "0" { Ok(()) } else { Err(count) }
        })
        .await
        .with_context(|| self.bao.story())?;
        let now = self.user(app, "tools").await?;
        let role = format!("{app}_role");
        assert_eq!(self.starts(app)?, [(former.0.clone(), role.clone()), (now.0.clone(), role)]);
        self.as_user(&now, app, "SELECT 1")?;
        let refused = self.as_user(&former, app, "SELECT 1").err().map(|error| error.to_string());
        ensure!(
            refused.is_some_and(|error| error.contains("no such user")),
            "PgBouncer admits the former user"
        );
        let deployments: Api<Deployment> = Api::namespaced(self.bao.kube.clone(), "tools");
        let deployment = deployments.get(workload).await?;
        let revision = deployment.annotations().get("deployment.kubernetes.io/revision");
        assert_eq!(revision.map(String::as_str), Some("2"), "{workload} was not restarted once");
        Ok(())
    }
}
