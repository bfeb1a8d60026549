//! Resources of the provider that add to another resource: configurations, aliases, members.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::state::Entry;
use super::table::{ENGINE_CONFIGS, IGNORED, METHOD_SETTINGS};
use crate::configs::defaults;
use crate::masking::without_secrets;
use crate::resource::{Class, Fields, Place, items, text};

/// Settings of a KV engine.
const ENGINE_SETTINGS: &str = "vault_kv_secret_backend_v2";
/// Resources that add to a list of a group.
const GROUP_LISTS: &[(&str, &str)] = &[
    ("vault_identity_group_policies", "policies"),
    ("vault_identity_group_member_entity_ids", "member_entity_ids"),
    ("vault_identity_group_member_group_ids", "member_group_ids"),
];
/// Settings of an issuer that another resource created.
const ISSUER: &str = "vault_pki_secret_backend_issuer";
/// The default issuer of a mount.
const DEFAULT_ISSUER: &str = "vault_pki_secret_backend_config_issuers";
/// Resources that are read only to find names and parts of other resources, and steps of the creation of an intermediate.
const OTHERS: &[&str] = &[
    ENGINE_SETTINGS,
    ISSUER,
    DEFAULT_ISSUER,
    "vault_pki_secret_backend_intermediate_cert_request",
    "vault_pki_secret_backend_root_sign_intermediate",
    "vault_identity_group_alias",
    "vault_identity_group_policies",
    "vault_identity_group_member_entity_ids",
    "vault_identity_group_member_group_ids",
];

/// OpenBao namespace and path of a mount.
pub(super) type Mount = (String, String);

/// The mount that an attribute names.
pub(super) fn mount(attributes: &Fields, field: &str) -> Mount {
    let trimmed = |field: &str| text(attributes, field).trim_matches('/').to_owned();
    (trimmed("namespace"), trimmed(field))
}

/// Returns false for a value that the provider writes for an attribute without one.
pub(super) fn is_stated(value: &Value) -> bool {
    !value.is_null() && *value != ""
}

/// What resources add to others.
#[derive(Default)]
pub(super) struct Links {
    settings: BTreeMap<Mount, Fields>,
    /// Paths of auth mounts by accessor.
    accessors: BTreeMap<String, String>,
    /// Names of entities and groups by ID.
    names: BTreeMap<String, String>,
    /// Group, list in the group, and its additional elements.
    groups: Vec<(String, &'static str, Vec<Value>)>,
    /// Group, accessor and name.
    aliases: Vec<(String, String, String)>,
    /// Settings of issuers, with their mounts.
    issuers: Vec<(Mount, Fields)>,
    /// IDs or names of default issuers.
    defaults: BTreeMap<Mount, String>,
}

impl Links {
    /// Returns true for a type of the provider that adds to others.
    pub(super) fn knows(kind: &str) -> bool {
        OTHERS.contains(&kind)
            || METHOD_SETTINGS.iter().any(|(known, _)| *known == kind)
            || ENGINE_CONFIGS.iter().any(|(known, ..)| *known == kind)
    }

    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut links = Self::default();
        for entry in entries {
            links.add(&entry.kind, &entry.attributes);
        }
        links
    }

    fn add(&mut self, kind: &str, attributes: &Fields) {
        let field = |name: &str| text(attributes, name).to_owned();
        let list = |name: &str| attributes.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some((_, path)) = METHOD_SETTINGS.iter().find(|(known, _)| *known == kind) {
            self.settings(attributes, &format!("auth/{}", text(attributes, path)));
        }
        if let Some((_, name)) = GROUP_LISTS.iter().find(|(known, _)| *known == kind) {
            self.groups.push((field("group_id"), name, list(name)));
        }
        if let Some((_, engine, path)) = ENGINE_CONFIGS.iter().find(|(known, ..)| *known == kind) {
            self.config(attributes, engine, path);
        }
        match kind {
            ISSUER => self.issuers.push((mount(attributes, "backend"), attributes.clone())),
            DEFAULT_ISSUER => drop(self.defaults.insert(mount(attributes, "backend"), field("default"))),
            ENGINE_SETTINGS => self.settings(attributes, text(attributes, "mount")),
            "vault_identity_entity" | "vault_identity_group" => {
                drop(self.names.insert(field("id"), field("name")))
            }
            "vault_identity_group_alias" => {
                self.aliases.push((field("canonical_id"), field("mount_accessor"), field("name")));
            }
            _ if attributes.contains_key("accessor") => {
                let path =
                    Some(field("path")).filter(|path| !path.is_empty()).unwrap_or_else(|| field("type"));
                self.accessors.insert(field("accessor"), path);
            }
            _ => {}
        }
    }

