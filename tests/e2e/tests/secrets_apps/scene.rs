//! Engines, auth mounts and a database as the guide has them, and logins of pods and jobs.

use std::process::Command;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Identity, Session};
use steamer_testing::ground::{account_token, apply};
use steamer_testing::issuer::JwtIssuer;
pub use steamer_testing::openbao::denied;
use steamer_testing::openbao::mount_kv;
use steamer_testing::secure_postgres::SecurePostgres;
use steamer_testing::tools;

use crate::general::Scene;

/// Key of the issuer.
const ISSUER_KEY: &str = "key-1";

/// Servers of a test.
pub struct Apps {
    pub scene: Scene,
    pub postgres: SecurePostgres,
    pub issuer: JwtIssuer,
}

/// Spec of an application with a database and CI jobs of the repository `example/<app>`.
pub fn app(changes: Value) -> Value {
    let mut spec = json!({
        "database": {"connectionRef": {"name": "db"}, "database": "shared", "defaultTTL": "1h"},
        "ci": {"audiences": ["gitea"], "boundClaims": {"repository": ["example/web"]}},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Spec of an application whose repository owns its roles.
pub fn of_repository(repository: &str, changes: Value) -> Value {
    let claims = json!({"audiences": ["gitea"], "boundClaims": {"repository": [repository]}});
    let mut spec = app(json!({"rolesOwner": "Repository", "ci": claims}));
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// The value of a secret.
pub async fn value(session: &Session, path: &str) -> Result<String> {
    let answer = session.request_any(Method::GET, path, None).await.with_context(|| path.to_owned())?;
    answer.pointer("/data/data/value").and_then(Value::as_str).map(str::to_owned).context("no value")
}

/// A credential as the administrator gets it: user, password and lease.
pub async fn credential(admin: &Session, app: &str) -> Result<[String; 3]> {
    let answer = admin.request_any(Method::GET, &format!("postgres/creds/{app}"), None).await?;
    let text =
        |pointer| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context("no credential");
    Ok([text("/data/username")?, text("/data/password")?, text("/lease_id")?])
}

/// Creates a namespace and a ServiceAccount in it.
pub async fn account(scene: &Scene, (namespace, name): (&str, &str)) -> Result<()> {
    let client = &scene.case.client;
    apply(client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await?;
    let metadata = json!({"name": name, "namespace": namespace});
    apply(client, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})).await.map(drop)
}

/// Logs in with a JWT at a mount, with a role.
pub async fn log_in(scene: &Scene, (mount, role): (&str, &str), jwt: &str) -> Result<Session> {
    session(scene, &format!("auth/{mount}/login"), json!({"role": role, "jwt": jwt})).await
}

/// Logs in with a request, and returns a session with the token.
pub async fn session(scene: &Scene, path: &str, body: Value) -> Result<Session> {
    let anonymous = scene.openbao.client()?.session(Identity::Anonymous);
    let answer = anonymous.request_any(Method::POST, path, Some(body)).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    Ok(scene.openbao.client()?.session(Identity::Token(token.to_owned().into())))
}

/// Logs in as a pod with a ServiceAccount, by namespace and name.
pub async fn pod(scene: &Scene, role: &str, (namespace, name): (&str, &str)) -> Result<Session> {
    let token = account_token(&scene.case.client, namespace, name, &["vault"]).await?;
    log_in(scene, ("kubernetes", role), &token).await
}

impl Apps {
    /// Starts the servers. No engine is mounted yet.
    pub async fn new(name: &'static str) -> Result<Self> {
        let scene = Scene::new(name).await?;
        let folder = scene.case.ground.folder.join(format!("{name}-database"));
        std::fs::create_dir_all(&folder)?;
        let postgres = SecurePostgres::start(&folder, &folder, "127.0.0.1").await?;
        postgres.database("shared")?;
        Ok(Self { scene, postgres, issuer: JwtIssuer::start().await? })
    }

    /// Mounts the KV engines.
    pub async fn kv(&self) -> Result<()> {
        mount_kv(&self.scene.admin, "kvv2").await?;
        for name in ["web", "webapp"] {
            self.scene.admin.write_kv2("kvv2", &format!("{name}/config"), &json!({"value": name})).await?;
        }
        self.scene.admin.write_kv2("kvv2", "web/factory/turnstile", &json!({"value": "turnstile"})).await?;
        self.scene.post("sys/mounts/kvv1", json!({"type": "kv"})).await.map(drop)
    }

    /// Mounts everything else, and creates the owner roles of `web` and `webapp` and the connection.
    pub async fn engines(&self) -> Result<()> {
        let (scene, issuer) = (&self.scene, &self.issuer);
        scene.post("sys/auth/gitea_jwt", json!({"type": "jwt"})).await?;
        let config = json!({"jwks_url": format!("{}/keys", issuer.url), "bound_issuer": issuer.url});
        scene.post("auth/gitea_jwt/config", config).await?;
        scene.post("sys/mounts/postgres", json!({"type": "database"})).await?;
        for name in ["web", "webapp"] {
            self.owner_role(&format!("{name}_role"))?;
            account(&self.scene, (name, name)).await?;
        }
        self.connection().await
    }

    /// Creates an owner role, which the user of the connection may grant.
    pub fn owner_role(&self, name: &str) -> Result<()> {
        let sql = format!(
            "CREATE ROLE \"{name}\"; GRANT \"{name}\" TO shared_admin WITH ADMIN OPTION; GRANT ALL ON SCHEMA public TO \"{name}\""
        );
        self.postgres.sql("shared", &sql).map(drop)
    }

    /// Creates the DatabaseConnection `db`.
    async fn connection(&self) -> Result<()> {
        let case = &self.scene.case;
        apply(&case.client, self.postgres.secrets("shared", &case.namespace)[1].clone()).await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/shared?sslmode=require",
            self.postgres.port
        );
        let spec = json!({
            "mount": "postgres", "plugin": "postgresql-database-plugin", "connectionURL": url,
            "rootSecretRef": {"name": "pg-admin"},
        });
        self.scene.apply("DatabaseConnection", "db", spec).await?;
        self.scene.ready("DatabaseConnection", "db", "True/Applied").await.map(drop)
    }

    /// Logs in as a job of a repository, with a token as Gitea issues it.
    pub async fn job(&self, app: &str, repository: &str) -> Result<Session> {
        self.job_for(app, repository, "gitea").await
    }

    /// As [`Self::job`], with another audience.
    pub async fn job_for(&self, app: &str, repository: &str, audience: &str) -> Result<Session> {
        let token = self.gitea_token(repository, audience)?;
        log_in(&self.scene, ("gitea_jwt", &format!("gitea_cicd_{app}")), &token).await
    }

    /// A token of a job, with the claims of Gitea Actions and those of the user. All jobs belong to one user, a member of one
    /// team, so that only the claims of the repository differ.
    fn gitea_token(&self, repository: &str, audience: &str) -> Result<String> {
        let owner = repository.split('/').next().unwrap_or_default();
        let claims = json!({
            "repository": repository, "repository_owner": owner, "repository_owner_id": "3", "ref": "refs/heads/main",
            "ref_type": "branch", "sha": "5ca1ab1e", "workflow": "deploy.yaml", "event_name": "push", "run_id": "11",
            "run_number": "7", "run_attempt": "1", "actor": "ci", "actor_id": "5", "groups": [owner, format!("{owner}:developers")],
        });
        self.signed(&format!("repo:{repository}:ref:refs/heads/main"), audience, claims)
    }

    /// A token of the issuer for a subject.
    pub fn token(&self, subject: &str, audience: &str) -> Result<String> {
        self.signed(subject, audience, json!({}))
    }

    fn signed(&self, subject: &str, audience: &str, further: Value) -> Result<String> {
        let mut claims = json!({
            "iss": self.issuer.url, "aud": audience, "sub": subject, "email": "ci@example.com", "exp": 4_000_000_000_i64,
            "iat": jiff::Timestamp::now().as_second(),
        });
        for (name, value) in further.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        self.issuer.sign(ISSUER_KEY, &claims)
    }

    /// Runs SQL as a user with a password.
    pub fn sql_as(&self, login: (&str, &str), sql: &str) -> Result<String> {
        tools::output(&mut self.psql("shared", login, &[sql]))
    }

    /// A process that runs SQL in a database as a user with a password, each text as a statement of its own.
    pub fn psql(&self, database: &str, (user, password): (&str, &str), sql: &[&str]) -> Command {
        let mut command = self.postgres.program("psql");
        command.args(["-h", "127.0.0.1", "-U", user, "-d", database, "-v", "ON_ERROR_STOP=1", "-AtqX"]);
        command.args(sql.iter().flat_map(|text| ["-c", *text]));
        command.env("PGPASSWORD", password).env("PGSSLMODE", "require");
        command
    }
}
