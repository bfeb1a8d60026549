//! A Secret in its desired state, and how it differs from the observed one. The frame (labels, annotations, type, owner)
//! is separate from the content: a patch of the frame contains no data.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use steamer_core::mac::Mac;
use steamer_core::ownership::Mark;
use steamer_runtime::ObjectName;

use super::content::Content;
use super::labels::{APPLIED, KEYS_OF, KEYS_STAMP, MANAGED_BY, OWNER, STAMP};
use super::observed::Observed;
use super::predecessors;
use super::stamp::Stamp;
use super::templated::{Sealed, Templated};
use super::transformation::Metadata;

/// Everything of a Secret except its data.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) name: ObjectName,
    pub(crate) type_: String,
    /// Labels of the spec, and those of templates that are known.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations of the spec, and those of templates that are known.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) templated: Templated,
    /// Whether the API server refuses changes of the data.
    pub(crate) immutable: bool,
    /// Owner reference. None if the Secret outlives the object.
    pub(crate) owner: Option<OwnerReference>,
    pub(crate) mark: Mark,
}

/// How an observed Secret fits the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    /// Labels, annotations or owner differ.
    Differs,
    /// The type differs. The API server does not change the type of a Secret.
    OtherType,
    /// A label or annotation of a template differs, or the Secret has none yet: the value is needed to render it.
    Unrendered,
    /// Steamer made the Secret immutable for an earlier spec. The API server does not change it back.
    Frozen,
}

/// A Secret in its desired state.
pub(crate) struct Wanted<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) content: &'a Content,
    pub(crate) stamp: &'a Stamp,
}

impl Frame {
    /// The frame with the labels and annotations of templates.
    pub(crate) fn with(mut self, sealed: Sealed) -> Self {
        self.labels.extend(sealed.metadata.labels.clone());
        self.annotations.extend(sealed.metadata.annotations.clone());
        self.templated = Templated::Known(sealed);
        self
    }

    /// The frame with rendered labels and annotations, if the spec has templates of them.
    pub(crate) fn rendered(&self, metadata: Metadata, mac: &Mac) -> Self {
        match self.templated {
            Templated::None => self.clone(),
            Templated::Unknown | Templated::Known(_) => {
                self.clone().with(Sealed::new(metadata, mac, &self.name))
            }
        }
    }

    /// The frame with the labels and annotations of templates of an observed Secret. None if it does not have them as
    /// Steamer wrote them.
    pub(crate) fn completed(&self, observed: &Observed) -> Option<Self> {
        match self.templated {
            Templated::Unknown => {
                observed.templated.as_ref().map(|sealed| self.clone().with((**sealed).clone()))
            }
            Templated::None | Templated::Known(_) => Some(self.clone()),
        }
    }

    /// Compares with an observed Secret. Labels and annotations of other clients do not matter.
    pub(crate) fn fit(&self, observed: &Observed) -> Fit {
        if self.templated != Templated::Unknown {
            return self.fit_complete(observed);
        }
        match self.completed(observed) {
            Some(complete) => complete.fit_complete(observed),
            None if self.type_ != observed.type_ => Fit::OtherType,
            None => Fit::Unrendered,
        }
    }

    fn fit_complete(&self, observed: &Observed) -> Fit {
        let applied = observed.applied();
        let fits = contains(&observed.labels, &self.all_labels())
            && contains(&observed.annotations, &self.own_annotations())
            && !has_stale(&observed.labels, &applied.labels, &self.labels)
            && !has_stale(&observed.annotations, &applied.annotations, &self.annotations)
            && !observed.annotations.contains_key(KEYS_OF)
            && (observed.immutable || !self.immutable)
            && predecessors::removals(&observed.labels, &self.labels).is_empty()
            && predecessors::removals(&observed.annotations, &self.annotations).is_empty()
            && self.is_owner_of(observed);
        match fits {
            _ if self.type_ != observed.type_ => Fit::OtherType,
            _ if observed.immutable && applied.immutable && !self.immutable => Fit::Frozen,
            true => Fit::Fits,
            false => Fit::Differs,
        }
    }

