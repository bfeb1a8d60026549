//! Resources of the provider that add to another resource: configurations, aliases, members.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::state::Entry;
use super::table::{IGNORED, METHOD_SETTINGS};
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
/// Resources that are read only to find names and parts of other resources.
const OTHERS: &[&str] = &[
    ENGINE_SETTINGS,
    "vault_identity_group_alias",
    "vault_identity_group_policies",
    "vault_identity_group_member_entity_ids",
    "vault_identity_group_member_group_ids",
];

/// OpenBao namespace and path of a mount.
type Mount = (String, String);

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
}

impl Links {
    /// Returns true for a type of the provider that adds to others.
    pub(super) fn knows(kind: &str) -> bool {
        OTHERS.contains(&kind) || METHOD_SETTINGS.iter().any(|(known, _)| *known == kind)
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
        if let Some((_, mount)) = METHOD_SETTINGS.iter().find(|(known, _)| *known == kind) {
            self.settings(attributes, &format!("auth/{}", text(attributes, mount)));
        }
        if let Some((_, name)) = GROUP_LISTS.iter().find(|(known, _)| *known == kind) {
            self.groups.push((field("group_id"), name, list(name)));
        }
        match kind {
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
        let mount =
            (text(attributes, "namespace").trim_matches('/').to_owned(), path.trim_matches('/').to_owned());
        self.settings.entry(mount).or_default().append(&mut fields);
    }

    /// Adds to a resource what other resources state about it.
    pub(super) fn complete(&self, place: &Place, attributes: &Fields, fields: &mut Fields) {
        let settings = |path: String| self.settings.get(&(place.namespace.clone(), path)).cloned();
        match place.class {
            Class::Method => merge(fields, "config_of_method", settings(format!("auth/{}", place.name))),
            Class::Engine => merge(fields, "config_of_engine", settings(place.name.clone())),
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
