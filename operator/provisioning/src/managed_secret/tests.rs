//! Tests of the course of a secret: a model of a KV engine executes its requests one by one, and stops after any of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use secrecy::ExposeSecret;
use steamer_api::SecretState;
use steamer_openbao::{KvSettings, KvVersionState};

use super::course::{Course, course};
use super::entry::Entry;
use super::fixture::{at, custom, generated, secret, wanted};
use super::keys::{CREATED, ORIGIN, PENDING, REQUEST, ROTATED_AT, STARTED, VERSION};
use super::step::Step;
use super::wanted::{Rotation, Source, Wanted, rotated};

/// A model of an entry of a KV engine.
#[derive(Clone, Default)]
struct Model {
    entry: Option<Entry>,
    values: BTreeMap<i64, String>,
    /// Number of generated values.
    generated: usize,
    second: i64,
}

/// One request to OpenBao.
type Request = Box<dyn Fn(&mut Model)>;

impl Model {
    fn now(&self) -> Timestamp {
        at(self.second)
    }

    fn entry(&self) -> Entry {
        self.entry.clone().unwrap_or_default()
    }

    fn course(&self, wanted: &Wanted) -> Course {
        course(wanted, &self.entry(), self.now()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Executes a pass and ends it after a number of requests. Returns the number of requests.
    fn pass(&mut self, wanted: &Wanted, most: usize) -> usize {
        self.second += 1;
        let course = self.course(wanted);
        let mut requests: Vec<Request> = Vec::new();
        let rest = course.rest.clone();
        if let Some(due) = course.due.clone() {
            let meanwhile = course.meanwhile.clone();
            requests.push(Box::new(move |model: &mut Self| model.put(&meanwhile)));
            requests.push(Box::new(move |model: &mut Self| model.step(&due.step)));
        }
        if course.differs {
            requests.push(Box::new(move |model: &mut Self| model.put(&rest)));
        }
        for (versions, destroys) in [(course.expired, false), (course.replaced, true)] {
            if !versions.is_empty() {
                requests.push(Box::new(move |model: &mut Self| model.remove(&versions, destroys)));
            }
        }
        let executed = requests.len().min(most);
        requests.iter().take(most).for_each(|request| request(self));
        self.check();
        executed
    }

    /// A complete secret that has not expired has the value that its metadata state.
    fn check(&self) {
        let entry = self.entry();
        let is_complete = self.entry.is_some()
            && entry.state(self.now()) == SecretState::Completed
            && !entry.ends_by_expiration();
        if let Some(stated) = entry.origin().and_then(|it| it.strip_prefix("secret:")).filter(|_| is_complete)
        {
            assert_eq!(self.value(), Some(stated), "{:?}", entry.custom());
        }
    }

    fn put(&mut self, settings: &KvSettings) {
        let (now, entry) = (self.now().to_string(), self.entry.get_or_insert_default());
        if entry.0.created_time.is_empty() {
            entry.0.created_time = now;
        }
        entry.0.current_metadata_version += 1;
        entry.0.custom_metadata.clone_from(&settings.custom);
        entry.0.max_versions = settings.max_versions;
        entry.0.delete_version_after = format!("{}s", settings.delete_version_after);
    }

    fn step(&mut self, step: &Step) {
        let text = match step {
            Step::Write(values) => values.0["value"].text().expose_secret().to_owned(),
            Step::Generate(_) => {
                self.generated += 1;
                format!("generated {}", self.generated)
            }
            Step::Copy(version) => self.values[version].clone(),
            Step::Restore(version) => return self.schedule(*version),
        };
        self.write(&text);
    }

    /// Writes a version, as any client does.
    fn write(&mut self, text: &str) {
        let now = self.now().to_string();
        let entry = self.entry.get_or_insert_default();
        entry.0.current_version += 1;
        let version = entry.0.current_version;
        let state = KvVersionState { created_time: now, ..KvVersionState::default() };
        entry.0.versions.insert(version.to_string(), state);
        self.values.insert(version, text.to_owned());
        self.schedule(version);
    }

    fn schedule(&mut self, version: i64) {
        let (now, entry) = (self.now(), self.entry.get_or_insert_default());
        let after: i64 = entry.0.delete_version_after.trim_end_matches('s').parse().unwrap_or_default();
        let deletion = now.checked_add(SignedDuration::from_secs(after)).unwrap().to_string();
        let state = entry.0.versions.get_mut(&version.to_string()).unwrap();
        state.deletion_time = if after > 0 { deletion } else { String::new() };
    }

    fn remove(&mut self, versions: &[i64], destroys: bool) {
        let now = self.now().to_string();
        for version in versions {
            let entry = self.entry.get_or_insert_default();
            let state = entry.0.versions.get_mut(&version.to_string()).unwrap();
            state.destroyed = destroys;
            if !destroys {
                state.deletion_time = now.clone();
            }
        }
    }

    /// The readable value of the current version.
    fn value(&self) -> Option<&str> {
        let entry = self.entry();
        let value = self.values.get(&entry.current()).filter(|_| entry.has_value(self.now()));
        value.map(String::as_str)
    }

    fn state(&self) -> SecretState {
        self.entry().state(self.now())
    }

    /// Executes passes until nothing changes.
    fn settle(&mut self, wanted: &Wanted) {
        let passes = (0..5).take_while(|_| self.pass(wanted, usize::MAX) > 0).count();
        assert!(passes < 5, "the passes have no end");
    }
}

/// A settled secret.
fn settled(wanted: &Wanted) -> Model {
    let mut model = Model::default();
    model.settle(wanted);
    model
}

#[rstest]
fn a_creation_that_stops_anywhere_converges(
    #[values(0, 1, 2, 3)] crash: usize,
    #[values(secret("one"), generated())] source: Source,
) {
    let (wanted, mut model) = (wanted(source), Model::default());
    assert_eq!(model.pass(&wanted, crash), crash);
    if (1..3).contains(&crash) {
        assert_eq!(model.state(), SecretState::CreateInProgress);
        model.second += 60;
        assert_eq!(model.state(), SecretState::CreateStale);
    }
    model.settle(&wanted);
    assert_eq!(model.state(), SecretState::Completed);
    assert!(["one", "generated 1"].contains(&model.value().unwrap()));
    // The version of an interrupted pass is written again if it can be that of another client.
    let versions = if crash == 2 && model.generated == 0 { 2 } else { 1 };
    assert_eq!(model.values.len(), versions);
}

#[rstest]
fn an_update_that_stops_anywhere_converges(#[values(0, 1, 2, 3)] crash: usize) {
    let mut model = settled(&wanted(secret("one")));
    let next = wanted(secret("two"));
    assert_eq!(model.pass(&next, crash), crash);
    match crash {
        0 | 3 => assert_eq!(model.state(), SecretState::Completed),
        _ => {
            assert_eq!(model.state(), SecretState::UpdateInProgress);
            model.second += 60;
            assert_eq!(model.state(), SecretState::UpdateStale);
        }
    }
    model.settle(&next);
    assert_eq!((model.state(), model.value()), (SecretState::Completed, Some("two")));
}

#[rstest]
fn a_rotation_that_stops_anywhere_makes_one_value(#[values(0, 1, 2, 3)] crash: usize) {
    let mut wanted = wanted(generated());
    let mut model = settled(&wanted);
    wanted.request = Some("now".to_owned());
    assert_eq!(model.pass(&wanted, crash), crash);
    model.settle(&wanted);
    assert_eq!((model.state(), model.value()), (SecretState::Completed, Some("generated 2")));
    assert_eq!(model.entry().custom()[REQUEST], "now");
}

#[rstest]
fn a_rollback_that_stops_anywhere_copies_the_earlier_value(#[values(0, 1, 2, 3)] crash: usize) {
    let mut model = settled(&wanted(secret("one")));
    model.settle(&wanted(secret("two")));
    let mut back = wanted(Source::Kept);
    back.rollback_to = Some(1);
    assert_eq!(model.pass(&back, crash), crash);
    model.settle(&back);
    assert_eq!((model.state(), model.value()), (SecretState::Completed, Some("one")));
    assert!(model.entry().current() > 2);
    // A later version of another client stays. Without the rollback, the value follows its source again.
    model.write("by hand");
    model.settle(&back);
    assert_eq!(model.value(), Some("by hand"));
    model.settle(&wanted(secret("two")));
    assert_eq!(model.value(), Some("two"));
}

#[test]
fn an_interrupted_rollback_is_completed_although_its_source_was_pruned() {
    let mut model = settled(&wanted(secret("one")));
    model.settle(&wanted(secret("two")));
    let mut back = wanted(Source::Kept);
    back.rollback_to = Some(1);
    assert_eq!(model.pass(&back, 2), 2);
    model.entry.as_mut().unwrap().0.versions.remove("1");
    model.settle(&back);
    let entry = model.entry();
    assert_eq!((model.state(), model.value(), entry.current()), (SecretState::Completed, Some("one"), 3));
    assert_eq!((entry.origin(), entry.recorded()), (Some("version:1"), 3));
    assert!(!entry.custom().contains_key(PENDING));
}

/// Neither a version that another client wrote before the pass, nor one after the version of the pass, is the requested one.
#[rstest]
fn a_version_of_another_client_is_no_rotation(#[values(0, 2)] crash: usize) {
    let mut wanted = wanted(generated());
    let mut model = settled(&wanted);
    wanted.request = Some("now".to_owned());
    assert_eq!(model.pass(&wanted, crash), crash);
    model.write("by hand");
    model.settle(&wanted);
    assert_eq!(model.value(), Some(if crash == 0 { "generated 2" } else { "generated 3" }));
}

/// The status remembers the request.
#[test]
fn a_request_that_was_handled_generates_no_value_for_a_secret_that_is_gone() {
    let mut wanted = wanted(generated());
    (wanted.request, wanted.handled) = (Some("now".to_owned()), Some("now".to_owned()));
    wanted.had_value = true;
    assert!(course(&wanted, &Entry::default(), at(100)).is_err());
    wanted.request = Some("again".to_owned());
    assert!(course(&wanted, &Entry::default(), at(100)).is_ok_and(|it| it.due.is_some()));
}

#[test]
fn a_request_that_was_handled_stays_so_without_its_metadata() {
    let mut wanted = wanted(generated());
    let mut model = settled(&wanted);
    (wanted.request, wanted.handled) = (Some("now".to_owned()), Some("now".to_owned()));
    model.settle(&wanted);
    assert_eq!((model.value(), model.generated), (Some("generated 1"), 1));
}

/// A generated value counts its age from the adoption, which destroys nothing.
#[test]
fn an_adoption_replaces_no_value() {
    let mut wanted = wanted(generated());
    wanted.rotation = rotation(true, true);
    let mut model = Model::default();
    model.write("one");
    model.write("two");
    model.second = 5000;
    assert_eq!(model.pass(&wanted, usize::MAX), 1);
    assert_eq!((model.value(), rotated(&model.entry())), (Some("two"), Some(at(5001))));
    assert_eq!((model.entry().versions(), model.entry().custom()[VERSION].as_str()), (vec![1, 2], "2"));
    model.second += 1000;
    model.settle(&wanted);
    assert_eq!((model.value(), model.entry().versions()), (Some("generated 1"), vec![3]));
}

#[test]
fn a_version_that_is_deleted_later_than_its_expiration_is_scheduled_again() {
    let mut wanted = wanted(Source::Person);
    wanted.expires_at = Some(at(1000));
    let mut model = settled(&wanted);
    model.entry.as_mut().unwrap().0.delete_version_after = "9000s".to_owned();
    model.write("one");
    model.settle(&wanted);
    let deletion = model.entry().deletion(1).unwrap();
    assert!(deletion >= at(1000) && deletion < at(1010), "{deletion}");
}

#[test]
fn a_rollback_needs_a_version_with_a_value() {
    let model = settled(&wanted(secret("one")));
    let mut back = wanted(Source::Kept);
    back.rollback_to = Some(2);
    let error = course(&back, &model.entry(), model.now()).err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|it| it.starts_with("version 2 has no value")), "{error:?}");
}

