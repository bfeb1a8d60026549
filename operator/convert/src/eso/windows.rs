//! Sync windows of an ExternalSecret.

use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Schedules with a name.
const NAMED: &[&str] = &["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"];

/// Moves the windows. One without a counterpart suspends the converted object: values would be delivered at other times.
pub(super) fn moved(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("syncWindows");
    let windows = spec.within("syncWindows", |from| {
        let effect = effect(from)?;
        let windows = from.each("windows", |window| converted(window, effect));
        from.take("kind");
        Some(windows.into_iter().flatten().collect::<Vec<Value>>())
    });
    if let Some(windows) = windows.flatten().filter(|windows| !windows.is_empty()) {
        draft.put("syncWindows", windows, path.as_str());
    }
    if spec.has("syncWindows") {
        let text = "this part of the windows is not converted: write an item of syncWindows with kind, schedule (in the format of cron, without @every) and duration (1m to 168h)";
        task.hold(draft, (path, None), text);
    }
}

fn effect(from: &Cursor) -> Option<&'static str> {
    match from.peek("kind")?.as_str()? {
        "allow" | "Allow" => Some("Allow"),
        "deny" | "Deny" => Some("Deny"),
        _ => None,
    }
}

fn converted(window: &mut Cursor, effect: &str) -> Option<Value> {
    let is_text = |field: &str, accepts: fn(&str) -> bool| {
        window.peek(field).and_then(Value::as_str).is_some_and(accepts)
    };
    if !is_text("schedule", is_schedule) || !is_text("duration", is_duration) {
        return None;
    }
    let (schedule, duration) = (window.text("schedule")?, window.text("duration")?);
    Some(json!({"kind": effect, "schedule": schedule, "duration": duration}))
}

/// Returns true for a schedule that Steamer has: a name, or five fields.
fn is_schedule(text: &str) -> bool {
    let is_field = |field: &str| field.chars().all(|it| it.is_ascii_alphanumeric() || "*,/-".contains(it));
    let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
    let is_trimmed = text.trim() == text && text.len() <= 128;
    NAMED.contains(&text) || is_trimmed && fields.len() == 5 && fields.into_iter().all(is_field)
}

fn is_duration(text: &str) -> bool {
    let seconds = text.parse::<steamer_api::Duration>().map(|duration| duration.get().as_secs());
    seconds.is_ok_and(|seconds| (60..=168 * 3600).contains(&seconds))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::fields("0 2 * * MON-FRI", true)]
    #[case::steps("*/15 0-6 1,15 * *", true)]
    #[case::name("@daily", true)]
    #[case::every("@every 1h", false)]
    #[case::seconds("0 0 2 * * *", false)]
    #[case::zone("CRON_TZ=UTC 0 2 * * *", false)]
    #[case::empty("", false)]
    fn schedules_of_steamer_are_accepted(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_schedule(text), expected);
    }

    #[rstest]
    #[case::shortest("1m", true)]
    #[case::longest("168h", true)]
    #[case::short("59s", false)]
    #[case::long("169h", false)]
    #[case::no_duration("1 hour", false)]
    fn durations_of_steamer_are_accepted(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_duration(text), expected);
    }
}
