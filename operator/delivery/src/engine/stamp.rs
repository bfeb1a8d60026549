//! The stamp: the state of the engine that survives a restart. It is an annotation of the Secret, written in the same
//! request as the data, and a field of the status, which an editor of the Secret cannot change. With `create: false` it is
//! only in the status.

use serde::{Deserialize, Serialize};
use steamer_core::digest::digest;

/// What a Secret contains, without its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Digest of the request for the value. A different request obtains a new value.
    pub(crate) request: String,
    /// Digest of the server, the OpenBao namespace and the mount. Empty in stamps of earlier versions of Steamer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) mount: String,
    /// Digest of the transformation. A different one renders the value again. Empty without a transformation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) rendering: String,
    /// Keyed digest of the content.
    pub(crate) content: String,
    /// The value that was obtained.
    pub(crate) held: Held,
    /// Number of the last change of the content. The creation of the Secret is change 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) change: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(change: &i64) -> bool {
    *change == 0
}

/// The value that a Secret contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Held {
    /// Values that can be read again: the version of each source, `None` where the engine has no versions.
    Read {
        /// Version of each source.
        versions: Vec<Option<i64>>,
    },
}

impl Default for Held {
    fn default() -> Self {
        Self::Read { versions: Vec::new() }
    }
}

impl Stamp {
    /// Reads what [`Self::text`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns true if both belong to the same request and content. Versions and transformations can differ.
    pub(crate) fn is_same_value(&self, other: &Self) -> bool {
        self.request == other.request && self.content == other.content
    }

    /// Returns true if both belong to the same versions and transformation, and false without versions. After a crash, the
    /// keys in a Secret of another client can be newer than the stamp in the status: then the versions differ.
    pub(crate) fn is_same_version(&self, other: &Self) -> bool {
        let Held::Read { versions } = &self.held;
        let is_known = !versions.is_empty() && versions.iter().all(Option::is_some);
        is_known
            && self.held == other.held
            && self.request == other.request
            && self.rendering == other.rendering
    }

    /// Returns true if the value is from the mount of a source, which another path, version and login do not change.
    pub(crate) fn is_of_mount(&self, request: &str, mount: &str) -> bool {
        self.request == request || (!mount.is_empty() && self.mount == mount)
    }

    /// Text of the annotation.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Held {
    /// Version of a value from a single source.
    pub(crate) fn version(&self) -> Option<i64> {
        let Self::Read { versions } = self;
        if let [version] = versions[..] { version } else { None }
    }
}

/// Digest of a request for a value.
pub(crate) fn request_digest(parts: &[&str]) -> String {
    digest(format!("{parts:?}").as_bytes())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_writing_and_reading() {
        let held = Held::Read { versions: vec![Some(3), None] };
        let (request, mount) = (request_digest(&["a", "b"]), String::new());
        let (rendering, content) = (String::new(), "mac".to_owned());
        let stamp = Stamp { request, mount, rendering, content, held, change: 0 };
        assert_eq!(Stamp::parse(&stamp.text()), Some(stamp.clone()));
        assert_eq!(stamp.held.version(), None, "two sources");
        assert_eq!(Held::Read { versions: vec![Some(3)] }.version(), Some(3));
        assert_eq!(Stamp::parse("{}"), None);
        assert_eq!(
            stamp.text(),
            format!(
                r#"{{"request":"{}","content":"mac","held":{{"read":{{"versions":[3,null]}}}}}}"#,
                stamp.request
            )
        );
    }

    #[test]
    fn the_mount_of_another_request_can_be_the_same() {
        let stamp = |mount: &str| Stamp {
            request: "r".to_owned(),
            mount: mount.to_owned(),
            content: "mac".to_owned(),
            change: 3,
            ..Stamp::default()
        };
        assert_eq!(Stamp::parse(&stamp("m").text()), Some(stamp("m")));
        assert!(stamp("m").is_of_mount("other", "m"));
        assert!(!stamp("m").is_of_mount("other", "n"));
        assert!(stamp("").is_of_mount("r", "m"));
        assert!(!stamp("").is_of_mount("other", ""));
    }

    #[test]
    fn the_version_of_a_value_differs_with_its_source_and_transformation() {
        let stamp = |request: &str, rendering: &str, version: Option<i64>| Stamp {
            request: request.to_owned(),
            rendering: rendering.to_owned(),
            content: version.map_or("old".to_owned(), |version| version.to_string()),
            held: Held::Read { versions: vec![version] },
            ..Stamp::default()
        };
        let is_same = |other: Stamp| stamp("r", "t", Some(3)).is_same_version(&other);
        assert!(is_same(stamp("r", "t", Some(3))));
        assert!(!is_same(stamp("r", "t", Some(4))));
        assert!(!is_same(stamp("q", "t", Some(3))));
        assert!(!is_same(stamp("r", "u", Some(3))));
        assert!(!stamp("r", "t", None).is_same_version(&stamp("r", "t", None)));
    }

    #[test]
    fn moving_a_character_between_parts_changes_the_digest_of_a_request() {
        assert_ne!(request_digest(&["ab", "c"]), request_digest(&["a", "bc"]));
    }
}
