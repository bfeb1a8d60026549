use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use steamer_api::{Adopt, KindId, OpenBaoCluster, OwnedResources};
use steamer_core::mac::Mac;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

use super::*;
use crate::general::readback::Returned;
use crate::general::{Home, Seal, record};
use crate::write::Progress;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn own() -> Mark {
    let owner = Owner::Object(KindId::BaoPolicy);
    Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "web") }
}

/// A role with a secret, whose type cannot be changed.
fn resource(parameters: Value, secret: &str) -> DesiredResource {
    let mut resource = Resource::at("role web", "auth/jwt/role/web", map(parameters));
    resource.fixed = vec!["type"];
    let resource = resource.with_secret("password", SecretString::from(secret.to_owned()));
    let digest = resource.body.digest(&Mac::new(&[7; 32]), &resource.path);
    DesiredResource { resource, digest }
}

fn desired(resources: Vec<DesiredResource>, owned: Vec<OwnedResource>) -> Desired {
    let spec = json!({"external": {
        "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
    }});
    let cluster = Arc::new(OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap()));
    let home = Home { cluster, namespace: NamespacePath::new("team") };
    let owned = (!owned.is_empty()).then(|| OwnedResources { resources: owned, ..OwnedResources::default() });
    let (deletion_policy, root) = (DeletionPolicy::Retain, NamespacePath::root());
    let seal = Seal::new(&Mac::new(&[7; 32]), &own());
    Desired {
        home,
        resources,
        owned,
        deletion_policy,
        root,
        seal,
        deletion: |_, _| Box::pin(async { Ok(()) }),
    }
}

fn recorded(resource: &DesiredResource) -> OwnedResource {
    let digest = Some(resource.digest.clone());
    OwnedResource { path: resource.resource.path.clone(), digest, ..OwnedResource::default() }
}

fn planned(desired: &Desired, observed: &[Option<Existing>], adopt: Adopt) -> String {
    let (mark, root) = (own(), NamespacePath::root());
    let rights = Rights { mark: &mark, root: &root, adopt, exists: &|_| true };
    match writes(desired, observed, &rights) {
        Ok(writes) => {
            let described = writes.iter().map(|write| write.described(&root));
            let texts: Vec<String> = described.map(|it| format!("{:?} {}", it.operation, it.path)).collect();
            texts.join(", ")
        }
        Err(error) => error.to_string(),
    }
}

const CREATE: &str = "Create team/auth/jwt/role/web";
const UPDATE: &str = "Update team/auth/jwt/role/web";
const FOREIGN: &str = "role web in namespace team in OpenBao belongs to another owner: remove it, or set adopt: IfUnowned to \
                       adopt a resource without an owner";
const FIXED: &str = "role web in namespace team has another type, and OpenBao cannot change it: write the existing value in the \
                     spec, or create another object";
const WIDENED: &str = "role web in namespace team restricts ttl, and the spec does not state it: write the existing value in the \
                       spec, because an adoption would replace it by the default, which permits more";
const UNCLEAR: &str = "role web in namespace team exists and differs from the spec, and Steamer cannot tell who created it: remove \
                       it, or set adopt: IfUnowned to adopt it";

#[rstest]
#[case::missing(None, false, Adopt::Never, CREATE)]
#[case::missing_again(None, true, Adopt::Never, CREATE)]
#[case::settled(Some(json!({"ttl": 3600, "type": "a"})), true, Adopt::Never, "")]
#[case::drifted(Some(json!({"ttl": 60, "type": "a"})), true, Adopt::Never, UPDATE)]
#[case::foreign(Some(json!({"ttl": 3600, "type": "a"})), false, Adopt::Never, FOREIGN)]
#[case::adopted_without_a_write(Some(json!({"ttl": 3600, "type": "a"})), false, Adopt::IfUnowned, "")]
#[case::adopted_and_corrected(Some(json!({"ttl": 60, "type": "a"})), false, Adopt::IfUnowned, UPDATE)]
#[case::of_another_type(Some(json!({"ttl": 60, "type": "b"})), true, Adopt::Never, FIXED)]
#[case::unreturned_parameter(Some(json!({"type": "a"})), true, Adopt::Never, "")]
#[case::unreturned_and_never_sent(Some(json!({"type": "a"})), false, Adopt::IfUnowned, UPDATE)]
fn only_differences_are_written(
    #[case] found: Option<Value>,
    #[case] is_recorded: bool,
    #[case] adopt: Adopt,
    #[case] expected: &str,
) {
    let resource = resource(json!({"ttl": "1h", "type": "a"}), "secret");
    let owned = if is_recorded { vec![recorded(&resource)] } else { Vec::new() };
    let found = found.map(|found| Existing { parameters: map(found), ..Existing::default() });
    assert_eq!(planned(&desired(vec![resource], owned), &[found], adopt), expected);
}

