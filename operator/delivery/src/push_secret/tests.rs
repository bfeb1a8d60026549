//! Steps of entries: tables, and a simulation of OpenBao.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use steamer_api::{Adopt, BaoPushSecretSpec, DeletionPolicy, KindId, PushedEntry, UpdatePolicy};
use steamer_core::Error;
use steamer_core::mac::Mac;
use steamer_core::ownership::Mark;
use steamer_core::ownership::mark::Owner;
use steamer_openbao::{Error as OpenBao, KvMetadata, NamespacePath, Values};
use steamer_runtime::{Failure, ObjectName};

use super::entry::{Entry, Seal};
use super::keys::Keys;
use super::observed::{Availability, Content, Found, Observed, availability};
use super::plan::{Rights, Step, step};
use super::validate::{Inputs, entries};
use super::{permissions, problem};
use crate::engine::{Program, Subject};

fn mark(name: &str) -> Mark {
    let owner = Owner::Object(KindId::BaoPushSecret);
    Mark { installation: "i".to_owned(), owner, name: ObjectName::new("web", name) }
}

/// The Secret `app` with the keys.
fn secret(data: &[(&str, &[u8])], annotations: Value) -> Secret {
    let metadata = json!({"name": "app", "namespace": "web", "annotations": annotations});
    let mut secret: Secret = serde_json::from_value(json!({"metadata": metadata})).unwrap();
    let bytes = |value: &[u8]| k8s_openapi::ByteString(value.to_vec());
    secret.data = Some(data.iter().map(|(key, value)| ((*key).to_owned(), bytes(value))).collect());
    secret
}

fn spec(data: Value) -> BaoPushSecretSpec {
    serde_json::from_value(json!({"secretRef": {"name": "app"}, "data": data})).unwrap()
}

fn computed(data: Value, secret: &Secret) -> Result<Vec<Entry>, Error> {
    let (spec, mac, object) = (spec(data), Mac::new(&[7; 32]), ObjectName::new("web", "app"));
    let seal = Seal { mac: &mac, object: &object };
    let (secret, namespace) = (Some(secret), &NamespacePath::new("org"));
    entries(&Inputs { spec: &spec, secret, below: None, namespace, seal })
}

/// An entry at `kv/app` with the value of key `a`, and with a generated property if the type is `generated`.
fn entry(kind: &str, value: &str) -> Entry {
    let at = |kind: &str| json!({"mount": "kv", "path": "app", "type": kind, "key": "a"});
    let generated = json!({
        "mount": "kv", "path": "app", "type": "kv-v2", "property": "id", "generate": {"uuid": {}},
    });
    let data = if kind == "generated" { json!([at("kv-v2"), generated]) } else { json!([at(kind)]) };
    computed(data, &secret(&[("a", value.as_bytes())], json!({}))).ok().unwrap().remove(0)
}

fn values(object: Value) -> Values {
    Values::from(&object)
}

fn found(owner: Option<&str>, version: i64, content: Content) -> Observed {
    let mark = owner.map(mark);
    let custom = mark.as_ref().map(Mark::metadata).unwrap_or_default();
    Observed::Found(Found { mark, custom, metadata_version: 0, version, content })
}

fn described(step: Result<Step, Error>) -> String {
    match step {
        Ok(Step::Settled(version)) => format!("settled {version}"),
        Ok(Step::Unchanged(version)) => format!("unchanged {version}"),
        Ok(Step::Kept) => "kept".to_owned(),
        Ok(Step::Equal) => "equal".to_owned(),
        Ok(Step::Write(write)) => {
            let mark = if write.marking.is_some() { " mark" } else { "" };
            let values =
                if write.update.is_some() { format!(" over {}", write.version) } else { String::new() };
            format!("{:?}{mark}{values}", write.operation)
        }
        Err(error) => format!("{:?}", error.reason()),
    }
}

fn right() -> Content {
    Content::Read(values(json!({"a": "1"})))
}

fn other() -> Content {
    Content::Read(values(json!({"a": "2"})))
}

fn generated() -> Content {
    Content::Read(values(json!({"a": "1", "id": "u"})))
}

