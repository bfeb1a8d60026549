//! Right of an object to a Kubernetes Secret. Every write of a Secret for an object passes through [`claim_secret`], so a
//! Secret belongs to at most one object.

use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use steamer_api::Adopt;
use steamer_runtime::ObjectName;

use super::mark::{Claim, Mark, claim, described};
use crate::error::Error;

/// Label of the objects of a managed cluster: seal keys, recovery keys, certificates.
pub const CLUSTER_LABEL: &str = "steamer.dev/cluster";

/// Annotation with the mark of the owner of a Secret.
pub const OWNER: &str = "steamer.dev/owner";
/// Annotation with the mark of the object that wrote some keys into a Secret of another client (`create: false`).
pub const KEYS_OF: &str = "steamer.dev/keys-of";

/// Refuses a Secret that Steamer writes as the source of a value: its values come from OpenBao, and would return to it, or are
/// the keys of a managed cluster. `remedy` says what to change.
///
/// # Errors
/// [`Error::Conflict`] names the object that writes the Secret.
pub fn check_origin(secret: &Secret, remedy: &str) -> Result<(), Error> {
    if let Some(cluster) = secret.labels().get(CLUSTER_LABEL) {
        return Err(Error::Conflict(format!(
            "Secret {} belongs to OpenBaoCluster {cluster}: its keys are never copied; {remedy}",
            ObjectName::of(secret)
        )));
    }
    let marks = [OWNER, KEYS_OF].into_iter().filter_map(|key| Mark::parse(secret.annotations().get(key)?));
    match marks.into_iter().next() {
        Some(Mark { owner, name, .. }) => Err(Error::Conflict(format!(
            "Secret {} is written by {owner} {name}: its values would return to OpenBao; {remedy}",
            ObjectName::of(secret)
        ))),
        None => Ok(()),
    }
}

/// What an object wants to do with a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Create it. An existing Secret of another owner stays.
    Create,
    /// Create it, or replace a Secret without an owner.
    Overwrite,
    /// Write some keys into a Secret of another client.
    Merge,
}

/// Everything about a Secret that decides about the right to write into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Occupant {
    /// Object that owns the Secret.
    pub owner: Option<Mark>,
    /// Object that owns some keys of the Secret.
    pub keys_of: Option<Mark>,
    /// Kind and name of the controller of the Secret, other than the owner.
    pub controller: Option<String>,
    /// Whether [`Intent::Overwrite`] replaces the controller: it is an object of an operator that Steamer follows.
    pub is_replaceable: bool,
    /// Managed cluster that the Secret belongs to.
    pub cluster: Option<String>,
    /// Whether the Secret is immutable.
    pub immutable: bool,
}

/// Why a Secret must stay unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It, or some of its keys, belong to an existing object or to another installation.
    Owned(Mark),
    /// It belongs to another client. `overwrite` does not replace Secrets that a controller, a cluster or its immutability
    /// protects; the text names the protection.
    Protected(String),
    /// It has no owner, but the spec does not allow to replace it.
    Unowned,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(mark) => write!(f, "belongs to {}", described(Some(mark))),
            Self::Protected(text) => f.write_str(text),
            Self::Unowned => f.write_str("belongs to another owner"),
        }
    }
}

impl Occupant {
    /// The objects that the decision depends on.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.owner.iter().chain(&self.keys_of)
    }

    fn protection(&self, intent: Intent) -> Option<String> {
        let cluster = self.cluster.as_ref().map(|cluster| format!("belongs to OpenBaoCluster {cluster}"));
        // Keys that are merged into the Secret of an active operator would be removed by it.
        let is_protected = !self.is_replaceable || intent == Intent::Merge;
        let controller = self.controller.as_ref().filter(|_| is_protected);
        let controller = || controller.map(|controller| format!("is managed by {controller}"));
        cluster.or_else(controller).or_else(|| self.immutable.then(|| "is immutable".to_owned()))
    }
}

