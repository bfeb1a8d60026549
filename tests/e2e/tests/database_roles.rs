//! Connections and roles of a database engine, on a PostgreSQL with TLS and passwords.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, DatabaseConnection, DatabaseRole};
use steamer_openbao::{Error, Session};
use steamer_testing::ground::apply;
use steamer_testing::proxy::Asked;
use steamer_testing::secure_postgres::SecurePostgres;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::drift::{self, nudge};
use crate::fixture::ready_of;
use crate::leaks::{Search, leaking_files, leaking_keys};
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::static_secrets::auth;

/// Password of the user that OpenBao logs in as, after the first one.
const SECOND: &str = "second-canary-7Zt4Qw9xLp2V";

/// Values of a secret parameter.
const FURTHER: [&str; 2] = ["further-canary-3Hs8Kd1mNv6C", "further-canary-9Bq2Xw5tRz4J"];

/// Roles that the connection allows: those of the DatabaseRoles, and the check of the owner role `app_rw`.
const ALLOWED: [&str; 4] = ["app", "app.owner-337b432d", "batch", "plain"];
/// Static role that checks the owner role.
const CHECK: &str = "database/static-roles/app.owner-337b432d";

/// Servers of a test, and the namespace with the objects.
struct Scene {
    rig: Rig,
    postgres: SecurePostgres,
    /// File with the CA of its certificate.
    ca: PathBuf,
    admin: Session,
    /// User and password of the Secret.
    first: (String, String),
}

impl Scene {
    /// Starts the servers. The database `app` has the role `app_rw`, which owns nothing yet, and the user `batch`.
    async fn new() -> Result<Self> {
        let mut rig = Rig::alone("databases").await?;
        rig.operator.arguments.retain(|argument| !argument.starts_with("--log-level=info"));
        rig.operator.arguments.push("--log-level=trace".to_owned());
        let folder = rig.case.ground.folder.join("database-server");
        std::fs::create_dir_all(&folder)?;
        let postgres = SecurePostgres::start(&folder, &folder, "127.0.0.1").await?;
        let ca = folder.join("ca.crt");
        std::fs::write(&ca, &postgres.ca)?;
        postgres.database("app")?;
        postgres.sql(
            "app",
            "CREATE ROLE app_rw; GRANT app_rw TO app_admin WITH ADMIN OPTION; GRANT ALL ON SCHEMA public TO app_rw; \
             CREATE ROLE batch LOGIN; GRANT batch TO app_admin WITH ADMIN OPTION; \
             CREATE ROLE adopted LOGIN; GRANT adopted TO app_admin WITH ADMIN OPTION",
        )?;
        let secrets = postgres.secrets("app", &rig.case.namespace);
        let text = |key: &str| secrets[1]["stringData"][key].as_str().unwrap_or_default().to_owned();
        let first = (text("username"), text("password"));
        apply(&rig.case.client, secrets[1].clone()).await?;
        let admin = rig.case.admin()?;
        let scene = Self { rig, postgres, ca, admin, first };
        scene.root_scope().await?;
        Ok(scene)
    }

    /// Writes the operator's policy for every namespace, and mounts the engine.
    async fn root_scope(&self) -> Result<()> {
        self.rig.install_root_scope().await?;
        self.post("sys/mounts/database", json!({"type": "database"})).await?;
        let passwords = "length = 24\nrule \"charset\" { charset = \"abcdefghijklmnopqrstuvwxyz\" }";
        self.post("sys/policies/password/letters", json!({"policy": passwords})).await?;
        let paths = json!({
            "database/creds/*": {"capabilities": ["read"]}, "sys/leases/revoke": {"capabilities": ["update"]},
        });
        self.rig.case.role("databases", paths, "2h").await?;
        self.rig.case.object("BaoAuth", "default", auth("databases")).await.map(drop)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.admin.request_any(Method::POST, path, Some(body)).await.with_context(|| path.to_owned())
    }

