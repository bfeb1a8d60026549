//! Times in which changes are made.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// A time that repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncWindow {
    /// `Allow`: changes are only made in a window of this kind. `Deny`: they are not made in this window, even if another one
    /// allows it.
    pub kind: WindowKind,
    /// Start of the window in the format of cron: minute, hour, day of the month, month and day of the week, such as
    /// `0 2 * * MON-FRI`, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("self.matches('^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/-]+){4})$')", "schedule must be minute, hour, day of the month, month and day of the week, such as 0 2 * * MON-FRI, or @daily"))]
    pub schedule: String,
    /// Name of the time zone of `schedule` in the IANA database, such as `Europe/Berlin`. A time that daylight saving skips is
    /// the next time that exists, and one that occurs twice is the first. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern("^[A-Za-z0-9+_/-]+$"))]
    pub time_zone: Option<String>,
    /// Duration of the window. Minimum: 1m. Maximum: 168h.
    #[x_kube(validation = ("duration(self) >= duration('1m') && duration(self) <= duration('168h')", "duration of a window must be 1m to 168h"))]
    pub duration: Duration,
}

/// Effect of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowKind {
    /// Changes are made only in such windows.
    Allow,
    /// Changes wait for the end of the window.
    Deny,
}
