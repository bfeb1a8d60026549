//! The conversion of all objects of an input.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use steamer_api::KindId;

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::input::Object;
use crate::inventory::Inventory;
use crate::leftovers::{Advice, findings};
use crate::metadata::{self, Metadata};
use crate::origin::Origin;
use crate::report::{Finding, Report, Severity};
use crate::schema::Mistake;
use crate::settings::Settings;
use crate::task::Task;
use crate::{eso, vso};

/// Converts one kind: takes the fields of a spec, and adds drafts and findings to the task.
type Converter = fn(&mut Task<'_>, &mut Cursor);

/// The result of a conversion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversion {
    /// Objects of Steamer, and the Secrets with CA certificates that they refer to.
    pub objects: Vec<Value>,
    /// Everything to review and to do.
    pub report: Report,
}

/// Converts objects of VSO and ESO. Other objects are skipped and reported.
#[must_use]
pub fn convert(objects: Vec<Map<String, Value>>, settings: &Settings) -> Conversion {
    convert_for(objects, settings, |kind| KindId::parse(kind).is_some())
}

/// Same as [`convert`], for a version of Steamer with the kinds for which `is_available` returns true.
pub(crate) fn convert_for(
    objects: Vec<Object>,
    settings: &Settings,
    is_available: fn(&str) -> bool,
) -> Conversion {
    let inventory = Inventory::of(&objects, settings);
    let mut output = Output { conversion: Conversion::default(), names: BTreeSet::new(), is_available };
    output.conversion.report.objects = objects.len();
    let mut tasks: Vec<Task<'_>> =
        objects.into_iter().map(|object| converted(object, settings, &inventory)).collect();
    for task in &mut tasks {
        output.add(task);
    }
    let absorbed: BTreeSet<Origin> = tasks.iter().flat_map(|task| task.absorbed.iter().cloned()).collect();
    let Conversion { objects, report } = &mut output.conversion;
    for task in &mut tasks {
        if let Some(version) = task.unknown.take() {
            task.skip(&version, &absorbed);
        }
        report.findings.append(&mut task.findings);
    }
    report.converted = objects.len();
    output.conversion
}

/// Tables of one operator.
struct Operator {
    versions: &'static [&'static str],
    converter: fn(&str) -> Option<Converter>,
    no_counterpart: fn(&str) -> &'static str,
    advice: &'static [Advice],
}

const OPERATORS: &[Operator] = &[
    Operator {
        versions: vso::VERSIONS,
        converter: vso::converter,
        no_counterpart: vso::no_counterpart,
        advice: vso::ADVICE,
    },
    Operator {
        versions: eso::VERSIONS,
        converter: eso::converter,
        no_counterpart: eso::no_counterpart,
        advice: eso::ADVICE,
    },
];

fn converted<'a>(object: Object, settings: &'a Settings, inventory: &'a Inventory) -> Task<'a> {
    let (version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
    let mut root = Cursor::new("", object);
    let origin = origin(&root, &kind, settings);
    let metadata = Metadata::taken(&mut root);
    let mut task = Task::new((settings, inventory), origin, metadata);
    for field in ["apiVersion", "kind", "status"] {
        root.take(field);
    }
    let Some(operator) = OPERATORS.iter().find(|operator| operator.versions.contains(&version.as_str()))
    else {
        if let Some(converter) = eso::generator_converter(&version, &kind) {
            task.run(converter, root, eso::ADVICE);
        }
        task.unknown = Some(version);
        return task;
    };
    match (operator.converter)(&kind) {
        Some(converter) => task.run(converter, root, operator.advice),
        None => task.review("", None, (operator.no_counterpart)(&kind)),
    }
    task
}

fn text(object: &Object, field: &str) -> String {
    object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn origin(root: &Cursor, kind: &str, settings: &Settings) -> Origin {
    let metadata = root.peek("metadata");
    let part =
        |field: &str| metadata.and_then(|metadata| metadata[field].as_str()).filter(|part| !part.is_empty());
    let namespace = part("namespace").map(str::to_owned).or_else(|| settings.namespace.clone());
    let namespace = namespace.filter(|_| !kind.starts_with("Cluster"));
    Origin { kind: kind.to_owned(), namespace, name: part("name").unwrap_or_default().to_owned() }
}

impl Task<'_> {
    /// Reports an object that no converter knows. `absorbed` are the generators that became a part of another object.
    fn skip(&mut self, version: &str, absorbed: &BTreeSet<Origin>) {
        let group = version.split('/').next().unwrap_or_default();
        let is_absorbed = absorbed.contains(&self.origin);
        let about = eso::about_generator(&self.origin.kind, is_absorbed);
        if group == eso::GENERATORS && is_absorbed {
            self.note("", about);
        } else if group == eso::GENERATORS {
            self.review("", None, about);
        } else if ["secrets.hashicorp.com", "external-secrets.io"].contains(&group) {
            self.review("", None, "this version of the kind cannot be converted: convert it to a version that is listed in the documentation");
        } else {
            self.note("", "not an object of Vault Secrets Operator or External Secrets Operator: skipped");
        }
    }

    fn run(&mut self, converter: Converter, mut root: Cursor, advice: &[Advice]) {
        let converted = root.within("spec", |spec| converter(self, spec)).is_some();
        if !converted {
            self.review("spec", None, "the object has no spec: nothing was converted");
        }
        let left = findings(&self.origin, &root.rest(), &[advice, metadata::ADVICE]);
        self.findings.extend(left);
    }
}

/// The objects so far.
struct Output {
    conversion: Conversion,
    /// Kind, namespace and name of each object.
    names: BTreeSet<(&'static str, Option<String>, String)>,
    is_available: fn(&str) -> bool,
}

impl Output {
    /// Adds the objects that one object becomes. Two objects of one name cannot exist: the first one is kept.
    fn add(&mut self, task: &mut Task<'_>) {
        let mut is_kept = task.drafts.is_empty();
        for draft in std::mem::take(&mut task.drafts) {
            match self.refused(&draft) {
                None => {
                    self.conversion.objects.push(fitted(task, draft));
                    is_kept = true;
                }
                Some((field, action)) => {
                    task.review(field, None, action);
                    // No written object contains the settings of the other objects.
                    task.absorbed.clear();
                }
            }
        }
        // Nothing refers to them if no draft is written.
        if is_kept {
            self.conversion.objects.append(&mut task.others);
        }
    }

    /// Records the name of an object. Returns the field and what to do if the object cannot be written.
    fn refused(&mut self, draft: &Draft) -> Option<(&'static str, String)> {
        if !self.names.insert((draft.kind, draft.namespace.clone(), draft.name.clone())) {
            let text =
                "another object of the input becomes an object of the same kind and name: rename one of them";
            return Some(("metadata.name", format!("{}: {text}", draft.kind)));
        }
        let text = "is not available in this version of Steamer: keep the object until it is";
        (!(self.is_available)(draft.kind)).then(|| ("", format!("{} {text}", draft.kind)))
    }
}

/// The object without the fields that this version does not have, which are reported.
fn fitted(task: &mut Task<'_>, mut draft: Draft) -> Value {
    for Mistake { path, value, problem } in draft.fit() {
        task.findings.push(Finding {
            severity: Severity::Review,
            object: task.origin.to_string(),
            field: path,
            value,
            action: problem,
        });
    }
    draft.object()
}
