//! SecretsProjects with five PipelinePolicies each, compared with a bare loop of the same requests to OpenBao.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use steamer_api::{PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_testing::Ground;
use steamer_testing::proxy::{Asked, Gate, Proxy};

use super::counts::Since;
use super::replay::{AT_ONCE, Admin};
use super::rig::{Rig, all_ready};
use super::table::Column;

pub(super) async fn measure(servers: &Arc<Ground>, operator: &Path, projects: usize) -> Result<Column> {
    let mut column = Column::new(format!("{projects} projects, {} policies", projects * 5));
    let mut rig = Rig::new(servers, operator, format!("projects-{projects}")).await?;
    let written = recorded(&mut rig).await?;
    rig.stop()?;
    rig.objects("SecretsProject", (0..projects).map(|number| (format!("p{number}"), project(number))))
        .await?;
    let policies = (0..projects).flat_map(|number| (0..5).map(move |of| policy(number, of)));
    rig.objects("PipelinePolicy", policies).await?;

    let since = Since::now(&rig.ground)?;
    let started = rig.start().await?;
    // The recorded project and its policies already exist.
    in_force(&rig, projects + 1).await?;
    let took = started.elapsed().as_secs_f64();
    column.add("all Ready after a cold start", took, " s");
    let counts = since.counts(&rig.ground)?;
    column.add_counts(&COUNTS, &counts, projects);
    column.add("memory, loaded", rig.memory()?, " MiB");

    let started = Instant::now();
    replay(&rig, &written, projects).await?;
    let bare = started.elapsed().as_secs_f64();
    column.add("the same writes in a bare loop", bare, " s");
    column.add("provisioning compared with the bare loop", bare / took, "");
    Ok(column)
}

const COUNTS: [(&str, &str); 5] = [
    ("OpenBao writes per project", "OpenBao: writes"),
    ("OpenBao reads per project", "OpenBao: other reads"),
    ("status writes per project with its policies", "Kubernetes: status writes"),
    ("other Kubernetes writes per project", "Kubernetes: other writes"),
    ("Kubernetes reads per project", "Kubernetes: reads"),
];

fn project(number: usize) -> Value {
    json!({"tenantRef": {"name": "acme"}, "id": 1000 + number})
}

fn policy(number: usize, of: usize) -> (String, Value) {
    let spec = json!({
        "projectRef": {"name": format!("p{number}")}, "environments": [format!("env-{of}")],
        "branches": ["main", format!("release/{of}/*")], "secrets": [{"name": "A"}, {"name": format!("S{of}")}],
    });
    (format!("p{number}-{of}"), spec)
}

/// Creates the tenant and one project. Returns the writes to OpenBao that the project caused.
async fn recorded(rig: &mut Rig) -> Result<Vec<Asked>> {
    let gate = Gate::default();
    let proxy = Proxy::start(&gate, &rig.ground.openbao.url, &rig.ground.openbao.ca)?;
    cluster(rig, &proxy.url).await?;
    let url = &rig.ground.issuer.url;
    let issuer = json!({"jwksUrl": format!("{url}/keys"), "boundIssuer": url, "allowPlaintext": true});
    rig.object("JWTIssuer", "gitlab", issuer).await?;
    let tenant = json!({
        "clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "gitlab"},
    });
    rig.object("SecretsTenant", "acme", tenant).await?;
    rig.start().await?;
    all_ready::<SecretsTenant>(rig, 1).await?;
    rig.stop()?;
    let policies = (0..5).map(|of| policy(99_000, of));
    rig.objects("PipelinePolicy", policies).await?;
    rig.object("SecretsProject", "p99000", project(99_000)).await?;
    gate.forget();
    rig.start().await?;
    in_force(rig, 1).await?;
    // The proxy is not used from here on.
    cluster(rig, &rig.ground.openbao.url).await?;
    let mut written = gate.seen();
    written.retain(|asked| {
        asked.writes() && !asked.path.contains("login") && !asked.path.contains("capabilities")
    });
    // A rejected and retried write counts once.
    written.dedup();
    Ok(written)
}

async fn cluster(rig: &Rig, url: &str) -> Result<()> {
    let spec = json!({
        "external": {
            "address": url, "allowPlaintext": true, "caSecretRef": {"name": "ca"}, "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}},
        },
        "jwtAudience": "https://bao.example.com",
    });
    rig.object("OpenBaoCluster", "main", spec).await
}

/// Waits until the given number of projects and their policies are Ready.
async fn in_force(rig: &Rig, projects: usize) -> Result<()> {
    let policies = all_ready::<PipelinePolicy>(rig, projects * 5);
    tokio::try_join!(all_ready::<SecretsProject>(rig, projects), policies).map(drop)
}

/// Replays the recorded writes for the given number of other projects, without reads, statuses and Events.
async fn replay(rig: &Rig, written: &[Asked], projects: usize) -> Result<()> {
    let admin = &Admin::new(&rig.ground.openbao)?;
    let loops = (0..projects).map(|number| async move {
        let id = format!("{}", 200_000 + number);
        for asked in written {
            admin.repeat(asked, |text| text.replace("100000", &id)).await?;
        }
        anyhow::Ok(())
    });
    stream::iter(loops).buffer_unordered(AT_ONCE).try_collect::<()>().await
}
