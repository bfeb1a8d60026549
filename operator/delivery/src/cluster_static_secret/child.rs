//! The BaoStaticSecret of one namespace: desired state, and its difference from the existing one.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt};
use serde_json::{Map, Value, json};
use steamer_api::{BaoStaticSecret, ClusterBaoStaticSecret, RECONCILE_ANNOTATION};

use crate::engine::{APPLIED, Applied};

/// The name of the BaoStaticSecrets of an object.
pub(super) fn name(owner: &ClusterBaoStaticSecret) -> String {
    owner.spec.template.metadata.name.clone().unwrap_or_else(|| owner.name_any())
}

/// Whether the object created the BaoStaticSecret.
pub(super) fn is_owned(child: &BaoStaticSecret, owner: &ClusterBaoStaticSecret) -> bool {
    let uid = owner.metadata.uid.as_deref().unwrap_or_default();
    child.owner_references().iter().any(|owner| owner.uid == uid && owner.controller == Some(true))
}

/// Whether the BaoStaticSecret with the name of the template replaces one with a former name.
pub(super) fn is_replaced(current: Option<&BaoStaticSecret>, owner: &ClusterBaoStaticSecret) -> bool {
    current.is_some_and(|current| is_owned(current, owner) && current.metadata.deletion_timestamp.is_none())
}

/// The desired BaoStaticSecret. A requested reconcile is passed on. An annotation lists the labels and annotations of the
/// template, because those that the template no longer contains are removed.
pub(super) fn desired(owner: &ClusterBaoStaticSecret, namespace: &str) -> BaoStaticSecret {
    let template = &owner.spec.template;
    let mut annotations = template.metadata.annotations.clone();
    if let Some(requested) = owner.annotations().get(RECONCILE_ANNOTATION) {
        annotations.insert(RECONCILE_ANNOTATION.to_owned(), requested.clone());
    }
    let metadata = &template.metadata;
    let applied = json!({
        "labels": metadata.labels.keys().collect::<Vec<_>>(),
        "annotations": metadata.annotations.keys().collect::<Vec<_>>(),
    });
    annotations.insert(APPLIED.to_owned(), applied.to_string());
    let mut child = BaoStaticSecret::new(&name(owner), template.spec.clone());
    child.metadata.namespace = Some(namespace.to_owned());
    child.metadata.owner_references = owner.controller_owner_ref(&()).map(|owner| vec![owner]);
    child.metadata.labels = filled(template.metadata.labels.clone());
    child.metadata.annotations = Some(annotations);
    child
}

/// The BaoStaticSecret as its controller would see it. A requested reconcile is no change of the value.
pub(super) fn previewed(
    owner: &ClusterBaoStaticSecret,
    mut desired: BaoStaticSecret,
    existing: Option<&BaoStaticSecret>,
) -> BaoStaticSecret {
    desired.annotations_mut().remove(RECONCILE_ANNOTATION);
    // A value that was read since the creation of the owner is recent enough for all namespaces.
    let metadata = existing.map_or(&owner.metadata, |existing| &existing.metadata);
    desired.metadata.creation_timestamp.clone_from(&metadata.creation_timestamp);
    desired.metadata.uid = existing.and_then(|existing| existing.metadata.uid.clone());
    desired.status = existing.and_then(|existing| existing.status.clone());
    desired
}

fn filled(entries: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!entries.is_empty()).then_some(entries)
}

/// The merge patch (RFC 7396) that brings an existing BaoStaticSecret to the desired state. `None` if it is. Labels and
/// annotations of others stay. The API server refuses the patch if the BaoStaticSecret was changed in the meantime.
pub(super) fn patch(existing: &BaoStaticSecret, desired: &BaoStaticSecret) -> Option<Value> {
    let former = former(existing, desired);
    let labels = differing(existing.labels(), desired.labels(), &former.labels);
    let annotations = differing(existing.annotations(), desired.annotations(), &former.annotations);
    if labels.is_empty() && annotations.is_empty() && existing.spec == desired.spec {
        return None;
    }
    let spec = changes(&json!(existing.spec), &json!(desired.spec));
    let metadata = json!({
        "uid": existing.uid(), "resourceVersion": existing.resource_version(), "labels": labels,
        "annotations": annotations,
    });
    Some(json!({"metadata": metadata, "spec": spec}))
}

