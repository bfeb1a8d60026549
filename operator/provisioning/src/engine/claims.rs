//! Claims of several objects to one subject: the oldest object wins.

use std::sync::Arc;

use steamer_core::error::Error;
use steamer_core::references::seniority;
use steamer_runtime::ObjectName;

use super::course::is_revoked;
use super::pass::Lookup;
use super::provision::Provision;
use super::subject::Subject;

/// Fails with [`Error::Conflict`] if an older object claims the subject.
pub(super) fn claim_subject<K: Provision>(object: &K, lookup: &Lookup<'_>) -> Result<(), Error> {
    let Some(subject) = object.subject() else {
        return Ok(());
    };
    let own = ObjectName::of(object);
    let mut rivals = lookup.list(subject.key::<K>(), |other: &K| is_rival(other, &subject, &own));
    rivals.retain(|rival| may_claim(&**rival, lookup));
    match older(object, &rivals) {
        Some(first) => Err(conflict(first, &subject)),
        None => Ok(()),
    }
}

fn is_rival<K: Provision>(other: &K, subject: &Subject, own: &ObjectName) -> bool {
    other.subject().as_ref() == Some(subject) && ObjectName::of(other) != *own
}

/// Without this check, an object in any namespace could block the object that has the right to the subject.
fn may_claim<K: Provision>(object: &K, lookup: &Lookup<'_>) -> bool {
    !object.references(lookup).is_err_and(|error| is_revoked(&error))
}

fn older<'a, K: Provision>(object: &K, rivals: &'a [Arc<K>]) -> Option<&'a K> {
    let age = |object: &K| seniority(object, object.is_established());
    let first = rivals.iter().min_by_key(|rival| age(rival))?;
    (age(first) < age(object)).then_some(first)
}

fn conflict<K: Provision>(first: &K, subject: &Subject) -> Error {
    let first = ObjectName::of(first);
    Error::Conflict(format!("{} {first} is older and already claims {}", K::KIND, subject.name))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::Resource;
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::{SecretsTenant, SecretsTenantStatus};

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
        let namespace = Some("org_1/group_7".to_owned());
        tenant.status = Some(SecretsTenantStatus { openbao_namespace: namespace, ..Default::default() });
        tenant
    }

    #[rstest]
    #[case::none(vec![], None)]
    #[case::itself(vec![established(tenant("own", 7, 10))], None)]
    #[case::another_subject(vec![tenant("a", 8, 1)], None)]
    #[case::younger(vec![established(tenant("a", 7, 11))], None)]
    #[case::older(vec![tenant("b", 7, 9), tenant("a", 7, 8)], Some("SecretsTenant ns/a is older and already claims org_1/group_7"))]
    #[case::same_second_and_established(vec![established(tenant("z", 7, 10))], Some("SecretsTenant ns/z is older and already claims org_1/group_7"))]
    #[case::same_second_and_first_name(vec![tenant("a", 7, 10)], Some("SecretsTenant ns/a is older and already claims org_1/group_7"))]
    #[case::same_second_and_last_name(vec![tenant("z", 7, 10)], None)]
    fn the_oldest_claim_wins(#[case] others: Vec<SecretsTenant>, #[case] expected: Option<&str>) {
        let own = tenant("own", 7, 10);
        let (subject, name) = (own.subject().unwrap(), ObjectName::of(&own));
        let rivals = others.into_iter().filter(|other| is_rival(other, &subject, &name));
        let rivals: Vec<_> = rivals.map(Arc::new).collect();
        let conflict = older(&own, &rivals).map(|first| conflict(first, &subject).to_string());
        assert_eq!(conflict.as_deref(), expected);
    }
}
