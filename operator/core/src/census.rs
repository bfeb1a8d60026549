//! Metrics of the number of objects by state.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use steamer_api::{HasConditions, Kind};
use steamer_runtime::{ObjectState, Store};

use crate::Context;

/// Exports the number of objects in the caches.
pub fn register(context: &Context) {
    let stores = context.stores.clone();
    context.runtime.metrics.before_export(move |metrics| {
        let mut counts = BTreeMap::new();
        stores.count(&mut counts);
        metrics.objects(counts);
    });
}

/// Number of objects by state.
pub(crate) type Counts = BTreeMap<ObjectState, i64>;

/// Adds the objects of a store.
pub(crate) fn add<K: Kind>(counts: &mut Counts, store: &Store<K>) {
    for object in store.filter(|_| true) {
        let conditions = object.status().map(|status| status.common().conditions.as_slice());
        *counts.entry(state(K::KIND, conditions.unwrap_or_default())).or_default() += 1;
    }
}

fn state(kind: &'static str, conditions: &[Condition]) -> ObjectState {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let status = ready.map_or("Unknown", |ready| &ready.status).to_owned();
    ObjectState { kind, ready: status, reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use steamer_api::JWTIssuer;
    use steamer_runtime::ObjectName;

    use super::*;

    #[test]
    fn objects_are_counted_by_the_status_and_reason_of_ready() {
        let store: Store<JWTIssuer> = Store::default();
        let ready = json!([{
            "type": "Ready", "status": "False", "reason": "Unreachable", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        for (name, conditions) in [("a", json!([])), ("b", ready.clone()), ("c", ready)] {
            let object = json!({
                "apiVersion": "steamer.dev/v1alpha1", "kind": "JWTIssuer", "metadata": {"name": name, "namespace": "n"},
                "spec": {}, "status": {"observedGeneration": 1, "conditions": conditions},
            });
            store.insert(ObjectName::new("n", name), Arc::new(serde_json::from_value(object).unwrap()));
        }
        let mut counts = Counts::new();
        add(&mut counts, &store);
        let counts: Vec<_> = counts
            .iter()
            .map(|(state, count)| (state.ready.as_str(), state.reason.as_str(), *count))
            .collect();
        assert_eq!(counts, [("False", "Unreachable", 2), ("Unknown", "", 1)]);
    }
}
