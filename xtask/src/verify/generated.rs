//! Generated files, compared with the code that generates them.

use std::path::PathBuf;

use anyhow::Result;
use steamer_testing::cache::checkout;

use crate::{docs, index, manifests};

/// Files that differ from their generated text, and hand-written files that a kind lacks.
pub(super) fn problems() -> Vec<String> {
    let mut problems = index::missing(&checkout());
    problems.extend(stale("manifests", manifests::generated()));
    problems.extend(stale("manifests", index::generated()));
    problems.extend(stale("docs", docs::generated()));
    problems
}

fn stale(target: &str, generated: Result<Vec<(PathBuf, String)>>) -> Vec<String> {
    match generated {
        Ok(files) => files
            .into_iter()
            .filter(|(path, text)| std::fs::read_to_string(checkout().join(path)).ok().as_ref() != Some(text))
            .map(|(path, _)| {
                format!("{} is out of date: run `make {target}` and commit the result", path.display())
            })
            .collect(),
        Err(error) => vec![format!("`make {target}` fails: {error:#}")],
    }
}
