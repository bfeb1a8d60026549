//! Specs of secrets for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use steamer_api::{Generator, KindId};
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::{Json, NamespacePath, Values};
use steamer_runtime::ObjectName;

use super::change::Written;
use super::course::course;
use super::desired::Desired;
use super::entry::Entry;
use super::keys::Custom;
use super::place::Place;
use super::wanted::{Source, Wanted};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn custom(pairs: &[(&str, &str)]) -> Custom {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The mark of the object `name`.
pub(super) fn mark(name: &str) -> Mark {
    let owner = Owner::Object(KindId::ManagedSecret);
    Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", name) }
}

/// A spec whose secret has this source.
pub(super) fn wanted(source: Source) -> Wanted {
    Wanted {
        described: mark("db").metadata(),
        source,
        rollback_to: None,
        expires_at: None,
        max_versions: 0,
        rotation: None,
        request: None,
        handled: None,
        had_value: false,
    }
}

/// The value of a Secret. Its origin contains the value, so that tests see what a value belongs to.
pub(super) fn secret(text: &str) -> Source {
    let values = Values(BTreeMap::from([("value".to_owned(), Json::string(text))]));
    Source::Secret { values, origin: format!("secret:{text}") }
}

pub(super) fn generated() -> Source {
    Source::Generated(Generator::default())
}

/// An entry with the metadata that OpenBao returns.
pub(super) fn entry(metadata: Value) -> Entry {
    Entry(serde_json::from_value(metadata).unwrap())
}

/// The desired state of a spec at second 100.
pub(super) fn desired(wanted: &Wanted, entry: Option<Entry>) -> Desired {
    let now = at(100);
    let found = entry.clone().unwrap_or_default();
    let course = course(wanted, &found, now).unwrap_or_else(|error| panic!("{error}"));
    let place = Place {
        cluster: ObjectName::new("openbao", "main"),
        tenant: ObjectName::new("openbao", "acme"),
        namespace: NamespacePath::new("org_1/group_7/project_42"),
        mount: "secrets/kv".to_owned(),
        path: "explicit/DB".to_owned(),
    };
    Desired {
        place,
        root: NamespacePath::new("teams"),
        entry,
        course,
        withheld: None,
        remedy: "write another value".to_owned(),
        expires_at: wanted.expires_at,
        rotation: wanted.rotation,
        now,
        written: Written::default(),
    }
}
