//! ExternalSecret with a VaultDynamicSecret as its only source: a BaoDynamicSecret.
//!
//! The generator becomes the login, a BaoConnection and a BaoAuth of its name, and the ExternalSecret contains the request.

use serde_json::{Map, Value, json};
use steamer_api::rules::{is_no_engine_mount, is_no_secret_path};

use super::policies::{self, Interval};
use super::{store, template};
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::origin::Origin;
use crate::task::Task;
use crate::value::is_empty;

/// Kind of the generator.
const KIND: &str = "VaultDynamicSecret";
/// Path of the only reference to the generator.
const REFERENCE: &str = "spec.dataFrom[0].sourceRef.generatorRef";
/// Methods that send parameters.
const WRITES: [&str; 2] = ["POST", "PUT"];
/// Parts of paths that follow the mount, which can have several segments.
const ENDPOINTS: &[&str] = &["/creds/", "/static-creds/", "/static-cred/", "/issue/", "/sign/"];
/// Starts of the paths of static roles.
const STATIC: &[&str] = &["static-creds/", "static-cred/"];

/// Moves the login of a generator. The objects that refer to it contain its request.
pub(super) fn login(task: &mut Task<'_>, spec: &mut Cursor) {
    if spec.within("provider", |provider| store::connected(task, provider)).is_none() {
        task.review(
            "spec.provider",
            None,
            "the generator has no server: write a BaoConnection and a BaoAuth",
        );
    }
    let is_write = spec.peek("method").is_some_and(|method| WRITES.iter().any(|write| method == write));
    if is_write {
        spec.take("parameters");
        spec.take("method");
    }
    spec.expect("method", &json!("GET"));
    spec.expect("resultType", &json!("Data"));
    spec.expect("allowEmptyResponse", &json!(false));
    spec.text("path");
    if task.drafts.iter().any(|draft| draft.get("method") == Some(&json!("Token"))) {
        let text = "a BaoDynamicSecret refuses method Token, because a lease needs a token of its own: choose another method in the BaoAuth";
        task.review("spec.provider.auth.tokenSecretRef", None, text);
    }
}

/// Converts an ExternalSecret whose only source is a VaultDynamicSecret. Returns false for another object.
pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) -> bool {
    let Some(name) = generator(task, spec) else { return false };
    let request = match task.inventory.generator(KIND, task.origin.namespace(), &name) {
        Some(settings) => request(settings),
        None => Err(
            "the generator is not part of the input, so that the request is unknown: convert both together",
        ),
    };
    match request {
        Ok(request) => written(task, spec, (name, request)),
        Err(reason) => {
            task.review(REFERENCE, None, format!("{reason}; the object is not converted"));
            for field in [
                "data",
                "dataFrom",
                "refreshInterval",
                "refreshPolicy",
                "secretStoreRef",
                "syncWindows",
                "target",
            ] {
                spec.take(field);
            }
        }
    }
    true
}

/// The name of the generator, if it is the only source.
fn generator(task: &Task<'_>, spec: &Cursor) -> Option<String> {
    let [item] = spec.peek("dataFrom")?.as_array()?.as_slice() else { return None };
    let reference = &item["sourceRef"]["generatorRef"];
    let is_only = spec.peek("data").is_none_or(is_empty);
    let is_converted = reference["kind"] == KIND && is_only && task.origin.kind == "ExternalSecret";
    reference["name"].as_str().filter(|_| is_converted).map(str::to_owned)
}

fn written(task: &mut Task<'_>, spec: &mut Cursor, (name, request): (String, Map<String, Value>)) {
    let mut draft = task.draft("BaoDynamicSecret");
    draft.put("authRef", json!({"name": name}), REFERENCE);
    for (field, value) in request {
        draft.put(&field, value, REFERENCE);
    }
    refresh(task, spec, &mut draft);
    unsupported(task, spec, &mut draft);
    let is_logged_in = has_own_login(task, &mut draft, &name);
    let is_written = policies::target(task, spec, &mut draft);
    template::moved(task, spec, &mut draft);
    if draft.get("allowStaticCreds").is_some() {
        let text = "the path is that of a static role: Steamer reads the password after each rotation, and the Secret does not contain the key ttl; remove allowStaticCreds if the answer has no ttl";
        task.review(REFERENCE, None, text);
    }
    task.note(
        "",
        "Steamer issues new credentials: restart the workloads before the lease of the former ones ends. It renews a lease, and repeats only a request without a lease at refreshAfter",
    );
    if is_written && is_logged_in {
        let namespace = task.origin.namespace.clone();
        task.absorbed.push(Origin { kind: KIND.to_owned(), namespace, name });
    }
    task.drafts.extend(is_written.then_some(draft));
}

/// Returns true if no store becomes the BaoAuth of this name: the object would log in as the store.
fn has_own_login(task: &mut Task<'_>, draft: &mut Draft, name: &str) -> bool {
    let namespace = task.origin.namespace();
    let is_taken = task.inventory.store("SecretStore", namespace, name).is_some()
        || (namespace == task.settings.store_namespace
            && task.inventory.store("ClusterSecretStore", "", name).is_some());
    if is_taken {
        let text = "a store and this generator would become a BaoAuth of the same name: rename the generator";
        task.hold(draft, (REFERENCE.to_owned(), None), text);
    }
    !is_taken
}

/// Moves the interval. Without it, a request is repeated only after a change of the spec.
fn refresh(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("refreshInterval");
    spec.expect("refreshPolicy", &json!("Periodic"));
    if let Interval::Every(text) = policies::interval(task, spec)
        && !spec.has("refreshPolicy")
    {
        draft.put("refreshAfter", json!(text), path);
    }
}

