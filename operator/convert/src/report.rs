//! The report: everything that has no counterpart, and everything that a user has to do.

use std::fmt;

use serde::Serialize;

/// Importance of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A field has no counterpart, or another meaning: review the converted object before you apply it.
    Review,
    /// The field is converted. The action concerns another object, or the migration.
    Note,
}

/// A field of an object of the input, and what to do. It contains no value of the object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Importance.
    pub severity: Severity,
    /// Kind, namespace and name of the object, such as `VaultAuth web/app`.
    pub object: String,
    /// Path of the field, such as `spec.aws.role`. Empty: the whole object.
    pub field: String,
    /// Type of the value in words, such as `list of 3`. Empty: the field is missing.
    pub value: String,
    /// What to do.
    pub action: String,
}

/// All findings of a conversion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Number of objects in the input.
    pub objects: usize,
    /// Number of objects in the output.
    pub converted: usize,
    /// Findings in the order of the input.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Returns true if a finding must be reviewed.
    #[must_use]
    pub fn needs_review(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Review)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut object = "";
        for finding in &self.findings {
            if finding.object != object {
                object = &finding.object;
                writeln!(f, "{object}")?;
            }
            writeln!(f, "  {finding}")?;
        }
        writeln!(f, "{} objects read, {} written", self.objects, self.converted)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Review => "review",
            Severity::Note => "note",
        };
        write!(f, "{severity}: ")?;
        match (self.field.as_str(), self.value.as_str()) {
            ("", _) => {}
            (field, "") => write!(f, "{field}: ")?,
            (field, value) => write!(f, "{field} ({value}): ")?,
        }
        f.write_str(&self.action)
    }
}
