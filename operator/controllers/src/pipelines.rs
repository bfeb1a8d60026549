//! What a CI job may read: patterns, contexts and their names, the CEL program that finds a job's contexts, and the
//! text of policies. All of it is pure; the tests compare it with what a real OpenBao makes of it.

mod context;
mod pattern;
mod policy;
mod program;

pub use context::Context;
pub use pattern::Pattern;
pub use policy::{Grants, Rule, policy_text, workload_policy_text};
pub use program::{Entity, Program, ROLE_ID_TOKENS, ROLE_PIPELINES};

/// The folder of a KV engine that holds values, as GitLab has it.
pub const DATA_ROOT: &str = "explicit";

/// Lower-case hex: OpenBao folds the case of policy names, which would make one of two names in Base64.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}