#[test]
fn the_value_of_a_secret_replaces_those_of_others_and_a_repair_is_no_rotation() {
    let wanted = wanted(secret("one"));
    let mut model = settled(&wanted);
    let rotated = model.entry().custom()[ROTATED_AT].clone();
    model.write("by hand");
    model.settle(&wanted);
    assert_eq!((model.value(), model.entry().custom()[ROTATED_AT].clone()), (Some("one"), rotated));
    model.remove(&[3], false);
    model.settle(&wanted);
    assert_eq!((model.value(), model.entry().current()), (Some("one"), 4));
}

#[test]
fn a_generated_value_is_kept_and_never_replaced_silently() {
    let mut wanted = wanted(generated());
    let mut model = settled(&wanted);
    model.write("by hand");
    model.settle(&wanted);
    assert_eq!((model.value(), model.generated), (Some("by hand"), 1));
    model.remove(&[2], false);
    assert!(course(&wanted, &model.entry(), model.now()).is_err());
    // An entry that is gone was lost, too.
    wanted.had_value = true;
    assert!(course(&wanted, &Entry::default(), model.now()).is_err());
    wanted.request = Some("now".to_owned());
    model.settle(&wanted);
    assert_eq!(model.value(), Some("generated 2"));
}

#[test]
fn a_value_of_a_person_is_never_written() {
    let wanted = wanted(Source::Person);
    let mut model = settled(&wanted);
    assert_eq!((model.state(), model.value()), (SecretState::CreateInProgress, None));
    for text in ["one", "two"] {
        model.write(text);
        model.settle(&wanted);
        assert_eq!((model.state(), model.value()), (SecretState::Completed, Some(text)));
    }
    // The change that another client has begun is its own.
    let now = model.now().to_string();
    model.entry.as_mut().unwrap().0.custom_metadata.insert(STARTED.to_owned(), now);
    model.settle(&wanted);
    assert_eq!(model.state(), SecretState::UpdateInProgress);
}