    /// The data at a path, without the time of a rotation. Null if it does not exist.
    async fn read(&self, path: &str) -> Result<Value> {
        match self.admin.request_any(Method::GET, path, None).await {
            Ok(mut answer) => {
                if let Some(data) = answer["data"].as_object_mut() {
                    data.remove("last_vault_rotation");
                }
                Ok(answer["data"].take())
            }
            Err(Error::NotFound { .. }) => Ok(Value::Null),
            Err(error) => Err(error.into()),
        }
    }

    async fn becomes(&self, path: &str, expected: &Value) -> Result<()> {
        eventually(&format!("{path} has the expected state"), || async {
            let seen = self.read(path).await.map_err(|error| format!("{error:#}"))?;
            if seen == *expected { Ok(()) } else { Err(format!("{seen} instead of {expected}")) }
        })
        .await
    }

    async fn patch(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.rig.case.dynamic(kind)?.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.rig.case.dynamic(kind)?.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn gone(&self, kind: &str, name: &str) -> Result<()> {
        gone(&self.rig.case.dynamic(kind)?, name).await.with_context(|| format!("{kind} {name}"))
    }

    /// Waits for a complete pass. A pass starts with a read of the resource.
    async fn pass(&self, kind: &str, name: &str, path: &str) -> Result<()> {
        let is_read = |asked: &Asked| asked.method == "GET" && asked.path.ends_with(path);
        let reads = || Ok(self.rig.openbao.number(is_read));
        drift::passes(&self.rig.case, kind, name, reads).await
    }

    /// Paths of the operator's writes that contain a text.
    fn writes(&self, part: &str) -> Vec<String> {
        let seen = self.rig.openbao.seen().into_iter();
        seen.filter(|asked| asked.writes() && asked.path.contains(part)).map(|it| it.path).collect()
    }

    /// Runs SQL as a user with a password.
    fn login(&self, (user, password): (&str, &str), sql: &str) -> Result<String> {
        let mut command = self.postgres.program("psql");
        command.args(["-h", "127.0.0.1", "-U", user, "-d", "app", "-v", "ON_ERROR_STOP=1", "-AtqXc", sql]);
        tools::output(command.env("PGPASSWORD", password).env("PGSSLMODE", "require"))
    }

    /// Requests a credential as the administrator, uses it and revokes it: the engine can log in to the database.
    async fn works(&self) -> Result<()> {
        let answer = self.admin.request_any(Method::GET, "database/creds/app", None).await?;
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        self.login((text("/data/username"), text("/data/password")), "SELECT 1")?;
        self.post("sys/leases/revoke", json!({"lease_id": text("/lease_id"), "sync": true})).await.map(drop)
    }

    fn connection(&self) -> Value {
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/app?sslmode=verify-full&sslrootcert={}",
            self.postgres.port,
            self.ca.display()
        );
        json!({
            "clusterRef": {"name": "main"}, "mount": "database", "name": "pg", "plugin": "postgresql-database-plugin",
            "connectionURL": url, "rootSecretRef": {"name": "pg-admin"},
            "rootRotationStatements": ["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}';"],
            "maxOpenConnections": 5, "maxIdleConnections": 2,
            "maxConnectionLifetime": "5m", "passwordPolicy": "letters", "usernameTemplate": "v-{{.RoleName}}-{{random 12}}",
            "parameters": {"password_authentication": "scram-sha-256"},
        })
    }

    /// Creates a connection and one role of each type.
    async fn objects(&self) -> Result<()> {
        let reference = json!({"name": "postgres"});
        let case = &self.rig.case;
        // The roles wait for the connection.
        let app =
            json!({"connectionRef": reference, "ownerRole": "app_rw", "defaultTTL": "1h", "maxTTL": "24h"});
        case.object("DatabaseRole", "app", app).await?;
        let create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';";
        let reader = json!({
            "connectionRef": reference, "name": "plain", "creationStatements": [create, "SELECT 1;"],
            "revocationStatements": ["DROP ROLE IF EXISTS \"{{name}}\";"], "renewStatements": ["SELECT 2;"],
            "rollbackStatements": ["DROP ROLE IF EXISTS \"{{name}}\";"], "credentialType": "Password",
        });
        case.object("DatabaseRole", "reader", reader).await?;
        let batch =
            json!({"connectionRef": reference, "static": {"username": "batch", "rotationPeriod": "5s"}});
        case.object("DatabaseRole", "batch", batch).await?;
        case.object("DatabaseConnection", "postgres", self.connection()).await?;
        case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        for name in ["app", "reader", "batch"] {
            case.ready::<DatabaseRole>(name, "True/Applied").await?;
        }
        let config = self.read("database/config/pg").await?;
        ensure!(config["allowed_roles"] == json!(ALLOWED), "{config}");
        ensure!(self.read(CHECK).await?["username"] == "app_rw", "the owner role is not checked");
        Ok(())
    }

