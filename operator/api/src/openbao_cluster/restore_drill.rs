//! Test of the backups of a managed cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, LocalReference};

/// Test of a restored copy of the database: an additional OpenBao process in recovery mode opens it with the seal and the
/// recovery keys, and decrypts a policy. Its database session is read-only, only its loopback interface listens, and it runs no
/// mount and no lease, so it changes neither the copy nor another system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreDrill {
    /// Time of the drills in the format of cron: minute, hour, day of the month, month and day of the week, such as
    /// `0 4 * * SUN`, or `@daily`, `@weekly`, `@monthly`. Your backup tool must have restored the copy by then. The
    /// annotation `steamer.dev/restore-drill` requests one at any time. Default: only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("self.matches('^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/-]+){4})$')", "schedule must be minute, hour, day of the month, month and day of the week, such as 0 4 * * SUN, or @daily"))]
    pub schedule: Option<String>,
    /// Name of the time zone of `schedule` in the IANA database, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern("^[A-Za-z0-9+_/-]+$"))]
    pub time_zone: Option<String>,
    /// Secret with the login of the copy, with the same keys as `storage.postgresql.secretRef`. Its certificate is checked
    /// as that of the database of the cluster. It must be another database; a login that can only read is sufficient.
    pub database_secret_ref: LocalReference,
    /// Time after which a drill has failed, 1m to 24h. Default: 10m.
    #[serde(default = "ten_minutes")]
    #[x_kube(validation = ("duration(self) >= duration('1m') && duration(self) <= duration('24h')", "restoreDrill.timeout must be 1m to 24h"))]
    pub timeout: Duration,
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

/// Last restore drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreDrillState {
    /// Start of the drill.
    pub last_time: Time,
    /// Value of the annotation `steamer.dev/restore-drill` that was carried out last. The same value starts no drill again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub request: Option<String>,
    /// Result.
    pub result: DrillResult,
    /// What was opened, or why it failed.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Time in seconds from the start of the drill to its end.
    pub duration_seconds: i64,
    /// Age in seconds of the data at the start of the drill, from the last renewal of the leader's lock in the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_age_seconds: Option<i64>,
    /// Start of the last drill that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
}

/// Result of a restore drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrillResult {
    /// OpenBao opened the copy and decrypted a policy.
    Succeeded,
    /// It did not.
    Failed,
}
