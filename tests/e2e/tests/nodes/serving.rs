//! From nothing to serving.

use anyhow::Result;
use serde_json::json;

use crate::bao::Bao;

#[tokio::test]
async fn an_applied_cluster_serves_with_no_human_step() -> Result<()> {
    let bao = Bao::serving("from-nothing", |_| {}).await?;
    let admin = bao.admin().await?;
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    admin.request_any(reqwest::Method::POST, "sys/mounts/kv", Some(mount)).await?;
    admin.write_kv2("kv", "a", &json!({"b": "c"})).await?;
    let read = admin.request_any(reqwest::Method::GET, "kv/data/a", None).await?;
    assert_eq!(read["data"]["data"], json!({"b": "c"}));
    let started = std::time::Instant::now();
    for count in 0..50 {
        admin.write_kv2("kv", "b", &json!({"count": count})).await?;
    }
    println!("a write takes {:.1?}", started.elapsed() / 50);
    Ok(())
}
