//! The steps with which the next issuer of a rotation replaces the current one.

use super::names::retired;
use super::snapshot::{Issuer, Snapshot};

/// A request of a succession.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Writes the settings of the spec to an issuer.
    Settings {
        issuer: String,
    },
    /// Makes an issuer the default issuer of the mount.
    Default {
        issuer: String,
    },
    RenameKey {
        id: String,
        name: String,
    },
    RenameIssuer {
        id: String,
        name: String,
    },
}

/// A rotation whose next issuer exists.
pub(super) struct Succession<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Name of the issuer that is replaced.
    pub(super) name: &'a str,
    pub(super) next: &'a Issuer,
    /// True if the spec makes the issuer the default issuer of the mount.
    pub(super) is_default: bool,
}

/// An issuer that is replaced, and its later name.
struct Old<'a> {
    issuer: &'a Issuer,
    former: String,
}

impl Succession<'_> {
    /// The steps, in their order. The next issuer gets the name, so that roles follow. It is renamed last: until then it is
    /// found by its name, and a pass after a crash continues.
    pub(super) fn steps(&self) -> Vec<Step> {
        let (old, next) = (self.old(), &self.next.id);
        let mut steps = vec![Step::Settings { issuer: next.clone() }];
        steps.extend(self.key_names(old.as_ref()));
        let default = &self.snapshot.default;
        let is_default = self.is_default || old.as_ref().is_some_and(|old| old.issuer.id == *default);
        if is_default && default != next {
            steps.push(Step::Default { issuer: next.clone() });
        }
        steps.extend(old.map(|old| Step::RenameIssuer { id: old.issuer.id.clone(), name: old.former }));
        steps.push(Step::RenameIssuer { id: next.clone(), name: self.name.to_owned() });
        steps
    }

    /// The issuer that is replaced. None if it was renamed already.
    fn old(&self) -> Option<Old<'_>> {
        let issuer = self.snapshot.issuer(self.name)?;
        let serial = self.snapshot.current.as_ref()?.certificate.short_serial();
        Some(Old { issuer, former: retired(self.name, &serial) })
    }

    /// The key of the next issuer gets the name, unless another key has it.
    fn key_names(&self, old: Option<&Old<'_>>) -> Vec<Step> {
        let holder = self.snapshot.key(self.name);
        let freed =
            old.filter(|old| holder.is_some() && self.snapshot.key_of(old.issuer) == holder).zip(holder);
        let named = self.snapshot.key_of(self.next).filter(|_| holder.is_none() || freed.is_some());
        let freed = freed.map(|(old, key)| Step::RenameKey { id: key.id.clone(), name: old.former.clone() });
        let named = named.map(|key| Step::RenameKey { id: key.id.clone(), name: self.name.to_owned() });
        freed.into_iter().chain(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::Map;

    use super::*;
    use crate::pki_issuer::certificate::Certificate;
    use crate::pki_issuer::snapshot::{Current, Key};
    use crate::pki_issuer::stage::{Stage, stage};

    /// Passes that a crash ends.
    const CRASHES: usize = 3;

    /// The issuer `old` starts its serial number with `0a0a0a0a`.
    fn certificate(issuer: &str) -> Certificate {
        Certificate {
            serial: if issuer == "old" { "0a:0a:0a:0a:01" } else { "0b:0b:0b:0b:01" }.to_owned(),
            common_name: "CA".to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
            is_self_signed: true,
            key_type: "ec",
        }
    }

    /// A mount after the creation of the next issuer.
    fn mount(default: &str, old_key: &str) -> Snapshot {
        let issuer = |id: &str, name: &str| Issuer {
            id: id.to_owned(),
            name: name.to_owned(),
            key: format!("key-{id}"),
        };
        let key = |id: &str, name: &str| Key { id: format!("key-{id}"), name: name.to_owned() };
        read(Snapshot {
            issuers: vec![issuer("old", "ca"), issuer("new", "ca-next"), issuer("other", "other")],
            keys: vec![key("old", old_key), key("new", "ca-next"), key("other", "other")],
            default: default.to_owned(),
            ..Snapshot::default()
        })
    }

    /// The mount as the next pass reads it.
    fn read(mut snapshot: Snapshot) -> Snapshot {
        let certificate = snapshot.issuer("ca").map(|issuer| certificate(&issuer.id));
        snapshot.current = certificate.map(|certificate| Current { settings: Map::new(), certificate });
        snapshot
    }

    /// As OpenBao, which refuses a second issuer or key of a name.
    fn apply(snapshot: &mut Snapshot, step: Step) {
        match step {
            Step::Settings { .. } => {}
            Step::Default { issuer } => snapshot.default = issuer,
            Step::RenameKey { id, name } => {
                assert!(snapshot.keys.iter().all(|key| key.name != name || key.id == id), "two keys {name}");
                let key = snapshot.keys.iter_mut().find(|key| key.id == id).unwrap();
                key.name = name;
            }
            Step::RenameIssuer { id, name } => {
                let is_free = snapshot.issuers.iter().all(|it| it.name != name || it.id == id);
                assert!(is_free, "two issuers {name}");
                let issuer = snapshot.issuers.iter_mut().find(|issuer| issuer.id == id).unwrap();
                issuer.name = name;
            }
        }
    }

    /// Ends a pass after each number of its steps, and plans again, up to `crashes` times. Calls `settled` with each result.
    fn after_crashes(start: &Snapshot, is_default: bool, crashes: usize, settled: &dyn Fn(&Snapshot)) {
        let is_old = |current: &Current| current.certificate.serial == certificate("old").serial;
        let next = match stage(start, "ca", start.current.as_ref().is_some_and(is_old)) {
            Stage::Next(next) => next,
            Stage::Exists(_) => return settled(start),
            other => panic!("a crash leads to {other:?}"),
        };
        let steps = Succession { snapshot: start, name: "ca", next, is_default }.steps();
        let first = if crashes == 0 { steps.len() } else { 0 };
        for length in first..=steps.len() {
            let mut after = start.clone();
            steps[..length].iter().cloned().for_each(|step| apply(&mut after, step));
            after_crashes(&read(after), is_default, crashes.saturating_sub(1), settled);
        }
    }

    #[rstest]
    #[case::old_is_default("old", "ca", false, ("new", "ca-0a0a0a0a"))]
    #[case::another_is_default("other", "ca", false, ("other", "ca-0a0a0a0a"))]
    #[case::spec_makes_it_the_default("other", "ca", true, ("new", "ca-0a0a0a0a"))]
    #[case::adopted_with_another_key_name("old", "x", false, ("new", "x"))]
    fn a_rotation_ends_in_the_same_state_after_every_crash(
        #[case] default: &str,
        #[case] old_key: &str,
        #[case] is_default: bool,
        #[case] (expected_default, expected_key): (&str, &str),
    ) {
        let names = |snapshot: &Snapshot| -> Vec<String> {
            let issuers = snapshot.issuers.iter().map(|it| it.name.clone());
            issuers.chain(snapshot.keys.iter().map(|it| it.name.clone())).collect()
        };
        let expected = ["ca-0a0a0a0a", "ca", "other", expected_key, "ca", "other"];
        let settled = |snapshot: &Snapshot| {
            assert_eq!(names(snapshot), expected);
            assert_eq!(snapshot.default, expected_default);
        };
        after_crashes(&mount(default, old_key), is_default, CRASHES, &settled);
    }
}
