//! The rule of optional fields that cannot be changed.

/// Rule of a spec whose optional field can be neither changed, nor added, nor removed: name of the field in CEL, and message.
macro_rules! immutable {
    ($field:literal, $message:literal) => {
        (
            concat!(
                "has(self.",
                $field,
                ") == has(oldSelf.",
                $field,
                ") && (!has(self.",
                $field,
                ") || self.",
                $field,
                " == oldSelf.",
                $field,
                ")"
            ),
            $message,
        )
    };
}

pub(crate) use immutable;