/// Recorded: whether the status records the entry. The last two columns: with `Replace`, and with `IfNotExists`.
#[rstest]
#[case::absent("kv-v2", Observed::Absent, false, ["Create mark over 0", "Create mark over 0"])]
#[case::deleted_by_another_client("kv-v2", Observed::Absent, true, ["Create mark over 0", "Create mark over 0"])]
#[case::marked_before_a_crash("kv-v2", found(Some("own"), 0, Content::Missing), false, ["Update over 0", "Update over 0"])]
#[case::unchanged("kv-v2", found(Some("own"), 3, Content::Recorded), true, ["settled 3", "unchanged 3"])]
#[case::equal("kv-v2", found(Some("own"), 4, right()), true, ["settled 4", "unchanged 4"])]
#[case::drifted("kv-v2", found(Some("own"), 4, other()), true, ["Update over 4", "unchanged 4"])]
#[case::added_key(
    "kv-v2", found(Some("own"), 4, Content::Read(values(json!({"a": "1", "b": "x"})))), true, ["Update over 4", "unchanged 4"]
)]
#[case::version_deleted("kv-v2", found(Some("own"), 4, Content::Missing), true, ["Update over 4", "Update over 4"])]
#[case::foreign("kv-v2", found(None, 1, other()), false, ["Conflict", "kept"])]
#[case::foreign_and_equal("kv-v2", found(None, 1, right()), false, ["Conflict", "kept"])]
#[case::foreign_and_deleted("kv-v2", found(None, 1, Content::Missing), false, ["Conflict", "Conflict"])]
#[case::of_another_object("kv-v2", found(Some("living"), 1, other()), false, ["Conflict", "kept"])]
#[case::of_a_deleted_object("kv-v2", found(Some("gone"), 1, other()), false, ["Conflict", "kept"])]
#[case::mark_lost("kv-v2", found(None, 3, right()), true, ["Conflict", "kept"])]
#[case::generated("generated", Observed::Absent, false, ["Create mark over 0", "Create mark over 0"])]
#[case::generated_and_lost("generated", Observed::Absent, true, ["SourceMissing", "SourceMissing"])]
#[case::generated_and_deleted("generated", found(Some("own"), 4, Content::Missing), true, ["SourceMissing", "SourceMissing"])]
#[case::generated_before_a_crash("generated", found(Some("own"), 1, generated()), false, ["settled 1", "unchanged 1"])]
#[case::generated_and_kept("generated", found(Some("own"), 1, generated()), true, ["settled 1", "unchanged 1"])]
#[case::generated_later("generated", found(Some("own"), 1, right()), true, ["Update over 1", "unchanged 1"])]
#[case::v1_absent("kv-v1", Observed::Absent, false, ["Create over 0", "Create over 0"])]
#[case::v1_equal_entry_of_another_client("kv-v1", found(None, 0, right()), false, ["equal", "kept"])]
#[case::v1_written_before_a_crash("kv-v1", found(None, 0, right()), true, ["settled 0", "unchanged 0"])]
#[case::v1_foreign("kv-v1", found(None, 0, other()), false, ["Conflict", "kept"])]
#[case::v1_drifted("kv-v1", found(None, 0, other()), true, ["Update over 0", "unchanged 0"])]
fn an_entry_is_written_only_if_it_differs_and_belongs_to_the_object(
    #[case] kind: &str,
    #[case] observed: Observed,
    #[case] recorded: bool,
    #[case] expected: [&str; 2],
) {
    let entry = entry(kind, "1");
    let record = recorded.then(|| entry.place.record(Some(3), entry.mac.clone()));
    let own = mark("own");
    let decide = |observed, update| {
        let rights =
            Rights { mark: &own, adopt: Adopt::Never, update, exists: &|mark| mark.name.name == "living" };
        described(step(&entry, observed, record.as_ref(), &rights))
    };
    let again = copy(&observed);
    let seen = [decide(observed, UpdatePolicy::Replace), decide(again, UpdatePolicy::IfNotExists)];
    assert_eq!(seen, expected);
}

