//! Runs the commands of docs/operations.md in order on a serving cluster.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::json;
use steamer_testing::cache::checkout;
use steamer_testing::openbao::mount_kv;
use steamer_testing::operator::plugin;
use steamer_testing::tools;

use crate::bao::Bao;

fn blocks() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(checkout().join("docs/operations.md"))?;
    let after = text.split("```bash\n").skip(1);
    Ok(after.filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect())
}

fn run(bao: &Bao, folder: &Path, script: &str) -> Result<()> {
    let url = |database: &str| bao.postgres.url("openbao_owner", database);
    let programs = [tools::kubernetes("kubectl")?, plugin()?, tools::postgres()?.join("psql")];
    let folders: Vec<String> = programs
        .iter()
        .filter_map(|program| program.parent())
        .map(|folder| folder.display().to_string())
        .collect();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap_or_default()))
        .env("KUBECONFIG", &bao.fleet.cluster.kubeconfig)
        .env("DATABASE_URL", url("openbao"))
        .env("NEW_DATABASE_URL", url("openbao_new"))
        .output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{script}\n{text}");
    Ok(())
}

#[tokio::test]
async fn the_commands_of_the_operations_page_work() -> Result<()> {
    let bao = Bao::serving("openbao", |_| {}).await?;
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    admin.write_kv2("kv", "kept", &json!({"value": "from before"})).await?;
    let folder = bao.fleet.folder.join("book");
    std::fs::create_dir_all(&folder)?;
    let mut cluster = bao.cluster();
    cluster["spec"]["managed"]["seal"]["static"] = json!({"keyId": "k2"});
    std::fs::write(folder.join("openbaocluster.yaml"), cluster.to_string())?;
    let (mut restored, mut rotated) = (false, false);
    for block in blocks()? {
        if block.contains("NEW_DATABASE_URL") {
            // The cluster is lost; its keys and the dump of its database are kept.
            let kubectl = bao.fleet.kubectl()?;
            kubectl.run(&["-n", "openbao", "delete", "openbaocluster", "main", "--timeout=80s"])?;
            bao.postgres.sql("postgres", "CREATE DATABASE openbao_new OWNER openbao_owner")?;
            let secrets: Api<k8s_openapi::api::core::v1::Secret> =
                Api::namespaced(bao.kube.clone(), "openbao");
            let patch = json!({"stringData": {"dbname": "openbao_new"}});
            secrets.patch("pg-app", &PatchParams::default(), &Patch::Merge(&patch)).await?;
            restored = true;
        }
        run(&bao, &folder, &block)?;
        if block.contains("--key-id k2") {
            bao.rotated("k2").await?;
            rotated = true;
        }
        bao.ready().await?;
    }
    ensure!(rotated && restored, "the page must rotate a key and restore a backup");
    let read = bao.admin().await?.request_any(Method::GET, "kv/data/kept", None).await?;
    let value = read.pointer("/data/data/value").context("the response has no value")?;
    assert_eq!(value, "from before");
    Ok(())
}
