//! Dashboards of Grafana, generated from `dashboards.yaml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use steamer_testing::cache::checkout;

/// Columns of a dashboard.
const COLUMNS: u32 = 24;
/// Height of a panel.
const HEIGHT: u32 = 8;
/// Height of a panel with one number.
const STAT_HEIGHT: u32 = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dashboard {
    file: String,
    title: String,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    query: String,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    #[serde(default = "timeseries")]
    kind: String,
    #[serde(default = "short")]
    unit: String,
    #[serde(default = "half")]
    width: u32,
    /// Queries by their legend.
    queries: BTreeMap<String, String>,
}

fn timeseries() -> String {
    "timeseries".to_owned()
}

fn short() -> String {
    "short".to_owned()
}

fn half() -> u32 {
    COLUMNS / 2
}

/// Every dashboard and its text.
pub(crate) fn generated() -> Result<Vec<(PathBuf, String)>> {
    let text = |dashboard: &Dashboard| {
        let path = PathBuf::from("charts/steamer/files/dashboards").join(format!("{}.json", dashboard.file));
        Ok((path, format!("{}\n", serde_json::to_string_pretty(&dashboard.json())?)))
    };
    read()?.iter().map(text).collect()
}

fn read() -> Result<Vec<Dashboard>> {
    let path = checkout().join("xtask/dashboards.yaml");
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(path)?)?)
}

/// Every query of every dashboard.
pub(crate) fn queries() -> Result<Vec<String>> {
    let panels = read()?.into_iter().flat_map(|dashboard| dashboard.rows).flat_map(|row| row.panels);
    Ok(panels.flat_map(|panel| panel.queries.into_values()).collect())
}

impl Dashboard {
    fn json(&self) -> Value {
        json!({
            "uid": format!("steamer-{}", self.file),
            "title": self.title,
            "tags": ["steamer", "openbao"],
            "schemaVersion": 39,
            "editable": true,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "templating": {"list": self.variables()},
            "panels": self.panels(),
        })
    }

    fn variables(&self) -> Vec<Value> {
        let source = json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"});
        let variable = |(name, Variable { query, label }): (&String, &Variable)| {
            json!({
                "name": name, "label": label, "type": "query", "datasource": data_source(), "definition": query,
                "query": {"query": query, "refId": name}, "refresh": 2, "includeAll": true, "multi": true,
                "allValue": ".*", "current": {"text": "All", "value": "$__all"},
            })
        };
        [source].into_iter().chain(self.variables.iter().map(variable)).collect()
    }

    fn panels(&self) -> Vec<Value> {
        let (mut panels, mut top) = (Vec::new(), 0);
        for row in &self.rows {
            let place = json!({"x": 0, "y": top, "w": COLUMNS, "h": 1});
            panels.push(json!({"type": "row", "title": row.title, "gridPos": place, "collapsed": false, "panels": []}));
            top += 1;
            let (mut left, mut height) = (0, 0);
            for panel in &row.panels {
                if left + panel.width > COLUMNS {
                    top += height;
                    (left, height) = (0, 0);
                }
                panels.push(panel.json([left, top]));
                left += panel.width;
                height = height.max(panel.height());
            }
            top += height;
        }
        for (number, panel) in panels.iter_mut().enumerate() {
            panel["id"] = (number + 1).into();
        }
        panels
    }
}

impl Panel {
    fn height(&self) -> u32 {
        if self.kind == "stat" { STAT_HEIGHT } else { HEIGHT }
    }

    fn json(&self, [x, y]: [u32; 2]) -> Value {
        let target = |(number, (legend, query)): (usize, (&String, &String))| json!({"refId": format!("Q{number}"), "expr": query, "legendFormat": legend, "datasource": data_source()});
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        // The value of a version is always 1: its label is what counts.
        let text = if self.title == "Version" { "name" } else { "auto" };
        let options =
            if self.kind == "stat" { json!({"textMode": text, "colorMode": "none"}) } else { json!({}) };
        json!({
            "type": self.kind, "title": self.title, "datasource": data_source(), "targets": targets, "options": options,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height()},
            "fieldConfig": {"defaults": {"unit": self.unit}, "overrides": []},
        })
    }
}

fn data_source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_panels_overlap() {
        for dashboard in read().unwrap() {
            let mut cells = std::collections::BTreeSet::new();
            for panel in dashboard.panels() {
                let number = |field: &str| panel["gridPos"][field].as_u64().unwrap();
                assert!(number("x") + number("w") <= u64::from(COLUMNS), "{panel}");
                for x in number("x")..number("x") + number("w") {
                    for y in number("y")..number("y") + number("h") {
                        assert!(cells.insert((x, y)), "{panel}");
                    }
                }
            }
        }
    }
}
