//! Writes of a secret.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steamer_core::Error;
use steamer_openbao::{KvSettings, KvVersionChange};

use super::change::{Change, Versions, Written};
use super::desired::Desired;
use super::entry::Entry;
use crate::engine::{Hold, Rights};
use crate::write::{ADOPTED, Call, DIFFERS, Write};

/// Reason of a deletion.
const EXPIRED: &str = "has expired";
/// Reason of a destruction.
const REPLACED: &str = "was replaced";
/// Pause before a secret without a value is looked at again, unless a relay reports its first write.
const VALUELESS: Duration = Duration::from_secs(30);

/// The writes in their order. The change of a value also destroys the versions that it replaces.
///
/// # Errors
/// [`Error::Conflict`] for a secret of another owner.
pub(super) fn writes(
    desired: &Desired,
    observed: Option<&Entry>,
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let hold = match observed {
        Some(entry) => {
            let path = rights.published(&desired.place.namespace).path(&desired.place.data());
            Some(rights.hold(&format!("secret {path}"), entry.mark().as_ref())?)
        }
        None => None,
    };
    let change = change(desired, hold).or_else(|| ending(desired, hold));
    // An entry must carry the mark before its versions are changed.
    let is_marked = hold == Some(Hold::Owned) || change.is_some();
    let versions = if is_marked { versions(desired) } else { Vec::new() };
    Ok(change.into_iter().chain(versions).collect())
}

/// The change of the value and of the metadata.
fn change(desired: &Desired, hold: Option<Hold>) -> Option<Write> {
    let Desired { place, course, .. } = desired;
    if !desired.changes() {
        return None;
    }
    let change = Change {
        step: course.due.as_ref().map(|due| due.step.clone()),
        meanwhile: course.meanwhile.clone(),
        replaced: course.replaced.clone(),
        written: desired.written.clone(),
        ..of_metadata(desired, course.rest.clone())
    };
    let call = Call::ChangeSecret(Box::new(change));
    let reason = course.due.as_ref().map_or(DIFFERS, |due| due.reason);
    Some(match hold {
        None => Write::create(&place.namespace, call),
        Some(Hold::Adoptable) => Write::update(&place.namespace, call, ADOPTED),
        Some(Hold::Owned) => Write::update(&place.namespace, call, reason),
    })
}

/// The record of the expiration of an own secret. It is possible without the right to write: it only takes access away.
fn ending(desired: &Desired, hold: Option<Hold>) -> Option<Write> {
    let Desired { place, course, withheld, .. } = desired;
    let is_possible = withheld.is_some() && hold == Some(Hold::Owned);
    let change = of_metadata(desired, course.ending.clone().filter(|_| is_possible)?);
    Some(Write::update(&place.namespace, Call::ChangeSecret(Box::new(change)), EXPIRED))
}

/// A change of the metadata only. The status states what was observed.
fn of_metadata(Desired { place, entry, .. }: &Desired, rest: KvSettings) -> Change {
    let entry = entry.as_ref();
    Change {
        mount: place.mount.clone(),
        path: place.path.clone(),
        step: None,
        meanwhile: rest.clone(),
        rest,
        replaced: Vec::new(),
        version: entry.map_or(0, Entry::current),
        metadata_version: entry.map_or(0, |entry| entry.0.current_metadata_version),
        written: Written::default(),
    }
}

/// Deletions of expired versions, which are possible without the right to write, and destructions of those that were replaced
/// before, which cannot be undone.
fn versions(desired: &Desired) -> Vec<Write> {
    let Desired { place, course, .. } = desired;
    let destroys = course.due.is_none() && desired.withheld.is_none();
    let replaced = if destroys { course.replaced.clone() } else { Vec::new() };
    let changes = [
        (KvVersionChange::Delete, course.expired.clone(), EXPIRED),
        (KvVersionChange::Destroy, replaced, REPLACED),
    ];
    let write = |(change, numbers, reason): (KvVersionChange, Vec<i64>, &'static str)| {
        let (mount, path) = (place.mount.clone(), place.path.clone());
        let versions = Versions { mount, path, change, numbers };
        Write::remove_versions(&place.namespace, versions, reason)
    };
    changes.into_iter().filter(|(_, numbers, _)| !numbers.is_empty()).map(write).collect()
}

