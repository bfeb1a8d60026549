//! Current state of resources in OpenBao.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value};
use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{Error as OpenBao, Session};

use super::existing::Existing;
use super::resource::Resource;

/// Part of the answer for a path that can only be written.
const WRITE_ONLY: &str = "unsupported operation";

/// Reads a resource. None if it does not exist. `session` is in the namespace of the resource.
pub(super) async fn read(session: &Session, resource: &Resource) -> Result<Option<Existing>, Error> {
    if let Some(existing) = &resource.existing {
        return Ok(existing.clone());
    }
    let path = resource.read_at.as_ref().unwrap_or(&resource.path);
    let answer = match session.request_any(Method::GET, path, None).await {
        Ok(answer) => answer,
        Err(OpenBao::NotFound { .. }) => return Ok(None),
        // OpenBao returns nothing of a path that can only be written.
        Err(OpenBao::Invalid { message, .. }) if message.contains(WRITE_ONLY) => Value::Null,
        Err(error) => return Err(error.into()),
    };
    let data = match answer.get("data") {
        Some(Value::Object(data)) => data.clone(),
        _ => Map::new(),
    };
    let mark = mark(&data);
    let parameters = (resource.read)(data);
    let is_absent = resource.read_at.is_some() && parameters.is_empty();
    Ok((!is_absent).then_some(Existing { parameters, mark }))
}

/// The mark in the description of a mount, the comment of a policy, or the metadata of a namespace.
pub(super) fn mark(data: &Map<String, Value>) -> Option<Mark> {
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let metadata = || {
        let metadata: BTreeMap<String, String> =
            serde_json::from_value(data.get("custom_metadata")?.clone()).ok()?;
        Mark::of_metadata(&metadata)
    };
    text("description")
        .and_then(Mark::read)
        .or_else(|| text("policy").and_then(Mark::of_policy))
        .or_else(metadata)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::mount(json!({"description": "managed by Steamer: i/SecretsProject/ns/web"}), true)]
    #[case::policy(json!({"policy": r#"{"path": {"a": {"comment": "managed by Steamer: i/SecretsProject/ns/web"}}}"#}), true)]
    #[case::namespace(json!({"custom_metadata": {"managed-by": "steamer", "owner": "i/SecretsProject/ns/web"}}), true)]
    #[case::description_of_a_person(json!({"description": "my mount"}), false)]
    #[case::no_mark(json!({}), false)]
    fn the_mark_of_a_tenant_or_project_is_found(#[case] data: Value, #[case] expected: bool) {
        assert_eq!(mark(data.as_object().unwrap()).is_some(), expected);
    }
}