    /// Changes by hand of every parameter are repaired.
    async fn drift(&self) -> Result<()> {
        let config = json!({
            "allowed_roles": "*", "connection_url": "postgresql://other", "username": "other", "max_open_connections": 9,
            "max_idle_connections": 9, "max_connection_lifetime": "9m", "username_template": "x", "password_policy": "",
            "password_authentication": "password", "root_rotation_statements": ["x"],
        });
        let role = json!({
            "creation_statements": ["x"], "revocation_statements": ["x"], "default_ttl": 60, "max_ttl": 90_000, "db_name": "x",
            "renew_statements": ["x"], "rollback_statements": ["x"],
        });
        let plain = json!({
            "creation_statements": ["SELECT 1;", self.read("database/roles/plain").await?["creation_statements"][0]],
            "renew_statements": ["x"], "rollback_statements": ["x"],
        });
        let rotation = ["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}';"];
        let fixed = json!({"rotation_period": 3600, "rotation_statements": rotation});
        for (kind, name, path, changes, needed) in [
            (
                "DatabaseConnection",
                "postgres",
                "database/config/pg",
                config,
                json!({"verify_connection": false}),
            ),
            ("DatabaseRole", "app", "database/roles/app", role, json!({"db_name": "pg"})),
            ("DatabaseRole", "reader", "database/roles/plain", plain, json!({"db_name": "pg"})),
            (
                "DatabaseRole",
                "batch",
                "database/static-roles/batch",
                fixed,
                json!({"db_name": "pg", "username": "batch"}),
            ),
        ] {
            let right = self.read(path).await?;
            for (parameter, value) in changes.as_object().into_iter().flatten() {
                let mut body = needed.clone();
                body[parameter] = value.clone();
                let writes = self.writes("").len();
                self.post(path, body).await?;
                // A pass of the operator can repair the change before it is read.
                let is_effective = self.read(path).await? != right || self.writes("").len() > writes;
                ensure!(is_effective, "{parameter} of {path} changes nothing");
                nudge(&self.rig.case, kind, name).await?;
                self.becomes(path, &right).await.with_context(|| parameter.clone())?;
            }
        }
        // Statements that the spec no longer contains are removed.
        let mut expected = self.read("database/roles/plain").await?;
        expected["renew_statements"] = self.read("database/roles/app").await?["renew_statements"].take();
        self.patch("DatabaseRole", "reader", json!({"renewStatements": null})).await?;
        self.becomes("database/roles/plain", &expected).await?;
        self.works().await
    }

    /// A changed role under `mode: Observe` has a plan, and nothing is written.
    async fn observed_role(&self) -> Result<()> {
        let right = self.read("database/roles/plain").await?;
        let before = self.writes("/database/");
        self.patch("DatabaseRole", "reader", json!({"mode": "Observe", "defaultTTL": "3h"})).await?;
        let object = self.rig.case.ready::<DatabaseRole>("reader", "True/Drifted").await?;
        let plan = serde_json::to_value(object)?["status"]["plan"].take();
        ensure!(plan[0]["operation"] == "Update" && plan[0]["path"] == "database/roles/plain", "{plan}");
        self.patch("DatabaseRole", "reader", json!({"mode": "Enforce", "defaultTTL": null})).await?;
        self.rig.case.ready::<DatabaseRole>("reader", "True/Applied").await?;
        assert_eq!(self.writes("/database/"), before, "Observe made writes");
        assert_eq!(self.read("database/roles/plain").await?, right);
        Ok(())
    }

