//! Whether to act: small named checks in order; the first that holds is the reason.

use std::time::{Duration, Instant};

use super::observed::Observed;
use super::wanted::Shape;

/// What the last pass of an object left behind in memory.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// What of the object's own decides: its generation, its nudge, the login it reads with.
    pub(crate) asked: Asked,
    /// What was written.
    pub(crate) shape: Shape,
    /// When the value is to be read again.
    pub(crate) due: Instant,
    /// Version of the value.
    pub(crate) version: Option<i64>,
}

/// What of an object's own makes it be looked at anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) uid: Option<String>,
    pub(crate) generation: Option<i64>,
    pub(crate) nudge: Option<String>,
    pub(crate) access: String,
}

/// Everything a decision needs.
pub(crate) struct Inputs<'a> {
    pub(crate) record: Option<&'a Record>,
    pub(crate) asked: &'a Asked,
    pub(crate) observed: Option<&'a Observed>,
    pub(crate) now: Instant,
}

type Check = fn(&Inputs<'_>) -> Option<&'static str>;

const CHECKS: &[Check] = &[never_synced, spec_changed, destination_missing, destination_drifted, refresh_due];

/// Why to read the value and look at the Secret; or how long nothing needs to be done.
pub(crate) fn decide(inputs: &Inputs<'_>) -> Result<&'static str, Duration> {
    let wait =
        || inputs.record.map_or(Duration::ZERO, |record| record.due.saturating_duration_since(inputs.now));
    CHECKS.iter().find_map(|check| check(inputs)).ok_or_else(wait)
}

fn never_synced(inputs: &Inputs<'_>) -> Option<&'static str> {
    inputs.record.is_none().then_some("NeverSynced")
}

fn spec_changed(inputs: &Inputs<'_>) -> Option<&'static str> {
    (inputs.record?.asked != *inputs.asked).then_some("SpecChanged")
}

fn destination_missing(inputs: &Inputs<'_>) -> Option<&'static str> {
    inputs.observed.is_none().then_some("DestinationMissing")
}

fn destination_drifted(inputs: &Inputs<'_>) -> Option<&'static str> {
    (!inputs.record?.shape.fits(inputs.observed?)).then_some("DestinationDrifted")
}

fn refresh_due(inputs: &Inputs<'_>) -> Option<&'static str> {
    (inputs.record?.due <= inputs.now).then_some("RefreshDue")
}