/// Time of the next change that no object causes.
pub(super) fn next_change(desired: &Desired) -> Option<Timestamp> {
    let (facts, now) = (desired.expected(), desired.now);
    let is_waiting = !facts.has_value && !desired.is_expired();
    let look = SignedDuration::try_from(VALUELESS).ok().and_then(|pause| now.checked_add(pause).ok());
    let times = [desired.expires_at, desired.rotation_due(&facts), look.filter(|_| is_waiting)];
    times.into_iter().flatten().filter(|at| *at > now).min()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::Adopt;
    use steamer_openbao::NamespacePath;

    use super::super::fixture::{at, desired, entry, generated, mark, secret, wanted};
    use super::super::wanted::{Rotation, Source, Wanted};
    use super::*;

    /// An entry with two versions that an object owns.
    fn found(owner: Option<&str>, custom: &Value) -> Entry {
        let mut all = json!(owner.map(|name| mark(name).metadata()).unwrap_or_default());
        all.as_object_mut().unwrap().extend(custom.as_object().cloned().unwrap_or_default());
        let version =
            json!({"created_time": "1970-01-01T00:00:01Z", "deletion_time": "", "destroyed": false});
        entry(json!({
            "current_version": 2, "current_metadata_version": 5, "custom_metadata": all, "versions": {"1": version, "2": version},
        }))
    }

    fn settled(owner: Option<&str>) -> Entry {
        let completed = json!({
            "create_completed_at": "1970-01-01T00:00:01Z", "steamer_version": "2", "steamer_origin": "secret:one",
            "steamer_rotated_at": "1970-01-01T00:00:01Z",
        });
        found(owner, &completed)
    }

    fn planned(desired: &Desired, adopt: Adopt) -> String {
        let (own, root) = (mark("db"), NamespacePath::new("teams"));
        let rights = Rights { mark: &own, root: &root, adopt, exists: &|mark| mark.name.name != "deleted" };
        let shown = |write: Write| {
            let write = write.described(&root);
            let path = write.path.trim_start_matches("teams/org_1/group_7/project_42/secrets/kv/").to_owned();
            format!("{:?} {path} {}", write.operation, write.reason)
        };
        match writes(desired, desired.entry.as_ref(), &rights) {
            Ok(writes) => writes.into_iter().map(shown).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string().split(':').next().unwrap_or_default().to_owned(),
        }
    }

    const CONFLICT: &str =
        "secret teams/org_1/group_7/project_42/secrets/kv/data/explicit/DB in OpenBao belongs to";

    #[rstest]
    #[case::new(None, "one", Adopt::Never, "Create data/explicit/DB does not exist")]
    #[case::settled(Some(settled(Some("db"))), "one", Adopt::Never, "")]
    #[case::changed(
        Some(settled(Some("db"))),
        "two",
        Adopt::Never,
        "Update data/explicit/DB follows its source"
    )]
    #[case::overwritten(Some(found(Some("db"), &json!({
        "create_completed_at": "1970-01-01T00:00:01Z", "steamer_version": "1", "steamer_origin": "secret:one",
    }))), "one", Adopt::Never, "Update data/explicit/DB differs from the spec")]
    #[case::foreign(Some(settled(Some("other"))), "one", Adopt::IfUnowned, "CONFLICT ManagedSecret ns/other")]
    #[case::unmarked(Some(settled(None)), "one", Adopt::Never, "CONFLICT another owner")]
    #[case::adopted(Some(settled(None)), "one", Adopt::IfUnowned, "Update metadata/explicit/DB is adopted")]
    #[case::of_a_deleted_object(
        Some(settled(Some("deleted"))),
        "one",
        Adopt::IfUnowned,
        "Update metadata/explicit/DB is adopted"
    )]
    fn a_secret_is_written_if_it_differs_and_belongs_to_the_object(
        #[case] entry: Option<Entry>,
        #[case] value: &str,
        #[case] adopt: Adopt,
        #[case] expected: &str,
    ) {
        let expected = expected.replace("CONFLICT", CONFLICT);
        assert_eq!(planned(&desired(&wanted(secret(value)), entry), adopt), expected);
    }

    #[test]
    fn expired_versions_are_deleted_and_replaced_ones_destroyed() {
        let expired = Wanted { expires_at: Some(at(50)), ..wanted(Source::Kept) };
        let planned_for = |wanted: &Wanted, withheld: bool| {
            let mut desired = desired(wanted, Some(settled(Some("db"))));
            desired.withheld = withheld.then(|| "read-only".to_owned());
            planned(&desired, Adopt::Never)
        };
        let metadata = "Update metadata/explicit/DB differs from the spec, ";
        assert_eq!(planned_for(&expired, false), format!("{metadata}Delete delete/explicit/DB has expired"));
        let destroys = Rotation { destroys_previous: true, ..Rotation::default() };
        let replaced = Wanted { rotation: Some(destroys), ..wanted(secret("one")) };
        assert_eq!(planned_for(&replaced, false), "Delete destroy/explicit/DB was replaced");
        // Without the right to write, only access is taken away.
        let recorded = "Update metadata/explicit/DB has expired, ";
        assert_eq!(planned_for(&expired, true), format!("{recorded}Delete delete/explicit/DB has expired"));
        assert_eq!(planned_for(&replaced, true), "");
        let next = Wanted { source: secret("two"), ..replaced };
        assert_eq!(planned_for(&next, true), "");
    }

    /// An adoption deletes expired versions, and destroys none.
    #[rstest]
    #[case::expired(Wanted { expires_at: Some(at(50)), ..wanted(Source::Kept) }, "Delete delete/explicit/DB has expired")]
    #[case::replaced(Wanted { rotation: destruction(), ..wanted(generated()) }, "")]
    fn versions_of_an_entry_without_a_mark_stay(#[case] wanted: Wanted, #[case] deletion: &str) {
        let mut desired = desired(&wanted, Some(settled(None)));
        let adopted = ["Update metadata/explicit/DB is adopted", deletion];
        let adopted: Vec<_> = adopted.into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(planned(&desired, Adopt::IfUnowned), adopted.join(", "));
        desired.withheld = Some("read-only".to_owned());
        assert_eq!(planned(&desired, Adopt::IfUnowned), "");
    }

    fn destruction() -> Option<Rotation> {
        Some(Rotation { destroys_previous: true, ..Rotation::default() })
    }

    #[test]
    fn an_expired_secret_is_not_created() {
        let expired = Wanted { expires_at: Some(at(50)), ..wanted(Source::Kept) };
        assert_eq!(planned(&desired(&expired, None), Adopt::Never), "");
    }

    #[rstest]
    #[case::settled(wanted(secret("one")), Some(settled(Some("db"))), None)]
    #[case::expires(Wanted { expires_at: Some(at(500)), ..wanted(secret("one")) }, None, Some(500))]
    #[case::expired(Wanted { expires_at: Some(at(50)), ..wanted(Source::Kept) }, None, None)]
    #[case::is_due(Wanted { rotation: rotation(300), ..wanted(secret("one")) }, Some(settled(Some("db"))), Some(301))]
    #[case::is_due_after_its_creation(Wanted { rotation: rotation(300), ..wanted(secret("one")) }, None, Some(400))]
    #[case::was_due(Wanted { rotation: rotation(50), ..wanted(secret("one")) }, Some(settled(Some("db"))), None)]
    #[case::without_a_value(wanted(Source::Person), None, Some(130))]
    fn the_next_visit_is_at_the_next_change(
        #[case] wanted: Wanted,
        #[case] entry: Option<Entry>,
        #[case] expected: Option<i64>,
    ) {
        assert_eq!(next_change(&desired(&wanted, entry)), expected.map(at));
    }

    fn rotation(seconds: u64) -> Option<Rotation> {
        Some(Rotation { interval: Duration::from_secs(seconds), ..Rotation::default() })
    }

    /// Otherwise repeated repairs are not limited.
    #[test]
    fn repairs_have_the_reasons_of_other_kinds() {
        let mut changed = settled(Some("db"));
        changed.0.current_version = 1;
        let is_repair = |value, found, hold| {
            change(&desired(&wanted(secret(value)), found), hold).is_some_and(|write| write.is_repair())
        };
        assert!(is_repair("one", None, None), "it is missing");
        assert!(is_repair("one", Some(changed), Some(Hold::Owned)), "another client has replaced it");
        assert!(is_repair("two", Some(settled(Some("db"))), Some(Hold::Adoptable)), "it is adopted");
        assert!(!is_repair("two", Some(settled(Some("db"))), Some(Hold::Owned)), "the source has changed");
    }
}