    /// Objects whose parameters OpenBao returns in another form than they are written settle, and are repaired.
    async fn forms(&self) -> Result<()> {
        let case = &self.rig.case;
        let mut text = self.connection();
        text["name"] = json!("text");
        text["verify"] = json!(false);
        text["connectionURL"] = json!("host=127.0.0.1 port=1 user={{username}} password={{password}}");
        case.object("DatabaseConnection", "text", text).await?;
        case.ready::<DatabaseConnection>("text", "True/Applied").await?;
        let keys = json!({
            "connectionRef": {"name": "postgres"}, "creationStatements": ["SELECT 1;"], "credentialType": "RSAPrivateKey",
            "defaultTTL": "1.5h", "parameters": {"credential_config": {"key_bits": 3072}},
        });
        case.object("DatabaseRole", "keys", keys).await?;
        case.ready::<DatabaseRole>("keys", "True/Applied").await?;
        let returned =
            self.read("database/config/text").await?["connection_details"]["connection_url"].take();
        ensure!(returned.to_string().contains("host=127.0.0.1%20port=1"), "not escaped: {returned}");
        let config = self.read("database/roles/keys").await?["credential_config"].take();
        ensure!(config.as_object().is_some_and(|config| config.len() > 1), "not completed: {config}");
        let writes = || [self.writes("/database/config/text"), self.writes("/database/roles/keys")];
        let before = writes();
        self.pass("DatabaseConnection", "text", "/database/config/text").await?;
        self.pass("DatabaseRole", "keys", "/database/roles/keys").await?;
        assert_eq!(writes(), before, "settled objects were written");
        let right = self.read("database/roles/keys").await?;
        let changed = json!({"db_name": "pg", "credential_config": {"key_bits": 4096}});
        self.post("database/roles/keys", changed).await?;
        nudge(case, "DatabaseRole", "keys").await?;
        self.becomes("database/roles/keys", &right).await?;
        assert_eq!(
            writes()[1].len(),
            before[1].len() + 1,
            "the free parameter is not repaired with one write"
        );
        let refused = self.patch("DatabaseRole", "keys", json!({"defaultTTL": "1500ms"})).await;
        let message = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(message.contains("must be a number of whole seconds"), "{message}");
        for (kind, name) in [("DatabaseRole", "keys"), ("DatabaseConnection", "text")] {
            self.delete(kind, name).await?;
            self.gone(kind, name).await?;
        }
        eventually("the connection no longer allows the deleted role", || async {
            let mut config = self.read("database/config/pg").await.map_err(|error| format!("{error:#}"))?;
            let seen = config["allowed_roles"].take();
            if seen == json!(ALLOWED) { Ok(()) } else { Err(seen.to_string()) }
        })
        .await
    }

