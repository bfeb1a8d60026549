//! A value as OpenBao returned it.

use jiff::Timestamp;
use serde_json::Value;
use steamer_openbao::Values;

/// Typed values of one source. It has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Document {
    /// JSON values by key.
    pub(crate) values: Values,
    /// Metadata of the version. Null if the engine has no versions.
    pub(crate) metadata: Value,
}

/// Creation time of the newest version of several documents, if the engine has versions.
pub(super) fn newest(documents: &[Document]) -> Option<Timestamp> {
    let created = |document: &Document| document.metadata.get("created_time")?.as_str()?.parse().ok();
    documents.iter().filter_map(created).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_version_of_several_documents_counts() {
        let document = |metadata: Value| Document { metadata, ..Document::default() };
        let of = |time: &str| document(json!({"created_time": time}));
        let all = [of("2026-01-02T03:04:05.678901234Z"), of("2026-01-02T03:04:06Z"), document(Value::Null)];
        assert_eq!(newest(&all).map(|at| at.to_string()).as_deref(), Some("2026-01-02T03:04:06Z"));
        assert_eq!(newest(&[of("yesterday")]), None);
    }
}