fn copy(observed: &Observed) -> Observed {
    let Observed::Found(Found { mark, custom, metadata_version, version, content }) = observed else {
        return Observed::Absent;
    };
    let content = match content {
        Content::Recorded => Content::Recorded,
        Content::Missing => Content::Missing,
        Content::Read(values) => Content::Read(values.clone()),
    };
    Observed::Found(Found {
        mark: mark.clone(),
        custom: custom.clone(),
        metadata_version: *metadata_version,
        version: *version,
        content,
    })
}

#[rstest]
#[case::new("kv-v2", json!({}), "; creates a")]
#[case::changed("kv-v2", json!({"a": "2", "b": "x"}), "; changes a; deletes b")]
#[case::equal("kv-v2", json!({"a": "1"}), "")]
#[case::generated("generated", json!({"a": "1"}), "; creates id")]
#[case::generated_and_kept("generated", json!({"a": "2", "id": "u"}), "; changes a")]
fn a_plan_names_the_keys_of_an_entry_and_no_value(
    #[case] kind: &str,
    #[case] existing: Value,
    #[case] expected: &str,
) {
    assert_eq!(Keys::changed(&entry(kind, "1"), &values(existing)).to_string(), expected);
}

#[test]
fn a_generated_value_that_is_too_old_is_planned_as_a_change() {
    let expired = ["id".to_owned()].into();
    let aged = Entry { expired, ..entry("generated", "1") };
    let keys = Keys::changed(&aged, &values(json!({"a": "1", "id": "u"})));
    assert_eq!(keys.to_string(), "; changes id");
}

#[rstest]
#[case::unowned(None, "Update mark over 1")]
#[case::of_a_deleted_object(Some("gone"), "Update mark over 1")]
#[case::of_another_object(Some("living"), "Conflict")]
fn only_an_entry_without_an_existing_owner_is_adopted(#[case] owner: Option<&str>, #[case] expected: &str) {
    let (entry, own) = (entry("kv-v2", "1"), mark("own"));
    let adopt = Adopt::IfUnowned;
    let exists: &dyn Fn(&Mark) -> bool = &|mark| mark.name.name == "living";
    let rights = Rights { mark: &own, adopt, update: UpdatePolicy::Replace, exists };
    assert_eq!(described(step(&entry, found(owner, 1, other()), None, &rights)), expected);
}

#[test]
fn an_adopted_entry_keeps_the_custom_metadata_of_users() {
    let (entry, own) = (entry("kv-v2", "1"), mark("own"));
    let custom = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let observed = Observed::Found(Found {
        mark: None,
        custom: custom.clone(),
        metadata_version: 5,
        version: 1,
        content: right(),
    });
    let exists: &dyn Fn(&Mark) -> bool = &|_| false;
    let rights = Rights { mark: &own, adopt: Adopt::IfUnowned, update: UpdatePolicy::Replace, exists };
    let Ok(Step::Write(write)) = step(&entry, observed, None, &rights) else { panic!("a write") };
    assert!(write.update.is_none(), "the values are equal");
    let marking = write.marking.unwrap();
    assert_eq!(super::release::without_mark(&own, marking.after.clone()), custom);
    assert_eq!((marking.before, Mark::of_metadata(&marking.after), marking.version), (custom, Some(own), 5));
}