#[test]
fn metadata_of_others_stay_and_differences_are_repaired() {
    let mut wanted = wanted(secret("one"));
    wanted.described.insert("description".to_owned(), "login".to_owned());
    wanted.max_versions = 3;
    let mut model = settled(&wanted);
    let found = &mut model.entry.as_mut().unwrap().0;
    found.custom_metadata.extend(custom(&[("description", "edited"), ("branch", "main"), ("team", "web")]));
    found.max_versions = 9;
    found.delete_version_after = "1h0m0s".to_owned();
    assert_eq!(model.pass(&wanted, usize::MAX), 1);
    let entry = model.entry();
    assert_eq!((entry.custom()["description"].as_str(), entry.custom()["team"].as_str()), ("login", "web"));
    assert!(!entry.custom().contains_key("branch"));
    assert_eq!((entry.0.max_versions, entry.current()), (3, 1));
    assert_eq!(model.pass(&wanted, usize::MAX), 0);
}

fn rotation(regenerates: bool, destroys_previous: bool) -> Option<Rotation> {
    Some(Rotation { interval: Duration::from_secs(1000), regenerates, destroys_previous })
}

#[test]
fn a_generated_value_is_replaced_at_its_age_and_its_predecessors_are_destroyed() {
    let mut wanted = wanted(generated());
    wanted.rotation = rotation(true, true);
    let mut model = settled(&wanted);
    model.second += 900;
    assert_eq!(model.pass(&wanted, usize::MAX), 0);
    model.second += 100;
    model.settle(&wanted);
    assert_eq!(model.value(), Some("generated 2"));
    assert_eq!(model.entry().versions(), [2]);
    wanted.rotation = rotation(false, false);
    model.second += 2000;
    assert_eq!(model.pass(&wanted, usize::MAX), 0);
    assert_eq!(rotated(&model.entry()), Some(at(1004)));
}