/// Decides whether the object `ours` may write into a Secret. `exists` returns true if the object of another mark exists.
///
/// # Errors
/// [`Refusal`] states why the Secret must stay unchanged.
pub fn claim_secret(
    ours: &Mark,
    occupant: &Occupant,
    intent: Intent,
    exists: impl Fn(&Mark) -> bool,
) -> Result<Claim, Refusal> {
    // An object writes keys only while the owner does not exist. An owner that is recreated later waits for it.
    if intent == Intent::Merge && occupant.keys_of.as_ref() == Some(ours) {
        return Ok(Claim::Ours);
    }
    let is_foreign = |mark: &&Mark| claim(ours, Some(mark), Adopt::IfUnowned, &exists) == Claim::Foreign;
    if let Some(mark) = occupant.marks().find(is_foreign) {
        return Err(Refusal::Owned(mark.clone()));
    }
    if occupant.owner.as_ref() == Some(ours) {
        return Ok(Claim::Ours);
    }
    if let Some(protection) = occupant.protection(intent) {
        return Err(Refusal::Protected(protection));
    }
    if intent == Intent::Create { Err(Refusal::Unowned) } else { Ok(Claim::Adopt) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;

    use super::super::mark::Owner;
    use super::*;

    fn mark(name: &str) -> Mark {
        Mark {
            installation: "i".to_owned(),
            owner: Owner::Object(KindId::BaoStaticSecret),
            name: ObjectName::new("ns", name),
        }
    }

    fn occupant(change: fn(&mut Occupant)) -> Occupant {
        let mut occupant = Occupant::default();
        change(&mut occupant);
        occupant
    }

    /// A Secret with an annotation or a label.
    #[rstest]
    #[case::plain("annotations", "example.com/owner", "me", None)]
    #[case::owned(
        "annotations",
        OWNER,
        "i/BaoStaticSecret/web/app",
        Some("is written by BaoStaticSecret web/app")
    )]
    #[case::keys(
        "annotations",
        KEYS_OF,
        "i/BaoStaticSecret/web/app",
        Some("is written by BaoStaticSecret web/app")
    )]
    #[case::cluster("labels", CLUSTER_LABEL, "main", Some("Secret ns/s belongs to OpenBaoCluster main"))]
    fn a_secret_of_steamer_is_no_source(
        #[case] field: &str,
        #[case] key: &str,
        #[case] value: &str,
        #[case] expected: Option<&str>,
    ) {
        let metadata = serde_json::json!({"name": "s", "namespace": "ns", field: {key: value}});
        let secret: Secret = serde_json::from_value(serde_json::json!({"metadata": metadata})).unwrap();
        let text = check_origin(&secret, "choose another").err().map(|error| error.to_string());
        assert_eq!(text.is_some(), expected.is_some());
        assert!(text.is_none_or(|text| text.contains(expected.unwrap_or_default())));
    }

    /// For each Secret: whether Create, Overwrite and Merge may write into it.
    #[rstest]
    #[case::plain(|_: &mut Occupant| {}, [false, true, true])]
    #[case::ours(|o: &mut Occupant| o.owner = Some(mark("us")), [true, true, true])]
    #[case::our_keys(|o: &mut Occupant| o.keys_of = Some(mark("us")), [false, true, true])]
    #[case::of_a_living_object(|o: &mut Occupant| o.owner = Some(mark("living")), [false, false, false])]
    #[case::of_a_deleted_object(|o: &mut Occupant| o.owner = Some(mark("gone")), [false, true, true])]
    #[case::keys_of_a_living_object(|o: &mut Occupant| o.keys_of = Some(mark("living")), [false, false, false])]
    #[case::keys_of_a_deleted_object(|o: &mut Occupant| o.keys_of = Some(mark("gone")), [false, true, true])]
    #[case::of_another_installation(
        |o: &mut Occupant| o.owner = Some(Mark { installation: "x".into(), ..mark("gone") }), [false, false, false]
    )]
    #[case::controlled(|o: &mut Occupant| o.controller = Some("App web".into()), [false, false, false])]
    #[case::controlled_by_a_former_operator(
        |o: &mut Occupant| { o.controller = Some("ExternalSecret web".into()); o.is_replaceable = true }, [false, true, false]
    )]
    #[case::of_a_cluster(|o: &mut Occupant| o.cluster = Some("main".into()), [false, false, false])]
    #[case::immutable(|o: &mut Occupant| o.immutable = true, [false, false, false])]
    #[case::ours_with_keys_of_a_living_object(
        |o: &mut Occupant| { o.owner = Some(mark("us")); o.keys_of = Some(mark("living")) }, [false, false, false]
    )]
    #[case::ours_with_keys_of_a_deleted_object(
        |o: &mut Occupant| { o.owner = Some(mark("us")); o.keys_of = Some(mark("gone")) }, [true, true, true]
    )]
    #[case::our_keys_in_a_secret_of_a_recreated_object(
        |o: &mut Occupant| { o.owner = Some(mark("living")); o.keys_of = Some(mark("us")) }, [false, false, true]
    )]
    #[case::our_immutable_one(
        |o: &mut Occupant| { o.owner = Some(mark("us")); o.immutable = true }, [true, true, true]
    )]
    fn a_secret_of_another_owner_is_never_written(
        #[case] change: fn(&mut Occupant),
        #[case] expected: [bool; 3],
    ) {
        let occupant = occupant(change);
        let may = [Intent::Create, Intent::Overwrite, Intent::Merge].map(|intent| {
            claim_secret(&mark("us"), &occupant, intent, |other| other.name.name == "living").is_ok()
        });
        assert_eq!(may, expected);
    }
}