/// Keys of the Secret `app`: `a`, `b`, and `raw`, which is not UTF-8. Returns the values of the first entry, or the error.
#[rstest]
#[case::one_key(json!([{"key": "a"}]), r#"{"a": "1"}"#)]
#[case::renamed(json!([{"key": "a", "property": "x"}]), r#"{"x": "1"}"#)]
#[case::joined(json!([{"key": "a"}, {"key": "b", "property": "c"}]), r#"{"a": "1", "c": "2"}"#)]
#[case::encoded(json!([{"key": "raw", "encoding": "Base64"}]), r#"{"raw": "/w=="}"#)]
#[case::not_text(json!([{"key": "raw"}]), "set encoding: Base64")]
#[case::all_with_binary(json!([{}]), "key `raw`")]
#[case::all(json!([{"encoding": "Base64"}]), r#"{"a": "MQ==", "b": "Mg==", "raw": "/w=="}"#)]
#[case::matching(json!([{"match": "^[ab]$", "rewrite": [{"source": "^", "target": "app_"}]}]), r#"{"app_a": "1", "app_b": "2"}"#)]
#[case::renamed_by_a_template(json!([{"match": "^a", "rewrite": [{"template": "{{ upper .value }}"}]}]), r#"{"A": "1"}"#)]
#[case::renamed_beside_one(json!([{"match": "^a$"}, {"key": "b", "property": "c"}]), r#"{"a": "1", "c": "2"}"#)]
#[case::same_name(json!([{"match": "^[ab]$", "rewrite": [{"template": "x"}]}]), "property `x` of one path twice")]
#[case::no_name(json!([{"match": "^a", "rewrite": [{"template": "{{ fail .value }}"}]}]), "makes no name of key `a`")]
#[case::no_match(json!([{"match": "^z"}]), "the Secret has no keys for")]
#[case::match_of_one_key(json!([{"key": "a", "match": "a"}]), "remove key and generate")]
#[case::no_expression(json!([{"match": "(a"}]), "spec.data: `(a` in match is not a regular expression")]
#[case::missing(json!([{"key": "c"}]), "has no key `c`")]
#[case::twice(json!([{"key": "a"}, {"key": "b", "property": "a"}]), "property `a` of one path twice")]
#[case::generated_twice(json!([{"key": "a"}, {"property": "a", "generate": {"uuid": {}}}]), "property `a` of one path twice")]
#[case::public_key(
    json!([{"key": "a", "property": "k.pub"}, {"property": "k", "generate": {"sshKey": {}}}]), "property `k.pub`"
)]
#[case::mount(json!([{"key": "a", "mount": "sys"}]), "is not the path of a KV engine")]
#[case::path(json!([{"key": "a", "path": "../x"}]), "has an empty segment")]
#[case::v1(json!([{"property": "a", "generate": {"uuid": {}}, "type": "kv-v1"}]), "type kv-v2")]
fn an_entry_has_the_keys_of_its_items(#[case] mut data: Value, #[case] expected: &str) {
    for item in data.as_array_mut().unwrap() {
        for (field, value) in [("mount", "kv"), ("path", "app"), ("type", "kv-v2")] {
            let item = item.as_object_mut().unwrap();
            item.entry(field).or_insert_with(|| json!(value));
        }
    }
    let secret = secret(&[("a", b"1"), ("b", b"2"), ("raw", &[255])], json!({}));
    match computed(data, &secret) {
        Ok(entries) => {
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert!(entries[0].matches(&values(expected)));
            assert_eq!(entries[0].place.published(), "org/kv/data/app");
        }
        Err(error) => assert!(error.to_string().contains(expected), "{error}"),
    }
}

/// The data of the Secret `app` after a transformation, or the error.
fn transformed(spec: Value) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let secret = secret(&[("a", b"1"), ("canary", b"x"), ("raw", &[255])], json!({}));
    let definition = super::transformed::defined(&serde_json::from_value(spec).unwrap());
    let program = definition.and_then(|definition| Program::parse(&definition));
    let rendered = program.and_then(|program| {
        let subject = Subject::new("u".to_owned(), &BTreeMap::new(), &BTreeMap::new());
        program.run(&[super::transformed::document(&secret)], &subject)
    });
    let rendered = rendered.map_err(|error| error.to_string())?;
    let data = super::transformed::filled(&secret, rendered).data.unwrap_or_default();
    Ok(data.into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
}

#[test]
fn a_transformation_makes_the_keys_that_are_pushed() {
    let spec = json!({"excludes": ["canary"], "templates": {"url": {"text": "https://{{ .Secrets.a }}"},
        "copy": {"text": "{{ .Secrets.raw | b64dec }}"}}});
    let expected = [("a", &b"1"[..]), ("copy", &[255]), ("raw", &[255]), ("url", b"https://1")];
    let expected = expected.map(|(key, bytes)| (key.to_owned(), bytes.to_vec()));
    assert_eq!(transformed(spec).unwrap(), expected.into());
}

