//! Resources of a Terraform state: those of the provider `vault`.

mod blocks;
mod error;
mod issuers;
mod links;
mod state;
mod table;

#[cfg(test)]
mod tests;

use crate::findings::{SECRET, note, review};
use crate::inventory::Inventory;
use crate::masking::{is_binding, without_secrets};
use crate::resource::{Class, Fields, Place, Resource, text};
use blocks::{connections, shaped};
pub use error::TerraformError;
use links::Links;
use state::{Entry, entries};
use table::{RULES, Rule, VALUES};

/// Reads the resources of a Terraform state.
///
/// # Errors
/// [`TerraformError`] if the text is not a Terraform state of version 4.
pub fn terraform(state: &str) -> Result<Inventory, TerraformError> {
    let entries = entries(state)?;
    let links = Links::of(&entries);
    let mut inventory = Inventory::default();
    for entry in entries {
        add(entry, &links, &mut inventory);
    }
    Ok(inventory)
}

fn add(mut entry: Entry, links: &Links, inventory: &mut Inventory) {
    if VALUES.contains(&entry.kind.as_str()) {
        let action = "values and credentials are not imported: they stay in OpenBao".to_owned();
        return inventory.findings.push(note(entry.address, action));
    }
    let rule = RULES.iter().find(|rule| rule.kind == entry.kind);
    if rule.is_none() && !Links::knows(&entry.kind) {
        let action = format!(
            "{} is not imported: manage it as before, or write an object if a kind covers it",
            entry.kind
        );
        return inventory.findings.push(note(entry.address, action));
    }
    entry.removed.extend(without_secrets(&mut entry.attributes));
    if let Some(rule) = rule.filter(|rule| rule.class != Class::Role || !lacks_binding(&entry)) {
        let connections = connections(rule, &entry.attributes);
        let resources = std::iter::once(resource(rule, &entry, links)).chain(connections);
        resources.for_each(|resource| inventory.add(resource));
    }
    entry.removed.sort();
    entry.removed.dedup();
    for field in entry.removed {
        let action = match is_binding(&field) {
            true => {
                "the state hides the value, without which the role would admit more clients: import from the server"
            }
            false => SECRET,
        };
        inventory.findings.push(review(entry.address.clone(), &field, action));
    }
}

/// Returns true if the state hides a value that limits who can log in.
fn lacks_binding(entry: &Entry) -> bool {
    entry.removed.iter().any(|field| is_binding(field))
}

fn resource(rule: &Rule, entry: &Entry, links: &Links) -> Resource {
    if rule.class == Class::Issuer {
        return issuers::issuer(rule, entry, links);
    }
    let attributes = &entry.attributes;
    let name = match (text(attributes, rule.name), rule.class) {
        // The provider's default of the path is the type.
        ("", Class::Method) => text(attributes, "type"),
        (name, _) => name,
    };
    let namespace = text(attributes, "namespace").trim_matches('/');
    let place = match name.trim_matches('/').rsplit_once('/') {
        // The path of a namespace can have several segments.
        Some((parent, name)) if rule.class == Class::Namespace => {
            Place::new(rule.class, &format!("{namespace}/{parent}"), name)
        }
        _ => Place::new(rule.class, namespace, name),
    };
    let mount = if rule.method == "token" { "token" } else { text(attributes, rule.mount) };
    let place = place.inside(mount, rule.folder);
    let (method, mut fields): (String, Fields) = shaped(rule, attributes);
    links.complete(&place, attributes, &mut fields);
    Resource { place, method, fields }
}
