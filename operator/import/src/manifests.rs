//! The objects for the resources that were read.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use steamer_convert::{Finding, Mistake, Report, Severity, fitted};

use crate::bindings::lost;
use crate::common;
use crate::findings::{SECRET, note, review};
use crate::inventory::Inventory;
use crate::issuers;
use crate::names::{Names, names};
use crate::prepared::prepared;
use crate::refusals::refusal;
use crate::resource::{Class, Place, Resource};
use crate::settings::Settings;
use crate::shapes::{connection_of, identify, shape};
use crate::spec::{Omitted, fill};

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Import {
    /// Objects of Steamer.
    pub objects: Vec<Value>,
    /// What is not imported, and what to do about it.
    pub report: Report,
}

/// Returns the objects for the resources of an inventory, in a stable order.
#[must_use]
pub fn manifests(inventory: Inventory, settings: &Settings) -> Import {
    let Inventory { resources, findings, logins } = inventory;
    let mut import = Import { objects: Vec::new(), report: Report { findings, ..Report::default() } };
    let mut managed = unique(resources);
    import.report.objects = managed.len();
    managed.retain(|resource| match left(resource, &logins) {
        Some(finding) => {
            import.report.findings.push(finding);
            false
        }
        None => true,
    });
    import.leave_unconnected(&mut managed);
    import.leave_unsigned(&mut managed);
    let names = named(&managed);
    issuers::refer(&mut managed, &names);
    for resource in &managed {
        import.add(resource, &names, settings);
    }
    import.report.converted = import.objects.len();
    import
}

/// The finding about a resource that does not become an object.
fn left(resource: &Resource, logins: &BTreeSet<String>) -> Option<Finding> {
    let Place { class, namespace, name, .. } = &resource.place;
    if *class == Class::Method && namespace.is_empty() && logins.contains(name) {
        let action =
            "the operator logs in with this auth method, so no object manages it: manage it as before";
        return Some(note(resource.place.to_string(), action.to_owned()));
    }
    if *class == Class::Issuer {
        return issuers::left(resource);
    }
    refusal(resource).map(|action| review(resource.place.to_string(), "", action))
}

/// The resources in the order of their places, each place once.
fn unique(mut resources: Vec<Resource>) -> Vec<Resource> {
    resources.sort_by(|a, b| a.place.cmp(&b.place));
    resources.dedup_by(|a, b| a.place == b.place);
    resources
}

