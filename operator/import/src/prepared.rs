//! Parameters in the form in which the fields of a kind state them.

use serde_json::{Value, json};

use crate::configs::listed;
use crate::issuers;
use crate::refusals::is_external;
use crate::resource::{Class, Fields, Resource, text};
use crate::roles::{Form, form, in_block};

/// The resource with its parameters in the form of its kind.
pub(crate) fn prepared(resource: &Resource) -> Resource {
    let mut prepared = resource.clone();
    let (name, fields) = (&resource.place.name, &mut prepared.fields);
    match (resource.place.class, form(resource)) {
        (Class::Role, Form::Block(block)) => in_block(fields, block, name),
        (Class::Engine, _) => engine(fields, &resource.method),
        (Class::Issuer, _) => issuers::prepared(fields),
        (Class::Group, _) => group(fields),
        (Class::Quota, _) => quota(fields),
        _ => {}
    }
    prepared
}

/// A SecretEngine lists the configurations below `<mount>/config/`.
fn engine(fields: &mut Fields, type_: &str) {
    if let Some(Value::Object(configs)) = fields.remove("configs_of_engine") {
        fields.insert("configs".to_owned(), listed(type_, configs));
    }
}

/// Logins determine the members of an external group, and only it has an alias.
fn group(fields: &mut Fields) {
    if is_external(fields) {
        fields.retain(|name, _| !name.starts_with("member_"));
    } else {
        fields.remove("alias");
    }
}

/// The default of `inheritable` depends on the path.
fn quota(fields: &mut Fields) {
    let path = text(fields, "path").trim_end_matches('/').to_owned();
    if fields.get("inheritable").and_then(Value::as_bool).is_some_and(|it| it == path.is_empty()) {
        fields.remove("inheritable");
    }
    fields.insert("path".to_owned(), json!(path));
}