#[rstest]
#[case::adopted(json!({"ttl": 60}), None, Some(WIDENED))]
#[case::adopted_with_the_default(json!({"ttl": 0}), None, None)]
#[case::announced(json!({"ttl": 60}), Some(true), Some(WIDENED))]
#[case::owned(json!({"ttl": 60}), Some(false), Some(UPDATE))]
fn an_adoption_replaces_no_restriction_by_a_default(
    #[case] found: Value,
    #[case] pending: Option<bool>,
    #[case] expected: Option<&str>,
) {
    let mut resource = resource(json!({"ttl": 0}), "secret");
    resource.resource.restricting = vec!["ttl"];
    let owned = pending.map(|pending| OwnedResource { pending, ..recorded(&resource) });
    let found = Existing { parameters: map(found), ..Existing::default() };
    let text =
        planned(&desired(vec![resource], owned.into_iter().collect()), &[Some(found)], Adopt::IfUnowned);
    assert_eq!(text, expected.unwrap_or_default());
}

#[rstest]
#[case::same("secret", "")]
#[case::changed("other", UPDATE)]
fn a_changed_secret_is_written_once(#[case] secret: &str, #[case] expected: &str) {
    let owned = vec![recorded(&resource(json!({"ttl": "1h"}), "secret"))];
    let found = Existing { parameters: map(json!({"ttl": 3600})), ..Existing::default() };
    let desired = desired(vec![resource(json!({"ttl": "1h"}), secret)], owned);
    assert_eq!(planned(&desired, &[Some(found)], Adopt::Never), expected);
}

#[rstest]
#[case::as_announced(json!({"ttl": 3600, "type": "a"}), Adopt::Never, UPDATE)]
#[case::different(json!({"ttl": 60, "type": "a"}), Adopt::Never, UNCLEAR)]
#[case::different_and_adopted(json!({"ttl": 60, "type": "a"}), Adopt::IfUnowned, UPDATE)]
fn an_announced_resource_is_owned_only_if_it_is_as_announced(
    #[case] found: Value,
    #[case] adopt: Adopt,
    #[case] expected: &str,
) {
    let resource = resource(json!({"ttl": "1h", "type": "a"}), "secret");
    // The secret is sent: the operator may have stopped before it recorded the creation.
    let owned = OwnedResource { pending: true, digest: None, ..recorded(&resource) };
    let found = Existing { parameters: map(found), ..Existing::default() };
    assert_eq!(planned(&desired(vec![resource], vec![owned]), &[Some(found)], adopt), expected);
}

#[test]
fn the_changed_secret_of_a_created_resource_is_sent_after_a_pass_that_did_not_end() {
    let resource = resource(json!({"ttl": "1h"}), "changed");
    let owned = OwnedResource { digest: None, ..recorded(&resource) };
    let found = Existing { parameters: map(json!({"ttl": 3600})), ..Existing::default() };
    assert_eq!(planned(&desired(vec![resource], vec![owned]), &[Some(found)], Adopt::Never), UPDATE);
}

#[rstest]
#[case::same(json!("a"), "")]
#[case::other(json!("b"), FIXED)]
fn a_fixed_parameter_that_every_change_repeats_is_compared(#[case] found: Value, #[case] expected: &str) {
    let mut resource = resource(json!({"ttl": "1h", "type": "a"}), "secret");
    resource.resource.fixed = Vec::new();
    resource.resource.sent_fixed = vec!["type"];
    assert_eq!(resource.resource.change_body().parameters["type"], json!("a"));
    let owned = vec![recorded(&resource)];
    let found = Existing { parameters: map(json!({"ttl": 3600, "type": found})), ..Existing::default() };
    assert_eq!(planned(&desired(vec![resource], owned), &[Some(found)], Adopt::Never), expected);
}

