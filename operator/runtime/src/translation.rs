//! Statuses of objects of another API: its schema has no fields for the status of a reconcile, which is an annotation.

use kube::Client;
use serde_json::Value;

use crate::AnyObject;
use crate::patch::{annotation_request, patch, status_request};

/// Form in which the statuses of the objects of an API group are written.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    /// API group.
    pub group: &'static str,
    /// Annotation that contains the status of the reconcile as JSON.
    pub annotation: &'static str,
    /// Returns the status that the API defines, from the serialized object and the status of the reconcile.
    pub status: fn(&Value, &Value) -> Value,
}

impl Translation {
    /// Writes a status. The annotation comes last: after a crash in between it still differs, and the next reconcile writes
    /// both again.
    ///
    /// # Errors
    /// Any error of the API server.
    pub(crate) async fn write<K: AnyObject>(
        &self,
        client: &Client,
        object: &K,
        status: &Value,
    ) -> Result<K, kube::Error> {
        let serialized = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
        let translated = (self.status)(&serialized, status);
        let whole = patch(object.meta().uid.as_deref(), &Value::Null, &translated);
        client.request::<Value>(status_request(object, &whole)?).await?;
        client.request(annotation_request(object, (self.annotation, &status.to_string()))?).await
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::Statuses;
    use crate::fake::Fake;

    #[tokio::test]
    async fn a_translated_status_is_written_before_the_annotation_with_the_status_of_the_reconcile() {
        let fake = Fake::answering(|_| {
            (200, json!({"metadata": {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "2"}}))
        });
        let translation = Translation {
            group: "",
            annotation: "steamer.dev/x",
            status: |object, status| json!({"of": object["metadata"]["name"], "valid": status["ready"]}),
        };
        let statuses = Statuses::new(fake.client()).translated(translation);
        let object: ConfigMap = serde_json::from_value(
            json!({"metadata": {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1"}}),
        )
        .unwrap();
        statuses.write(&object, &json!({"ready": true})).await.unwrap();
        // The status is remembered: it is not written again.
        statuses.write(&object, &json!({"ready": true})).await.unwrap();
        let sent: Vec<(bool, Value)> = fake
            .requests()
            .into_iter()
            .map(|request| (request.path.ends_with("/configmaps/a/status"), request.body))
            .collect();
        let annotations = json!({"steamer.dev/x": r#"{"ready":true}"#});
        let expected = [
            (
                true,
                json!([
                    {"op": "test", "path": "/metadata/uid", "value": "u"},
                    {"op": "add", "path": "/status", "value": {"of": "a", "valid": true}},
                ]),
            ),
            (false, json!({"metadata": {"uid": "u", "annotations": annotations}})),
        ];
        assert_eq!(sent, expected);
    }
}
