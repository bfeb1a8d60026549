//! Templates and filters of an object, with those of the SecretTransformations that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use steamer_api::{SecretTemplate, SecretTransformationSpec, TemplateRef, Transformation, TransformationRef};
use steamer_core::Error;
use steamer_runtime::ObjectName;

/// Field of the transformation of a delivered Secret, in messages.
pub(crate) const DELIVERED: &str = "destination.transformation";

/// Templates and filters by name, each with its origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Definition {
    /// Field of the object with the transformation, in messages.
    #[serde(skip)]
    pub(super) field: &'static str,
    /// All templates, in the order in which they are added.
    pub(super) templates: Vec<Text>,
    /// Keys of the Secret, and the template of each.
    pub(super) keys: BTreeMap<String, String>,
    /// Templates with keys and values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mappings: Vec<String>,
    /// Labels of the Secret, and the template of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    /// Annotations of the Secret, and the template of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    /// Expressions of keys of the value that are written, with their origin. Empty: all.
    pub(super) includes: BTreeMap<String, String>,
    /// Expressions of keys of the value that are not written, with their origin.
    pub(super) excludes: BTreeMap<String, String>,
    /// Whether the Secret contains the key `_raw`.
    pub(super) has_raw: bool,
}

/// A template, and the field or object that contains it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Text {
    pub(super) origin: String,
    pub(super) name: String,
    pub(super) text: String,
}

impl Definition {
    /// The templates and filters of an object itself. `field`: where it contains them.
    pub(crate) fn inline(transformation: &Transformation, field: &'static str) -> Self {
        let Transformation {
            templates,
            keys_and_values,
            labels,
            annotations,
            transformation_refs: _,
            includes,
            excludes,
            exclude_raw,
        } = transformation;
        let mut definition = Self { field, has_raw: !exclude_raw, ..Self::default() };
        for (key, template) in templates {
            let name = template.name.as_ref().unwrap_or(key).clone();
            definition.add(field, name.clone(), &template.text);
            definition.keys.insert(key.clone(), name);
        }
        for (position, template) in keys_and_values.iter().enumerate() {
            let name = template.name.clone().unwrap_or_else(|| format!("keysAndValues/{position}"));
            definition.add(field, name.clone(), &template.text);
            definition.mappings.push(name);
        }
        definition.labels = definition.add_metadata("labels", labels);
        definition.annotations = definition.add_metadata("annotations", annotations);
        definition.includes = with_origin(includes, field);
        definition.excludes = with_origin(excludes, field);
        definition
    }

    /// Adds the templates of labels or annotations. Returns their names by key.
    fn add_metadata(&mut self, kind: &str, templates: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for (key, text) in templates {
            let name = format!("{kind}/{key}");
            self.add(self.field, name.clone(), text);
            names.insert(key.clone(), name);
        }
        names
    }

    /// Adds a SecretTransformation. Keys that are already defined keep their template.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a `templateRef` names a missing template, or a key that is already defined.
    pub(crate) fn refer(
        &mut self,
        reference: &TransformationRef,
        name: &ObjectName,
        spec: &SecretTransformationSpec,
    ) -> Result<(), Error> {
        let origin = format!("SecretTransformation {name}");
        if !reference.ignore_includes {
            self.includes.extend(with_origin(&spec.includes, &origin));
        }
        if !reference.ignore_excludes {
            self.excludes.extend(with_origin(&spec.excludes, &origin));
        }
        self.add_templates(name, &origin, spec);
        if reference.template_refs.is_empty() {
            for (key, template) in &spec.templates {
                self.keys.entry(key.clone()).or_insert_with(|| name_of(template, name, key));
            }
        }
        reference.template_refs.iter().try_for_each(|template| self.choose(template, name, spec))
    }

    /// The templates and filters of a SecretTransformation alone.
    pub(crate) fn of(name: &ObjectName, spec: &SecretTransformationSpec) -> Self {
        let mut definition = Self::default();
        // Without templateRefs no error is possible.
        let _ = definition.refer(&TransformationRef::default(), name, spec);
        definition
    }

    /// Adds the templates of a SecretTransformation, unless another reference has added them.
    fn add_templates(&mut self, name: &ObjectName, origin: &str, spec: &SecretTransformationSpec) {
        if self.templates.iter().any(|template| template.origin == *origin) {
            return;
        }
        for (position, source) in spec.source_templates.iter().enumerate() {
            let unnamed = || format!("{name}/{position}");
            self.add(origin, source.name.clone().unwrap_or_else(unnamed), &source.text);
        }
        for (key, template) in &spec.templates {
            self.add(origin, name_of(template, name, key), &template.text);
        }
    }

    /// Writes a template of a SecretTransformation to a key of the Secret.
    fn choose(
        &mut self,
        reference: &TemplateRef,
        name: &ObjectName,
        spec: &SecretTransformationSpec,
    ) -> Result<(), Error> {
        let TemplateRef { name: template, key_override } = reference;
        let found = spec.templates.get(template).ok_or_else(|| {
            Error::Invalid(format!(
                "SecretTransformation {name} has no template `{template}`: correct templateRefs in {}",
                self.field
            ))
        })?;
        let key = key_override.as_ref().unwrap_or(template);
        if self.keys.contains_key(key) {
            return Err(Error::Invalid(format!(
                "{} defines the key `{key}` twice: set keyOverride of template `{template}` of SecretTransformation {name}",
                self.field
            )));
        }
        self.keys.insert(key.clone(), name_of(found, name, template));
        Ok(())
    }

    /// Returns true if a template writes a key, a label or an annotation.
    pub(crate) fn has_templates(&self) -> bool {
        !self.keys.is_empty() || !self.mappings.is_empty() || self.has_metadata()
    }

    /// Returns true if a template writes a label or an annotation.
    pub(crate) fn has_metadata(&self) -> bool {
        !self.labels.is_empty() || !self.annotations.is_empty()
    }

    fn add(&mut self, origin: &str, name: String, text: &str) {
        self.templates.push(Text { origin: origin.to_owned(), name, text: text.to_owned() });
    }

    /// Names of templates that occur more than once.
    pub(super) fn repeated(&self) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        self.templates.iter().map(|it| it.name.as_str()).filter(|name| !seen.insert(*name)).collect()
    }
}

fn name_of(template: &SecretTemplate, object: &ObjectName, key: &str) -> String {
    template.name.clone().unwrap_or_else(|| format!("{object}/{key}"))
}

fn with_origin(expressions: &[String], origin: &str) -> BTreeMap<String, String> {
    expressions.iter().map(|expression| (expression.clone(), origin.to_owned())).collect()
}