#[rstest]
#[case::unreturned(false, "")]
#[case::removed(true, UPDATE)]
fn a_parameter_that_a_complete_answer_lacks_is_written(#[case] is_complete: bool, #[case] expected: &str) {
    let mut resource = resource(json!({"ttl": "1h"}), "secret");
    resource.resource.is_complete = is_complete;
    let owned = vec![recorded(&resource)];
    let found = Existing::default();
    assert_eq!(planned(&desired(vec![resource], owned), &[Some(found)], Adopt::Never), expected);
}

#[test]
fn a_resource_of_a_project_is_a_conflict_even_if_it_is_recorded() {
    let resource = resource(json!({}), "secret");
    let owned = vec![recorded(&resource)];
    let mark = Mark { owner: Owner::Object(KindId::SecretsProject), ..own() };
    let found = Existing { mark: Some(mark), ..Existing::default() };
    let text = planned(&desired(vec![resource], owned), &[Some(found)], Adopt::IfUnowned);
    assert!(
        text.starts_with("role web in namespace team in OpenBao belongs to SecretsProject ns/web"),
        "{text}"
    );
}

#[rstest]
#[case::access(false, DeletionPolicy::Retain, "Delete team/kv")]
#[case::kept_values(true, DeletionPolicy::Retain, "")]
#[case::deleted_values(true, DeletionPolicy::Delete, "Delete team/kv")]
fn a_resource_that_the_spec_no_longer_contains_is_deleted(
    #[case] holds_values: bool,
    #[case] policy: DeletionPolicy,
    #[case] expected: &str,
) {
    let owned = OwnedResource { path: "kv".to_owned(), holds_values, ..OwnedResource::default() };
    let part = OwnedResource { path: "kv/config".to_owned(), is_part: true, ..OwnedResource::default() };
    let desired = Desired { deletion_policy: policy, ..desired(Vec::new(), vec![owned, part]) };
    assert_eq!(planned(&desired, &[], Adopt::Never), expected);
}

#[rstest]
#[case::created(&["team/auth/jwt/role/web"], false)]
#[case::in_another_namespace(&["auth/jwt/role/web"], true)]
#[case::not_created(&[], true)]
fn an_object_owns_what_it_created_before_a_later_write_failed(
    #[case] created: &[&str],
    #[case] pending: bool,
) {
    let desired = desired(vec![resource(json!({}), "secret")], Vec::new());
    let created = created.iter().map(|path| (*path).to_owned()).collect();
    let record = record::after_error(&desired, &[None], &Progress { created, ..Progress::default() });
    assert_eq!((record.resources[0].pending, &record.resources[0].digest), (pending, &None));
}

#[test]
fn the_rest_of_an_interrupted_creation_is_deleted_and_not_changed() {
    let mut role = resource(json!({"ttl": "1h"}), "secret");
    role.resource.interrupted = Some(|_, _| Box::pin(async { Ok(()) }));
    let pending = OwnedResource { pending: true, ..recorded(&role) };
    let desired = desired(vec![role], vec![pending]);
    let planned = planned(&desired, &found(json!({"ttl": 60})), Adopt::Never);
    assert_eq!(planned, "Delete team/auth/jwt/role/web");
}

/// A later write of each pass is refused: the secret is sent once.
#[test]
fn a_secret_that_was_sent_before_a_later_write_failed_is_not_sent_again() {
    let owned = vec![recorded(&resource(json!({"ttl": "1h"}), "former"))];
    let rotated = |owned| desired(vec![resource(json!({"ttl": "1h"}), "new")], owned);
    let (first, observed) = (rotated(owned), found(json!({"ttl": 3600})));
    assert_eq!(planned(&first, &observed, Adopt::Never), UPDATE);
    let updated = vec!["team/auth/jwt/role/web".to_owned()];
    let record = record::after_error(&first, &observed, &Progress { updated, ..Progress::default() });
    assert_eq!(planned(&rotated(record.resources), &observed, Adopt::Never), "");
}

