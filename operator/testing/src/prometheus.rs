//! Prometheus, which scrapes servers of a test and evaluates the alerts of the chart.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::process::{Process, Program, while_running};
use crate::wait::eventually;
use crate::{cache, plain_http, ports, tools};

/// A running Prometheus.
pub struct Prometheus {
    url: String,
    _process: Process,
}

/// A server with metrics.
pub struct Target {
    /// Name of the job.
    pub job: &'static str,
    /// Host and port.
    pub address: String,
}

/// The alerts of the chart: groups of rules.
///
/// # Errors
/// When the file cannot be read.
pub fn alerts() -> Result<Value> {
    let path = cache::checkout().join("charts/steamer/files/alerts.yaml");
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(path)?)?)
}

/// Every alerting rule of [`alerts`].
///
/// # Errors
/// As [`alerts`].
pub fn rules() -> Result<Vec<Value>> {
    let groups = alerts()?["groups"].as_array().cloned().context("no groups")?;
    Ok(groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect())
}

impl Prometheus {
    /// Starts a server with the alerts, each of which fires at once.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, logs: &Path, targets: &[Target]) -> Result<Self> {
        let [program, _] = tools::prometheus()?;
        let folder = folder.join("prometheus");
        std::fs::create_dir_all(&folder)?;
        let mut alerts = alerts()?;
        for group in alerts["groups"].as_array_mut().into_iter().flatten() {
            for rule in group["rules"].as_array_mut().into_iter().flatten() {
                rule["for"] = "0s".into();
            }
        }
        std::fs::write(folder.join("alerts.yaml"), alerts.to_string())?;
        let jobs: Vec<Value> = targets
            .iter()
            .map(|Target { job, address }| json!({"job_name": job, "static_configs": [{"targets": [address]}]}))
            .collect();
        let configuration = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [folder.join("alerts.yaml")],
            "scrape_configs": jobs,
        });
        std::fs::write(folder.join("prometheus.yml"), configuration.to_string())?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let process = Program::new("prometheus", &program)
            .args([
                format!("--config.file={}", folder.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address={address}"),
            ])
            .start(logs)?;
        let url = format!("http://{address}");
        let (http, ready) = (plain_http::client()?, format!("{url}/-/ready"));
        while_running(&process.server(), "Prometheus is ready", || async {
            let answer = http.get(&ready).send().await.map_err(|error| error.to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
        })
        .await?;
        Ok(Self { url, _process: process })
    }

    /// Returns the series of a query now.
    ///
    /// # Errors
    /// When Prometheus refuses the query.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.url), [("query", query)])?;
        let answer = plain_http::client()?.get(url).send().await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["status"] == "success", "{query}: {}", answer["error"]);
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Returns the names of the alerts that fire, sorted.
    async fn firing(&self) -> Result<Vec<String>, String> {
        let series = self.query("count by (alertname) (ALERTS{alertstate=\"firing\"})").await;
        let series = series.map_err(|error| error.to_string())?;
        let name = |series: &Value| series["metric"]["alertname"].as_str().unwrap_or_default().to_owned();
        let mut names: Vec<String> = series.iter().map(name).collect();
        names.sort();
        Ok(names)
    }

    /// Waits until these alerts fire, among others.
    ///
    /// # Errors
    /// The alerts that fire at the deadline.
    pub async fn fires(&self, expected: &[&str]) -> Result<()> {
        eventually(&format!("the alerts {expected:?} fire"), || async {
            let firing = self.firing().await?;
            let fires = |name: &&str| firing.iter().any(|firing| firing == name);
            if expected.iter().all(fires) { Ok(()) } else { Err(format!("{firing:?}")) }
        })
        .await
    }

    /// Waits until exactly these alerts fire.
    ///
    /// # Errors
    /// The alerts that fire at the deadline.
    pub async fn only_fires(&self, expected: &[&str]) -> Result<()> {
        eventually(&format!("only the alerts {expected:?} fire"), || async {
            let firing = self.firing().await?;
            if firing == expected { Ok(()) } else { Err(format!("{firing:?}")) }
        })
        .await
    }

    /// Waits until each query returns a number.
    ///
    /// # Errors
    /// The first query that returns none until the deadline, and its series.
    pub async fn answers(&self, queries: &[String]) -> Result<()> {
        for query in queries {
            eventually(&format!("{query} returns a number"), || async {
                let series = self.query(query).await.map_err(|error| error.to_string())?;
                let is_number = |series: &Value| series["value"][1] != "NaN";
                if series.iter().any(is_number) { Ok(()) } else { Err(format!("{series:?}")) }
            })
            .await?;
        }
        Ok(())
    }
}

/// The queries of a dashboard of the chart. The interval and the variables have values.
///
/// # Errors
/// When the file cannot be read.
pub fn queries(dashboard: &str) -> Result<Vec<String>> {
    let path = cache::checkout().join("charts/steamer/files/dashboards").join(format!("{dashboard}.json"));
    let text = std::fs::read_to_string(path)?.replace("$__rate_interval", "30s").replace("$cluster", ".*");
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    Ok(targets.filter_map(|target| target["expr"].as_str().map(str::to_owned)).collect())
}
