//! The rules that the policy of an identity needs.

use std::collections::BTreeMap;

use steamer_api::{DeletionPolicy, KvType};

use super::entry::Entry;

/// Whether entries are deleted with their object.
pub(super) type Deletion = DeletionPolicy;

/// The rules for an entry, as lines of a policy in the namespace of the entry.
pub(super) fn rules(entry: &Entry, deletion: Deletion) -> String {
    let mut rules: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let place = &entry.place;
    let mut owned = vec!["create", "read", "update"];
    if deletion == DeletionPolicy::Delete {
        owned.push("delete");
    }
    match place.kind {
        KvType::V1 => rules.insert(place.data(), owned),
        KvType::V2 => {
            rules.insert(format!("{}/metadata/{}", place.mount, place.path), owned);
            rules.insert(place.data(), vec!["create", "read", "update"])
        }
    };
    for policy in entry.generated.values().filter_map(|generator| generator.password_policy.as_ref()) {
        rules.insert(format!("sys/policies/password/{}/generate", policy.name), vec!["read"]);
    }
    let line = |(path, capabilities): (String, Vec<&str>)| {
        format!("path \"{path}\" {{ capabilities = [\"{}\"] }}", capabilities.join("\", \""))
    };
    rules.into_iter().map(line).collect::<Vec<_>>().join(" ")
}
