//! Rotating the key of a static seal in three rollouts. Pure.
//!
//! First every node gets to know the new key, then it becomes the one in use and the leader wraps again what the seal
//! wraps, and only when storage says so the old key goes.

use steamer_api::{RotationPhase, SealRotation};
use steamer_core::error::Error;

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Every node is made from what is wanted in this phase.
    pub(crate) rolled_out: bool,
    /// Everything in storage is wrapped by the new key, and nothing by the old.
    pub(crate) rewrapped: bool,
    pub(crate) recovery_keys: bool,
}

/// The key in use and what is under way, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) in_use: String,
    pub(crate) rotating: Option<SealRotation>,
}

/// Where it goes from here.
pub(crate) fn next(keys: &Keys, wanted: &str, facts: Facts) -> Result<Keys, Error> {
    let at = |phase| Keys {
        in_use: keys.in_use.clone(),
        rotating: Some(SealRotation { to: wanted.to_owned(), phase }),
    };
    match &keys.rotating {
        None if keys.in_use == wanted => Ok(keys.clone()),
        None if !facts.recovery_keys => Err(Error::Waiting(
            "the seal's key is rotated once there are recovery keys: without them OpenBao keeps the old one"
                .to_owned(),
        )),
        None => Ok(at(RotationPhase::Distribute)),
        // Back before anything was wrapped by the new key.
        Some(rotation) if rotation.to != wanted => match rotation.phase {
            RotationPhase::Distribute if keys.in_use == wanted => {
                Ok(Keys { in_use: keys.in_use.clone(), rotating: None })
            }
            _ => Err(Error::Invalid(format!(
                "the seal is on its way from key `{}` to `{}`: set keyId to `{}` until it is there",
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

/// Why a key of a Secret cannot be one; none when it can.
pub(crate) fn unfit(key: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(key).unwrap_or_default();
    let hex = key.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base64 = (key.len() == 44 && text.ends_with('=')) || key.len() == 43;
    if key.len() == 32 || hex || (base64 && !text.is_empty()) {
        None
    } else if key.ends_with(b"\n") {
        Some("ends in a newline, which OpenBao takes for part of the key: write it without")
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
    fn a_key_is_rotated_in_three_phases_and_the_old_one_goes_last() {
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
    fn nothing_begins_without_recovery_keys() {
        assert!(next(&at(None), "k2", Facts { recovery_keys: false, ..ALL }).is_err());
    }

    #[test]
    fn back_is_possible_before_the_new_key_is_in_use_and_not_after() {
        let back = next(&at(Some(("k2", RotationPhase::Distribute))), "k1", NOTHING).unwrap();
        assert_eq!(back, at(None));
        let said = next(&at(Some(("k2", RotationPhase::Rewrap))), "k1", NOTHING).unwrap_err().to_string();
        assert!(said.contains("set keyId to `k2`"), "{said}");
    }

    #[test]
    fn a_key_is_known_by_its_length() {
        assert_eq!(unfit(&[7; 32]), None);
        assert_eq!(unfit("ab".repeat(32).as_bytes()), None);
        assert!(unfit(format!("{}\n", "ab".repeat(32)).as_bytes()).unwrap().contains("newline"));
        assert!(unfit(b"short").unwrap().contains("length"));
    }
}
