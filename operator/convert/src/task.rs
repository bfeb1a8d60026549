//! The conversion of one object: its findings and the objects that it becomes.

use serde_json::Value;

use crate::draft::Draft;
use crate::inventory::Inventory;
use crate::metadata::Metadata;
use crate::origin::Origin;
use crate::report::{Finding, Severity};
use crate::settings::Settings;
use crate::value::described;

/// The conversion of one object.
pub(crate) struct Task<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) inventory: &'a Inventory,
    pub(crate) origin: Origin,
    pub(crate) metadata: Metadata,
    pub(crate) findings: Vec<Finding>,
    pub(crate) drafts: Vec<Draft>,
    /// Objects of Kubernetes that the drafts need.
    pub(crate) others: Vec<Value>,
    /// Other objects of the input whose settings the drafts contain. Empty if a draft is not written.
    pub(crate) absorbed: Vec<Origin>,
    /// Version of an object that no converter knows, or of a generator.
    pub(crate) unknown: Option<String>,
}

impl<'a> Task<'a> {
    /// A conversion without results.
    pub(crate) fn new(
        (settings, inventory): (&'a Settings, &'a Inventory),
        origin: Origin,
        metadata: Metadata,
    ) -> Self {
        Self {
            settings,
            inventory,
            origin,
            metadata,
            findings: Vec::new(),
            drafts: Vec::new(),
            others: Vec::new(),
            absorbed: Vec::new(),
            unknown: None,
        }
    }
}

impl Task<'_> {
    /// Starts an object with the name, labels and annotations of the source.
    pub(crate) fn draft(&self, kind: &'static str) -> Draft {
        self.draft_in(kind, self.origin.namespace.clone())
    }

    /// Same as [`Self::draft`], in another namespace.
    pub(crate) fn draft_in(&self, kind: &'static str, namespace: Option<String>) -> Draft {
        let mut draft = Draft::new(kind, namespace, &self.origin.name);
        draft.metadata = self.metadata.clone();
        draft
    }

    /// Reports a field to review.
    pub(crate) fn review(
        &mut self,
        field: impl Into<String>,
        value: Option<&Value>,
        action: impl Into<String>,
    ) {
        self.find(Severity::Review, field.into(), value, action.into());
    }

    /// Reports an action outside of the converted object.
    pub(crate) fn note(&mut self, field: impl Into<String>, action: impl Into<String>) {
        self.find(Severity::Note, field.into(), None, action.into());
    }

    /// Reports a part that determines data, and suspends the converted object until it is reviewed.
    pub(crate) fn hold(&mut self, draft: &mut Draft, (field, value): (String, Option<&Value>), action: &str) {
        draft.hold();
        self.review(
            field,
            value,
            format!("{action}; the converted object has suspend: true until you have done so"),
        );
    }

    fn find(&mut self, severity: Severity, field: String, value: Option<&Value>, action: String) {
        let (object, value) = (self.origin.to_string(), value.map(described).unwrap_or_default());
        self.findings.push(Finding { severity, object, field, value, action });
    }
}