fn paused(desired: &Desired, observed: &[Option<Existing>]) -> OwnedResource {
    let paused = vec!["team/auth/jwt/role/web".to_owned()];
    let progress = Progress { paused, ..Progress::default() };
    record::after_pauses(desired, observed, &progress).resources.remove(0)
}

#[test]
fn a_secret_whose_write_is_paused_is_sent_later() {
    let owned = vec![recorded(&resource(json!({"ttl": "1h"}), "former"))];
    let rotated = |owned| desired(vec![resource(json!({"ttl": "1h"}), "new")], owned);
    let observed = found(json!({"ttl": 3600}));
    let first = rotated(owned.clone());
    assert_eq!(planned(&first, &observed, Adopt::Never), UPDATE);
    let entry = paused(&first, &observed);
    assert_eq!((entry.pending, &entry.digest), (false, &owned[0].digest));
    assert_eq!(planned(&rotated(vec![entry]), &observed, Adopt::Never), UPDATE);
}

#[test]
fn a_resource_whose_creation_is_paused_is_not_owned() {
    let first = desired(vec![resource(json!({"ttl": "1h"}), "secret")], Vec::new());
    let entry = paused(&first, &[None]);
    assert_eq!((entry.pending, entry.digest), (true, None));
}

#[rstest]
#[case::withdrawal(true, &["auth/jwt/role/web", "announced"])]
#[case::complete(false, &["auth/jwt/role/web"])]
fn a_pass_that_only_withdraws_access_keeps_what_is_announced(
    #[case] has_next: bool,
    #[case] expected: &[&str],
) {
    let entry =
        |path: &str, pending| OwnedResource { path: path.to_owned(), pending, ..OwnedResource::default() };
    let owned = vec![entry("announced", true), entry("former", false)];
    let mut role = resource(json!({"ttl": "1h"}), "secret");
    let next = FollowUp { path: String::new(), reason: "Steamer looks again", is_due: false };
    role.resource.follow_up = has_next.then_some(next);
    let record = record::after_writes(&desired(vec![role], owned));
    assert_eq!(record.resources.iter().map(|it| &*it.path).collect::<Vec<_>>(), expected);
    assert_eq!(record.resources.iter().filter(|it| it.pending).count(), expected.len() - 1);
}

#[test]
fn a_new_secret_is_no_repetition_of_a_write() {
    let repeated = |secret: &str| {
        let owned = vec![recorded(&resource(json!({"ttl": "1h"}), "former"))];
        let desired = desired(vec![resource(json!({"ttl": "1h"}), secret)], owned);
        let (mark, root) = (own(), NamespacePath::root());
        let rights = Rights { mark: &mark, root: &root, adopt: Adopt::Never, exists: &|_| true };
        let writes = writes(&desired, &found(json!({"ttl": 3600})), &rights).unwrap();
        writes[0].repetition(0, Duration::ZERO).desired
    };
    assert_eq!(repeated("a"), repeated("a"));
    assert_ne!(repeated("a"), repeated("b"));
}

#[test]
fn the_parts_of_a_mount_are_changed_at_one_path_and_counted_separately() {
    let part = |path: &str| {
        let tuned = Some("sys/auth/users/tune".to_owned());
        let resource = Resource::at("part", path, map(json!({"ttl": "1h"})));
        let resource = Resource { changed_at: tuned, deleted_at: None, ..resource };
        DesiredResource { resource, digest: String::new() }
    };
    let paths = ["sys/auth/users", "sys/auth/users/tune", "sys/auth/users/tune/parameters"];
    let desired = desired(paths.map(part).into(), Vec::new());
    let (mark, root) = (own(), NamespacePath::root());
    let rights = Rights { mark: &mark, root: &root, adopt: Adopt::IfUnowned, exists: &|_| true };
    let observed: Vec<_> = paths.iter().flat_map(|_| found(json!({"ttl": 7200}))).collect();
    let writes = writes(&desired, &observed, &rights).unwrap();
    assert!(writes.iter().all(|write| write.path() == "team/sys/auth/users/tune"));
    let identities: Vec<String> = writes.iter().map(Write::identity).collect();
    assert_eq!(identities, paths.map(|path| format!("team/{path}")));
    let counted: BTreeSet<u64> = writes.iter().map(Write::resource).collect();
    assert_eq!(counted.len(), paths.len());
}

