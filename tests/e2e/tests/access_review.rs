//! Access reviews of the API server.

use anyhow::Result;
use kube::Client;
use serde_json::{Value, json};

/// A request to the API server.
pub struct Right<'a> {
    pub namespace: &'a str,
    pub verb: &'a str,
    pub group: &'a str,
    /// Resource, with its subresource after a slash.
    pub resource: &'a str,
}

impl Right<'_> {
    fn attributes(&self) -> Value {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        json!({
            "namespace": self.namespace, "verb": self.verb, "group": self.group, "resource": resource,
            "subresource": subresource,
        })
    }
}

/// Returns whether the user of the client has a right.
pub async fn allowed(client: &Client, right: &Right<'_>) -> Result<bool> {
    review(client, "SelfSubjectAccessReview", json!({"resourceAttributes": right.attributes()})).await
}

/// Returns whether a user has a right.
pub async fn allowed_to(client: &Client, user: &str, right: &Right<'_>) -> Result<bool> {
    let spec = json!({"user": user, "resourceAttributes": right.attributes()});
    review(client, "SubjectAccessReview", spec).await
}

async fn review(client: &Client, kind: &str, spec: Value) -> Result<bool> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    let request = http::Request::post(format!("/apis/authorization.k8s.io/v1/{}s", kind.to_lowercase()))
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())?;
    let answer: Value = client.request(request).await?;
    Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
}