/// The age of each version of a person counts from its creation.
#[test]
fn a_version_of_a_person_is_a_rotation() {
    let wanted = wanted(Source::Person);
    let mut model = settled(&wanted);
    for second in [100, 200] {
        model.second = second;
        model.write("x");
        model.settle(&wanted);
        assert_eq!(rotated(&model.entry()), Some(at(second)));
    }
}

#[rstest]
#[case::secret(secret("one"))]
#[case::generated(generated())]
fn an_expired_value_cannot_be_read_and_a_later_expiration_restores_it(#[case] source: Source) {
    let mut wanted = wanted(source);
    wanted.expires_at = Some(at(1000));
    let mut model = settled(&wanted);
    let deletion = model.entry().deletion(1).unwrap();
    assert!(deletion >= at(1000) && deletion < at(1010), "OpenBao enforces it: {deletion}");
    model.second = 1000;
    let expired = Wanted { source: Source::Kept, ..wanted };
    model.settle(&expired);
    assert_eq!((model.value(), model.generated <= 1), (None, true));
    let later = Wanted { expires_at: Some(at(9000)), source: generated(), had_value: true, ..expired };
    model.settle(&later);
    assert!(model.value().is_some() && model.generated <= 1);
    let deletion = model.entry().deletion(model.entry().current()).unwrap();
    assert!(deletion >= at(9000), "{deletion}");
    let never = Wanted { expires_at: None, ..later };
    model.settle(&never);
    assert_eq!(model.entry().deletion(model.entry().current()), None);
}

