//! Supported PostgreSQL versions, and the privileges that a cluster needs.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use steamer_testing::tools;

use crate::bao::Bao;
use crate::faults::{ENDED, Fault, within};
use crate::registers::Registers;

impl Bao {
    /// Roles of nodes that cannot log in, on a server without other clusters.
    fn fenced_roles(&self) -> Result<BTreeSet<String>> {
        let sql = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'main%' AND NOT rolcanlogin";
        Ok(self.postgres.sql("postgres", sql)?.lines().map(str::to_owned).collect())
    }
}

#[tokio::test]
async fn a_cluster_runs_and_fences_on_a_current_postgresql() -> Result<()> {
    // A folder that PostgreSQL's own user can access. This build has no TLS.
    let place = std::env::temp_dir().join("steamer-postgres-current");
    let programs = tools::current_postgres()?;
    let from = programs.ancestors().nth(3).context("the programs are in no package folder")?;
    tools::succeed(
        std::process::Command::new("cp").args(["-a", "--no-target-directory"]).arg(from).arg(&place),
    )?;
    let bin = place.join(programs.strip_prefix(from)?);
    let without_tls = |spec: &mut serde_json::Value| {
        spec["managed"]["storage"]["postgresql"]["tls"] = json!({"mode": "Disable"});
    };
    let bao = Bao::with_postgres("current", &bin).await?.up(without_tls).await?;
    let version = bao.object().await?.status.and_then(|status| status.storage?.version);
    ensure!(version.as_deref().is_some_and(|version| version.starts_with("18")), "{version:?}");
    let registers = Registers::start(&bao).await?;
    let fault = Fault::begin(&bao, &registers).await?;
    let before = bao.fenced_roles()?;
    bao.fleet.cluster.signal(&bao.namespace, &fault.leader, "KILL")?;
    let took = fault.taken_over().await?;
    // The fenced role is dropped only once no login with it can be in progress.
    let now = bao.fenced_roles()?;
    ensure!(now.difference(&before).count() == 1, "fenced roles: {before:?}, then {now:?}");
    println!("leader killed on PostgreSQL 18: {:.1} s", took.as_secs_f64());
    fault.reacted(took, ENDED).await?;
    registers.check(&bao).await?;
    Ok(())
}

#[tokio::test]
async fn without_an_admin_login_a_takeover_needs_only_the_end_of_the_process() -> Result<()> {
    let bao = Bao::serving("process-end", |spec| {
        spec["managed"]["storage"]["postgresql"].as_object_mut().unwrap().remove("adminSecretRef");
    })
    .await?;
    let registers = Registers::start(&bao).await?;
    let leader = bao.leader().await?;
    let killed = Instant::now();
    bao.fleet.cluster.signal(&bao.namespace, &leader, "KILL")?;
    bao.leads_after(&leader).await?;
    let took = registers.gap_since(killed).await?;
    println!("leader killed, without an admin login: {:.1} s", took.as_secs_f64());
    within(took, ENDED)?;
    registers.check(&bao).await?;
    Ok(())
}

#[tokio::test]
async fn a_nodes_role_has_exactly_the_grants_that_a_node_needs() -> Result<()> {
    let bao = Bao::serving("grants", |spec| spec["managed"]["replicas"] = json!(1)).await?;
    let grants = bao.postgres.sql(
        "grants",
        "SELECT string_agg(table_name || ' ' || privilege_type, ', ' ORDER BY table_name, privilege_type)
         FROM information_schema.role_table_grants WHERE grantee = 'main_0_1' OR grantee = (
           SELECT min(usename::text) FROM pg_stat_activity WHERE datname = 'grants' AND usename LIKE 'main%')",
    )?;
    let verbs = ["DELETE", "INSERT", "SELECT", "UPDATE"];
    let expected: Vec<String> = ["openbao_ha_locks", "openbao_kv_store"]
        .iter()
        .flat_map(|table| verbs.iter().map(move |verb| format!("{table} {verb}")))
        .collect();
    assert_eq!(grants.trim(), expected.join(", "));
    let owners = bao.postgres.sql(
        "grants",
        "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE tablename LIKE 'openbao%'",
    )?;
    assert_eq!(owners.trim(), "grants_owner");
    // A new password of the owner does not affect nodes with dedicated roles.
    let before: Vec<_> = bao.pods().await?.into_iter().map(|pod| pod.metadata.uid).collect();
    bao.postgres.sql("postgres", "ALTER ROLE grants_owner PASSWORD 'another'")?;
    let patch = json!({"stringData": {"password": "another"}});
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(bao.kube.clone(), "grants");
    secrets.patch("pg-app", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&patch)).await?;
    bao.ready().await?;
    let after: Vec<_> = bao.pods().await?.into_iter().map(|pod| pod.metadata.uid).collect();
    assert_eq!(before, after);
    Ok(())
}