    fn settings(&mut self, attributes: &Fields, path: &str) {
        let mut fields = attributes.clone();
        without_secrets(&mut fields);
        fields.retain(|name, _| !IGNORED.contains(&name.as_str()));
        let (namespace, _) = mount(attributes, "");
        let path = path.trim_matches('/').to_owned();
        self.settings.entry((namespace, path)).or_default().append(&mut fields);
    }

    /// Keeps the parameters that OpenBao has. Those that the state does not set are left out.
    fn config(&mut self, attributes: &Fields, engine: &str, path: &str) {
        let known = defaults(engine, path);
        let stated = attributes.iter().filter(|(name, value)| known.contains_key(*name) && is_stated(value));
        let config: Fields = stated.map(|(name, value)| (name.clone(), value.clone())).collect();
        let settings = self.settings.entry(mount(attributes, "backend")).or_default();
        let configs = settings.entry("configs_of_engine").or_insert_with(|| json!({}));
        configs[path] = Value::Object(config);
    }

    /// The settings of an issuer by one of its IDs, or by its name.
    pub(super) fn issuer(&self, place: &Mount, ids: &[&str]) -> Option<&Fields> {
        let is_of = |fields: &Fields| {
            let names = ["issuer_id", "issuer_ref", "issuer_name"].map(|name| text(fields, name));
            names.iter().any(|name| !name.is_empty() && ids.contains(name))
        };
        self.issuers.iter().find(|(at, fields)| at == place && is_of(fields)).map(|(_, fields)| fields)
    }

    /// The ID or the name of the default issuer of a mount. Empty: unknown.
    pub(super) fn default_issuer(&self, place: &Mount) -> &str {
        self.defaults.get(place).map(String::as_str).unwrap_or_default()
    }

    /// Adds to a resource what other resources state about it.
    pub(super) fn complete(&self, place: &Place, attributes: &Fields, fields: &mut Fields) {
        let settings = |path: String| self.settings.get(&(place.namespace.clone(), path)).cloned();
        match place.class {
            Class::Method => merge(fields, "config_of_method", settings(format!("auth/{}", place.name))),
            Class::Engine => {
                let mut settings = settings(place.name.clone());
                let configs = settings.as_mut().and_then(|found| found.remove("configs_of_engine"));
                fields.extend(configs.map(|configs| ("configs_of_engine".to_owned(), configs)));
                merge(fields, "config_of_engine", settings);
            }
            Class::Group => self.group(text(attributes, "id"), fields),
            _ => {}
        }
    }

    fn group(&self, id: &str, fields: &mut Fields) {
        for (_, list, added) in self.groups.iter().filter(|(group, ..)| group == id) {
            let found = fields.entry(*list).or_insert_with(|| json!([]));
            if let Value::Array(found) = found {
                found.extend(added.iter().filter(|item| !item.is_null()).cloned());
            } else {
                *found = Value::Array(added.clone());
            }
        }
        for (ids, names) in [("member_entity_ids", "member_entities"), ("member_group_ids", "member_groups")]
        {
            let known: Vec<&String> =
                items(fields, ids).into_iter().filter_map(|id| self.names.get(id)).collect();
            fields.insert(names.to_owned(), json!(known));
        }
        let mut aliases = self.aliases.iter().filter(|(group, ..)| group == id);
        let alias = |(_, accessor, name): &(String, String, String)| {
            Some(json!({"name": name, "mount": self.accessors.get(accessor)?}))
        };
        fields.insert("alias".to_owned(), aliases.find_map(alias).unwrap_or_default());
    }
}

fn merge(fields: &mut Fields, field: &str, settings: Option<Fields>) {
    let Some(mut settings) = settings else { return };
    match fields.get_mut(field) {
        Some(Value::Object(found)) => found.append(&mut settings),
        _ => drop(fields.insert(field.to_owned(), Value::Object(settings))),
    }
}
