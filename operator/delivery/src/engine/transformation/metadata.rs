//! Labels and annotations that templates write.

use std::collections::BTreeMap;

use steamer_api::rules;
use steamer_core::Error;

/// Most bytes of all annotations.
const MOST: usize = 64 << 10;

/// Labels and annotations by their keys. It has no `Debug`: a value is public only after it was written.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Metadata {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// Adds a label.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the label, and contains no value.
    pub(super) fn add_label(&mut self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let text = String::from_utf8(bytes).ok().filter(|text| rules::is_label_value(text));
        let invalid = || {
            Error::Invalid(format!(
                "destination.transformation.labels: the result of the template of `{key}` is not the value of a label: it must \
                 have at most 63 letters, digits, -, _ and ., and start and end with a letter or digit: correct the template"
            ))
        };
        self.labels.insert(key.to_owned(), text.ok_or_else(invalid)?);
        Ok(())
    }

    /// Adds an annotation.
    ///
    /// # Errors
    /// As [`Self::add_label`].
    pub(super) fn add_annotation(&mut self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let size: usize = self.annotations.values().map(String::len).sum::<usize>() + bytes.len();
        let text = String::from_utf8(bytes).ok().filter(|_| size <= MOST);
        let invalid = || {
            Error::Invalid(format!(
                "destination.transformation.annotations: the result of the template of `{key}` is not UTF-8, or all results have \
                 more than 64 KiB together: correct the template"
            ))
        };
        self.annotations.insert(key.to_owned(), text.ok_or_else(invalid)?);
        Ok(())
    }
}
