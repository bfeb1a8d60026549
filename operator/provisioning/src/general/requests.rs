//! Requests of a resource, for messages about a policy that lacks a right.

use reqwest::Method;

use super::resource::Resource;
use crate::write::Request;

/// The requests that read, create, change and delete a resource, relative to its namespace.
pub(crate) fn requests_of(resource: &Resource) -> Vec<Request> {
    let Resource { path, read_at, changed_at, deleted_at, method, body, follow_up, .. } = resource;
    let read = Request::new(&Method::GET, read_at.as_ref().unwrap_or(path));
    let late = body.late.values().map(|late| Request::new(&Method::GET, &late.path));
    let writes = [resource.created_at(), changed_at.as_ref()].into_iter().flatten();
    let writes = writes.map(|path| Request::new(method, path));
    let follow_up = follow_up.iter().map(|it| Request::new(&Method::POST, &it.path));
    let deletion = deleted_at.iter().map(|path| Request::new(&Method::DELETE, path));
    [read].into_iter().chain(late).chain(writes).chain(follow_up).chain(deletion).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Map;

    use super::*;

    fn resource() -> Resource {
        Resource::at("mount kv", "sys/mounts/kv", Map::new())
    }

    #[rstest]
    #[case::one_path(
        resource(),
        "GET sys/mounts/kv, POST sys/mounts/kv, POST sys/mounts/kv, DELETE sys/mounts/kv"
    )]
    #[case::other_change(
        Resource {
            creation: Some(("sys/mounts/kv".to_owned(), Map::new())), changed_at: Some("sys/mounts/kv/tune".to_owned()),
            ..resource()
        },
        "GET sys/mounts/kv, POST sys/mounts/kv, POST sys/mounts/kv/tune, DELETE sys/mounts/kv"
    )]
    #[case::part(
        Resource { read_at: Some("group".to_owned()), deleted_at: None, method: Method::PATCH, ..resource() },
        "GET group, PATCH sys/mounts/kv, PATCH sys/mounts/kv"
    )]
    #[case::only_read(Resource { changed_at: None, deleted_at: None, ..resource() }, "GET sys/mounts/kv")]
    fn every_request_of_a_resource_is_named(#[case] resource: Resource, #[case] expected: &str) {
        let requests = requests_of(&resource);
        let shown: Vec<_> = requests.iter().map(|it| format!("{} {}", it.method, it.path)).collect();
        assert_eq!(shown.join(", "), expected);
    }
}