/// The recorded labels and annotations. None if the record is the desired one: it is not parsed for each event.
fn former(existing: &BaoStaticSecret, desired: &BaoStaticSecret) -> Applied {
    let recorded = existing.annotations().get(APPLIED);
    let changed = recorded.filter(|recorded| desired.annotations().get(APPLIED) != Some(*recorded));
    changed.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The merge patch of labels or annotations. Those of `former` that are not wanted are removed.
fn differing(
    found: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    former: &[String],
) -> Map<String, Value> {
    let removed = former.iter().filter(|key| found.contains_key(*key) && !wanted.contains_key(*key));
    let removed = removed.map(|key| (key.clone(), Value::Null));
    let changed = wanted.iter().filter(|(key, value)| found.get(*key) != Some(value));
    changed.map(|(key, value)| (key.clone(), json!(value))).chain(removed).collect()
}

/// The merge patch from one value to another. `null` removes a field.
fn changes(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return to.clone();
    };
    let removed = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
    let changed =
        changed.map(|(key, value)| (key.clone(), changes(from.get(key).unwrap_or(&Value::Null), value)));
    removed.chain(changed).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use rstest::rstest;

    use super::*;

    /// An object with the changes to its metadata and template.
    pub(in super::super) fn owner(metadata: &Value, template: &Value) -> ClusterBaoStaticSecret {
        let spec = json!({"mount": "kv", "path": "app", "type": "kv-v2", "destination": {"name": "app"}});
        let mut object = json!({
            "metadata": {"name": "registry", "uid": "owner"},
            "spec": {"namespaces": ["web"], "template": {"spec": spec}},
        });
        for (place, changes) in [("/metadata", metadata), ("/spec/template", template)] {
            for (key, value) in changes.as_object().into_iter().flatten() {
                object.pointer_mut(place).unwrap()[key] = value.clone();
            }
        }
        serde_json::from_value(object).unwrap()
    }

    /// The desired BaoStaticSecret, as the API server stores it.
    pub(in super::super) fn stored(owner: &ClusterBaoStaticSecret) -> BaoStaticSecret {
        let mut child = desired(owner, "web");
        child.metadata.uid = Some("child".to_owned());
        child.metadata.resource_version = Some("7".to_owned());
        child
    }

    #[test]
    fn the_owner_names_and_owns_its_children() {
        let plain = owner(&json!({}), &json!({}));
        let child = stored(&plain);
        assert_eq!((child.name_any().as_str(), child.namespace().as_deref()), ("registry", Some("web")));
        assert!(is_owned(&child, &plain));
        assert!(!is_owned(&child, &owner(&json!({"uid": "recreated"}), &json!({}))));
        let renamed = owner(&json!({}), &json!({"metadata": {"name": "pull"}}));
        assert_eq!(stored(&renamed).name_any(), "pull");
    }

    #[rstest]
    #[case::labels(
        json!({}), json!({"metadata": {"labels": {"a": "new"}}}),
        json!({"labels": {"a": "new"}, "annotations": {}}), json!({})
    )]
    #[case::annotations(
        json!({}), json!({"metadata": {"annotations": {"a": "new"}}}),
        json!({"labels": {}, "annotations": {"a": "new"}}), json!({})
    )]
    #[case::requested_reconcile(
        json!({"annotations": {RECONCILE_ANNOTATION: "now"}}), json!({}),
        json!({"labels": {}, "annotations": {RECONCILE_ANNOTATION: "now"}}), json!({})
    )]
    fn only_what_differs_is_patched(
        #[case] metadata: Value,
        #[case] template: Value,
        #[case] expected: Value,
        #[case] spec: Value,
    ) {
        let mut existing = stored(&owner(&json!({}), &json!({})));
        existing.labels_mut().insert("theirs".to_owned(), "x".to_owned());
        let mut found = patch(&existing, &desired(&owner(&metadata, &template), "web")).unwrap();
        found["metadata"]["annotations"].as_object_mut().unwrap().remove(APPLIED);
        let guarded = json!({"uid": "child", "resourceVersion": "7"});
        for part in [&guarded, &expected] {
            for (key, value) in part.as_object().unwrap() {
                assert_eq!(&found["metadata"][key], value, "{key}");
            }
        }
        assert_eq!(found["spec"], spec);
    }

    #[test]
    fn labels_and_annotations_that_the_template_no_longer_contains_are_removed() {
        let templated = |metadata: Value| owner(&json!({}), &json!({"metadata": metadata}));
        let before = json!({"labels": {"a": "b", "kept": "x"}, "annotations": {"c": "d"}});
        let mut existing = stored(&templated(before));
        existing.labels_mut().insert("theirs".to_owned(), "x".to_owned());
        let after = templated(json!({"labels": {"kept": "x"}}));
        let found = patch(&existing, &desired(&after, "web")).unwrap();
        assert_eq!(found["metadata"]["labels"], json!({"a": null}));
        let annotations = found["metadata"]["annotations"].as_object().unwrap();
        assert_eq!(annotations.get("c"), Some(&Value::Null));
        assert_eq!(
            annotations.get(APPLIED),
            stored(&after).annotations().get(APPLIED).map(|it| json!(it)).as_ref()
        );
    }

    #[test]
    fn a_child_is_replaced_once_the_owner_has_another_one() {
        let plain = owner(&json!({}), &json!({}));
        assert!(is_replaced(Some(&stored(&plain)), &plain));
        assert!(!is_replaced(None, &plain));
        let mut foreign = stored(&plain);
        foreign.metadata.owner_references = None;
        assert!(!is_replaced(Some(&foreign), &plain));
        let mut deleting = stored(&plain);
        deleting.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap();
        assert!(!is_replaced(Some(&deleting), &plain));
    }

    #[test]
    fn a_child_in_its_desired_state_is_not_patched() {
        let owner = owner(&json!({}), &json!({"metadata": {"labels": {"a": "b"}}}));
        let mut existing = stored(&owner);
        existing.annotations_mut().insert("theirs".to_owned(), "x".to_owned());
        assert_eq!(patch(&existing, &desired(&owner, "web")), None);
    }

    #[test]
    fn an_edited_spec_is_restored_and_added_fields_are_removed() {
        let owner = owner(&json!({}), &json!({}));
        let mut existing = stored(&owner);
        existing.spec.suspend = true;
        existing.spec.namespace = Some("other".to_owned());
        existing.spec.destination.name = "other".to_owned();
        let patch = patch(&existing, &desired(&owner, "web")).unwrap();
        let expected = json!({"suspend": false, "namespace": null, "destination": {"name": "app"}});
        assert_eq!(patch["spec"], expected);
    }
}
