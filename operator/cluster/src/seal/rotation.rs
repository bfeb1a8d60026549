//! Rotation of the key of a static seal in three rollouts. Pure.
//!
//! First every node receives the new key. Then the new key becomes the key in use, and the leader wraps every value
//! again. When storage shows that this is complete, the old key is removed.

use steamer_api::{RotationPhase, SealRotation};
use steamer_core::error::Error;

/// Facts that determine the next phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Every node has the template of this phase.
    pub(crate) rolled_out: bool,
    /// Every value in storage is wrapped by the new key, and none by the old one.
    pub(crate) rewrapped: bool,
    pub(crate) recovery_keys: bool,
}

/// The key in use, and the rotation in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) in_use: String,
    pub(crate) rotating: Option<SealRotation>,
}

impl Keys {
    /// Returns true if a rotation to this key is in progress or due.
    pub(crate) fn is_changing_to(&self, wanted: &str) -> bool {
        self.rotating.is_some() || self.in_use != wanted
    }
}

/// The keys after the next phase.
pub(crate) fn next(keys: &Keys, wanted: &str, facts: Facts) -> Result<Keys, Error> {
    let at = |phase| Keys {
        in_use: keys.in_use.clone(),
        rotating: Some(SealRotation { to: wanted.to_owned(), phase }),
    };
    match &keys.rotating {
        None if keys.in_use == wanted => Ok(keys.clone()),
        None if !facts.recovery_keys => Err(Error::Waiting(
            "the rotation of the seal's key waits for recovery keys: without them OpenBao keeps the old key"
                .to_owned(),
        )),
        None => Ok(at(RotationPhase::Distribute)),
        // Reverted before any value was wrapped by the new key.
        Some(rotation) if rotation.to != wanted => match rotation.phase {
            RotationPhase::Distribute if keys.in_use == wanted => {
                Ok(Keys { in_use: keys.in_use.clone(), rotating: None })
            }
            _ => Err(Error::Invalid(format!(
                "the seal's key is being rotated from `{}` to `{}`: set keyId to `{}` until the rotation is complete",
                keys.in_use, rotation.to, rotation.to
            ))),
        },
        Some(rotation) => match rotation.phase {
            RotationPhase::Distribute if facts.rolled_out => Ok(at(RotationPhase::Rewrap)),
            RotationPhase::Rewrap if facts.rolled_out && facts.rewrapped => Ok(at(RotationPhase::Retire)),
            RotationPhase::Retire if facts.rolled_out => {
                Ok(Keys { in_use: wanted.to_owned(), rotating: None })
            }
            _ => Ok(keys.clone()),
        },
    }
}

/// Reason why a value cannot be a key.
pub(crate) fn defect(key: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(key).unwrap_or_default();
    let hex = key.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base64 = (key.len() == 44 && text.ends_with('=')) || key.len() == 43;
    if key.len() == 32 || hex || (base64 && !text.is_empty()) {
        None
    } else if key.ends_with(b"\n") {
        Some("ends in a newline, which OpenBao would read as part of the key: remove it")
    } else {
        Some("has the wrong length: a key is 32 bytes, or 64 hex or 44 Base64 characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts = Facts { rolled_out: false, rewrapped: false, recovery_keys: true };
    const ROLLED: Facts = Facts { rolled_out: true, ..NOTHING };
    const ALL: Facts = Facts { rewrapped: true, ..ROLLED };

    fn at(rotating: Option<(&str, RotationPhase)>) -> Keys {
        let rotating = rotating.map(|(to, phase)| SealRotation { to: to.to_owned(), phase });
        Keys { in_use: "k1".to_owned(), rotating }
    }

    #[test]
    fn a_key_is_rotated_in_three_phases_and_the_old_one_is_removed_last() {
        let mut keys = at(None);
        let mut seen = Vec::new();
        for facts in [NOTHING, NOTHING, ROLLED, ROLLED, ALL, NOTHING, ROLLED] {
            keys = next(&keys, "k2", facts).unwrap();
            seen.push((keys.in_use.clone(), keys.rotating.as_ref().map(|rotating| rotating.phase)));
        }
        use RotationPhase::{Distribute, Retire, Rewrap};
        let expected =
            [Some(Distribute), Some(Distribute), Some(Rewrap), Some(Rewrap), Some(Retire), Some(Retire)];
        assert_eq!(seen[..6], expected.map(|phase| ("k1".to_owned(), phase)));
        assert_eq!(seen[6], ("k2".to_owned(), None));
    }

    #[test]
    fn no_rotation_starts_without_recovery_keys() {
        assert!(next(&at(None), "k2", Facts { recovery_keys: false, ..ALL }).is_err());
    }

    #[test]
    fn a_rotation_can_be_reverted_only_before_the_new_key_is_in_use() {
        let back = next(&at(Some(("k2", RotationPhase::Distribute))), "k1", NOTHING).unwrap();
        assert_eq!(back, at(None));
        let said = next(&at(Some(("k2", RotationPhase::Rewrap))), "k1", NOTHING).unwrap_err().to_string();
        assert!(said.contains("set keyId to `k2`"), "{said}");
    }

    #[test]
    fn a_key_is_checked_by_its_length() {
        assert_eq!(defect(&[7; 32]), None);
        assert_eq!(defect("ab".repeat(32).as_bytes()), None);
        assert!(defect(format!("{}\n", "ab".repeat(32)).as_bytes()).unwrap().contains("newline"));
        assert!(defect(b"short").unwrap().contains("length"));
    }
}
