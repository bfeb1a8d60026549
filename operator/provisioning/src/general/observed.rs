//! Current state of resources in OpenBao.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value};
use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};

use super::existing::Existing;
use super::missing;
use super::resource::Resource;

/// Part of the answer for a path that can only be written.
const WRITE_ONLY: &str = "unsupported operation";

/// An answer of OpenBao for a path.
#[derive(Clone)]
enum Answer {
    Found(Map<String, Value>),
    /// Nothing exists at the path. `mounted`: an engine answered.
    Absent {
        mounted: bool,
    },
}

/// Reads resources, and each path once: OpenBao returns a part of a resource with the resource. None for a resource that does
/// not exist. `session` is in the namespace of the resources.
pub(super) async fn read_all<'a>(
    session: &Session,
    resources: impl Iterator<Item = &'a Resource>,
) -> Result<Vec<Option<Existing>>, Error> {
    let (mut answers, mut observed) = (BTreeMap::new(), Vec::new());
    for resource in resources {
        if let Some(existing) = &resource.existing {
            observed.push(existing.clone());
            continue;
        }
        let path = resource.read_path();
        let known = answers.get(path).cloned();
        let answer = match known {
            Some(answer) => answer,
            None => answered(session, path).await?,
        };
        answers.insert(path, answer.clone());
        observed.push(existing(session.namespace(), resource, answer)?);
    }
    Ok(observed)
}

/// Reads a resource. None if it does not exist. `session` is in the namespace of the resource.
pub(super) async fn read(session: &Session, resource: &Resource) -> Result<Option<Existing>, Error> {
    existing(session.namespace(), resource, answered(session, resource.read_path()).await?)
}

async fn answered(session: &Session, path: &str) -> Result<Answer, Error> {
    let answer = match session.request_any(Method::GET, path, None).await {
        Ok(answer) => answer,
        Err(OpenBao::NotFound { mounted, .. }) => return Ok(Answer::Absent { mounted }),
        // OpenBao returns nothing of a path that can only be written.
        Err(OpenBao::Invalid { message, .. }) if message.contains(WRITE_ONLY) => Value::Null,
        Err(error) => return Err(error.into()),
    };
    Ok(Answer::Found(match answer.get("data") {
        Some(Value::Object(data)) => data.clone(),
        _ => Map::new(),
    }))
}

fn existing(
    namespace: &NamespacePath,
    resource: &Resource,
    answer: Answer,
) -> Result<Option<Existing>, Error> {
    let data = match answer {
        Answer::Found(data) => data,
        // A part of a mount is read before the mount is created.
        Answer::Absent { mounted: false } if resource.deleted_at.is_some() && is_certain(&resource.path) => {
            return Err(missing::error(namespace, &resource.path));
        }
        Answer::Absent { .. } => return Ok(None),
    };
    let mark = mark(&data);
    let parameters = (resource.read)(data);
    let is_absent = resource.read_at.is_some() && parameters.is_empty();
    Ok((!is_absent).then_some(Existing { parameters, mark, ..Existing::default() }))
}

/// Returns false for a path at which OpenBao answers in the same way for a missing mount or namespace and for a missing parent.
fn is_certain(path: &str) -> bool {
    !["sys/mounts/", "sys/auth/", "sys/namespaces/"].iter().any(|prefix| path.starts_with(prefix))
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
    #[case::key("transit/keys/web", false, Some("no secrets engine is mounted at transit in namespace team"))]
    #[case::policy("sys/policies/acl/web", false, Some("namespace team does not exist"))]
    #[case::mounted("transit/keys/web", true, None)]
    #[case::mount("sys/mounts/kv", false, None)]
    #[case::auth_mount("sys/auth/jwt", false, None)]
    fn a_missing_mount_is_no_missing_resource(
        #[case] path: &str,
        #[case] mounted: bool,
        #[case] expected: Option<&str>,
    ) {
        let namespace = NamespacePath::new("team");
        let resource = Resource::at("x", path, Map::new());
        let found = existing(&namespace, &resource, Answer::Absent { mounted });
        let error = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(error.starts_with(expected.unwrap_or_default()), "{error}");
        assert_eq!(found.is_err(), expected.is_some());
        let part = Resource { deleted_at: None, ..resource };
        assert_eq!(existing(&namespace, &part, Answer::Absent { mounted }).unwrap(), None);
    }

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
