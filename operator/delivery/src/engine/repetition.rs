//! Digests of a write, which tell whether it repeats an earlier one.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::time::Duration;

use steamer_runtime::write_limit::{Write, digest};

use super::frame::Frame;
use super::labels::{APPLIED, STAMP};
use super::observed::Observed;

/// A write of the desired frame and content. `content` is the digest of the data, `observed` the Secret before the write. Other
/// tools write at an interval. A missing Secret is watched: a job that deletes it writes no other state.
pub(super) fn write(frame: &Frame, content: &str, observed: Option<&Observed>, interval: Duration) -> Write {
    Write {
        resource: u64::from(observed.is_some()),
        desired: digest(&desired(frame, content)),
        before: digest(&observed.map(state)),
        interval: if observed.is_some() { interval } else { Duration::ZERO },
    }
}

fn desired<'a>(frame: &'a Frame, content: &'a str) -> impl Hash + 'a {
    (&frame.name, &frame.type_, &frame.labels, &frame.annotations, frame.immutable, content)
}

/// The parts of a Secret that another client can change.
fn state(observed: &Observed) -> impl Hash + '_ {
    let own = |annotation: &&String| ![APPLIED, STAMP].contains(&annotation.as_str());
    let annotations: BTreeMap<_, _> = observed.annotations.iter().filter(|(key, _)| own(key)).collect();
    let owners: Vec<_> = observed.owners.iter().map(|owner| &owner.uid).collect();
    (&observed.type_, &observed.mac, &observed.labels, annotations, observed.immutable, owners)
}