#[rstest]
#[case(json!({"templates": {"a": {"text": "{{ fail .Secrets.canary }}"}}}), "transformation: template \"a\", line 1")]
#[case(json!({"keysAndValues": [{"text": "{{ .Secrets.canary }}"}]}), "transformation.keysAndValues: the result of the template")]
#[case(json!({"labels": {"a": "x"}}), "labels and annotations of transformation have no effect")]
fn a_mistake_in_a_transformation_names_the_field(#[case] spec: Value, #[case] expected: &str) {
    let error = transformed(spec).unwrap_err();
    assert!(error.starts_with(expected), "{error}");
}

/// An entry with a generated value that is replaced after an hour, as the status records it.
fn rotating(generated_at: &str) -> (Entry, PushedEntry) {
    let item = json!({"mount": "kv", "path": "app", "type": "kv-v2", "property": "id", "generate": {"uuid": {}}, "rotateAfter": "1h"});
    let entry = computed(json!([item]), &secret(&[], json!({}))).ok().unwrap().remove(0);
    let mut record = entry.place.record(Some(3), entry.mac.clone());
    if !generated_at.is_empty() {
        record.generated_at = BTreeMap::from([("id".to_owned(), generated_at.to_owned())]);
    }
    (entry, record)
}

#[rstest]
#[case::young("2026-01-01T11:00:01Z", false, Some(1))]
#[case::old("2026-01-01T11:00:00Z", true, Some(0))]
#[case::overdue("2026-01-01T01:00:00Z", true, Some(0))]
#[case::unknown("", false, None)]
#[case::edited("yesterday", false, None)]
fn a_generated_value_expires_at_its_age(
    #[case] generated_at: &str,
    #[case] expired: bool,
    #[case] next: Option<u64>,
) {
    let (now, (entry, record)) = ("2026-01-01T12:00:00Z".parse().unwrap(), rotating(generated_at));
    let entry = super::rotation::aged(entry, Some(&record), now);
    let seconds = super::rotation::next(std::slice::from_ref(&entry), std::slice::from_ref(&record), now);
    assert_eq!((!entry.expired.is_empty(), seconds.map(|left| left.as_secs())), (expired, next));
    let existing = values(json!({"id": "u"}));
    assert_eq!(
        (entry.matches(&existing), entry.merged(&existing).0.len()),
        (!expired, usize::from(!expired))
    );
    let (own, exists): (_, &dyn Fn(&Mark) -> bool) = (mark("own"), &|_| false);
    let rights = Rights { mark: &own, adopt: Adopt::Never, update: UpdatePolicy::Replace, exists };
    let step =
        described(step(&entry, found(Some("own"), 3, Content::Read(existing)), Some(&record), &rights));
    assert_eq!(step, if expired { "Update over 3" } else { "settled 3" });
}

#[rstest]
#[case::enforced("Enforce", "Replace", true)]
#[case::observed("Observe", "Replace", false)]
#[case::kept("Enforce", "IfNotExists", false)]
fn a_value_is_replaced_only_in_an_object_that_writes(
    #[case] mode: &str,
    #[case] update: &str,
    #[case] expected: bool,
) {
    let spec = json!({"secretRef": {"name": "app"}, "data": [], "mode": mode, "updatePolicy": update});
    assert_eq!(super::rotation::is_enforced(&serde_json::from_value(spec).unwrap()), expected);
}

#[rstest]
#[case::recorded(Some("own"), 3, true)]
#[case::written_before_a_crash(Some("own"), 4, false)]
#[case::of_another_object(Some("living"), 4, true)]
fn a_replaced_value_is_not_replaced_again(
    #[case] owner: Option<&str>,
    #[case] version: i64,
    #[case] replaced: bool,
) {
    let (entry, record) = rotating("2026-01-01T01:00:00Z");
    let entry = super::rotation::aged(entry, Some(&record), "2026-01-01T12:00:00Z".parse().unwrap());
    let content = Content::Read(values(json!({"id": "u"})));
    let observed = found(owner, version, content);
    let compared = super::rotation::compared(&entry, &observed, Some(&record), &mark("own"));
    assert_eq!(!compared.expired.is_empty(), replaced);
}

