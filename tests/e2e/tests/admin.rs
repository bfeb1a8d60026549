//! The admin server: probes, metrics, and the log level.

use anyhow::Result;
use steamer_testing::wait::eventually;

use crate::fixture::Case;

#[tokio::test]
async fn the_admin_server_serves_probes_and_metrics_and_accepts_a_log_level() -> Result<()> {
    let case = Case::new("admin").await?;
    let client = reqwest::Client::new();
    let asked = |method: reqwest::Method, path: &'static str, body: &'static str| {
        let (client, ground) = (client.clone(), case.ground.clone());
        async move {
            let running = ground.running.lock().await;
            let servers = running.as_ref().map(|running| (running.admin.clone(), running.log_level.clone()));
            drop(running);
            let (admin, level) = servers.unwrap_or_default();
            let url = match path.strip_prefix("level:") {
                Some(path) => format!("{level}{path}"),
                None => format!("{admin}{path}"),
            };
            let request = client.request(method, url).body(body);
            let answer = request.send().await.map_err(|error| error.to_string())?;
            Ok::<_, String>((answer.status().as_u16(), answer.text().await.unwrap_or_default()))
        }
    };
    let expected = [
        ("GET", "/livez", "", 200, "ok"),
        ("GET", "/readyz", "", 200, "ok"),
        ("GET", "/metrics", "", 200, "steamer_reconcile_total{controller=\"openbaocluster\""),
        (
            "PUT",
            "level:/log-level",
            "info,steamer_core=debug,steamer_cluster=debug,steamer_provisioning=debug,steamer_delivery=debug",
            200,
            "ok",
        ),
        ("PUT", "/log-level", "off", 404, ""),
        ("PUT", "level:/log-level", "no=such=filter", 400, "is not a valid log filter"),
    ];
    for (method, path, body, status, text) in expected {
        let method: reqwest::Method = method.parse()?;
        eventually(path, || async {
            match asked(method.clone(), path, body).await {
                Ok((seen, answer)) if seen == status && answer.contains(text) => Ok(()),
                other => Err(format!("{other:?}").chars().take(300).collect::<String>()),
            }
        })
        .await?;
    }
    Ok(())
}