fn named(resources: &[Resource]) -> Names {
    let places: Vec<(&'static str, &Place)> =
        resources.iter().map(|resource| (shape(resource).kind, &resource.place)).collect();
    let named = names(&places).into_iter().zip(places);
    named.map(|(name, (_, place))| (place.clone(), name)).collect()
}

impl Import {
    /// Removes the roles of databases whose connection is not imported.
    fn leave_unconnected(&mut self, managed: &mut Vec<Resource>) {
        const ACTION: &str = "its connection is not imported, so no object can name it: correct what the report says about the connection, and import again";
        let is_connection = |resource: &&Resource| resource.place.class == Class::Connection;
        let connections: BTreeSet<Place> =
            managed.iter().filter(is_connection).map(|resource| resource.place.clone()).collect();
        managed.retain(|resource| {
            let is_kept = connection_of(resource).is_none_or(|connection| connections.contains(&connection));
            if !is_kept {
                self.report.findings.push(review(resource.place.to_string(), "", ACTION));
            }
            is_kept
        });
    }

    /// Removes the intermediates whose parent is not imported.
    fn leave_unsigned(&mut self, managed: &mut Vec<Resource>) {
        for (place, finding) in issuers::unsigned(managed) {
            managed.retain(|resource| resource.place != place);
            self.report.findings.push(finding);
        }
    }

    fn add(&mut self, resource: &Resource, names: &Names, settings: &Settings) {
        let shape = shape(resource);
        let place = resource.place.to_string();
        let mut spec = common::spec(&resource.place, settings);
        identify(&mut spec, resource, names);
        let omitted = fill(&mut spec, &prepared(resource), shape);
        complete(&mut spec, resource);
        let mistakes = fitted(shape.kind, &mut spec);
        let lost = lost(resource.place.class, &omitted, &mistakes);
        self.report.findings.extend(mistakes.into_iter().map(|mistake| misfit(&place, mistake)));
        self.report.findings.extend(about(&place, resource, &omitted));
        if let Some(field) = lost {
            return self.report.findings.push(review(place, &field, INCOMPLETE));
        }
        let name = names.get(&resource.place).cloned().unwrap_or_default();
        self.objects.push(common::object(shape.kind, &name, spec, settings));
    }
}

/// Action for a resource that an object without the field would change.
const INCOMPLETE: &str = "no object is written: it would lack this field, and Steamer would change the resource. Change the resource in OpenBao, or write the object by hand";

/// Sets fields whose absence has another meaning than an empty value.
fn complete(spec: &mut Map<String, Value>, resource: &Resource) {
    match resource.place.class {
        // Without the list, the roles that refer to the connection are allowed.
        Class::Connection => drop(spec.entry("allowedRoles").or_insert_with(|| json!([]))),
        // A method needs parameters.
        Class::Role if spec.contains_key("method") => {
            spec.entry("parameters").or_insert_with(|| json!({"token_policies": []}));
        }
        _ => {}
    }
}

fn misfit(place: &str, mistake: Mistake) -> Finding {
    let Mistake { path, value, problem } = mistake;
    Finding {
        severity: Severity::Review,
        object: place.to_owned(),
        field: format!("spec.{path}"),
        value,
        action: problem,
    }
}

/// Findings about parameters that are left out, or that OpenBao never returns.
fn about(place: &str, resource: &Resource, omitted: &Omitted) -> Vec<Finding> {
    const PASSWORD: &str = "the text contains a password and is not imported: OpenBao keeps it, until you add a text without a password";
    const UNKNOWN: &str = "the kind has no field for this parameter, or the value is too large: OpenBao keeps it only until Steamer writes the resource again. Remove it, or manage the resource as before";
    let of = |fields: &[String], action: &str| -> Vec<Finding> {
        fields.iter().map(|field| review(place.to_owned(), field, action)).collect()
    };
    let mut findings = of(&omitted.secrets, SECRET);
    findings.extend(of(&omitted.passwords, PASSWORD));
    findings.extend(of(&omitted.unknown, UNKNOWN));
    let lost = lost_by_a_change(resource).map(|(field, action)| review(place.to_owned(), field, action));
    findings.extend(lost);
    findings.extend(kept(resource).map(|action| note(place.to_owned(), action.to_owned())));
    findings
}

/// A secret that OpenBao never returns, and that a change of the resource removes.
fn lost_by_a_change(resource: &Resource) -> Option<(&'static str, &'static str)> {
    let is_set = |field: &str| is_configured(resource, field);
    match (resource.place.class, resource.method.as_str()) {
        (Class::Method, "kubernetes") if is_set("token_reviewer_jwt_set") => Some((
            "token_reviewer_jwt",
            "OpenBao does not return it, and a change of the configuration removes it: put the token into a Secret, and name it in secretParameters before the first change",
        )),
        (Class::Method, "oidc" | "jwt") if is_set("oidc_client_id") => Some((
            "oidc_client_secret",
            "OpenBao does not return it, and a change of the configuration removes it: put it into a Secret, and name it in secretParameters before the first change",
        )),
        _ => None,
    }
}

/// What to add to an object whose resource has a secret that OpenBao never returns, and keeps.
fn kept(resource: &Resource) -> Option<&'static str> {
    match (resource.place.class, resource.method.as_str()) {
        (Class::Connection, _) => Some(
            "OpenBao does not return the password of the connection, and keeps it: add rootSecretRef if Steamer has to set it",
        ),
        (Class::Method, "ldap") if is_configured(resource, "binddn") => Some(
            "OpenBao does not return bindpass, and keeps it: put it into a Secret, and name it in secretParameters if the method has to be created again",
        ),
        (Class::Role, "userpass") => Some(
            "OpenBao does not return the password of the user, and keeps it: the user cannot be created again without userPass.passwordSecretRef",
        ),
        _ => None,
    }
}

/// Returns true for a configuration of an auth method with a text or `true` in a field.
fn is_configured(resource: &Resource, field: &str) -> bool {
    let value = resource.fields.get("config_of_method").and_then(|config| config.get(field));
    value.is_some_and(|value| *value == json!(true) || value.as_str().is_some_and(|text| !text.is_empty()))
}
