//! Requests that write statuses.

use http::Request;
use http::header::CONTENT_TYPE;
use kube::ResourceExt;
use kube::core::Status;
use serde_json::{Value, json};

use crate::AnyObject;

/// Returns a JSON patch (RFC 6902) of the fields that differ. It tests the uid first: the API server ignores a uid in a
/// merge patch of a status, so a merge patch would write into an object that was recreated under the same name.
pub(crate) fn patch(uid: Option<&str>, last: &Value, next: &Value) -> Value {
    let test = json!({"op": "test", "path": "/metadata/uid", "value": uid});
    let (Value::Object(last), Value::Object(next)) = (last, next) else {
        return json!([test, {"op": "add", "path": "/status", "value": next}]);
    };
    let set = next.iter().filter(|(field, value)| last.get(*field) != Some(value));
    let set = set.map(|(field, value)| json!({"op": "add", "path": pointer(field), "value": value}));
    // `remove` fails if the field does not exist: `add` makes sure that it does.
    let gone = last.keys().filter(|field| !next.contains_key(*field)).flat_map(|field| {
        let path = pointer(field);
        [json!({"op": "add", "path": path, "value": null}), json!({"op": "remove", "path": path})]
    });
    Value::Array(std::iter::once(test).chain(set).chain(gone).collect())
}

/// Returns whether a test of a JSON patch failed. The API server answers it with status 422 and no causes; an invalid value has
/// causes.
#[must_use]
pub fn is_failed_test(status: &Status) -> bool {
    status.code == 422 && status.details.as_ref().is_none_or(|details| details.causes.is_empty())
}

fn pointer(field: &str) -> String {
    format!("/status/{}", field.replace('~', "~0").replace('/', "~1"))
}

/// The request that sends a JSON patch of the status of an object.
///
/// # Errors
/// When the patch cannot be serialized.
pub(crate) fn status_request<K: AnyObject>(
    object: &K,
    patch: &Value,
) -> Result<Request<Vec<u8>>, kube::Error> {
    request(&format!("{}/status", path(object)), "application/json-patch+json", patch)
}

/// The request that sets an annotation of an object. The API server refuses it for an object with another uid.
///
/// # Errors
/// When the patch cannot be serialized.
pub(crate) fn annotation_request<K: AnyObject>(
    object: &K,
    (annotation, text): (&str, &str),
) -> Result<Request<Vec<u8>>, kube::Error> {
    let patch = json!({"metadata": {"uid": object.uid(), "annotations": {annotation: text}}});
    request(&path(object), "application/merge-patch+json", &patch)
}

fn path<K: AnyObject>(object: &K) -> String {
    format!("{}/{}", K::url_path(&(), object.namespace().as_deref()), object.name_any())
}

fn request(path: &str, content_type: &str, patch: &Value) -> Result<Request<Vec<u8>>, kube::Error> {
    let body = serde_json::to_vec(patch).map_err(kube::Error::SerdeError)?;
    Request::patch(path).header(CONTENT_TYPE, content_type).body(body).map_err(kube::Error::HttpError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_patch_contains_only_fields_that_differ() {
        let last = json!({"a": 1, "b": {"c": 2}, "e/~": [1]});
        let next = json!({"a": 1, "b": {"c": 4}, "d": true});
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "add", "path": "/status/b", "value": {"c": 4}},
            {"op": "add", "path": "/status/d", "value": true},
            {"op": "add", "path": "/status/e~1~0", "value": null},
            {"op": "remove", "path": "/status/e~1~0"},
        ]);
        assert_eq!(patch(Some("u"), &last, &next), expected);
        let whole = patch(Some("u"), &Value::Null, &next);
        assert_eq!(whole[1], json!({"op": "add", "path": "/status", "value": next}));
    }
}