    /// Returns true if the owner is the only one of this or of a former operator. Steamer also serves objects of a former
    /// operator.
    fn is_owner_of(&self, observed: &Observed) -> bool {
        let owners = observed.owners.iter().filter(|owner| predecessors::is_operator(owner));
        owners.map(|owner| &owner.uid).eq(self.owner.iter().map(|owner| &owner.uid))
    }

    /// The patch that repairs the frame of an observed Secret, and its stamp if there is one. It contains no data. The API
    /// server refuses it if another client changed the Secret in the meantime.
    pub(crate) fn patch(&self, observed: &Observed, stamp: Option<&Stamp>) -> Value {
        let mut annotations = self.own_annotations();
        annotations.extend(stamp.map(|stamp| (STAMP.to_owned(), stamp.text())));
        self.guarded(json!({"metadata": self.metadata(observed, annotations)}))
    }

    /// A body with the setting of an immutable Secret. Other Secrets have no such field.
    fn guarded(&self, mut body: Value) -> Value {
        if self.immutable {
            body["immutable"] = Value::Bool(true);
        }
        body
    }

    fn metadata(&self, observed: &Observed, annotations: BTreeMap<String, String>) -> Value {
        let mut applied = observed.applied();
        // The keys of a deleted object are replaced: it must not claim the Secret when it is recreated.
        if observed.annotations.contains_key(KEYS_OF) {
            applied.annotations.extend([KEYS_OF, KEYS_STAMP].map(str::to_owned));
        }
        json!({
            "uid": observed.uid,
            "resourceVersion": observed.resource_version.to_string(),
            "labels": merged(
                predecessors::removals(&observed.labels, &self.labels),
                with_removals(&self.all_labels(), &applied.labels),
            ),
            "annotations": merged(
                predecessors::removals(&observed.annotations, &self.annotations),
                with_removals(&annotations, &applied.annotations),
            ),
            "ownerReferences": self.owner_references(observed),
        })
    }

    fn all_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        labels
    }

    /// All annotations except the stamp.
    fn own_annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.annotations.clone();
        annotations.remove(STAMP);
        annotations.insert(OWNER.to_owned(), self.mark.to_string());
        let mut applied = json!({
            "labels": self.labels.keys().collect::<Vec<_>>(),
            "annotations": self.annotations.keys().collect::<Vec<_>>(),
        });
        if self.immutable {
            applied["immutable"] = Value::Bool(true);
        }
        if let Templated::Known(sealed) = &self.templated {
            applied["templated"] = json!(sealed.record());
        }
        annotations.insert(APPLIED.to_owned(), applied.to_string());
        annotations
    }

    fn owner_references(&self, observed: &Observed) -> Vec<OwnerReference> {
        let others = observed.owners.iter().filter(|owner| !predecessors::is_operator(owner));
        others.cloned().chain(self.owner.clone()).collect()
    }
}

