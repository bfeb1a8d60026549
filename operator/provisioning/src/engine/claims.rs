//! Claims of several objects of a cluster to one subject: an object that has provisioned it wins, otherwise the oldest.

use std::sync::Arc;

use steamer_core::error::Error;
use steamer_core::references::seniority;
use steamer_runtime::ObjectName;

use super::course::is_revoked;
use super::pass::Lookup;
use super::provision::Provision;
use super::subject::{Place, Subject};

/// Fails with [`Error::Conflict`] if another object has precedence.
pub(super) fn claim_subject<K: Provision>(object: &K, lookup: &Lookup<'_>) -> Result<(), Error> {
    let Some(subject) = object.subject() else {
        return Ok(());
    };
    let own = ObjectName::of(object);
    let Some(place) = place(object, lookup) else {
        return Ok(());
    };
    let mut rivals = lookup.list(subject.key::<K>(), |other: &K| is_rival(other, &subject, &own));
    rivals.retain(|rival| {
        self::place(&**rival, lookup).as_ref() == Some(&place) && may_claim(&**rival, lookup)
    });
    match preceding(object, &rivals) {
        Some(first) => Err(conflict(first, &subject, &place)),
        None => Ok(()),
    }
}

/// Where the subject of an object is. None while a parent does not exist: such an object claims nothing.
fn place<K: Provision>(object: &K, lookup: &Lookup<'_>) -> Option<Place> {
    Some(Place { cluster: object.cluster(lookup)?, location: object.location(lookup)? })
}

fn is_rival<K: Provision>(other: &K, subject: &Subject, own: &ObjectName) -> bool {
    let same = other.subject().is_some_and(|other| other.name == subject.name);
    same && ObjectName::of(other) != *own
}

/// Without this check, an object in any namespace could block the object that has the right to the subject.
pub(crate) fn may_claim<K: Provision>(object: &K, lookup: &Lookup<'_>) -> bool {
    !object.references(lookup).is_err_and(|error| is_revoked(&error))
}

/// The rival that claims the subject before `object`. An established object comes first: its mark is in OpenBao, so no
/// other object could provision the subject, however old it is.
fn preceding<'a, K: Provision>(object: &K, rivals: &'a [Arc<K>]) -> Option<&'a K> {
    let is_established = |object: &K| object.subject().is_some_and(|subject| subject.established);
    let rank = |object: &K| (!is_established(object), seniority(object, true));
    let first = rivals.iter().min_by_key(|rival| rank(rival))?;
    (rank(first) < rank(object)).then_some(first)
}

fn conflict<K: Provision>(first: &K, subject: &Subject, place: &Place) -> Error {
    let (kind, first, entity) = (K::KIND, ObjectName::of(first), place.with(&subject.name));
    // Both were provisioned before their IDs were compared. Only an administrator knows which one is right, and workloads of
    // both may run: access is withdrawn, but not revoked.
    let kept = if subject.established {
        "; until then, this one keeps its access, and only less is granted"
    } else {
        ""
    };
    Error::Conflict(format!("{kind} {first} already claims {entity}: delete one of the two objects{kept}"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::Resource;
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::{FINALIZER, SecretsTenant};

    use super::*;

    /// A tenant for a group that was created in that second.
    fn tenant(name: &str, group: i64, second: i64) -> SecretsTenant {
        let spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": 1, "groupId": group, "issuerRef": {"name": "gitlab"},
        });
        let mut tenant = SecretsTenant::new(name, serde_json::from_value(spec).unwrap());
        let created = jiff::Timestamp::from_second(second).unwrap();
        tenant.meta_mut().namespace = Some("ns".to_owned());
        tenant.meta_mut().creation_timestamp = Some(Time(created));
        tenant
    }

    fn established(mut tenant: SecretsTenant) -> SecretsTenant {
        tenant.meta_mut().finalizers = Some(vec![FINALIZER.to_owned()]);
        tenant
    }

    fn conflict_of(own: &SecretsTenant, others: Vec<SecretsTenant>) -> Option<String> {
        let (subject, name) = (own.subject().unwrap(), ObjectName::of(own));
        let rivals = others.into_iter().filter(|other| is_rival(other, &subject, &name));
        let rivals: Vec<_> = rivals.map(Arc::new).collect();
        let place = Place { cluster: ObjectName::new("ns", "main"), location: String::new() };
        preceding(own, &rivals).map(|first| conflict(first, &subject, &place).to_string())
    }

    const A: &str = "SecretsTenant ns/a already claims org_1/group_7 in OpenBaoCluster ns/main: delete one of the two objects";
    const Z: &str = "SecretsTenant ns/z already claims org_1/group_7 in OpenBaoCluster ns/main: delete one of the two objects";

    #[rstest]
    #[case::none(vec![], None)]
    #[case::itself(vec![established(tenant("own", 7, 10))], None)]
    #[case::another_subject(vec![established(tenant("a", 8, 1))], None)]
    #[case::younger(vec![tenant("a", 7, 11)], None)]
    #[case::younger_and_established(vec![established(tenant("a", 7, 11))], Some(A))]
    #[case::older(vec![tenant("b", 7, 9), tenant("a", 7, 8)], Some(A))]
    #[case::older_and_established(vec![tenant("b", 7, 8), established(tenant("a", 7, 9))], Some(A))]
    #[case::same_second_and_established(vec![established(tenant("z", 7, 10))], Some(Z))]
    #[case::same_second_and_first_name(vec![tenant("a", 7, 10)], Some(A))]
    #[case::same_second_and_last_name(vec![tenant("z", 7, 10)], None)]
    fn the_oldest_claim_to_a_new_subject_wins(
        #[case] others: Vec<SecretsTenant>,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(conflict_of(&tenant("own", 7, 10), others).as_deref(), expected);
    }

    #[rstest]
    #[case::older(vec![tenant("a", 7, 9)], None)]
    #[case::older_and_established(vec![established(tenant("a", 7, 9))], Some(A))]
    #[case::younger_and_established(vec![established(tenant("a", 7, 11))], None)]
    fn an_established_object_does_not_lose_its_subject_to_an_older_one(
        #[case] others: Vec<SecretsTenant>,
        #[case] expected: Option<&str>,
    ) {
        let kept = "; until then, this one keeps its access, and only less is granted";
        let expected = expected.map(|text| format!("{text}{kept}"));
        assert_eq!(conflict_of(&established(tenant("own", 7, 10)), others), expected);
    }

    #[rstest]
    #[case::named_by_the_subject("", "org_1/group_7 in OpenBaoCluster ns/main")]
    #[case::location("namespace team", "policy web of namespace team in OpenBaoCluster ns/main")]
    fn a_conflict_names_the_place_of_the_subject(#[case] location: &str, #[case] expected: &str) {
        let place = Place { cluster: ObjectName::new("ns", "main"), location: location.to_owned() };
        let name = if location.is_empty() { "org_1/group_7" } else { "policy web" };
        assert_eq!(place.with(name), expected);
    }

    #[test]
    fn exactly_one_of_two_claimants_has_precedence() {
        let make: [fn(&str, i64, i64) -> SecretsTenant; 2] =
            [tenant, |name, group, second| established(tenant(name, group, second))];
        for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (a, b) = (make[first]("a", 7, 10), make[second]("b", 7, 9));
            let conflicts = [conflict_of(&a, vec![b.clone()]), conflict_of(&b, vec![a])];
            assert_eq!(conflicts.iter().flatten().count(), 1, "{conflicts:?}");
        }
    }
}