#[test]
fn the_status_records_when_a_value_was_generated() {
    let (now, (entry, record)) =
        ("2026-01-01T12:00:00.5Z".parse().unwrap(), rotating("2026-01-01T11:30:00Z"));
    let times = |record, generated: &[&str]| {
        let generated: Vec<String> = generated.iter().map(|property| (*property).to_owned()).collect();
        super::rotation::times(&entry, record, (&generated, now))["id"].clone()
    };
    assert_eq!(times(Some(&record), &[]), "2026-01-01T11:30:00Z");
    assert_eq!(times(Some(&record), &["id"]), "2026-01-01T12:00:00Z");
    assert_eq!(times(None, &[]), "2026-01-01T12:00:00Z");
}

#[rstest]
#[case::owner("steamer.dev/owner")]
#[case::keys("steamer.dev/keys-of")]
fn a_secret_that_steamer_writes_is_refused(#[case] annotation: &str) {
    let secret = secret(&[("a", b"1")], json!({annotation: "i/BaoStaticSecret/web/app"}));
    let error = computed(json!([{"key": "a", "mount": "kv", "path": "app", "type": "kv-v2"}]), &secret)
        .err()
        .unwrap();
    assert!(
        error.stalled() && error.to_string().contains("is written by BaoStaticSecret web/app"),
        "{error}"
    );
}

#[test]
fn equal_values_of_two_entries_have_different_digests() {
    let item = |path: &str| json!({"key": "a", "mount": "kv", "path": path, "type": "kv-v2"});
    let of = |value: &[u8]| {
        let entries =
            computed(json!([item("a"), item("b")]), &secret(&[("a", value)], json!({}))).ok().unwrap();
        entries.into_iter().map(|entry| entry.mac).collect::<Vec<_>>()
    };
    let (one, other) = (of(b"1"), of(b"2"));
    assert!(one[0] != one[1] && one[0] != other[0]);
    assert_eq!(one, of(b"1"));
}

#[rstest]
#[case::live("", false, Availability::Present)]
#[case::deleted("2026-01-01T00:00:00Z", false, Availability::Missing)]
#[case::scheduled("2026-01-03T00:00:00.123456789Z", false, Availability::Present)]
#[case::destroyed("", true, Availability::Missing)]
fn a_version_is_missing_once_its_deletion_time_has_passed(
    #[case] deletion_time: &str,
    #[case] destroyed: bool,
    #[case] expected: Availability,
) {
    let version = json!({"deletion_time": deletion_time, "destroyed": destroyed});
    let metadata: KvMetadata =
        serde_json::from_value(json!({"current_version": 2, "versions": {"2": version}})).unwrap();
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    assert_eq!(availability(&metadata, now), expected);
    assert_eq!(availability(&KvMetadata::default(), now), Availability::Missing);
}

#[test]
fn a_denied_request_names_the_rules_that_the_policy_needs() {
    let denied = OpenBao::Denied { method: "POST".to_owned(), path: "org/kv/data/app".to_owned() };
    let error = problem::explained(denied.into(), &entry("kv-v2", "1"), DeletionPolicy::Delete);
    assert_eq!(
        error.to_string(),
        r#"OpenBao denies POST org/kv/data/app: add to a policy of the role: path "kv/data/app" { capabilities = ["create", "read", "update"] } path "kv/metadata/app" { capabilities = ["create", "read", "update", "delete"] }"#
    );
    assert!(error.stalled());
    let v1 = permissions::rules(&entry("kv-v1", "1"), DeletionPolicy::Retain);
    assert_eq!(v1, r#"path "kv/app" { capabilities = ["create", "read", "update"] }"#);
}

#[test]
fn a_concurrent_write_is_a_conflict_that_is_retried() {
    let overtaken = OpenBao::CheckAndSet { path: "kv/data/app".to_owned() };
    let error = problem::explained(overtaken.into(), &entry("kv-v2", "1"), DeletionPolicy::Retain);
    assert_eq!((error.reason().as_str(), error.stalled()), ("Conflict", false));
}

/// A KV v2 entry.
#[derive(Clone, Default)]
struct Bao {
    owner: Option<Mark>,
    exists: bool,
    versions: Vec<Option<Values>>,
}

/// A client of the entry.
#[derive(Clone, Copy, Debug)]
enum Actor {
    /// An object of Steamer.
    Object(usize),
    /// Another client writes a version.
    Write(u8),
    /// Another client deletes the latest version.
    DeleteVersion,
    /// Another client deletes the entry.
    DeleteEntry,
    /// Another client removes the custom metadata.
    RemoveMark,
}

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        4 => (0_usize..2).prop_map(Actor::Object),
        1 => (0_u8..2).prop_map(Actor::Write),
        1 => Just(Actor::DeleteVersion),
        1 => Just(Actor::DeleteEntry),
        1 => Just(Actor::RemoveMark),
    ]
}

