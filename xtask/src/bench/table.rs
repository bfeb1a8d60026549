use std::collections::BTreeMap;

use serde::Serialize;

/// Figures of one setup, in the order of measurement.
#[derive(Serialize)]
pub(super) struct Column {
    /// Description of the setup.
    pub(super) name: String,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    name: &'static str,
    text: String,
    value: f64,
}

impl Column {
    pub(super) fn new(name: String) -> Self {
        println!("==> {name}");
        Self { name, figures: Vec::new() }
    }

    /// Adds a figure with its unit, and prints it immediately, because a benchmark takes minutes.
    pub(super) fn add(&mut self, name: &'static str, value: f64, unit: &str) {
        let digits = if value.fract().abs() < 0.005 || value >= 100.0 { 0 } else { 2 };
        let text = format!("{value:.digits$}{unit}");
        println!("    {name}: {text}");
        self.figures.push(Figure { name, text, value });
    }

    /// Adds the median and the maximum of several times, in milliseconds.
    pub(super) fn add_times(&mut self, names: [&'static str; 2], times: &[f64]) {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        if let (Some(middle), Some(worst)) = (times.get(times.len() / 2), times.last()) {
            self.add(names[0], *middle, " ms");
            self.add(names[1], *worst, " ms");
        }
    }

    /// Adds counts, each divided by `objects`.
    pub(super) fn add_counts(
        &mut self,
        names: &[(&'static str, &str)],
        counts: &BTreeMap<String, usize>,
        objects: usize,
    ) {
        for (name, kind) in names {
            let count = counts.get(*kind).copied().unwrap_or_default();
            self.add(name, count as f64 / objects as f64, "");
        }
    }
}

/// All columns.
#[derive(Serialize)]
pub(super) struct Table {
    machine: String,
    columns: Vec<Column>,
}

impl Table {
    pub(super) fn new(machine: String) -> Self {
        println!("{machine}");
        Self { machine, columns: Vec::new() }
    }

    pub(super) fn add(&mut self, column: Column) {
        self.columns.push(column);
    }

    /// Prints Markdown with one row per figure and one column per setup.
    pub(super) fn print(&self) {
        let mut rows: Vec<&str> = Vec::new();
        for figure in self.columns.iter().flat_map(|column| &column.figures) {
            if !rows.contains(&figure.name) {
                rows.push(figure.name);
            }
        }
        println!("\n{}\n", self.machine);
        let line = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
        line(
            [String::new()]
                .into_iter()
                .chain(self.columns.iter().map(|column| column.name.clone()))
                .collect(),
        );
        line(["---".to_owned()].into_iter().chain(self.columns.iter().map(|_| "--:".to_owned())).collect());
        for row in rows {
            let of = |column: &Column| {
                let figure = column.figures.iter().find(|figure| figure.name == row);
                figure.map(|figure| figure.text.clone()).unwrap_or_default()
            };
            line([row.to_owned()].into_iter().chain(self.columns.iter().map(of)).collect());
        }
    }
}