impl Wanted<'_> {
    /// Returns true if the observed Secret is in the desired state.
    pub(crate) fn fits(&self, observed: &Observed) -> bool {
        self.stamp.content == observed.mac
            && observed.stamp().as_ref() == Some(self.stamp)
            && self.frame.fit(observed) == Fit::Fits
    }

    /// Returns true if the API server refuses to change the observed Secret, so that it must be deleted and created again.
    pub(crate) fn replaces(&self, observed: &Observed) -> bool {
        let is_fixed = matches!(self.frame.fit(observed), Fit::OtherType | Fit::Frozen);
        is_fixed || (observed.immutable && self.stamp.content != observed.mac)
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.frame.own_annotations();
        annotations.insert(STAMP.to_owned(), self.stamp.text());
        annotations
    }

    /// The body of the first write.
    pub(crate) fn object(&self) -> Value {
        let frame = self.frame;
        frame.guarded(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": frame.name.namespace,
                "name": frame.name.name,
                "labels": frame.all_labels(),
                "annotations": self.annotations(),
                "ownerReferences": frame.owner.iter().collect::<Vec<_>>(),
            },
            "type": frame.type_,
            "data": encoded(self.content),
        }))
    }

    /// The patch that brings an observed Secret to the desired state. It replaces the data completely, and contains no value
    /// if the Secret has the same data. The API server refuses it if another client changed the Secret in the meantime.
    pub(crate) fn patch(&self, observed: &Observed) -> Value {
        let is_same = self.stamp.content == observed.mac;
        let mut data = if is_same { Map::new() } else { encoded(self.content) };
        for key in observed.keys.iter().filter(|key| !self.content.0.contains_key(*key)) {
            data.insert(key.clone(), Value::Null);
        }
        let metadata = self.frame.metadata(observed, self.annotations());
        self.frame.guarded(json!({"metadata": metadata, "data": data}))
    }
}

/// The content in Base64.
pub(super) fn encoded(content: &Content) -> Map<String, Value> {
    let encode = |value: &[u8]| Value::String(STANDARD.encode(value));
    content.0.iter().map(|(key, value)| (key.clone(), encode(value.expose_secret()))).collect()
}

fn contains(all: &BTreeMap<String, String>, some: &BTreeMap<String, String>) -> bool {
    some.iter().all(|(key, value)| all.get(key) == Some(value))
}

/// Returns true if `present` contains a key that was applied and that the spec no longer contains.
fn has_stale(
    present: &BTreeMap<String, String>,
    applied: &[String],
    spec: &BTreeMap<String, String>,
) -> bool {
    applied.iter().any(|key| !spec.contains_key(key) && present.contains_key(key))
}

fn with_removals(wanted: &BTreeMap<String, String>, applied: &[String]) -> Map<String, Value> {
    let gone = applied.iter().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    wanted.iter().map(|(key, value)| (key.clone(), json!(value))).chain(gone).collect()
}

fn merged(mut patch: Map<String, Value>, other: Map<String, Value>) -> Map<String, Value> {
    patch.extend(other);
    patch
}