    /// The value of a secret parameter is written once, and again when its Secret changes.
    async fn secret_parameters(&self) -> Result<()> {
        let case = &self.rig.case;
        let secret = |value: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "further", "namespace": case.namespace},
                "stringData": {"value": value},
            })
        };
        let mut spec = self.connection();
        spec["name"] = json!("further");
        spec["verify"] = json!(false);
        spec["deletionPolicy"] = json!("Delete");
        spec["secretParameters"] = json!({"custom_secret": {"name": "further", "key": "value"}});
        case.object("DatabaseConnection", "further", spec).await?;
        case.says::<DatabaseConnection>("further", "False/", "further does not exist").await?;
        for (number, value) in (1..).zip(FURTHER) {
            apply(&case.client, secret(value)).await?;
            eventually("the value is written", || async {
                let mut config =
                    self.read("database/config/further").await.map_err(|error| format!("{error:#}"))?;
                let seen = config["connection_details"]["custom_secret"].take();
                if seen == value { Ok(()) } else { Err(seen.to_string()) }
            })
            .await?;
            case.ready::<DatabaseConnection>("further", "True/Applied").await?;
            self.pass("DatabaseConnection", "further", "/database/config/further").await?;
            assert_eq!(self.writes("/database/config/further").len(), number);
        }
        self.patch("DatabaseConnection", "further", json!({"parameters": {"pem_bundle": "x"}})).await?;
        let remedy = "name its Secret in secretParameters.pem_bundle";
        case.says::<DatabaseConnection>("further", "False/Invalid", remedy).await?;
        self.delete("DatabaseConnection", "further").await?;
        self.gone("DatabaseConnection", "further").await?;
        self.becomes("database/config/further", &Value::Null).await
    }

    /// A BaoDynamicSecret delivers a user whose tables belong to the owner role, and the user is dropped.
    async fn credentials(&self) -> Result<Vec<String>> {
        let case = &self.rig.case;
        let dynamic = |path: &str, name: &str| json!({"mount": "database", "path": path, "revoke": true, "destination": {"name": name, "create": true}});
        case.object("BaoDynamicSecret", "app", dynamic("creds/app", "app")).await?;
        case.ready::<BaoDynamicSecret>("app", "True/Applied").await?;
        let data = case.api::<Secret>().get("app").await?.data.unwrap_or_default();
        let text = |key: &str| {
            data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).context("no such key")
        };
        let (user, password) = (text("username")?, text("password")?);
        self.login((&user, &password), "CREATE TABLE mine (a int); INSERT INTO mine VALUES (7)")?;
        let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'mine'";
        assert_eq!(self.postgres.sql("app", owner)?.trim(), "app_rw");
        // As itself, the user still has the rights of the owner role, and owns what it creates.
        let itself = "SET ROLE NONE; CREATE TABLE own (a int); INSERT INTO own VALUES (8)";
        self.login((&user, &password), itself)?;
        let owner_of_own = "SELECT tableowner FROM pg_tables WHERE tablename = 'own'";
        assert_eq!(self.postgres.sql("app", owner_of_own)?.trim(), user);
        self.delete("BaoDynamicSecret", "app").await?;
        eventually("the user is dropped", || async {
            let sql = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'");
            let count = self.postgres.sql("app", &sql).map_err(|error| error.to_string())?;
            if count.trim() == "0" { Ok(()) } else { Err(count) }
        })
        .await?;
        assert_eq!(self.postgres.sql("app", "SELECT a FROM mine")?.trim(), "7");
        assert_eq!(self.postgres.sql("app", owner_of_own)?.trim(), "app_rw");
        assert_eq!(self.postgres.sql("app", "SELECT a FROM own")?.trim(), "8");

        self.missing_owner_role().await?;
        Ok(vec![password])
    }

    /// A missing owner role is reported before the role that issues credentials exists, and so is another one of an existing role.
    async fn missing_owner_role(&self) -> Result<()> {
        let case = &self.rig.case;
        let lost = json!({"connectionRef": {"name": "postgres"}, "ownerRole": "no \"such\" role"});
        case.object("DatabaseRole", "lost", lost).await?;
        let message =
            "ownerRole: the owner role no \"such\" role does not exist in the server of DatabaseConnection";
        case.says::<DatabaseRole>("lost", "False/SourceMissing", message).await?;
        assert_eq!(
            self.read("database/roles/lost").await?,
            Value::Null,
            "a role without its owner role exists"
        );
        self.patch("DatabaseRole", "lost", json!({"ownerRole": "app_late"})).await?;
        case.says::<DatabaseRole>("lost", "False/SourceMissing", "the owner role app_late does not exist")
            .await?;
        self.postgres.sql("app", "CREATE ROLE app_late; GRANT app_late TO app_admin WITH ADMIN OPTION")?;
        case.ready::<DatabaseRole>("lost", "True/Applied").await?;
        // Another owner role has another check, and the former check is removed.
        self.patch("DatabaseRole", "lost", json!({"ownerRole": "app_rw"})).await?;
        case.ready::<DatabaseRole>("lost", "True/Applied").await?;
        let checks = self.checks_of("lost").await?;
        ensure!(checks == ["lost.owner-337b432d"], "{checks:?}");
        let changed = "SELECT rolcanlogin, rolpassword IS NULL FROM pg_authid WHERE rolname = 'app_late'";
        ensure!(self.postgres.sql("app", changed)?.trim() == "f|t", "the check changed the owner role");
        self.delete("DatabaseRole", "lost").await?;
        self.gone("DatabaseRole", "lost").await?;
        ensure!(self.checks_of("lost").await?.is_empty(), "a check outlives its role");
        Ok(())
    }

    /// Names of the static roles that check the owner role of a role.
    async fn checks_of(&self, role: &str) -> Result<Vec<String>> {
        let method = Method::from_bytes(b"LIST")?;
        let answer = self.admin.request_any(method, "database/static-roles", None).await?;
        let keys = answer.pointer("/data/keys").and_then(Value::as_array).cloned().unwrap_or_default();
        let prefix = format!("{role}.owner-");
        let names = keys.iter().filter_map(Value::as_str).filter(|key| key.starts_with(&prefix));
        Ok(names.map(str::to_owned).collect())
    }

    /// After a rotation, no password of a Secret works, and no later pass writes one.
    async fn rotation(&self) -> Result<()> {
        let case = &self.rig.case;
        let (user, first) = (self.first.0.as_str(), self.first.1.as_str());
        self.login((user, first), "SELECT 1")?;
        self.patch("DatabaseConnection", "postgres", json!({"rotateRoot": "Once"})).await?;
        case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        ensure!(
            self.login((user, first), "SELECT 1").is_err(),
            "the first password works after the rotation"
        );
        self.works().await?;
        let before = self.writes("/database/");
        for _ in 0..2 {
            self.pass("DatabaseConnection", "postgres", "/database/config/pg").await?;
        }
        assert_eq!(self.writes("/database/"), before, "writes after the rotation");

        // A write of another parameter keeps the rotated password.
        self.patch("DatabaseConnection", "postgres", json!({"maxOpenConnections": 6})).await?;
        case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        assert_eq!(self.read("database/config/pg").await?["connection_details"]["max_open_connections"], 6);
        self.works().await?;

        // Another password in the Secret is written, and rotated.
        self.postgres.sql("app", &format!("ALTER ROLE {user} PASSWORD '{SECOND}'"))?;
        let rotations = || self.writes("/rotate-root/pg").len();
        assert_eq!(rotations(), 1);
        let patch = Patch::Merge(json!({"stringData": {"password": SECOND}}));
        case.api::<Secret>().patch("pg-admin", &PatchParams::default(), &patch).await?;
        eventually("the second password is rotated", || async {
            let count = rotations();
            if count == 2 { Ok(()) } else { Err(format!("{count} rotations")) }
        })
        .await?;
        case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        ensure!(self.login((user, SECOND), "SELECT 1").is_err(), "the second password works");
        self.works().await?;
        // The Secret is not needed any more.
        case.api::<Secret>().delete("pg-admin", &DeleteParams::default()).await?;
        self.pass("DatabaseConnection", "postgres", "/database/config/pg").await?;
        case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        self.works().await
    }

    /// The password of a static role, other than a former one, with which its user can log in.
    async fn password_of(&self, user: &str, former: &str) -> Result<String> {
        eventually(&format!("{user} has another password"), || async {
            let path = format!("database/static-creds/{user}");
            let mut seen = self.read(&path).await.map_err(|error| format!("{error:#}"))?;
            let Value::String(password) = seen["password"].take() else {
                return Err(format!("{path} has no password"));
            };
            if password == former {
                return Err("the same password".to_owned());
            }
            // The next rotation can replace the password before the login.
            self.login((user, &password), "SELECT 1").map_err(|error| format!("{error:#}"))?;
            Ok(password)
        })
        .await
    }

    /// A static role is rotated by its period, and an adopted one keeps its password.
    async fn static_roles(&self, former: &str) -> Result<()> {
        self.password_of("batch", former).await?;
        ensure!(self.login(("batch", former), "SELECT 1").is_err(), "the former password of batch works");
        // OpenBao lets the role use the connection only while the connection lists it.
        let case = &self.rig.case;
        let spec = json!({"connectionRef": {"name": "postgres"}, "static": {"username": "adopted", "rotationPeriod": "24h"}});
        let roles = json!({"allowedRoles": ["app", "plain", "batch", "adopted"]});
        self.patch("DatabaseConnection", "postgres", roles).await?;
        case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        let body = json!({"db_name": "pg", "username": "adopted", "rotation_period": "24h"});
        self.post("database/static-roles/adopted", body).await?;
        let password = self.password_of("adopted", "").await?;
        let before = self.writes("adopted");
        case.object("DatabaseRole", "adopted", spec).await?;
        case.ready::<DatabaseRole>("adopted", "False/Conflict").await?;
        self.patch("DatabaseRole", "adopted", json!({"adopt": "IfUnowned"})).await?;
        case.ready::<DatabaseRole>("adopted", "True/Applied").await?;
        assert_eq!(self.writes("adopted"), before, "the adoption made writes");
        assert_eq!(self.read("database/static-creds/adopted").await?["password"], json!(password));
        self.login(("adopted", &password), "SELECT 1").context("the adoption replaced the password")?;
        // A role that the connection does not list is refused.
        let unlisted = json!({"connectionRef": {"name": "postgres"}, "ownerRole": "app_rw"});
        case.object("DatabaseRole", "unlisted", unlisted).await?;
        let refused = case.ready::<DatabaseRole>("unlisted", "False/ReferenceDenied").await?;
        ensure!(ready_of(&serde_json::to_value(&refused)?).contains("does not contain unlisted: add it"));
        for name in ["adopted", "unlisted"] {
            self.delete("DatabaseRole", name).await?;
            self.gone("DatabaseRole", name).await?;
        }
        self.becomes("database/static-roles/adopted", &Value::Null).await?;
        self.patch("DatabaseConnection", "postgres", json!({"allowedRoles": null})).await
    }

    /// An existing connection is adopted without a write, also without its password, and is only compared under Observe.
    async fn adoption(&self) -> Result<()> {
        let case = &self.rig.case;
        let url = "postgresql://{{username}}:{{password}}@127.0.0.1:1/app";
        let body = json!({
            "plugin_name": "postgresql-database-plugin", "connection_url": url, "username": "u", "password": "p",
            "verify_connection": false, "allowed_roles": "*", "max_open_connections": 3,
        });
        self.post("database/config/byhand", body).await?;
        let right = self.read("database/config/byhand").await?;
        let before = self.writes("byhand");
        let spec = json!({
            "clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin", "connectionURL": url,
            "allowedRoles": ["*"], "maxOpenConnections": 3, "verify": false, "rootSecretRef": {"name": "byhand"},
        });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "byhand", "namespace": case.namespace},
            "stringData": {"username": "u", "password": "p"},
        });
        apply(&case.client, secret).await?;
        case.object("DatabaseConnection", "byhand", spec).await?;
        let refused = case.ready::<DatabaseConnection>("byhand", "False/Conflict").await?;
        ensure!(ready_of(&serde_json::to_value(&refused)?).contains("set adopt: IfUnowned"));
        // The computed list would take the connection from every role.
        let adoption = json!({"adopt": "IfUnowned", "rootSecretRef": null, "allowedRoles": null});
        self.patch("DatabaseConnection", "byhand", adoption).await?;
        let conflict = "allows roles without a DatabaseRole: * (1 in total)";
        case.says::<DatabaseConnection>("byhand", "False/", conflict).await?;
        assert_eq!(self.read("database/config/byhand").await?, right);
        self.patch("DatabaseConnection", "byhand", json!({"allowedRoles": ["*"]})).await?;
        case.ready::<DatabaseConnection>("byhand", "True/Applied").await?;
        assert_eq!(self.writes("byhand"), before, "the adoption made writes");
        assert_eq!(self.read("database/config/byhand").await?, right);
        let observe = json!({"mode": "Observe", "maxOpenConnections": 4, "rotateRoot": "Once"});
        self.patch("DatabaseConnection", "byhand", observe).await?;
        let observed = case.ready::<DatabaseConnection>("byhand", "True/Drifted").await?;
        let plan = serde_json::to_value(observed.status.unwrap_or_default().lifecycle.plan)?;
        ensure!(plan[0]["path"] == "database/config/byhand" && plan[0]["operation"] == "Update", "{plan}");
        ensure!(plan[1]["path"] == "database/rotate-root/byhand", "{plan}");
        assert_eq!(self.read("database/config/byhand").await?, right);
        self.delete("DatabaseConnection", "byhand").await?;
        self.gone("DatabaseConnection", "byhand").await?;
        self.becomes("database/config/byhand", &right).await
    }

    /// A database that does not answer is retried, and a wrong password is reported.
    async fn failures(&self) -> Result<()> {
        let case = &self.rig.case;
        let mut down = self.connection();
        down["name"] = json!("down");
        down["connectionURL"] =
            json!("postgresql://{{username}}:{{password}}@127.0.0.1:1/app?sslmode=verify-full");
        case.object("DatabaseConnection", "down", down).await?;
        let seen = case.ready::<DatabaseConnection>("down", "False/Failed").await?;
        let value = serde_json::to_value(&seen)?;
        ensure!(
            !value.to_string().contains("\"Stalled\""),
            "a database that is down stalls the object: {value}"
        );
        self.patch("DatabaseConnection", "down", json!({"parameters": {"password": "x"}})).await?;
        case.ready::<DatabaseConnection>("down", "False/Invalid").await?;
        self.delete("DatabaseConnection", "down").await?;
        self.gone("DatabaseConnection", "down").await
    }

    /// A deletion removes roles, keeps a connection with `Retain`, and waits for its roles with `Delete`.
    async fn deletion(&self) -> Result<()> {
        self.patch("DatabaseConnection", "postgres", json!({"deletionPolicy": "Delete"})).await?;
        self.rig.case.ready::<DatabaseConnection>("postgres", "True/Applied").await?;
        self.delete("DatabaseConnection", "postgres").await?;
        let waits = "waits for the deletion of the DatabaseRoles";
        self.rig.case.says::<DatabaseConnection>("postgres", "False/", waits).await?;
        for (name, path) in [("app", "roles/app"), ("reader", "roles/plain"), ("batch", "static-roles/batch")]
        {
            self.delete("DatabaseRole", name).await?;
            self.gone("DatabaseRole", name).await?;
            self.becomes(&format!("database/{path}"), &Value::Null).await?;
        }
        self.gone("DatabaseConnection", "postgres").await?;
        self.becomes("database/config/pg", &Value::Null).await
    }

    /// No password is in a log, a status or an Event.
    async fn leaks(&self, passwords: &[String]) -> Result<()> {
        let search = Search::of(passwords);
        let running = self.rig.running.as_ref().context("the operator is not running")?;
        let logs = std::fs::read_to_string(running.process.log())?;
        ensure!(logs.contains("TRACE") && logs.contains("database/config/pg"), "the log is incomplete");
        assert_eq!(leaking_files(&self.rig.case.ground.logs, &search)?, Vec::<String>::new(), "logs");
        let mut keys = leaking_keys(&self.rig, &search).await?;
        keys.retain(|key| !key.starts_with("/registry/secrets/databases/"));
        assert!(keys.is_empty(), "objects, statuses and Events in etcd: {keys:?}");
        Ok(())
    }
}

#[tokio::test]
async fn a_database_is_reached_with_rotated_passwords_and_ephemeral_users() -> Result<()> {
    let mut scene = Scene::new().await?;
    scene.rig.start().await?;
    scene.objects().await?;
    let batch = scene.password_of("batch", "").await?;
    let before = scene.writes("/database/");
    scene.pass("DatabaseRole", "app", "/database/roles/app").await?;
    scene.pass("DatabaseConnection", "postgres", "/database/config/pg").await?;
    assert_eq!(scene.writes("/database/"), before, "settled objects were written");
    let mut passwords = scene.credentials().await?;
    scene.failures().await?;
    scene.forms().await?;
    scene.secret_parameters().await?;
    scene.drift().await?;
    scene.observed_role().await?;
    scene.rotation().await?;
    scene.static_roles(&batch).await?;
    scene.adoption().await?;
    scene.deletion().await?;
    passwords.extend([scene.first.1.clone(), SECOND.to_owned(), batch]);
    passwords.extend(FURTHER.map(str::to_owned));
    scene.leaks(&passwords).await
}