#[test]
fn a_value_of_a_person_is_scheduled_for_its_expiration() {
    let mut wanted = wanted(Source::Person);
    wanted.expires_at = Some(at(1000));
    let mut model = settled(&wanted);
    model.second = 100;
    model.write("one");
    model.settle(&wanted);
    let deletion = model.entry().deletion(1).unwrap();
    assert!(deletion >= at(1000) && deletion < at(1010), "{deletion}");
    assert_eq!((model.value(), model.entry().current()), (Some("one"), 1));
}

#[test]
fn a_version_that_a_person_has_deleted_is_not_restored() {
    let mut wanted = wanted(Source::Person);
    wanted.expires_at = Some(at(1000));
    let mut model = settled(&wanted);
    model.write("one");
    model.settle(&wanted);
    model.second = 500;
    model.remove(&[1], false);
    wanted.expires_at = Some(at(9000));
    model.settle(&wanted);
    assert_eq!(model.value(), None);
}

#[test]
fn an_expired_secret_gets_no_value() {
    let mut wanted = wanted(Source::Kept);
    wanted.expires_at = Some(at(0));
    let course = course(&wanted, &Entry::default(), at(100)).unwrap_or_else(|error| panic!("{error}"));
    assert!(course.due.is_none() && !course.rest.custom.contains_key(CREATED));
}

#[test]
fn the_metadata_state_the_origin_only_when_the_value_is_complete() {
    let course = Model::default().course(&wanted(secret("one")));
    assert!(!course.meanwhile.custom.contains_key(ORIGIN) && !course.meanwhile.custom.contains_key(CREATED));
    assert_eq!(course.rest.custom[ORIGIN], "secret:one");
}