fn found(parameters: Value) -> Vec<Option<Existing>> {
    vec![Some(Existing { parameters: map(parameters), ..Existing::default() })]
}

/// A resource whose answer contains the secret in another form, of which `digest` is the digest.
fn found_otherwise(digest: &str) -> Vec<Option<Existing>> {
    let secrets = Returned { names: vec!["password".to_owned()], digest: Some(digest.to_owned()) };
    vec![Some(Existing { parameters: map(json!({"ttl": 3600})), secrets, ..Existing::default() })]
}

#[rstest]
#[case::changed_by_hand(true, None, UPDATE)]
#[case::another_form(true, Some("form"), "")]
#[case::another_form_changed_by_hand(true, Some("other"), UPDATE)]
#[case::adopted(false, None, UPDATE)]
fn a_returned_secret_is_written_if_it_differs_from_the_one_after_the_last_write(
    #[case] is_recorded: bool,
    #[case] returned: Option<&str>,
    #[case] expected: &str,
) {
    let role = resource(json!({"ttl": "1h"}), "secret");
    let entry = OwnedResource { returned: returned.map(str::to_owned), ..recorded(&role) };
    let owned = is_recorded.then_some(entry);
    let desired = desired(vec![role], owned.into_iter().collect());
    assert_eq!(planned(&desired, &found_otherwise("form"), Adopt::IfUnowned), expected);
}

#[test]
fn a_changed_secret_is_sent_although_the_form_of_the_former_one_is_recorded() {
    let former = recorded(&resource(json!({"ttl": "1h"}), "former"));
    let former = OwnedResource { returned: Some("form".to_owned()), ..former };
    let desired = desired(vec![resource(json!({"ttl": "1h"}), "secret")], vec![former]);
    assert_eq!(planned(&desired, &found_otherwise("form"), Adopt::Never), UPDATE);
    assert_eq!(record::after_writes(&desired).resources[0].returned, None);
}

#[test]
fn the_form_of_a_secret_stays_recorded_without_a_write() {
    let role = || resource(json!({"ttl": "1h"}), "secret");
    let owned = OwnedResource { returned: Some("form".to_owned()), ..recorded(&role()) };
    let record = record::after_writes(&desired(vec![role()], vec![owned.clone()]));
    assert_eq!(record.resources[0].returned, owned.returned);
}

/// The records with which the next pass starts if the first one does not end.
fn interrupted(first: &Desired, observed: &[Option<Existing>]) -> [OwnedResources; 2] {
    [record::before_writes(first, observed), record::after_error(first, observed, &Progress::default())]
}

#[rstest]
#[case::same("secret", "")]
#[case::changed("other", UPDATE)]
fn an_adoption_that_did_not_end_keeps_the_password_until_the_secret_changes(
    #[case] secret: &str,
    #[case] expected: &str,
) {
    let parameters = || json!({"ttl": "1h", "type": "a"});
    let observed = found(json!({"ttl": 3600, "type": "a"}));
    let first = desired(vec![resource(parameters(), "secret")], Vec::new());
    assert_eq!(planned(&first, &observed, Adopt::IfUnowned), "");
    for announced in interrupted(&first, &observed) {
        assert!(announced.resources[0].pending && announced.resources[0].digest.is_some());
        // The operator starts again, and the status has the last record.
        let next = desired(vec![resource(parameters(), secret)], announced.resources);
        assert_eq!(planned(&next, &observed, Adopt::IfUnowned), expected);
    }
}

#[test]
fn an_adoption_that_did_not_end_still_sends_what_openbao_does_not_return() {
    let unreturned = || desired(vec![resource(json!({"ttl": "1h", "type": "a"}), "secret")], Vec::new());
    let observed = found(json!({"type": "a"}));
    assert_eq!(planned(&unreturned(), &observed, Adopt::IfUnowned), UPDATE);
    for announced in interrupted(&unreturned(), &observed) {
        let next = Desired { owned: Some(announced), ..unreturned() };
        assert_eq!(planned(&next, &observed, Adopt::IfUnowned), UPDATE);
    }
}