/// The frame of a Secret `web/app` without labels and owner.
#[cfg(test)]
pub(super) fn sample() -> Frame {
    let name = ObjectName::new("web", "app");
    let owner = steamer_core::ownership::Owner::Object(steamer_api::KindId::BaoStaticSecret);
    Frame {
        mark: Mark { installation: "i".to_owned(), owner, name: name.clone() },
        name,
        type_: "Opaque".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        templated: Templated::None,
        immutable: false,
        owner: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;

    use super::super::held::Held;
    use super::*;

    fn frame() -> Frame {
        let name = ObjectName::new("web", "app");
        let owner = OwnerReference {
            api_version: "steamer.dev/v1alpha1".to_owned(),
            kind: "BaoStaticSecret".to_owned(),
            name: "app".to_owned(),
            uid: "u1".to_owned(),
            ..OwnerReference::default()
        };
        Frame {
            mark: Mark {
                installation: "i".to_owned(),
                owner: Owner::Object(KindId::BaoStaticSecret),
                name: name.clone(),
            },
            name,
            type_: "Opaque".to_owned(),
            labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
            annotations: BTreeMap::from([("note".to_owned(), "mine".to_owned())]),
            templated: Templated::None,
            immutable: false,
            owner: Some(owner),
        }
    }

    fn stamp() -> Stamp {
        let held = Held::Read { versions: vec![Some(1)] };
        Stamp { request: "r".to_owned(), content: "c".to_owned(), held, ..Stamp::default() }
    }

    /// The Secret as the API server returns it after the first write.
    fn written(frame: &Frame) -> Observed {
        let (content, stamp) = (Content::default(), stamp());
        let wanted = Wanted { frame, content: &content, stamp: &stamp };
        Observed {
            uid: "s".to_owned(),
            resource_version: 7,
            type_: frame.type_.clone(),
            mac: "c".to_owned(),
            keys: BTreeSet::from(["old".to_owned()]),
            labels: frame.all_labels(),
            annotations: wanted.annotations(),
            owners: frame.owner.iter().cloned().collect(),
            immutable: frame.immutable,
            templated: None,
        }
    }

    #[rstest]
    #[case::written(|_: &mut Observed| {}, Fit::Fits)]
    #[case::a_label_of_another_client(|o: &mut Observed| drop(o.labels.insert("x".into(), "y".into())), Fit::Fits)]
    #[case::a_changed_label(|o: &mut Observed| drop(o.labels.insert("app".into(), "x".into())), Fit::Differs)]
    #[case::a_removed_label(|o: &mut Observed| drop(o.labels.remove("app")), Fit::Differs)]
    #[case::no_managed_by_label(|o: &mut Observed| drop(o.labels.remove(MANAGED_BY.0)), Fit::Differs)]
    #[case::a_changed_annotation(|o: &mut Observed| drop(o.annotations.insert("note".into(), "x".into())), Fit::Differs)]
    #[case::another_owner(|o: &mut Observed| o.owners[0].uid = "u2".into(), Fit::Differs)]
    #[case::no_owner(|o: &mut Observed| o.owners.clear(), Fit::Differs)]
    #[case::another_type(|o: &mut Observed| o.type_ = "example.com/x".into(), Fit::OtherType)]
    #[case::keys_of_another_object(|o: &mut Observed| drop(o.annotations.insert(KEYS_OF.into(), "x".into())), Fit::Differs)]
    #[case::stamp_is_no_part_of_the_frame(|o: &mut Observed| drop(o.annotations.remove(STAMP)), Fit::Fits)]
    fn the_frame_ignores_other_clients(#[case] change: fn(&mut Observed), #[case] expected: Fit) {
        let frame = frame();
        let mut observed = written(&frame);
        change(&mut observed);
        assert_eq!(frame.fit(&observed), expected);
    }

    #[test]
    fn a_label_that_the_spec_no_longer_contains_is_removed() {
        let observed = written(&frame());
        let spec = Frame { labels: BTreeMap::new(), ..frame() };
        assert_eq!(spec.fit(&observed), Fit::Differs);
        assert_eq!(spec.patch(&observed, None)["metadata"]["labels"]["app"], Value::Null);
    }

    /// The frame with a label and an annotation of templates.
    fn templated() -> (Frame, Mac) {
        let texts = |key: &str, text: &str| BTreeMap::from([(key.to_owned(), text.to_owned())]);
        let metadata = Metadata { labels: texts("tier", "gold"), annotations: texts("url", "https://x") };
        let (mac, frame) = (Mac::new(&[7; 32]), frame());
        let sealed = Sealed::new(metadata, &mac, &frame.name);
        (frame.with(sealed), mac)
    }

    /// The Secret after a write, as the watch observes it.
    fn observed(frame: &Frame, mac: &Mac) -> Observed {
        let (content, stamp) = (Content::default(), stamp());
        let body = Wanted { frame, content: &content, stamp: &stamp }.object();
        Observed::of(&serde_json::from_value(body).unwrap(), mac)
    }

    #[rstest]
    #[case::written(|_: &mut Value| {}, Fit::Fits)]
    #[case::a_label_of_the_spec(|m: &mut Value| m["labels"]["app"] = json!("x"), Fit::Differs)]
    #[case::a_label_of_a_template(|m: &mut Value| m["labels"]["tier"] = json!("x"), Fit::Unrendered)]
    #[case::no_annotation_of_a_template(|m: &mut Value| drop(m["annotations"].as_object_mut().unwrap().remove("url")), Fit::Unrendered)]
    #[case::no_record(|m: &mut Value| m["annotations"][APPLIED] = json!("{}"), Fit::Unrendered)]
    fn labels_of_templates_are_checked_without_their_value(
        #[case] edit: fn(&mut Value),
        #[case] expected: Fit,
    ) {
        let (known, mac) = templated();
        let (content, stamp) = (Content::default(), stamp());
        let mut body = Wanted { frame: &known, content: &content, stamp: &stamp }.object();
        edit(&mut body["metadata"]);
        let observed = Observed::of(&serde_json::from_value(body).unwrap(), &mac);
        let unknown = Frame { templated: Templated::Unknown, ..frame() };
        assert_eq!(unknown.fit(&observed), expected);
        let other = ObjectName::new("web", "other");
        let moved = Sealed::new(Metadata::default(), &mac, &other).record();
        assert!(
            Sealed::found(&moved, (&observed.labels, &observed.annotations), &mac, &known.name).is_none()
        );
    }

    #[test]
    fn a_repair_keeps_the_labels_of_templates_and_a_spec_without_them_removes_them() {
        let (known, mac) = templated();
        let observed = observed(&known, &mac);
        let unknown = Frame { templated: Templated::Unknown, ..frame() };
        let patch = unknown.completed(&observed).unwrap().patch(&observed, None);
        assert_eq!(patch["metadata"]["labels"]["tier"], "gold");
        assert_eq!(patch["metadata"]["annotations"]["url"], "https://x");
        assert_eq!(frame().fit(&observed), Fit::Differs);
        let patch = frame().patch(&observed, None);
        assert_eq!(
            (&patch["metadata"]["labels"]["tier"], &patch["metadata"]["annotations"]["url"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn a_write_of_the_owner_ends_the_claim_of_a_deleted_object_to_keys() {
        let mut observed = written(&frame());
        observed.annotations.insert(KEYS_OF.to_owned(), "i/BaoStaticSecret/web/gone".to_owned());
        assert_eq!(frame().patch(&observed, None)["metadata"]["annotations"][KEYS_OF], Value::Null);
        for key in [KEYS_OF, KEYS_STAMP] {
            assert!(frame().patch(&observed, None)["metadata"]["annotations"].get(key).is_some());
        }
    }

    #[rstest]
    #[case::unchanged(true, true, "c", Fit::Fits, false)]
    #[case::another_value(true, true, "x", Fit::Fits, true)]
    #[case::made_immutable(false, true, "c", Fit::Differs, false)]
    #[case::made_immutable_with_another_value(false, true, "x", Fit::Differs, false)]
    #[case::no_longer_immutable(true, false, "c", Fit::Frozen, true)]
    #[case::never_immutable(false, false, "x", Fit::Fits, false)]
    fn an_immutable_secret_is_replaced_only_where_the_api_server_refuses_a_change(
        #[case] before: bool,
        #[case] immutable: bool,
        #[case] content: &str,
        #[case] fit: Fit,
        #[case] replaced: bool,
    ) {
        let observed = written(&Frame { immutable: before, ..frame() });
        let (frame, stamp) =
            (Frame { immutable, ..frame() }, Stamp { content: content.to_owned(), ..stamp() });
        let wanted = Wanted { frame: &frame, content: &Content::default(), stamp: &stamp };
        assert_eq!((frame.fit(&observed), wanted.replaces(&observed)), (fit, replaced));
        let expected = if immutable { json!(true) } else { Value::Null };
        for body in [frame.patch(&observed, None), wanted.patch(&observed), wanted.object()] {
            assert_eq!(body["immutable"], expected);
        }
    }

    #[test]
    fn a_secret_that_another_client_made_immutable_is_not_frozen_by_steamer() {
        let observed = Observed { immutable: true, ..written(&frame()) };
        assert_eq!(frame().fit(&observed), Fit::Fits);
    }

    #[test]
    fn a_takeover_removes_the_marks_of_the_former_operator_and_writes_no_value() {
        let (frame, stamp) = (frame(), stamp());
        let content = Content([("old".to_owned(), b"value".to_vec().into())].into());
        let wanted = Wanted { frame: &frame, content: &content, stamp: &stamp };
        let text = str::to_owned;
        let former =
            OwnerReference { api_version: text("external-secrets.io/v1"), ..OwnerReference::default() };
        let other = OwnerReference { api_version: text("v1"), uid: text("o"), ..OwnerReference::default() };
        let mut observed = written(&frame);
        observed.labels.insert(text("reconcile.external-secrets.io/managed"), text("true"));
        observed.labels.insert(MANAGED_BY.0.to_owned(), text("hashicorp-vso"));
        observed.owners = vec![former, other.clone()];
        assert_eq!(frame.fit(&observed), Fit::Differs);
        let patch = wanted.patch(&observed);
        assert_eq!(patch["data"], json!({}));
        let metadata = &patch["metadata"];
        assert_eq!(metadata["labels"]["reconcile.external-secrets.io/managed"], Value::Null);
        assert!(metadata["labels"].get("reconcile.external-secrets.io/managed").is_some());
        assert_eq!(metadata["labels"][MANAGED_BY.0], MANAGED_BY.1);
        assert_eq!(metadata["ownerReferences"], json!([other, frame.owner]));
        let changed = Stamp { content: "other".to_owned(), ..stamp.clone() };
        let changed = Wanted { stamp: &changed, ..wanted }.patch(&observed);
        assert_eq!(changed["data"], json!({"old": "dmFsdWU="}));
    }

    #[test]
    fn a_served_object_of_a_former_operator_keeps_its_secret() {
        let served = |mut frame: Frame| {
            let owner = frame.owner.as_mut().unwrap();
            owner.api_version = "secrets.hashicorp.com/v1beta1".to_owned();
            frame
        };
        let frame = served(frame());
        let mut observed = written(&frame);
        assert_eq!(frame.fit(&observed), Fit::Fits);
        assert_eq!(frame.patch(&observed, None)["metadata"]["ownerReferences"], json!([frame.owner]));
        observed.owners[0].uid = "recreated".to_owned();
        assert_eq!(frame.fit(&observed), Fit::Differs);
        assert_eq!(frame.patch(&observed, None)["metadata"]["ownerReferences"], json!([frame.owner]));
    }

    #[test]
    fn a_patch_of_the_frame_contains_no_data_and_is_guarded() {
        let patch = frame().patch(&written(&frame()), None);
        assert_eq!(patch.get("data"), None);
        assert_eq!(patch["metadata"]["annotations"].get(STAMP), None);
        assert_eq!(
            (&patch["metadata"]["uid"], &patch["metadata"]["resourceVersion"]),
            (&json!("s"), &json!("7"))
        );
        let patch = frame().patch(&written(&frame()), Some(&stamp()));
        assert_eq!(patch.get("data"), None);
        assert_eq!(patch["metadata"]["annotations"][STAMP], json!(stamp().text()));
    }

    #[test]
    fn a_full_patch_removes_other_keys_and_writes_the_stamp() {
        let (frame, content, stamp) = (frame(), Content::default(), stamp());
        let wanted = Wanted { frame: &frame, content: &content, stamp: &stamp };
        let observed = written(&frame);
        assert!(wanted.fits(&observed));
        let patch = wanted.patch(&observed);
        assert_eq!(patch["data"], json!({"old": null}));
        assert_eq!(patch["metadata"]["annotations"][STAMP], json!(stamp.text()));
        let newer = Stamp { request: "r2".to_owned(), ..stamp.clone() };
        assert!(!Wanted { stamp: &newer, ..wanted }.fits(&observed));
    }
}
