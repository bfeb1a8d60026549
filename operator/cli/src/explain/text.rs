//! Text of an explanation.

use super::explanation::{Explanation, JobView};
use crate::age::period;
use crate::style::Style;
use crate::table::{row, table};

/// The explanation as text.
pub(super) fn text(found: &Explanation, style: Style) -> String {
    let mut text = format!("{:10}{} as {}\n", "Login", found.path, found.role);
    let verdict = if found.can_log_in { style.good("accepted") } else { style.bad("refused") };
    text.push_str(&format!("{:10}{verdict}; the signature is {}{}\n", "", found.signature, end(found)));
    for problem in &found.refusals {
        text.push_str(&format!("  {}  {}: {}\n", style.bad("NO"), problem.claim, problem.problem));
        if !problem.stated.is_empty() {
            text.push_str(&format!("      see {}\n", problem.stated));
        }
    }
    text.push_str(&format!("{:10}{}\n", "Job", job(&found.job)));
    text.push_str(&reads(found));
    if found.can_log_in {
        let rows =
            found.not_granted.iter().map(|it| row([&it.secrets.join(" "), "not by", &it.policy, &it.why]));
        text.push_str(&section("Not", &rows.collect::<Vec<_>>()));
    }
    for note in &found.notes {
        text.push_str(&format!("Note: {note}\n"));
    }
    text
}

fn end(found: &Explanation) -> String {
    let left = found.expires_at.map(|end| end.as_second().saturating_sub(found.now.as_second()));
    left.filter(|left| *left > 0)
        .map(|left| format!("; the token ends in {}", period(left)))
        .unwrap_or_default()
}

fn job(job: &JobView) -> String {
    let mut parts = vec![format!("project {}", or_none(&job.project_id))];
    parts.push(format!("environment {}", or_none(&job.environment)));
    if job.branch.is_empty() {
        parts.push(format!("ref {} (not a branch)", or_none(&job.ref_name)));
    } else {
        parts.push(format!("branch {}", job.branch));
    }
    parts.push(match job.ref_protected.as_str() {
        "true" => "protected".to_owned(),
        "false" => "not protected".to_owned(),
        _ => "protection unknown".to_owned(),
    });
    parts.extend(further(job));
    parts.join(", ")
}

/// Facts that not every token states.
fn further(job: &JobView) -> Vec<String> {
    let protection = match job.environment_protected.as_str() {
        "true" => "environment protected",
        "false" => "environment not protected",
        _ => "",
    };
    let scopes = job.scopes.join(" ");
    let named = [
        ("tier", &job.tier),
        ("source", &job.source),
        ("user", &job.user_id),
        ("pipeline", &job.pipeline_id),
        ("scopes", &scopes),
    ];
    let named = named.into_iter().map(|(name, value)| (name, value.as_str()));
    let stated = named.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name} {value}"));
    let protection = Some(protection.to_owned()).filter(|text| !text.is_empty());
    protection.into_iter().chain(stated).collect()
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn reads(found: &Explanation) -> String {
    if found.reads.is_empty() {
        return format!("{:10}no secret\n", "Reads");
    }
    let rows = found.reads.iter().map(|read| {
        let granted = read.granted_by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let end = read.expires_at.map(|at| format!("until {at}")).unwrap_or_default();
        row([&read.secret, "by", &format!("PipelinePolicy {granted}"), &end])
    });
    section("Reads", &rows.collect::<Vec<_>>())
}

/// Rows after a title.
fn section(title: &str, rows: &[Vec<String>]) -> String {
    let text = table(&" ".repeat(10), rows);
    match text.strip_prefix(&" ".repeat(title.len())) {
        Some(rest) => format!("{title}{rest}"),
        None => text,
    }
}