/// Takes the reference, and reports what a BaoDynamicSecret does not have.
fn unsupported(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    spec.each("dataFrom", |item| {
        item.within("sourceRef", |source| source.take("generatorRef"));
        if let Some(rewrite) = item.take("rewrite") {
            let text =
                "a BaoDynamicSecret does not rename keys: write templates of destination.transformation";
            task.hold(draft, (item.path("rewrite"), Some(&rewrite)), text);
        }
    });
    if let Some(windows) = spec.take("syncWindows") {
        let text = "a BaoDynamicSecret has no sync windows, because a credential must be replaced before it ends: remove the field";
        task.hold(draft, (spec.path("syncWindows"), Some(&windows)), text);
    }
    spec.within("target", |target| {
        target.expect("deletionPolicy", &json!("Retain"));
        if let Some(policy) = target.take("deletionPolicy") {
            let text = "a BaoDynamicSecret keeps the Secret if an answer has no data: remove the field";
            task.review(target.path("deletionPolicy"), Some(&policy), text);
        }
    });
}

/// The request for the settings of a generator, or the reason for none.
fn request(settings: &Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    let text = |field: &str| text(settings, field);
    let (mount, path) = text("path")
        .and_then(location)
        .ok_or("path must consist of the mount of a secrets engine and a path within it")?;
    if !text("resultType").is_some_and(|result| ["", "Data"].contains(&result)) {
        return Err("a BaoDynamicSecret writes the data of an answer, and no other resultType");
    }
    let method = text("method")
        .filter(|method| ["", "GET"].contains(method) || WRITES.contains(method))
        .ok_or("a BaoDynamicSecret sends GET, POST or PUT, and no other method")?;
    let mut request = Map::from_iter([("mount".to_owned(), json!(mount)), ("path".to_owned(), json!(path))]);
    if STATIC.iter().any(|start| path.starts_with(start)) {
        request.insert("allowStaticCreds".to_owned(), json!(true));
    }
    if WRITES.contains(&method) {
        let params = parameters(settings)
            .ok_or("params of a BaoDynamicSecret are texts, and no lists, objects or null")?;
        request.insert("requestHTTPMethod".to_owned(), json!(method));
        request.extend((!params.is_empty()).then(|| ("params".to_owned(), Value::Object(params))));
    }
    Ok(request)
}

/// The text in a field, which is empty without one. None if the field has another type.
fn text<'a>(settings: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    match settings.get(field) {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str(),
    }
}

/// Mount and path within it. Both are parts of the same URL.
fn location(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_matches('/');
    let endpoint = ENDPOINTS.iter().filter_map(|endpoint| path.find(endpoint)).min();
    let (mount, rest) = path.split_at(endpoint.or_else(|| path.find('/'))?);
    let rest = rest.trim_start_matches('/');
    (!is_no_engine_mount(mount) && !is_no_secret_path(rest)).then_some((mount, rest))
}

/// The parameters as texts, which OpenBao accepts for numbers and booleans. None if one is a list, an object or null.
fn parameters(settings: &Map<String, Value>) -> Option<Map<String, Value>> {
    let text = |value: &Value| match value {
        Value::String(_) => Some(value.clone()),
        Value::Number(_) | Value::Bool(_) => Some(json!(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let all = match settings.get("parameters") {
        None | Some(Value::Null) => return Some(Map::new()),
        Some(all) => all.as_object()?,
    };
    all.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::lease(json!({"path": "/database/creds/web"}), Ok(json!({"mount": "database", "path": "creds/web"})))]
    #[case::deep_mount(
        json!({"path": "teams/a/database/creds/web", "method": "GET", "resultType": "Data"}),
        Ok(json!({"mount": "teams/a/database", "path": "creds/web"}))
    )]
    #[case::unknown_endpoint(json!({"path": "gitlab/token/web"}), Ok(json!({"mount": "gitlab", "path": "token/web"})))]
    #[case::static_role(
        json!({"path": "database/static-creds/web"}),
        Ok(json!({"mount": "database", "path": "static-creds/web", "allowStaticCreds": true}))
    )]
    #[case::parameters(
        json!({"path": "pki/issue/web", "method": "POST", "parameters": {"common_name": "web", "days": 1, "ca": true}}),
        Ok(json!({
            "mount": "pki", "path": "issue/web", "requestHTTPMethod": "POST",
            "params": {"common_name": "web", "days": "1", "ca": "true"},
        }))
    )]
    #[case::write_without_parameters(
        json!({"path": "pki/issue/web", "method": "PUT"}),
        Ok(json!({"mount": "pki", "path": "issue/web", "requestHTTPMethod": "PUT"}))
    )]
    #[case::parameters_of_a_read(
        json!({"path": "database/creds/web", "parameters": {"a": [1]}}),
        Ok(json!({"mount": "database", "path": "creds/web"}))
    )]
    #[case::nested_parameter(json!({"path": "a/b", "method": "POST", "parameters": {"a": [1]}}), Err("params"))]
    #[case::list(json!({"path": "a/b", "method": "LIST"}), Err("a BaoDynamicSecret sends GET"))]
    #[case::token(json!({"path": "a/b", "resultType": "Auth"}), Err("a BaoDynamicSecret writes the data"))]
    #[case::no_engine(json!({"path": "auth/token/create"}), Err("path"))]
    #[case::no_path(json!({"path": "database"}), Err("path"))]
    #[case::another_type(json!({"path": 5}), Err("path"))]
    fn a_request_has_the_same_url_and_body(
        #[case] settings: Value,
        #[case] expected: Result<Value, &'static str>,
    ) {
        let found = request(settings.as_object().unwrap()).map(Value::Object);
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected)),
            Err(start) => assert!(found.as_ref().is_err_and(|it| it.starts_with(start)), "{found:?}"),
        }
    }
}