#[test]
fn a_creation_that_did_not_end_is_announced_without_a_digest() {
    let first = desired(vec![resource(json!({"ttl": "1h"}), "secret")], Vec::new());
    for announced in interrupted(&first, &[None]) {
        assert!(announced.resources[0].pending && announced.resources[0].digest.is_none());
        let next = desired(vec![resource(json!({"ttl": "1h"}), "secret")], announced.resources);
        assert_eq!(planned(&next, &found(json!({"ttl": 3600})), Adopt::Never), UPDATE);
    }
}

#[test]
fn an_announced_resource_that_the_spec_no_longer_contains_stays() {
    let owned = OwnedResource { path: "kv".to_owned(), pending: true, ..OwnedResource::default() };
    assert_eq!(planned(&desired(Vec::new(), vec![owned]), &[], Adopt::Never), "");
}

#[rstest]
#[case::default(json!({"type": "a", "deletable": false}), "Create team/transit/keys/web")]
#[case::created(json!({"type": "a", "ttl": "1h"}), "Create team/transit/keys/web")]
#[case::left(
    json!({"type": "a", "deletable": true}),
    "Create team/transit/keys/web, Update team/transit/keys/web/config"
)]
fn a_change_follows_a_creation_that_does_not_accept_a_parameter(
    #[case] parameters: Value,
    #[case] expected: &str,
) {
    let path = "transit/keys/web".to_owned();
    let key = Resource {
        creation: Some((path.clone(), map(json!({"type": "a", "ttl": 3600})))),
        is_completed_by_change: true,
        changed_at: Some(format!("{path}/config")),
        fixed: vec!["type"],
        ..Resource::at("key web", path, map(parameters))
    };
    let key = DesiredResource { resource: key, digest: "d".to_owned() };
    assert_eq!(planned(&desired(vec![key], Vec::new()), &[None], Adopt::Never), expected);
}

/// A connection whose password is sent only at its creation, and is rotated afterwards.
fn connection(is_due: bool, secret: &str) -> DesiredResource {
    let DesiredResource { mut resource, .. } = resource(json!({"statements": ["a", "b"]}), secret);
    resource.fixed = vec!["password"];
    resource.ordered = vec!["statements"];
    resource.follow_up =
        Some(FollowUp { path: "db/rotate-root/pg".to_owned(), reason: "the password is rotated", is_due });
    let digest = resource.body.digest(&Mac::new(&[7; 32]), &resource.path);
    DesiredResource { resource, digest }
}

#[rstest]
#[case::settled(json!(["a", "b"]), false, "")]
#[case::due(json!(["a", "b"]), true, "Update team/db/rotate-root/pg")]
#[case::reordered(json!(["b", "a"]), false, UPDATE)]
fn a_follow_up_is_sent_when_it_is_due_and_a_fixed_secret_is_not(
    #[case] statements: Value,
    #[case] is_due: bool,
    #[case] expected: &str,
) {
    let owned = vec![recorded(&connection(false, "former"))];
    let found = Existing { parameters: map(json!({"statements": statements})), ..Existing::default() };
    let connection = connection(is_due, "secret");
    assert!(connection.resource.change_body().secrets.is_empty());
    assert_eq!(connection.resource.creation_body().secrets.len(), 1);
    assert_eq!(planned(&desired(vec![connection], owned), &[Some(found)], Adopt::Never), expected);
}

#[rstest]
#[case::as_announced(json!({"ttl": "1h"}), json!({"ttl": 3600}), false, true)]
#[case::different(json!({"ttl": "1h"}), json!({"ttl": 60}), false, false)]
#[case::values(json!({"ttl": "1h"}), json!({"ttl": 3600}), true, false)]
#[case::nothing_to_compare(json!({}), json!({"ttl": 3600}), false, false)]
fn a_deletion_confirms_only_access_that_is_as_announced(
    #[case] parameters: Value,
    #[case] found: Value,
    #[case] holds_values: bool,
    #[case] expected: bool,
) {
    let resource = resource(parameters, "secret");
    let entry = OwnedResource { pending: true, holds_values, ..recorded(&resource) };
    let found = Existing { parameters: map(found), ..Existing::default() };
    let desired = desired(vec![resource], vec![entry.clone()]);
    assert_eq!(is_created(&desired, &[Some(found)], &entry), expected);
}