impl Bao {
    fn version(&self) -> i64 {
        i64::try_from(self.versions.len()).unwrap()
    }

    fn observed(&self) -> Observed {
        if !self.exists {
            return Observed::Absent;
        }
        let content = self.versions.last().cloned().flatten().map_or(Content::Missing, Content::Read);
        let custom = self.owner.as_ref().map(Mark::metadata).unwrap_or_default();
        Observed::Found(Found {
            mark: self.owner.clone(),
            custom,
            metadata_version: 0,
            version: self.version(),
            content,
        })
    }

    fn act(&mut self, actor: Actor) {
        match actor {
            Actor::Object(_) => {}
            Actor::Write(value) => {
                self.exists = true;
                self.versions.push(Some(values(json!({"a": value.to_string()}))));
            }
            Actor::DeleteVersion => {
                if let Some(last) = self.versions.last_mut() {
                    *last = None;
                }
            }
            Actor::DeleteEntry => *self = Self::default(),
            Actor::RemoveMark => self.owner = None,
        }
    }
}

proptest! {
    /// Two objects with different values, and another client. At most one object owns the entry, an entry with another owner
    /// or none is never written, and a step after a write writes nothing.
    #[test]
    fn two_objects_never_alternate_and_every_write_settles(actors in prop::collection::vec(actor(), 1..60)) {
        let entries = [entry("kv-v2", "one"), entry("kv-v2", "two")];
        let marks = [mark("one"), mark("two")];
        let mut records: [Option<PushedEntry>; 2] = [None, None];
        let mut bao = Bao::default();
        for actor in actors {
            let Actor::Object(number) = actor else {
                bao.act(actor);
                continue;
            };
            let (entry, own) = (&entries[number], &marks[number]);
            let exists: &dyn Fn(&Mark) -> bool = &|_| true;
            let rights = Rights { mark: own, adopt: Adopt::Never, update: UpdatePolicy::Replace, exists };
            let decide = |bao: &Bao, record: &Option<PushedEntry>| step(entry, bao.observed(), record.as_ref(), &rights);
            match decide(&bao, &records[number]) {
                Ok(Step::Write(write)) => {
                    prop_assert!(!bao.exists || bao.owner.as_ref() == Some(own), "a foreign entry is written");
                    prop_assert_eq!(write.version, bao.version());
                    bao.exists = true;
                    if let Some(marking) = &write.marking {
                        bao.owner = Mark::of_metadata(&marking.after);
                    }
                    if let Some(update) = &write.update {
                        bao.versions.push(Some(entry.merged(&update.existing)));
                    }
                    records[number] = Some(entry.place.record(Some(bao.version()), entry.mac.clone()));
                    let again = described(decide(&bao, &records[number]));
                    prop_assert_eq!(again, format!("settled {}", bao.version()));
                }
                Ok(Step::Settled(_)) => prop_assert_eq!(bao.owner.as_ref(), Some(own)),
                Ok(Step::Kept | Step::Equal | Step::Unchanged(_)) => prop_assert!(false, "Replace keeps nothing"),
                Err(_) => prop_assert!(bao.exists && bao.owner.as_ref() != Some(own)),
            }
        }
    }
}
