//! Servers of the homelab: PostgreSQL behind PgBouncer, and programs that stand in for the applications.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use steamer_testing::cache::checkout;
use steamer_testing::image;
use steamer_testing::issuer::JwtIssuer;
use steamer_testing::objects::apply;
use steamer_testing::pgbouncer::{Login, PgBouncer};
use steamer_testing::tools;

use crate::bao::Bao;

/// Issuer in the samples.
const GITEA: &str = "https://gitea.example.com";
/// Password of `credentials_editor` in the samples.
pub const EDITOR_PASSWORD: &str = "change-me";
/// User of PgBouncer, and its password.
const POOLER: Login<'_> = Login { user: "pgbouncer", password: "pooler's secret" };
/// Program that stands in for the applications.
const APPLICATION: &str = include_str!("application.sh");

/// Runs the SQL of the samples, starts PgBouncer with their configuration, and creates its Service.
pub async fn pgbouncer(bao: &Bao) -> Result<PgBouncer> {
    let samples = checkout().join("config/samples/homelab");
    let mut psql = bao.postgres.program("psql");
    psql.args(["-d", "postgres", "-Xq", &format!("--set=editor={EDITOR_PASSWORD}")]);
    psql.arg(format!("--set={}={}", POOLER.user, POOLER.password));
    tools::succeed(psql.arg("--file").arg(samples.join("postgresql.sql")))?;
    let configuration = std::fs::read_to_string(samples.join("pgbouncer.ini"))?;
    let places = (bao.fleet.folder.join("pgbouncer"), bao.fleet.logs.clone());
    let pooler = PgBouncer::start(
        ("pgbouncer.tools.svc", &configuration),
        POOLER,
        &bao.postgres,
        (&places.0, &places.1),
    )
    .await?;
    let [service, endpoints] = service(&pooler);
    for object in [service, endpoints, authorities(bao, &pooler)] {
        apply(&bao.kube, object).await?;
    }
    Ok(pooler)
}

/// A Service `pgbouncer.tools` for the process on the host.
fn service(pooler: &PgBouncer) -> [Value; 2] {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "pgbouncer", "namespace": "tools"},
        "spec": {"ports": [{"port": 5432, "targetPort": pooler.port}]},
    });
    let labels = json!({"kubernetes.io/service-name": "pgbouncer"});
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "pgbouncer", "namespace": "tools", "labels": labels},
        "ports": [{"port": pooler.port}], "endpoints": [{"addresses": [pooler.host]}],
    });
    [service, endpoints]
}

/// The Secret with the CAs that OpenBao trusts for its connections to databases: that of PostgreSQL, and that of PgBouncer.
fn authorities(bao: &Bao, pooler: &PgBouncer) -> Value {
    let authorities = format!("{}\n{}", bao.postgres.ca.trim(), pooler.ca);
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pg-ca", "namespace": "tools"},
        "stringData": {"ca.crt": authorities},
    })
}

/// Imports the image of the applications.
pub fn applications(bao: &Bao) -> Result<()> {
    let script = bao.fleet.folder.join("application.sh");
    std::fs::write(&script, APPLICATION)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    bao.fleet.cluster.import(&image::application(Path::new(&script), &["/entrypoint.sh"])?).map(drop)
}

/// Changes a sample for the test: images of the test ground, and an issuer in place of Gitea, whose keys OpenBao discovers.
pub fn here(mut object: Value, issuer: &JwtIssuer) -> Result<Value> {
    if object["kind"] == "AuthMethod" {
        let jwt = &mut object["spec"]["jwt"];
        for url in ["oidcDiscoveryURL", "boundIssuer"] {
            ensure!(jwt[url] == GITEA, "{url} of the sample is {}", jwt[url]);
            jwt[url] = json!(issuer.url);
        }
        jwt["allowPlaintext"] = json!(true);
    }
    for list in ["/spec/template/spec/initContainers", "/spec/template/spec/containers"] {
        let containers = object.pointer_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(stand_in);
    }
    Ok(object)
}

fn stand_in(container: &mut Value) {
    container["image"] = json!("steamer.test/application:1");
    container["imagePullPolicy"] = json!("Never");
    if container.get("readinessProbe").is_some() {
        let probe = json!({"exec": {"command": ["/bin/sh", "-c", "test -e /tmp/ready"]}, "periodSeconds": 1});
        container["readinessProbe"] = probe;
    }
}
