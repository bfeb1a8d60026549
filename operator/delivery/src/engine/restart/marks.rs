//! The annotation of a workload that lists the changes that it was restarted for.

use std::collections::BTreeMap;
use std::fmt;

/// Annotation of the pod template; of the object itself for an Argo Rollout.
pub(super) const ANNOTATION: &str = "steamer.dev/restarted-for";
/// Most Secrets in the annotation.
const MOST: usize = 100;

/// A change of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number.
    pub(crate) number: i64,
    /// Start of the UID of the object that counts the changes.
    pub(crate) object: String,
}

impl Change {
    pub(crate) fn new(number: i64, uid: &str) -> Self {
        Self { number, object: uid.chars().take(8).collect() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, object) = text.split_once('/')?;
        Some(Self { number: number.parse().ok()?, object: object.to_owned() })
    }

    /// Returns true if a restart for this change is also one for `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.object == other.object && self.number >= other.number
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.object)
    }
}

/// Changes by the name of their Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(BTreeMap<String, String>);

impl Marks {
    /// The changes of an annotation. A text of another client counts as empty.
    pub(super) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    pub(super) fn covers(&self, secret: &str, change: &Change) -> bool {
        let mark = self.0.get(secret).and_then(|text| Change::parse(text));
        mark.is_some_and(|mark| mark.covers(change))
    }

    /// These and other changes. A workload that used too many Secrets starts again with the others.
    pub(super) fn with(mut self, others: &BTreeMap<String, Change>) -> Self {
        if self.0.len() + others.len() > MOST {
            self.0.clear();
        }
        self.0.extend(others.iter().map(|(secret, change)| (secret.clone(), change.to_string())));
        self
    }

    /// Text of the annotation.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same("app", 3, "0a1b2c3d-1", true)]
    #[case::earlier("app", 2, "0a1b2c3d-1", true)]
    #[case::later("app", 4, "0a1b2c3d-1", false)]
    #[case::recreated_object("app", 3, "ffffffff-1", false)]
    #[case::other_secret("db", 1, "0a1b2c3d-1", false)]
    fn a_restart_covers_its_change_and_earlier_ones(
        #[case] secret: &str,
        #[case] number: i64,
        #[case] uid: &str,
        #[case] expected: bool,
    ) {
        let marks = BTreeMap::from([("app".to_owned(), Change::new(3, "0a1b2c3d-1"))]);
        let text = Marks::default().with(&marks).text();
        assert_eq!(text, r#"{"app":"3/0a1b2c3d"}"#);
        assert_eq!(Marks::parse(&text).covers(secret, &Change::new(number, uid)), expected);
    }

    #[test]
    fn a_foreign_text_is_no_mark_and_the_annotation_stays_small() {
        for text in ["", "x", "[]", r#"{"app": 3}"#, r#"{"app": "3"}"#, r#"{"app": "x/0a1b2c3d"}"#] {
            assert!(!Marks::parse(text).covers("app", &Change::new(0, "0a1b2c3d")), "{text}");
        }
        let many = |start: i64| (start..start + 60).map(|n| (format!("s{n}"), Change::new(n, "u"))).collect();
        let marks = Marks::default().with(&many(0)).with(&many(60));
        assert_eq!(marks.0.len(), 60);
        assert!(marks.covers("s60", &Change::new(60, "u")));
    }
}
