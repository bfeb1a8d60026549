//! Text of an overview.

use super::cluster::ClusterView;
use super::overview::Overview;
use crate::age::since;
use crate::brief::Late;
use crate::style::Style;
use crate::table::{row, table};

/// The overview as text, with at most `limit` objects that are not Ready.
pub(crate) fn text(overview: &Overview, style: Style, limit: usize) -> String {
    let mut parts: Vec<String> = overview.clusters.iter().map(|it| cluster(it, style)).collect();
    parts.extend((!overview.kinds.is_empty()).then(|| kinds(overview)));
    parts.extend((!overview.not_ready.is_empty()).then(|| not_ready(overview, style, limit)));
    parts.extend((!overview.notes.is_empty()).then(|| notes(overview)));
    if parts.is_empty() {
        return "No objects of Steamer.\n".to_owned();
    }
    parts.join("\n")
}

fn cluster(view: &ClusterView, style: Style) -> String {
    let state = if view.is_ready { style.good(&view.state) } else { style.bad(&view.state) };
    let title = style.strong(&format!("OpenBaoCluster {}", view.name));
    let mut text = format!("{title}  {state} {}  {}\n", view.age, view.server);
    if !view.is_ready {
        text.push_str(&format!("  {}\n", view.message));
    }
    let facts: Vec<Vec<String>> = view.facts.iter().map(|(name, value)| row([name, value])).collect();
    text.push_str(&table("  ", &facts));
    if !view.nodes.is_empty() {
        let mut rows = vec![row(["NODE", "ROLE", "STATE", "VERSION", "MACHINE"])];
        rows.extend(view.nodes.iter().map(|it| row([&it.pod, it.role, it.state, &it.version, &it.machine])));
        text.push_str(&table("  ", &rows));
    }
    for problem in &view.problems {
        text.push_str(&format!("  {} {problem}\n", style.doubtful("!")));
    }
    text
}

fn kinds(overview: &Overview) -> String {
    let mut rows = vec![row(["KIND", "READY", "SUSPENDED"])];
    rows.extend(overview.kinds.iter().map(|it| {
        let suspended = if it.suspended == 0 { "-".to_owned() } else { it.suspended.to_string() };
        row([it.kind, &format!("{}/{}", it.ready, it.total), &suspended])
    }));
    table("", &rows)
}

fn not_ready(overview: &Overview, style: Style, limit: usize) -> String {
    let mut rows = vec![row(["NOT READY", "SINCE", "WHY"])];
    rows.extend(overview.not_ready.iter().take(limit).map(|it| late(it, overview)));
    let mut text = table("", &rows);
    let hidden = overview.not_ready.len().saturating_sub(limit);
    if hidden > 0 {
        text.push_str(&format!("and {hidden} more: use --limit 0\n"));
    }
    match text.split_once('\n') {
        Some((title, rest)) => format!("{}\n{rest}", style.bad(title)),
        None => text,
    }
}

fn late(late: &Late, overview: &Overview) -> Vec<String> {
    let Late { kind, namespace, name, since: then, reason, message, .. } = late;
    let slash = if namespace.is_empty() { "" } else { "/" };
    let age = then.map_or_else(|| "-".to_owned(), |then| since(then, overview.now));
    row([&format!("{kind} {namespace}{slash}{name}"), &age, &format!("{reason}: {message}")])
}

fn notes(overview: &Overview) -> String {
    overview.notes.iter().map(|note| format!("Note: {note}\n")).collect()
}
