//! From the parameters of a resource to the fields of a spec.

use serde_json::{Map, Value, json};

use crate::defaults::is_default;
use crate::masking::{is_binding, masked, without_secrets};
use crate::resource::{Class, Fields, Resource};
use crate::schema::{field, formed};

/// How the resources of a class become objects of a kind.
pub(crate) struct Shape {
    pub(crate) kind: &'static str,
    /// Parameters with another name in the spec: parameter, with the object that contains it, and path of the field.
    pub(crate) renamed: &'static [(&'static str, &'static str)],
    /// Parts of the spec by the start of the parameter. A parameter becomes the field of the same name in the first part that
    /// declares it with a type that the value has.
    pub(crate) sections: &'static [(&'static str, &'static str)],
    /// Maps for the other parameters, by the start of the parameter. The first entry that applies is used. An empty name stands
    /// for none.
    pub(crate) rest: &'static [(&'static str, &'static str)],
    /// Parameters that OpenBao computes. A name that ends with a dot or an underscore stands for all parameters that start with
    /// it.
    pub(crate) ignored: &'static [&'static str],
}

/// Objects in the parameters that are treated as parameters of their own.
const NESTED: &[&str] =
    &["authority", "config", "config_of_method", "config_of_engine", "connection_details", "options"];

/// What an object does not contain of its resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Omitted {
    /// Parameters with secret values.
    pub(crate) secrets: Vec<String>,
    /// Parameters that contain a password.
    pub(crate) passwords: Vec<String>,
    /// Parameters that the kind does not have.
    pub(crate) unknown: Vec<String>,
}

/// Adds the parameters of a resource to a spec.
pub(crate) fn fill(spec: &mut Map<String, Value>, resource: &Resource, shape: &Shape) -> Omitted {
    let mut fields = resource.fields.clone();
    let mut omitted = Omitted { secrets: without_secrets(&mut fields), ..Omitted::default() };
    for (parameter, mut value) in flattened(fields) {
        if is_ignored(shape, &parameter) || is_default(resource, &parameter, &value) {
            continue;
        }
        if may_have_password(resource.place.class, &parameter) && masked(&mut value) {
            omitted.passwords.push(parameter);
        } else if !put(spec, shape, &parameter, value) {
            omitted.unknown.push(parameter);
        }
    }
    omitted
}

/// Returns true for a parameter whose text can be a connection string or a statement. The text of a policy and the values that
/// limit a role are not secret, and can look like one.
fn may_have_password(class: Class, parameter: &str) -> bool {
    match class {
        Class::Policy => false,
        Class::Role => !is_binding(parameter),
        _ => true,
    }
}

/// The parameters by name, those of nested objects with the name of the object.
fn flattened(fields: Fields) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) if NESTED.contains(&name.as_str()) => {
                flat.extend(inner.into_iter().map(|(field, value)| (format!("{name}.{field}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}

fn is_ignored(shape: &Shape, parameter: &str) -> bool {
    shape.ignored.iter().any(|ignored| match ignored.ends_with(['.', '_']) {
        true => parameter.starts_with(ignored),
        false => parameter == *ignored,
    })
}

/// Sets a parameter. Returns false if the kind does not have it.
fn put(spec: &mut Map<String, Value>, shape: &Shape, parameter: &str, value: Value) -> bool {
    if let Some((_, path)) = shape.renamed.iter().find(|(renamed, _)| *renamed == parameter) {
        set(spec, path, declared(shape.kind, path, &value).unwrap_or(value));
        return true;
    }
    for (start, section) in shape.sections {
        let found = parameter.strip_prefix(start).and_then(|name| field(shape.kind, section, name));
        if let Some((field, value)) = found.and_then(|found| Some((found, formed(found.schema, &value)?))) {
            set(spec, &joined(section, field.name), value);
            return true;
        }
    }
    let rest = shape.rest.iter().find_map(|(start, to)| Some((parameter.strip_prefix(start)?, to)));
    let Some((name, to)) = rest.filter(|(_, to)| !to.is_empty()) else { return false };
    let map = spec.entry(*to).or_insert_with(|| json!({}));
    if let Value::Object(map) = map {
        map.insert(name.to_owned(), value);
    }
    true
}

/// A value in the type of the field at a path.
fn declared(kind: &str, path: &str, value: &Value) -> Option<Value> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    formed(field(kind, section, name)?.schema, value)
}

fn joined(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// Sets the value at a path such as `tune.maxLeaseTTL`.
pub(crate) fn set(fields: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(fields.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = fields.entry(first).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}
