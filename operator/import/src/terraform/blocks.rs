//! Attributes of the provider in the form of OpenBao's API.

use serde_json::{Map, Value, json};

use super::table::{DURATIONS, IGNORED, RENAMED, Rule};
use crate::resource::{Class, Fields, Place, Resource, text};
use crate::tables::engine_type;

/// Attributes of a mount that the API returns outside of its configuration.
const MOUNT: &[&str] =
    &["type", "description", "options", "local", "seal_wrap", "external_entropy_access", "plugin_version"];
/// Attributes of a connection that the API returns outside of its details.
const CONNECTION: &[&str] = &[
    "allowed_roles",
    "password_policy",
    "plugin_name",
    "plugin_version",
    "root_credentials_rotate_statements",
];
/// Attributes of a role of a database with other values in the API.
const SCHEDULE: &[&str] = &["rotation_schedule", "rotation_window"];

/// The type of the mount and the parameters of a resource.
pub(super) fn shaped(rule: &Rule, attributes: &Fields) -> (String, Fields) {
    // Only a quota has a path that does not identify it.
    let is_ignored = |name: &str| IGNORED.contains(&name) && !(rule.class == Class::Quota && name == "path");
    let kept = attributes.iter().filter(|(name, _)| *name != rule.name && !is_ignored(name));
    let fields: Fields = kept.map(|(name, value)| parameter(name, value)).collect();
    match rule.class {
        Class::Role if rule.method == "jwt" => (rule.method.to_owned(), claims(fields)),
        Class::Engine => engine(rule, fields),
        Class::Method => method(rule, fields),
        Class::Connection => (rule.method.to_owned(), connection(fields)),
        _ => (rule.method.to_owned(), fields),
    }
}

/// The provider splits the values of a claim at commas, unless an attribute disables it.
fn claims(mut fields: Fields) -> Fields {
    let is_split = fields.remove("disable_bound_claims_parsing") != Some(json!(true));
    let claims = fields.get_mut("bound_claims").and_then(Value::as_object_mut).filter(|_| is_split);
    for claim in claims.into_iter().flat_map(Map::values_mut) {
        let listed = claim.as_str().filter(|text| text.contains(','));
        if let Some(listed) = listed.map(|text| text.split(',').map(str::trim).collect()) {
            *claim = listed;
        }
    }
    fields
}

/// Name and value of an attribute as the API has them. Some resources state seconds as text.
fn parameter(name: &str, value: &Value) -> (String, Value) {
    let renamed =
        RENAMED.iter().find(|(attribute, _)| *attribute == name).map_or(name, |(_, renamed)| renamed);
    let seconds = value.as_str().filter(|_| DURATIONS.contains(&name)).and_then(seconds);
    (renamed.to_owned(), seconds.map_or_else(|| value.clone(), |seconds| json!(seconds)))
}

/// Seconds of a text such as `3600` or `1h30m`.
fn seconds(text: &str) -> Option<u64> {
    let unit =
        |text: &str| text.parse::<steamer_api::LongDuration>().ok().map(|duration| duration.get().as_secs());
    text.parse().ok().or_else(|| unit(text))
}

fn engine(rule: &Rule, mut fields: Fields) -> (String, Fields) {
    let type_ =
        if rule.method.is_empty() { text(&fields, "type").to_owned() } else { rule.method.to_owned() };
    let plugin = type_.strip_suffix("-v2").or_else(|| type_.strip_suffix("-v1")).unwrap_or(&type_).to_owned();
    let version = fields.get("options").and_then(|options| options["version"].as_str());
    let version = if type_ == "kv-v2" { Some("2") } else { version };
    let type_ = engine_type(&plugin, version);
    let mut mount = taken(&mut fields, MOUNT);
    mount.insert("type".to_owned(), json!(plugin));
    // The blocks of a database are connections.
    fields.retain(|_, value| !value[0].is_object());
    mount.insert("config".to_owned(), Value::Object(fields));
    (type_, mount)
}

fn method(rule: &Rule, mut fields: Fields) -> (String, Fields) {
    let type_ =
        Some(text(&fields, "type")).filter(|type_| !type_.is_empty()).unwrap_or(rule.method).to_owned();
    let mut tune = fields.remove("tune").and_then(first).unwrap_or_default();
    for name in ["default_lease_ttl", "max_lease_ttl"] {
        let value = tune.get(name).and_then(Value::as_str).and_then(seconds).map(|seconds| json!(seconds));
        if let Some(value) = value.or_else(|| fields.remove(name)) {
            tune.insert(name.to_owned(), value);
        }
    }
    let mut mount = taken(&mut fields, MOUNT);
    mount.insert("type".to_owned(), json!(type_));
    mount.insert("config".to_owned(), Value::Object(tune));
    if !rule.method.is_empty() {
        mount.insert("config_of_method".to_owned(), Value::Object(fields));
    }
    (type_, mount)
}

fn taken(fields: &mut Fields, names: &[&str]) -> Fields {
    names.iter().filter_map(|name| Some(((*name).to_owned(), fields.remove(*name)?))).collect()
}

/// The only element of a block.
fn first(block: Value) -> Option<Map<String, Value>> {
    match block {
        Value::Array(items) => items.into_iter().find_map(|item| item.as_object().cloned()),
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// A connection: its one block is named after the database.
fn connection(mut fields: Fields) -> Fields {
    let block = fields.iter().find(|(_, value)| value[0].is_object()).map(|(name, _)| name.clone());
    let details = block.as_deref().and_then(|block| fields.remove(block)).and_then(first);
    let more = fields.remove("data").and_then(first).unwrap_or_default();
    let mut connection = taken(&mut fields, CONNECTION);
    if text(&connection, "plugin_name").is_empty()
        && let Some(block) = block
    {
        connection
            .insert("plugin_name".to_owned(), json!(format!("{}-database-plugin", block.replace('_', "-"))));
    }
    let details = details.unwrap_or_default().into_iter().chain(more).filter(|(_, value)| !value.is_null());
    connection.insert("connection_details".to_owned(), Value::Object(details.collect()));
    connection
}

/// The connections in the blocks of a mount of databases.
pub(super) fn connections(rule: &Rule, attributes: &Fields) -> Vec<Resource> {
    if rule.kind != "vault_database_secrets_mount" {
        return Vec::new();
    }
    let (namespace, mount) = (text(attributes, "namespace"), text(attributes, rule.name));
    let blocks = attributes.iter().filter(|(_, value)| value[0].is_object());
    let each = blocks
        .flat_map(|(block, value)| value.as_array().into_iter().flatten().map(move |item| (block, item)));
    each.filter_map(|(block, item)| {
        let details = item.as_object()?;
        let mut fields: Fields = details.iter().map(|(name, value)| parameter(name, value)).collect();
        let mut outer = taken(&mut fields, CONNECTION);
        for name in ["name", "verify_connection"].iter().chain(SCHEDULE) {
            fields.remove(*name);
        }
        outer.insert("data".to_owned(), fields.remove("data").unwrap_or_default());
        outer.insert(block.clone(), json!([fields]));
        let place = Place::new(Class::Connection, namespace, text(details, "name")).inside(mount, "config");
        Some(Resource { place, method: "database".to_owned(), fields: connection(outer) })
    })
    .collect()
}
