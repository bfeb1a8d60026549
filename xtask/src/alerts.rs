//! Checks of the alerts and the dashboards: promtool runs the tests of the alerts, and every metric and label exists.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, ensure};
use regex::Regex;
use serde_json::Value;
use steamer_runtime::{Description, Metrics};
use steamer_testing::cache::checkout;
use steamer_testing::prometheus;
use steamer_testing::tools::{self, output};

use crate::dashboards;

/// Checks the rules with promtool and runs `alerts/tests.yaml`.
///
/// # Errors
/// When a rule is not valid, or a test fails.
pub(crate) fn check() -> Result<()> {
    let [_, promtool] = tools::prometheus()?;
    let rules = checkout().join("charts/steamer/files/alerts.yaml");
    output(Command::new(&promtool).args(["check", "rules"]).arg(rules))?;
    let folder = checkout().join("target/alerts");
    std::fs::create_dir_all(&folder)?;
    // The tests state labels only. promtool compares all annotations.
    let mut groups = prometheus::alerts()?;
    for group in groups["groups"].as_array_mut().into_iter().flatten() {
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            rule.as_object_mut().map(|rule| rule.remove("annotations"));
        }
    }
    std::fs::write(folder.join("alerts.yaml"), groups.to_string())?;
    std::fs::copy(checkout().join("xtask/alerts/tests.yaml"), folder.join("tests.yaml"))?;
    output(Command::new(&promtool).args(["test", "rules", "tests.yaml"]).current_dir(&folder))?;
    println!("alerts: {} rules with their tests", prometheus::rules()?.len());
    Ok(())
}

/// Alerts without a page or a test, and queries with an unknown metric or label.
pub(crate) fn problems() -> Result<Vec<String>> {
    let rules = prometheus::rules()?;
    let mut problems = Vec::new();
    for rule in &rules {
        problems.extend(incomplete(rule)?);
    }
    let alerts = rules.iter().filter_map(|rule| rule["expr"].as_str().map(str::to_owned));
    let metrics = Metrics::default();
    for query in alerts.chain(dashboards::queries()?) {
        problems.extend(unknown(&query, metrics.descriptions()));
    }
    Ok(problems)
}

/// Parts that an alert lacks.
fn incomplete(rule: &Value) -> Result<Vec<String>> {
    let name = rule["alert"].as_str().unwrap_or_default();
    let tests: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(checkout().join("xtask/alerts/tests.yaml"))?)?;
    let tests =
        tests["tests"].as_array().into_iter().flatten().flat_map(|test| test["alert_rule_test"].as_array());
    let tests: Vec<&Value> = tests.flatten().filter(|test| test["alertname"] == name).collect();
    let fires = |test: &&&Value| test["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
    let page = format!("docs/runbooks/{name}.md");
    let text = std::fs::read_to_string(checkout().join(&page)).unwrap_or_default();
    let headings = ["## Meaning", "## Diagnosis", "## Mitigation"];
    let lacks = [
        (rule["annotations"]["runbook_url"] != format!("RUNBOOKS/{name}.md"), "the annotation runbook_url"),
        (rule["annotations"]["summary"].as_str().is_none(), "a summary"),
        (!headings.iter().all(|heading| text.contains(heading)), "a page in docs/runbooks with all headings"),
        (tests.iter().find(fires).is_none(), "a test in xtask/alerts/tests.yaml in which it fires"),
        (tests.iter().all(|test| fires(&test)), "a test in xtask/alerts/tests.yaml in which it is silent"),
    ];
    let lacks = lacks.into_iter().filter(|(lacks, _)| *lacks);
    Ok(lacks.map(|(_, what)| format!("charts/steamer/files/alerts.yaml: {name} needs {what}")).collect())
}

/// Metrics and labels of a query that the operator does not export. Those of OpenBao are not checked.
fn unknown(query: &str, metrics: &[Description]) -> Vec<String> {
    let Ok(series) = Regex::new(r"\b((?:steamer|process)_[a-z_]+)(?:\{([^}]*)\})?") else {
        return Vec::new();
    };
    let Ok(label) = Regex::new(r"([a-z_]+)\s*[=!]") else { return Vec::new() };
    let mut problems = BTreeSet::new();
    for found in series.captures_iter(query) {
        let name = &found[1];
        let Some(metric) = metrics.iter().find(|metric| is_of(name, metric)) else {
            problems.insert(format!("unknown metric {name} in {query:?}"));
            continue;
        };
        let matchers = found.get(2).map_or("", |matchers| matchers.as_str());
        for label in label.captures_iter(matchers).map(|label| label[1].to_owned()) {
            if !metric.labels.contains(&label.as_str()) {
                problems.insert(format!("{name} has no label {label} in {query:?}"));
            }
        }
    }
    problems.into_iter().collect()
}

fn is_of(name: &str, metric: &Description) -> bool {
    let is_part =
        |suffix: &str| metric.kind == "histogram" && name.strip_suffix(suffix) == Some(&metric.name);
    name == metric.name || ["_bucket", "_sum", "_count"].into_iter().any(is_part)
}

/// The page of all metrics.
pub(crate) fn reference() -> Result<String> {
    let mut text = "# Metrics\n\nThe operator exports these metrics. Every metric of a cluster has its namespace and name as \
                    labels; no label contains a path, a user or a value of a secret.\n\n\
                    | Metric | Type | Labels | Description |\n|---|---|---|---|\n"
        .to_owned();
    for Description { name, kind, labels, help } in Metrics::default().descriptions() {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        text.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    ensure!(!text.contains("||"), "a metric has no description");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_with_an_unknown_metric_or_label_is_a_problem() {
        let metrics = Metrics::default();
        let found = |query: &str| unknown(query, metrics.descriptions()).len();
        assert_eq!(found("sum by (kind) (steamer_objects{ready!=\"True\"})"), 0);
        assert_eq!(found("rate(steamer_queue_wait_seconds_bucket{controller=\"a\"}[5m])"), 0);
        assert_eq!(found("steamer_object{ready=\"True\"}"), 1);
        assert_eq!(found("steamer_objects{state=\"True\"} + steamer_reconcile"), 2);
    }

    #[test]
    fn the_alerts_and_dashboards_are_complete() {
        assert_eq!(problems().unwrap(), Vec::<String>::new());
    }
}
